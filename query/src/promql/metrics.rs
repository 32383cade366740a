//! The metrics that PromQL sees: one or more of every measure of a rollup of windows.
//!
//! | measure | metric | kind |
//! |---|---|---|
//! | `count` | `<rollup>_<measure>_total` | counter |
//! | `sum` | `<rollup>_<measure>_total` | counter; it falls where what is summed is negative |
//! | `hdr` | `<rollup>_<measure>` | native histogram |
//! | `min`, `max`, `avg`, `last`, `approx_distinct` | `<rollup>_<measure>` | gauge: that of the newest closed window |
//!
//! | `samples` | `<rollup>_<measure>` | gauge: every sample as it came |
//!
//! Durations become seconds: `duration_ms` is `duration_seconds`. Instants become
//! `…_timestamp_seconds`. Texts have no number and so no metric.

use super::pushed::is_pushed;
use std::borrow::Cow;
use std::collections::BTreeMap;
use tidewatch_engine::rollup::{DIGESTS, MeasureKind, OTHER_SERIES, RollupSchema, ValueType};

/// What a metric is to Prometheus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What was counted since the oldest window that is kept.
    Counter,
    /// The newest closed window's value.
    Gauge,
    /// Observations since the oldest window that is kept.
    Histogram,
}

impl Kind {
    /// As the metadata of Prometheus says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// Full name.
    pub name: String,
    /// Kind.
    pub kind: Kind,
    /// One sentence.
    pub help: String,
    /// `seconds`, or nothing.
    pub unit: &'static str,
    /// The rollup's name; of a gauge of a view, the view's.
    pub rollup: String,
    /// The measure's name, which is that of its column.
    pub measure: String,
    /// How the measure is kept.
    pub state: MeasureKind,
    /// What stored values are divided by.
    pub scale: f64,
    /// Label and column of every dimension, in the order of the definition.
    pub labels: Vec<(String, String)>,
}

/// All metrics of some rollups, by name. Of two that would have one name, that of the first rollup stays.
pub fn metrics<'r>(rollups: impl IntoIterator<Item = &'r RollupSchema>) -> BTreeMap<String, Metric> {
    let mut metrics = BTreeMap::new();
    let windowed = rollups.into_iter().filter(|r| r.pane_us.is_some() && r.name != DIGESTS && !is_pushed(r));
    for metric in windowed.flat_map(metrics_of) {
        metrics.entry(metric.name.clone()).or_insert(metric);
    }
    metrics
}

fn metrics_of(rollup: &RollupSchema) -> impl Iterator<Item = Metric> + '_ {
    let labels: Vec<_> = rollup.dimensions.iter().map(|d| (label_name(&d.name), d.name.clone())).collect();
    rollup.measures.iter().filter(|m| m.name != OTHER_SERIES).filter_map(move |measure| {
        let (kind, what) = match measure.kind {
            MeasureKind::Count => (Kind::Counter, "Count"),
            MeasureKind::Sum { .. } => (Kind::Counter, "Sum"),
            MeasureKind::Hdr { .. } => (Kind::Histogram, "Distribution"),
            MeasureKind::Min { value } if is_number(value) => (Kind::Gauge, "Minimum"),
            MeasureKind::Max { value } if is_number(value) => (Kind::Gauge, "Maximum"),
            MeasureKind::Last { value } if is_number(value) => (Kind::Gauge, "Newest value"),
            MeasureKind::Avg { .. } => (Kind::Gauge, "Mean"),
            MeasureKind::Distinct => (Kind::Gauge, "Distinct values"),
            MeasureKind::Samples => (Kind::Gauge, "Samples"),
            MeasureKind::Min { .. } | MeasureKind::Max { .. } | MeasureKind::Last { .. } => return None,
        };
        let counts_things = matches!(measure.kind, MeasureKind::Count | MeasureKind::Distinct);
        let (stem, scale) = if counts_things || measure.kind == MeasureKind::Samples {
            (Cow::Borrowed(measure.name.as_str()), 1.0)
        } else {
            base_unit(&measure.name)
        };
        let suffix = match (kind, measure.kind) {
            (Kind::Counter, _) => "_total",
            (_, MeasureKind::Min { value } | MeasureKind::Max { value } | MeasureKind::Last { value })
                if value == ValueType::Timestamp =>
            {
                "_timestamp_seconds"
            }
            _ => "",
        };
        let name = sanitized(&format!("{}_{}{suffix}", rollup.name, stem.strip_suffix(suffix).unwrap_or(&stem)));
        Some(Metric {
            unit: if name.ends_with("_seconds") || name.ends_with("_seconds_total") { "seconds" } else { "" },
            name,
            kind,
            help: format!("{what} of {}.{}.", rollup.name, measure.name),
            rollup: rollup.name.clone(),
            measure: measure.name.clone(),
            state: measure.kind,
            scale,
            labels: labels.clone(),
        })
    })
}

fn is_number(value: ValueType) -> bool {
    value != ValueType::Utf8
}

/// Prometheus wants seconds; a pack counts in what its events carry.
pub(crate) fn base_unit(measure: &str) -> (Cow<'_, str>, f64) {
    match (measure.strip_suffix("_ms"), measure.strip_suffix("_us")) {
        (Some(stem), _) => (Cow::Owned(format!("{stem}_seconds")), 1e3),
        (_, Some(stem)) => (Cow::Owned(format!("{stem}_seconds")), 1e6),
        _ => (Cow::Borrowed(measure), 1.0),
    }
}

/// Names that a series already has for another purpose.
pub(crate) fn label_name(dimension: &str) -> String {
    match dimension {
        "window" | "quantile" | "le" => format!("exported_{dimension}"),
        name => sanitized(name),
    }
}

pub(crate) fn sanitized(name: &str) -> String {
    let valid = |(i, c): (usize, char)| {
        if c.is_ascii_alphabetic() || c == '_' || (i > 0 && c.is_ascii_digit()) { c } else { '_' }
    };
    name.chars().enumerate().map(valid).collect()
}

#[cfg(test)]
mod tests;

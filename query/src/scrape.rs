//! What `/metrics` shows: our own metrics, and the newest closed window of every rollup.
//!
//! A window is closed when the watermark has passed its end; its numbers are then complete but for late
//! events, which still correct them. A series without events in that window is absent.

use crate::exposition::{Family, Kind, Sample, bound, families_of};
use crate::metrics::QueryMetrics;
use crate::promql::is_pushed;
use crate::promql::metrics::{base_unit, label_name, sanitized};
use crate::snapshot::Snapshot;
use crate::sql::{SqlEngine, SqlError};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::ident;
use datafusion::prelude::lit;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use tidewatch_engine::rollup::{DIGESTS, MeasureKind, RollupSchema, WINDOW_START};
use tidewatch_engine::sketch::{DistinctSketch, HdrSketch};
use tidewatch_engine::time::{width_name, window_start};

/// Quantiles that are shown of every histogram.
const QUANTILES: [f64; 4] = [0.5, 0.9, 0.95, 0.99];
const SECOND_US: i64 = 1_000_000;

/// Makes the families of `/metrics`.
#[derive(Debug)]
pub struct Scrape {
    engine: Arc<SqlEngine>,
    registry: prometheus::Registry,
    metrics: QueryMetrics,
    series_max: usize,
}

impl Scrape {
    /// Shows `registry` and all declared rollups, these with at most `series_max` series together.
    pub fn new(
        engine: Arc<SqlEngine>,
        registry: prometheus::Registry,
        metrics: QueryMetrics,
        series_max: usize,
    ) -> Self {
        Self { engine, registry, metrics, series_max }
    }

    /// Our own metrics, without the rollups.
    pub fn own(&self) -> Vec<Family> {
        families_of(&self.registry)
    }

    /// All families. When the rollups cannot be read, our own metrics still come, and one says so.
    pub async fn families(&self) -> Vec<Family> {
        let mut rollups = Families { by_name: BTreeMap::new(), series_left: self.series_max };
        let up = match self.rollup_families(&mut rollups).await {
            Ok(()) => 1.0,
            Err(error) => {
                tracing::warn!(%error, "rollups are missing from the scrape");
                0.0
            }
        };
        let mut families = self.own();
        families.push(Family {
            name: "tidewatch_scrape_rollups_up".to_owned(),
            kind: Kind::Gauge,
            help: "1 when the newest closed windows of the rollups could be read for this scrape.".to_owned(),
            samples: vec![Sample { suffix: "", labels: Vec::new(), value: up }],
        });
        families.extend(rollups.by_name.into_values());
        families
    }

    /// Adds every rollup that can be read; the error is that of the first one that cannot.
    async fn rollup_families(&self, families: &mut Families) -> Result<(), SqlError> {
        let snapshots = self.engine.snapshots();
        let rollups: Vec<String> = snapshots
            .definitions()
            .rollups()
            // Keyed tables have no newest window, digests say nothing to a person, and pushed samples are
            // metrics of others: `/federate` has them.
            .filter(|r| r.pane_us.is_some() && r.name != DIGESTS && !is_pushed(r))
            .map(|r| r.name.clone())
            .collect();
        let snapshot = snapshots.take(&rollups).await?;
        let Some(watermark) = snapshot.watermark else { return Ok(()) };
        let mut result = Ok(());
        for (name, table) in &snapshot.tables {
            if let Some(rollup) = &table.rollup {
                result = result.and(self.add_rollup(&snapshot, name, rollup, watermark, families).await);
            }
        }
        result
    }

    async fn add_rollup(
        &self,
        snapshot: &Snapshot,
        name: &str,
        rollup: &RollupSchema,
        watermark: i64,
        families: &mut Families,
    ) -> Result<(), SqlError> {
        // Keyed tables have no newest window; what is to be seen of them is a matter of views.
        let Some(pane_us) = rollup.pane_us else { return Ok(()) };
        let end = window_start(watermark, pane_us);
        let start = ScalarValue::TimestampMicrosecond(Some(end - pane_us), Some("UTC".into()));
        let answer =
            self.engine.rows(snapshot, name, ident(WINDOW_START).eq(lit(start)), families.series_left + 1).await?;
        let labels = vec![(Cow::Borrowed("rollup"), name.to_owned())];
        families.add(
            "tidewatch_rollup_window_end_timestamp_seconds",
            Kind::Gauge,
            || "End of the newest closed window, whose numbers this scrape shows.".to_owned(),
            Sample { suffix: "", labels, value: end as f64 / SECOND_US as f64 },
        );
        let (mut seen, mut is_truncated) = (HashSet::new(), false);
        for batch in &answer.batches {
            for row in 0..batch.num_rows() {
                let labels = labels_of(rollup, batch, row);
                if families.series_left == 0 || !seen.insert(labels.clone()) {
                    is_truncated = true;
                    continue;
                }
                families.series_left -= 1;
                add_row(name, rollup, batch, row, &labels, families);
            }
        }
        if is_truncated {
            self.metrics.truncated.with_label_values(&[name]).inc();
        }
        Ok(())
    }
}

type Labels = Vec<(Cow<'static, str>, String)>;

struct Families {
    by_name: BTreeMap<String, Family>,
    series_left: usize,
}

impl Families {
    fn add(&mut self, name: &str, kind: Kind, help: impl FnOnce() -> String, sample: Sample) {
        if let Some(family) = self.by_name.get_mut(name) {
            return family.samples.push(sample);
        }
        let family = Family { name: name.to_owned(), kind, help: help(), samples: vec![sample] };
        self.by_name.insert(name.to_owned(), family);
    }
}

fn add_row(
    name: &str,
    rollup: &RollupSchema,
    batch: &RecordBatch,
    row: usize,
    labels: &Labels,
    families: &mut Families,
) {
    let window = labels.first().map_or("", |l| l.1.as_str()).to_owned();
    for measure in &rollup.measures {
        let Some(column) = batch.column_by_name(&measure.name).filter(|c| c.is_valid(row)) else { continue };
        let (unit_name, scale) = base_unit(&measure.name);
        let metric = sanitized(&format!("{name}_{unit_name}"));
        let help = |what: &str| format!("{what} of {name}.{} in the newest closed {window} window.", measure.name);
        let gauge = |value: f64| Sample { suffix: "", labels: labels.clone(), value };
        match measure.kind {
            MeasureKind::Hdr { .. } => {
                let Ok(sketch) = HdrSketch::from_v2(column.as_binary::<i32>().value(row)) else { continue };
                for q in QUANTILES {
                    let Some(value) = sketch.quantile(q) else { continue };
                    let mut labels = labels.clone();
                    labels.push((Cow::Borrowed("quantile"), bound(q)));
                    let sample = Sample { suffix: "", labels, value: value as f64 / scale };
                    families.add(&metric, Kind::Summary, || help("Quantiles"), sample);
                }
            }
            MeasureKind::Distinct => {
                let Ok(sketch) = DistinctSketch::from_bytes(column.as_binary::<i32>().value(row)) else { continue };
                families.add(&metric, Kind::Gauge, || help("Distinct values"), gauge(sketch.estimate() as f64));
            }
            kind => {
                let Some(value) = scalar(column, row) else { continue };
                let what = match kind {
                    MeasureKind::Count => "Count",
                    MeasureKind::Sum { .. } => "Sum",
                    MeasureKind::Min { .. } => "Minimum",
                    MeasureKind::Max { .. } => "Maximum",
                    _ => "Mean",
                };
                let is_instant = matches!(column.data_type(), DataType::Timestamp(..));
                let metric = if is_instant { format!("{metric}_timestamp_seconds") } else { metric };
                let scale = if kind == MeasureKind::Count { 1.0 } else { scale };
                families.add(&metric, Kind::Gauge, || help(what), gauge(value / scale));
            }
        }
    }
}

fn labels_of(rollup: &RollupSchema, batch: &RecordBatch, row: usize) -> Labels {
    let mut labels: Labels = vec![(Cow::Borrowed("window"), width_name(rollup.pane_us.unwrap_or_default()))];
    for (index, dimension) in rollup.dimensions.iter().enumerate() {
        let column = batch.column(index + 1);
        // A label that is absent and an empty one are the same to Prometheus.
        if let Some(value) = label_value(column, row).filter(|v| !v.is_empty()) {
            labels.push((Cow::Owned(label_name(&dimension.name)), value));
        }
    }
    labels
}

fn label_value(column: &ArrayRef, row: usize) -> Option<String> {
    if column.is_null(row) {
        return None;
    }
    Some(match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Boolean => column.as_boolean().value(row).to_string(),
        _ => return None,
    })
}

fn scalar(column: &ArrayRef, row: usize) -> Option<f64> {
    Some(match column.data_type() {
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row) as f64,
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row),
        DataType::Decimal128(_, scale) => {
            column.as_primitive::<Decimal128Type>().value(row) as f64 / 10f64.powi(i32::from(*scale))
        }
        DataType::Timestamp(..) => {
            column.as_primitive::<TimestampMicrosecondType>().value(row) as f64 / SECOND_US as f64
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests;

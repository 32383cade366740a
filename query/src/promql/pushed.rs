//! Samples that were kept as they came: those that others push, and `samples(x)` of any rollup.
//!
//! They are readings, so PromQL treats them exactly as Prometheus does: lookback, staleness marks,
//! extrapolation. Windows and their widths only say where samples lie.

use super::metrics::Metric;
use crate::snapshot::Snapshot;
use crate::sql::{SqlEngine, SqlError};
use crate::table::{RollupTable, Shape, TierRows};
use crate::tiers::segments;
use arrow::array::{Array, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;
use datafusion::functions::string::expr_fn::contains;
use datafusion::logical_expr::{Expr, ident};
use datafusion::prelude::{DataFrame, lit};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tidewatch_engine::rollup::{MeasureKind, RollupSchema, WINDOW_START};
use tidewatch_engine::samples::{LABELS, METRIC, NO_TENANT, NativeHistogram, ResetHint, SAMPLES, SampleSet};
use tidewatch_promql::histogram::{CounterReset, Indexed, Layout};
use tidewatch_promql::{Histogram, Labels, MatchOp, Matcher, Selection, Series};

/// Exclusive end of a window.
const WINDOW_END: &str = "window_end";
/// Column of whoever pushed the samples, and the label that it becomes.
const TENANT: &str = "tenant";
/// The label under which a pushed label `tenant` goes when the sender has named its tenant.
const EXPORTED_TENANT: &str = "exported_tenant";

/// Is this the built-in rollup whose rows name their own metrics?
pub fn is_pushed(rollup: &RollupSchema) -> bool {
    let has = |name: &str| rollup.dimensions.iter().any(|d| d.name == name);
    let keeps = rollup.measures.iter().any(|m| m.name == SAMPLES && m.kind == MeasureKind::Samples);
    rollup.name == SAMPLES && has(METRIC) && has(LABELS) && has(TENANT) && keeps
}

/// What names the series of a row.
#[derive(Debug, Clone, Copy)]
pub enum Naming<'m> {
    /// The columns [`METRIC`], [`LABELS`] and [`TENANT`].
    Pushed,
    /// The metric's name and its dimensions.
    Of(&'m Metric),
}

impl Naming<'_> {
    fn rollup(&self) -> &str {
        match self {
            Self::Pushed => SAMPLES,
            Self::Of(metric) => &metric.rollup,
        }
    }

    fn column(&self) -> &str {
        match self {
            Self::Pushed => SAMPLES,
            Self::Of(metric) => &metric.measure,
        }
    }

    fn keys(&self) -> Vec<&str> {
        match self {
            Self::Pushed => vec![METRIC, LABELS, TENANT],
            Self::Of(metric) => metric.labels.iter().map(|(_, column)| column.as_str()).collect(),
        }
    }

    /// The labels of a row's texts, in the order of [`Self::keys`].
    fn labels(&self, texts: &[Option<&str>]) -> Result<Labels, ArrowError> {
        match self {
            Self::Of(metric) => {
                let pairs =
                    metric.labels.iter().zip(texts).filter_map(|((label, _), text)| Some((label.as_str(), (*text)?)));
                Ok(Labels::new(pairs.chain([("__name__", metric.name.as_str())])))
            }
            Self::Pushed => {
                let [metric, labels, tenant] = [0, 1, 2].map(|at| texts.get(at).copied().flatten().unwrap_or_default());
                let mut pairs: BTreeMap<String, String> =
                    serde_json::from_str(labels).map_err(|e| ArrowError::ExternalError(Box::new(e)))?;
                if tenant != NO_TENANT
                    && !tenant.is_empty()
                    && let Some(pushed) = pairs.insert(TENANT.to_owned(), tenant.to_owned())
                {
                    pairs.insert(EXPORTED_TENANT.to_owned(), pushed);
                }
                pairs.insert("__name__".to_owned(), metric.to_owned());
                Ok(Labels::new(pairs))
            }
        }
    }

    /// What must hold of rows that fit equality matchers, so that files can be skipped; all matchers are held
    /// against the labels later.
    fn conditions(&self, matchers: &[Matcher]) -> Vec<Expr> {
        let equal = matchers.iter().filter(|m| m.op == MatchOp::Equal && !m.value.is_empty());
        let pair = |name: &str, value: &str| {
            // As the labels are written: a substring of the JSON object.
            let text = |text: &str| serde_json::Value::from(text).to_string();
            contains(ident(LABELS), lit(format!("{}:{}", text(name), text(value))))
        };
        let condition = |matcher: &Matcher| match (self, matcher.name.as_str()) {
            (Self::Pushed, "__name__") => Some(ident(METRIC).eq(lit(matcher.value.as_str()))),
            (Self::Pushed, TENANT) => {
                let pushed = ident(TENANT).eq(lit(NO_TENANT)).and(pair(TENANT, &matcher.value));
                Some(ident(TENANT).eq(lit(matcher.value.as_str())).or(pushed))
            }
            (Self::Pushed, EXPORTED_TENANT) => None,
            (Self::Pushed, name) => Some(pair(name, &matcher.value)),
            (Self::Of(_), _) => None,
        };
        equal.filter_map(condition).collect()
    }
}

/// The series that fit a selection, with the samples of its time.
///
/// # Errors
/// See [`SqlError`]; among them more than `samples_max` samples.
pub async fn read(
    engine: &SqlEngine,
    snapshot: &Snapshot,
    naming: Naming<'_>,
    selection: &Selection,
    samples_max: usize,
) -> Result<Vec<Series>, SqlError> {
    // Most processes are pushed nothing, and planning takes longer than finding nothing.
    let table = snapshot.tables.get(naming.rollup()).filter(|table| !table.is_empty());
    let Some((table, rollup)) = table.and_then(|table| Some((table, table.rollup.as_ref()?))) else {
        return Ok(Vec::new());
    };
    let time = Reaching::of(rollup, selection.start_ms, selection.end_ms);
    let rows = RollupTable::new(rollup, table, Shape::Partials);
    let rows = rows.map_err(|e| SqlError::Execution(e.strip_backtrace()))?;
    let segments = segments(rows.tiers(), rows.boundaries(), 0, Some(time.from), Some(time.to));
    let rows = TierRows::new(&rows, segments, Shape::Partials);
    let columns: Vec<&str> = naming.keys().into_iter().chain([naming.column()]).collect();
    let conditions: Vec<Expr> = naming.conditions(&selection.matchers).into_iter().chain([time.ends_after()]).collect();
    let batches = engine.scan(&rows, &columns, &conditions, samples_max).await?;
    let mut found = Found { series: Vec::new(), places: HashMap::new(), samples: 0 };
    for batch in &batches {
        found.add(batch, naming, selection).map_err(|e| SqlError::Execution(e.to_string()))?;
        if found.samples > samples_max {
            return Err(SqlError::TooManyRows(samples_max));
        }
    }
    found.into_series(selection).map_err(|e| SqlError::Execution(e.to_string()))
}

/// The label sets that have samples in windows that reach into a stretch of time, milliseconds, inclusive.
///
/// # Errors
/// See [`SqlError`]; among them more than `series_max` series.
pub async fn series_within(
    engine: &SqlEngine,
    snapshot: &Snapshot,
    naming: Naming<'_>,
    matchers: &[Matcher],
    (start_ms, end_ms): (i64, i64),
    series_max: usize,
) -> Result<Vec<Labels>, SqlError> {
    let Some(rollup) = snapshot.tables.get(naming.rollup()).and_then(|t| t.rollup.as_ref()) else {
        return Ok(Vec::new());
    };
    let (keys, time) = (naming.keys(), Reaching::of(rollup, start_ms, end_ms));
    let build = |frame: DataFrame| {
        let frame = frame.filter(time.condition().and(ident(naming.column()).is_not_null()))?;
        let frame = naming.conditions(matchers).into_iter().try_fold(frame, DataFrame::filter)?;
        match keys.is_empty() {
            true => frame.select(vec![lit(ScalarValue::Utf8(None)).alias("none")])?.distinct(),
            false => frame.select(keys.iter().map(|key| ident(*key)).collect::<Vec<_>>())?.distinct(),
        }
    };
    let answer = engine.over(snapshot, naming.rollup(), Shape::Partials, build, series_max).await?;
    let mut series = Vec::new();
    for batch in &answer.batches {
        let texts = texts(batch, keys.len()).map_err(|e| SqlError::Execution(e.to_string()))?;
        for row in 0..batch.num_rows() {
            let labels = naming.labels(&of_row(&texts, row)).map_err(|e| SqlError::Execution(e.to_string()))?;
            if matchers.iter().all(|matcher| matcher.matches_labels(&labels)) {
                series.push(labels);
            }
        }
    }
    Ok(series)
}

/// Windows that reach into a stretch of time.
struct Reaching {
    /// Said of the start as well, by which files are skipped: no window begins further back than it is wide.
    from: i64,
    /// Exclusive.
    to: i64,
    /// They end after it.
    start: i64,
}

impl Reaching {
    /// Both ends inclusive, milliseconds.
    fn of(rollup: &RollupSchema, start_ms: i64, end_ms: i64) -> Self {
        let widest = rollup.tiers.iter().map(|t| t.pane_us).chain(rollup.pane_us).max().unwrap_or(1).max(1);
        let start = start_ms.saturating_mul(1000);
        let from = start.saturating_sub(start.rem_euclid(widest));
        Self { from, to: end_ms.saturating_mul(1000).saturating_add(1), start }
    }

    fn ends_after(&self) -> Expr {
        ident(WINDOW_END).gt(instant(self.start))
    }

    fn condition(&self) -> Expr {
        let start = || ident(WINDOW_START);
        start().gt_eq(instant(self.from)).and(start().lt(instant(self.to))).and(self.ends_after())
    }
}

fn instant(us: i64) -> Expr {
    lit(ScalarValue::TimestampMicrosecond(Some(us), Some("UTC".into())))
}

fn texts(batch: &RecordBatch, count: usize) -> Result<Vec<StringArray>, ArrowError> {
    (0..count).map(|at| Ok(cast(batch.column(at), &DataType::Utf8)?.as_string::<i32>().clone())).collect()
}

fn of_row(texts: &[StringArray], row: usize) -> Vec<Option<&str>> {
    texts.iter().map(|text| text.is_valid(row).then(|| text.value(row))).collect()
}

/// Sets of samples by series.
struct Found {
    series: Vec<(Labels, SampleSet)>,
    /// Place by the texts of a row; `None` for a series that does not fit.
    places: HashMap<Box<[u8]>, Option<usize>>,
    /// Read so far.
    samples: usize,
}

impl Found {
    fn add(&mut self, batch: &RecordBatch, naming: Naming<'_>, selection: &Selection) -> Result<(), ArrowError> {
        let count = batch.num_columns() - 1;
        let texts = texts(batch, count)?;
        let sets = cast(batch.column(count), &DataType::Binary)?;
        let sets = sets.as_binary::<i32>();
        let mut key = Vec::new();
        for row in (0..batch.num_rows()).filter(|&row| sets.is_valid(row)) {
            key.clear();
            let row_texts = of_row(&texts, row);
            for text in &row_texts {
                // Bytes that UTF-8 never contains: one ends a text, the other says that there is none.
                key.extend_from_slice(text.map_or(&[0xfe][..], str::as_bytes));
                key.push(0xff);
            }
            let place = match self.places.get(key.as_slice()) {
                Some(place) => *place,
                None => {
                    let labels = naming.labels(&row_texts)?;
                    let place = selection.matchers.iter().all(|m| m.matches_labels(&labels)).then(|| {
                        self.series.push((labels, SampleSet::new()));
                        self.series.len() - 1
                    });
                    self.places.insert(key.as_slice().into(), place);
                    place
                }
            };
            let Some(place) = place else { continue };
            let set = &mut self.series[place].1;
            let before = set.floats().len() + set.histograms().len();
            set.merge_bytes(sets.value(row)).map_err(|e| ArrowError::ExternalError(Box::new(e)))?;
            self.samples += set.floats().len() + set.histograms().len() - before;
        }
        Ok(())
    }

    fn into_series(self, selection: &Selection) -> Result<Vec<Series>, ArrowError> {
        let is_wanted = |time_ms: i64| (selection.start_ms..=selection.end_ms).contains(&time_ms);
        let mut all = Vec::with_capacity(self.series.len());
        for (labels, mut set) in self.series {
            set.normalize();
            let (times, floats): (Vec<i64>, Vec<f64>) = set.floats().iter().copied().filter(|f| is_wanted(f.0)).unzip();
            let (mut histogram_times, mut histograms) = (Vec::new(), Vec::new());
            for (time_ms, bytes) in set.histograms().iter().filter(|h| is_wanted(h.0)) {
                let histogram =
                    NativeHistogram::from_bytes(bytes).map_err(|e| ArrowError::ExternalError(Box::new(e)))?;
                histogram_times.push(*time_ms);
                histograms.push(Arc::new(evaluable(histogram)));
            }
            if times.is_empty() && histogram_times.is_empty() {
                continue;
            }
            let series = Series::histograms(labels, histogram_times, histograms);
            all.push(Series { float_times_ms: times.into(), floats: floats.into(), ..series });
        }
        Ok(all)
    }
}

/// The histogram as PromQL evaluates it.
fn evaluable(histogram: NativeHistogram) -> Histogram {
    let NativeHistogram { schema, reset, count, sum, zero_threshold, zero_count, positive, negative, bounds } =
        histogram;
    let layout = match bounds.is_empty() && schema != tidewatch_engine::samples::SCHEMA_CUSTOM {
        true => Layout::Exponential { schema },
        false => Layout::Custom { bounds: bounds.into() },
    };
    let buckets =
        |list: Vec<(i32, f64)>| list.into_iter().map(|(index, count)| Indexed { index, count }).collect::<Vec<_>>();
    let counter_reset = match reset {
        ResetHint::Unknown => CounterReset::Unknown,
        ResetHint::Reset => CounterReset::Reset,
        ResetHint::NotReset => CounterReset::NotReset,
        ResetHint::Gauge => CounterReset::Gauge,
    };
    let (positive, negative) = (buckets(positive), buckets(negative));
    let mut histogram = Histogram { layout, counter_reset, count, sum, zero_threshold, zero_count, positive, negative };
    histogram.compact();
    histogram
}

#[cfg(test)]
mod tests;

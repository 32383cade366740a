//! How many series there are, and which labels make them many.

use super::read::rows_within;
use super::{Metric, PromEngine, PromError};
use crate::snapshot::SnapshotTable;
use crate::sql::SqlError;
use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use std::collections::{BTreeMap, HashMap};
use tidewatch_engine::life_cycle::tiers_of;
use tidewatch_promql::labels::METRIC_NAME;
use tidewatch_storage::DataFile;

/// The series of a stretch of time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cardinality {
    /// All of them.
    pub series: u64,
    /// By label and value, how many have it. The names of metrics are values of `__name__`.
    pub pairs: BTreeMap<String, BTreeMap<String, u64>>,
    /// Files, and batches in memory, that have windows of that time.
    pub pieces: u64,
}

impl Cardinality {
    fn add(&mut self, label: &str, value: &str, series: u64) {
        // An empty text is no label to Prometheus.
        if value.is_empty() || series == 0 {
            return;
        }
        let values = self.pairs.entry(label.to_owned()).or_default();
        *values.entry(value.to_owned()).or_default() += series;
    }

    /// All metrics of a rollup have the same label sets.
    fn add_rollup(&mut self, metrics: &[&Metric], counts: &Counts) {
        let times = metrics.len() as u64;
        self.series += counts.sets * times;
        for metric in metrics {
            self.add(METRIC_NAME, &metric.name, counts.sets);
        }
        for ((label, _), values) in metrics.iter().take(1).flat_map(|metric| &metric.labels).zip(&counts.values) {
            for (value, sets) in values {
                self.add(label, value, sets * times);
            }
        }
    }
}

/// The label sets of a rollup.
#[derive(Debug, Default)]
struct Counts {
    /// All of them.
    sets: u64,
    /// For each label, how many have each value.
    values: Vec<HashMap<String, u64>>,
}

/// Counts rows of a time and labels, one row per label set.
fn counts(batches: &[RecordBatch], labels: usize) -> Result<Counts, ArrowError> {
    let mut counts = Counts { sets: 0, values: vec![HashMap::new(); labels] };
    for batch in batches {
        counts.sets += batch.num_rows() as u64;
        for (column, values) in batch.columns().iter().skip(1).zip(&mut counts.values) {
            let texts = cast(column, &DataType::Utf8)?;
            for text in texts.as_string::<i32>().iter().flatten() {
                match values.get_mut(text) {
                    Some(sets) => *sets += 1,
                    None => _ = values.insert(text.to_owned(), 1),
                }
            }
        }
    }
    Ok(counts)
}

/// Files, and batches in memory, with windows that reach into a stretch of time, microseconds, inclusive.
fn pieces(table: &SnapshotTable, (from, to): (i64, i64)) -> Result<u64, SqlError> {
    let tiers = table.rollup.as_ref().map(tiers_of).unwrap_or_default();
    let width = |file: &DataFile| tiers.iter().find(|tier| Some(tier.name()) == file.tier).map_or(0, |t| t.pane_us);
    let reaches = |file: &DataFile| {
        let reaches = |(first, last): (i64, i64)| first <= to && last.saturating_add(width(file)) > from;
        file.times.is_none_or(reaches)
    };
    let files = table.files()?.iter().filter(|file| reaches(file)).count();
    let live = table.live.iter().filter(|batch| batch.num_rows() > 0).count();
    Ok((files + live) as u64)
}

impl PromEngine {
    /// The series of rollups, and those that are pushed, that counted something between two moments, both inclusive,
    /// milliseconds since the epoch.
    ///
    /// # Errors
    /// See [`PromError`].
    pub async fn cardinality(&self, start_ms: i64, end_ms: i64) -> Result<Cardinality, PromError> {
        let of_rollups = self.of_rollups(start_ms, end_ms);
        let of_rollups = tokio::time::timeout(self.limits.timeout, of_rollups).await;
        let mut found = of_rollups.map_err(|_| PromError::Timeout)??;
        for labels in self.pushed_series(start_ms, end_ms).await? {
            found.series += 1;
            for label in labels.iter() {
                found.add(&label.name, &label.value, 1);
            }
        }
        Ok(found)
    }

    async fn of_rollups(&self, start_ms: i64, end_ms: i64) -> Result<Cardinality, PromError> {
        let all = self.metrics();
        let mut rollups: BTreeMap<&str, Vec<&Metric>> = BTreeMap::new();
        for metric in all.values() {
            rollups.entry(metric.rollup.as_str()).or_default().push(metric);
        }
        let snapshot = self.snapshot(all.values(), [], false).await?;
        let mut found = Cardinality::default();
        for metrics in rollups.values() {
            let Some(first) = metrics.first() else { continue };
            let batches = rows_within(&self.engine, &snapshot, first, (start_ms, end_ms)).await?;
            let labels = first.labels.len();
            // Work for the processor: it must not hold up those who share the runtime.
            let counted = tokio::task::spawn_blocking(move || counts(&batches, labels)).await;
            let counted = counted.map_err(|error| PromError::Internal(error.to_string()))?;
            found.add_rollup(metrics, &counted.map_err(|error| PromError::Internal(error.to_string()))?);
        }
        let within = (start_ms.saturating_mul(1000), end_ms.saturating_mul(1000));
        for table in snapshot.tables.values() {
            found.pieces += pieces(table, within)?;
        }
        Ok(found)
    }
}

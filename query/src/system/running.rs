//! What the process that answers has read and counted.

use super::stored::all_offsets;
use super::{instants, numbers, texts};
use crate::sql::{SqlEngine, SqlError};
use arrow::array::{ArrayRef, BooleanArray, Float64Array};
use std::collections::BTreeMap;
use std::sync::Arc;
use tidewatch_engine::metrics as catalogue;

/// The values of a metric with their labels; `None`: the process has no metrics, or never had this one.
type Samples = Option<Vec<(BTreeMap<String, String>, f64)>>;

fn samples(engine: &SqlEngine, name: &str) -> Samples {
    let families = engine.surroundings().registry.as_ref()?.gather();
    let family = families.iter().find(|f| f.name() == name)?;
    let value = |m: &prometheus::proto::Metric| m.get_counter().get_value() + m.get_gauge().get_value();
    let labels = |m: &prometheus::proto::Metric| {
        m.get_label().iter().map(|l| (l.name().to_owned(), l.value().to_owned())).collect()
    };
    Some(family.get_metric().iter().map(|m| (labels(m), value(m))).collect())
}

/// What is known of one partition.
#[derive(Debug, Default)]
struct Known {
    committed: Option<i64>,
    read: Option<i64>,
    behind: Option<i64>,
    watermark: Option<i64>,
}

pub(super) async fn lag(engine: &SqlEngine) -> Result<Vec<ArrayRef>, SqlError> {
    let mut partitions: BTreeMap<(String, i64), Known> = BTreeMap::new();
    // What every table has is what is committed.
    for (_, topic, partition, offset, watermark) in all_offsets(engine).await? {
        let known = partitions.entry((topic, i64::from(partition))).or_default();
        known.committed = Some(known.committed.map_or(offset, |c| c.min(offset)));
        known.watermark = known.watermark.max(watermark);
    }
    let live = engine.snapshots().live().await?;
    for progress in &live.progress {
        for (partition, &position) in &progress.positions {
            let known = partitions.entry((partition.topic.to_string(), i64::from(partition.partition))).or_default();
            known.read = Some(position);
        }
        for (partition, &watermark) in &progress.watermarks {
            let known = partitions.entry((partition.topic.to_string(), i64::from(partition.partition))).or_default();
            known.watermark = watermark.or(known.watermark);
        }
    }
    for (labels, behind) in samples(engine, catalogue::LAG.name).unwrap_or_default() {
        let number = labels.get("partition").and_then(|p| p.parse().ok());
        if let (Some(topic), Some(number)) = (labels.get("topic"), number) {
            partitions.entry((topic.clone(), number)).or_default().behind = Some(behind as i64);
        }
    }
    let rows: Vec<_> = partitions.into_iter().collect();
    let end = |k: &Known| k.read.zip(k.behind).map(|(read, behind)| read + behind);
    Ok(vec![
        texts(rows.iter().map(|r| Some(&r.0.0))),
        numbers(rows.iter().map(|r| Some(r.0.1))),
        numbers(rows.iter().map(|r| r.1.committed)),
        numbers(rows.iter().map(|r| r.1.read)),
        numbers(rows.iter().map(|r| end(&r.1))),
        numbers(rows.iter().map(|r| r.1.behind)),
        instants(rows.iter().map(|r| r.1.watermark)),
    ])
}

/// Late events are counted by source: a rollup has those of each of its sources.
pub(super) fn late(engine: &SqlEngine) -> Vec<ArrayRef> {
    let late = samples(engine, catalogue::LATE_EVENTS.name);
    let is_counting = engine.surroundings().registry.is_some();
    let definitions = engine.snapshots().definitions();
    let mut rows = Vec::new();
    for rollup in definitions.rollups() {
        for source in &rollup.sources {
            let of_source = |(labels, value): &(BTreeMap<String, String>, f64)| {
                (labels.get("source") == Some(source)).then_some(*value as i64)
            };
            // A counter that nothing has counted yet is not there.
            let none_yet = is_counting.then_some(0);
            let late = late.iter().flatten().find_map(of_source).or(none_yet);
            rows.push((rollup.name.clone(), source.clone(), late));
        }
    }
    vec![
        texts(rows.iter().map(|r| Some(&r.0))),
        texts(rows.iter().map(|r| Some(&r.1))),
        numbers(rows.iter().map(|r| r.2)),
    ]
}

pub(super) fn limits(engine: &SqlEngine) -> Vec<ArrayRef> {
    let limits = &engine.surroundings().limits;
    let is_counting = engine.surroundings().registry.is_some();
    let reached = |counter: &Option<(&'static str, Option<(&'static str, &'static str)>)>| {
        let (name, label) = counter.as_ref()?;
        let of_label = |labels: &BTreeMap<String, String>| {
            label.is_none_or(|(name, value)| labels.get(name).is_some_and(|v| v == value))
        };
        let samples = samples(engine, name).unwrap_or_default();
        let sum: f64 = samples.iter().filter(|(labels, _)| of_label(labels)).map(|(_, value)| value).sum();
        is_counting.then_some(sum as i64)
    };
    vec![
        texts(limits.iter().map(|l| Some(l.name))),
        texts(limits.iter().map(|l| l.setting)),
        numbers(limits.iter().map(|l| Some(l.value))),
        texts(limits.iter().map(|l| Some(l.unit))),
        numbers(limits.iter().map(|l| reached(&l.counter))),
    ]
}

/// Rows of the ledger that a query sees.
const LEDGER_ROWS_MAX: usize = 100_000;

pub(super) fn alert_ledger(engine: &SqlEngine) -> Result<Vec<ArrayRef>, SqlError> {
    let ledger = engine.surroundings().ledger.as_ref();
    let rows = ledger.map(|ledger| ledger.newest(LEDGER_ROWS_MAX)).transpose().map_err(SqlError::Execution)?;
    let rows = rows.unwrap_or_default();
    let reals = |values: &mut dyn Iterator<Item = Option<f64>>| Arc::new(values.collect::<Float64Array>()) as ArrayRef;
    Ok(vec![
        instants(rows.iter().map(|r| Some(r.time_us))),
        texts(rows.iter().map(|r| Some(&r.stage))),
        texts(rows.iter().map(|r| r.alert.as_ref())),
        texts(rows.iter().map(|r| r.alertname.as_ref())),
        texts(rows.iter().map(|r| r.rule_group.as_ref())),
        texts(rows.iter().map(|r| r.labels.as_ref())),
        texts(rows.iter().map(|r| r.state_from.as_ref())),
        texts(rows.iter().map(|r| r.state_to.as_ref())),
        Arc::new(rows.iter().map(|r| r.passed).collect::<BooleanArray>()),
        texts(rows.iter().map(|r| Some(&r.reason))),
        texts(rows.iter().map(|r| r.caused_by.as_ref())),
        reals(&mut rows.iter().map(|r| r.value)),
        reals(&mut rows.iter().map(|r| r.threshold)),
        texts(rows.iter().map(|r| r.message.as_ref())),
        numbers(rows.iter().map(|r| r.code)),
    ])
}

//! What an answer of PromQL is known by, see [`crate::results`]. Views may tell of now, and rules ask for what is not
//! written down yet: such answers are not kept.

use super::metrics::Metric;
use super::pushed::is_pushed;
use super::read::{pushed_stretch, stretch};
use crate::results::{Identity, Kept, Stretch, union, windows};
use crate::snapshot::Snapshot;
use crate::sql::SqlError;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use tidewatch_engine::samples::SAMPLES;
use tidewatch_promql::{Answer, Histogram, Labels, Plan, Sample, Value};
use xxhash_rust::xxh3::xxh3_128;

/// The identity of the answer that a plan will give over a snapshot, if all it reads are these metrics and what is
/// pushed. `None`: it has none, ask every time.
pub fn identity(
    plan: &Plan,
    wanted: &[Vec<&Metric>],
    snapshot: &Snapshot,
    generation: u64,
) -> Result<Option<Identity>, SqlError> {
    let mut reads: BTreeMap<&str, Stretch> = BTreeMap::new();
    let mut read = |table, asked| {
        let known = reads.entry(table).or_insert(asked);
        *known = union(*known, asked);
    };
    let has_pushed = snapshot.tables.get(SAMPLES).and_then(|table| table.rollup.as_ref()).is_some_and(is_pushed);
    for (selection, metrics) in plan.selections().iter().zip(wanted) {
        metrics.iter().for_each(|metric| read(metric.rollup.as_str(), stretch(metric, selection)));
        if has_pushed {
            read(SAMPLES, pushed_stretch(selection));
        }
    }
    if reads.is_empty() {
        return Ok(None);
    }
    let mut states = String::new();
    for (name, stretch) in reads {
        let Some(table) = snapshot.tables.get(name) else { return Ok(None) };
        match windows(table, stretch)? {
            Some(state) => _ = writeln!(states, "{name} {state}"),
            None => return Ok(None),
        }
    }
    Ok(Some(Identity { statement: plan.identity(), generation, states: xxh3_128(states.as_bytes()) }))
}

impl Kept for Answer {
    fn bytes(&self) -> usize {
        let labels =
            |labels: &Labels| labels.iter().map(|label| 64 + label.name.len() + label.value.len()).sum::<usize>();
        let histogram =
            |histogram: &Histogram| size_of::<Histogram>() + 16 * (histogram.positive.len() + histogram.negative.len());
        let value = match &self.value {
            Value::Scalar { .. } => 0,
            Value::String { text, .. } => text.len(),
            Value::Vector(samples) => samples
                .iter()
                .map(|sample| {
                    let value = if let Sample::Histogram(value) = &sample.value { histogram(value) } else { 0 };
                    32 + labels(&sample.labels) + value
                })
                .sum(),
            Value::Matrix(series) => series
                .iter()
                .map(|series| {
                    let histograms: usize = series.histograms.iter().map(|(_, value)| 16 + histogram(value)).sum();
                    64 + labels(&series.labels) + 16 * series.floats.len() + histograms
                })
                .sum(),
        };
        size_of::<Self>() + value
    }
}

#[cfg(test)]
mod tests;

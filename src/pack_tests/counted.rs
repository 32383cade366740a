//! Events of a test, decoded, counted and frozen as a worker does it.

use super::event::TestEvent;
use super::ways::Way;
use anyhow::{Context, Result, bail};
use arrow::compute::concat_batches;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidewatch_engine::cardinality::Admissions;
use tidewatch_engine::commit::{OffsetRange, TopicPartition};
use tidewatch_engine::live::Piece;
use tidewatch_engine::open::{EventBatch, OpenStates};
use tidewatch_engine::rollup::{Catalog, SourcePlan};
use tidewatch_ingest::decode::{Decoder, NoHeaders, RawRecord};
use tidewatch_ingest::piece::WorkerPiece;

/// Events may lie at any time: the moment of decoding does not bound them.
const FAR_FUTURE_US: i64 = 4_102_444_800_000_000;

/// The rows that each event is, by source.
#[derive(Debug, Default)]
pub struct DecodedEvents {
    events: Vec<Vec<(usize, EventBatch)>>,
    /// Latest event time.
    pub newest_us: Option<i64>,
}

impl DecodedEvents {
    /// Decodes all events of a test. An event that cannot be used is an error: it would not count.
    pub fn decode(catalog: &Catalog, decoder: &mut Decoder, events: &[TestEvent]) -> Result<Self> {
        let mut decoded = Self::default();
        for event in events {
            let payload = event.record(catalog).map_err(|e| anyhow::anyhow!("{}: {e}", event.place))?;
            let record = RawRecord { topic: None, payload: &payload, timestamp_us: None, headers: &NoHeaders };
            if let Err(reject) = decoder.decode(&record, FAR_FUTURE_US) {
                let reason = reject.reason.as_str();
                bail!("{}: the event would be a dead letter ({reason}): {}", event.place, reject.detail);
            }
            let mut rows = Vec::new();
            for source in 0..catalog.sources.len() {
                let batch = decoder.take(source).with_context(|| event.place.clone())?;
                rows.extend(batch.map(|b| (source, b)));
            }
            decoded.newest_us =
                rows.iter().flat_map(|(_, b)| b.event_time_us.iter().copied()).chain(decoded.newest_us).max();
            decoded.events.push(rows);
        }
        Ok(decoded)
    }

    /// Counts all events in one of the ways they may come together.
    pub fn count(&self, sources: &[Arc<SourcePlan>], way: &Way) -> Result<Vec<Arc<dyn Piece>>> {
        let mut offset = -1;
        let mut pieces: Vec<Arc<dyn Piece>> = Vec::new();
        for events in &way.pieces {
            let mut by_source: BTreeMap<usize, Vec<&EventBatch>> = BTreeMap::new();
            for (source, batch) in events.iter().flat_map(|&e| &self.events[e]) {
                by_source.entry(*source).or_default().push(batch);
            }
            let range = OffsetRange { from: offset, to: offset + events.len() as i64 };
            offset = range.to;
            let (mut frozen, mut ranges) = (Vec::new(), BTreeMap::new());
            for (source, batches) in by_source {
                let plan = &sources[source];
                let mut states = OpenStates::new(Arc::clone(plan));
                states.count(&joined(&batches)?, &mut Admissions::unlimited(), |_| None)?;
                frozen.push(states.freeze());
                for rollup in &plan.rollups {
                    let covered = [(TopicPartition::new("test", 0), range)].into();
                    ranges.insert(rollup.schema.name.clone(), covered);
                }
            }
            pieces.push(Arc::new(WorkerPiece::new(frozen, None, ranges)));
        }
        Ok(pieces)
    }
}

fn joined(batches: &[&EventBatch]) -> Result<EventBatch> {
    let event_time_us = batches.iter().flat_map(|b| b.event_time_us.iter().copied()).collect();
    let Some(first) = batches.first() else { bail!("a source without rows") };
    let columns = concat_batches(&first.columns.schema(), batches.iter().map(|b| &b.columns))?;
    Ok(EventBatch { columns, event_time_us })
}

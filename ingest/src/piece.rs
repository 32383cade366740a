//! A piece of a worker: frozen states of all tables and the offsets they cover.

use crate::dead_letter::DEAD_LETTERS;
use crate::event_ids::{self, EVENT_IDS, NewIds};
use arrow::record_batch::RecordBatch;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use tidewatch_engine::aggregate::AggregateError;
use tidewatch_engine::commit::{OffsetRange, TopicPartition};
use tidewatch_engine::dedupe::NewId;
use tidewatch_engine::live::Piece;
use tidewatch_engine::open::FrozenStates;

/// Offsets per partition.
pub type Ranges = BTreeMap<TopicPartition, OffsetRange>;

/// See the module page. Rows are made when first asked for, off the worker's thread.
#[derive(Debug)]
pub struct WorkerPiece {
    states: Vec<FrozenStates>,
    dead_letters: Option<RecordBatch>,
    event_ids: Vec<NewIds>,
    ranges: BTreeMap<String, Ranges>,
    batches: BTreeMap<String, OnceLock<Option<RecordBatch>>>,
    no_ranges: Ranges,
}

impl WorkerPiece {
    /// Takes what was counted and the offsets it covers, by table.
    pub fn new(states: Vec<FrozenStates>, dead_letters: Option<RecordBatch>, ranges: BTreeMap<String, Ranges>) -> Self {
        let batches = ranges.keys().map(|table| (table.clone(), OnceLock::new())).collect();
        Self { states, dead_letters, event_ids: Vec::new(), ranges, batches, no_ranges: Ranges::new() }
    }

    /// Adds the ids of the events that were counted.
    pub fn with_event_ids(self, event_ids: Vec<NewIds>) -> Self {
        Self { event_ids, ..self }
    }

    /// The ids of the events that were counted.
    pub fn event_ids(&self) -> &[NewIds] {
        &self.event_ids
    }

    /// Rows (window × series) of all tables.
    pub fn row_count(&self) -> usize {
        self.states.iter().map(FrozenStates::row_count).sum::<usize>()
            + self.dead_letters.as_ref().map_or(0, RecordBatch::num_rows)
    }

    /// Memory of the states and dead letters.
    pub fn size_bytes(&self) -> usize {
        self.states.iter().map(FrozenStates::size_bytes).sum::<usize>()
            + self.dead_letters.as_ref().map_or(0, RecordBatch::get_array_memory_size)
            + self.event_ids.iter().map(|new| new.ids.capacity() * size_of::<NewId>()).sum::<usize>()
    }

    /// The rows of a table, or why they cannot be made.
    pub fn try_batch(&self, table: &str) -> Result<Option<RecordBatch>, AggregateError> {
        let Some(made) = self.batches.get(table) else { return Ok(None) };
        if let Some(batch) = made.get() {
            return Ok(batch.clone());
        }
        let batch = self.make(table)?.filter(|b| b.num_rows() > 0);
        Ok(made.get_or_init(|| batch).clone())
    }

    fn make(&self, table: &str) -> Result<Option<RecordBatch>, AggregateError> {
        if table == DEAD_LETTERS {
            return Ok(self.dead_letters.clone());
        }
        if table == EVENT_IDS {
            return Ok(event_ids::batch(&self.event_ids)?);
        }
        for states in &self.states {
            if let Some(rollup) = states.plan().rollups.iter().position(|r| r.schema.name == table) {
                return states.batch(rollup).map(Some);
            }
        }
        Ok(None)
    }
}

/// A rollup covers the partitions of its source's topic, and every replayed file.
pub(crate) fn reads(topic: Option<&str>, partition: &TopicPartition) -> bool {
    topic.is_none_or(|t| *t == *partition.topic) || partition.topic.starts_with(crate::source::FILE_TOPIC)
}

impl Piece for WorkerPiece {
    fn ranges(&self, table: &str) -> &Ranges {
        self.ranges.get(table).unwrap_or(&self.no_ranges)
    }

    fn batch(&self, table: &str) -> Option<RecordBatch> {
        self.try_batch(table).unwrap_or_else(|error| {
            tracing::error!(table, %error, "states cannot be shown");
            None
        })
    }
}

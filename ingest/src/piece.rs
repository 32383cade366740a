//! A piece of a worker: frozen states of all tables and the offsets they cover.

use crate::dead_letter::DEAD_LETTERS;
use crate::event_ids::{self, EVENT_IDS, NewIds};
use crate::late::LateEvents;
use crate::log::{self, EVENTS_TOPIC, is_source_topic};
use crate::source::{FILE_TOPIC, JOURNAL_TOPIC};
use arrow::compute::concat_batches;
use arrow::record_batch::RecordBatch;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use tidewatch_engine::aggregate::AggregateError;
use tidewatch_engine::cardinality::FreshSeries;
use tidewatch_engine::commit::{OffsetRange, TopicPartition};
use tidewatch_engine::dedupe::NewId;
use tidewatch_engine::live::Piece;
use tidewatch_engine::open::FrozenStates;
use tidewatch_engine::rollup::TablePlan;

/// Offsets per partition.
pub type Ranges = BTreeMap<TopicPartition, OffsetRange>;

/// See the module page. Rows are made when first asked for, off the worker's thread.
#[derive(Debug)]
pub struct WorkerPiece {
    states: Vec<FrozenStates>,
    dead_letters: Option<RecordBatch>,
    event_ids: Vec<NewIds>,
    admitted: Vec<FreshSeries>,
    late: Vec<LateEvents>,
    ranges: BTreeMap<String, Ranges>,
    batches: BTreeMap<String, OnceLock<Option<RecordBatch>>>,
    no_ranges: Ranges,
}

impl WorkerPiece {
    /// Takes what was counted and the offsets it covers, by table.
    pub fn new(states: Vec<FrozenStates>, dead_letters: Option<RecordBatch>, ranges: BTreeMap<String, Ranges>) -> Self {
        let batches = ranges.keys().map(|table| (table.clone(), OnceLock::new())).collect();
        let (event_ids, admitted, late, no_ranges) = (Vec::new(), Vec::new(), Vec::new(), Ranges::new());
        Self { states, dead_letters, event_ids, admitted, late, ranges, batches, no_ranges }
    }

    /// Adds the ids of the events that were counted.
    pub fn with_event_ids(self, event_ids: Vec<NewIds>) -> Self {
        Self { event_ids, ..self }
    }

    /// The ids of the events that were counted.
    pub fn event_ids(&self) -> &[NewIds] {
        &self.event_ids
    }

    /// Adds the series that were given rows of their own.
    pub fn with_admitted(self, admitted: Vec<FreshSeries>) -> Self {
        Self { admitted, ..self }
    }

    /// The series that were given rows of their own.
    pub fn admitted(&self) -> &[FreshSeries] {
        &self.admitted
    }

    /// Adds the stretches of event time that were counted late.
    pub fn with_late(self, late: Vec<LateEvents>) -> Self {
        Self { late, ..self }
    }

    /// The stretches of event time that were counted late.
    pub fn late(&self) -> &[LateEvents] {
        &self.late
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
            + self.admitted.iter().map(|new| new.series.capacity() * size_of::<u64>()).sum::<usize>()
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
        let mut parts = Vec::new();
        for states in &self.states {
            for (index, _) in states.plan().rollups.iter().enumerate().filter(|(_, r)| r.schema.name == table) {
                parts.push(states.batch(index)?);
            }
        }
        Ok(match parts.as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            // Several sources, or one source in several ways, count into the table.
            [first, ..] => Some(concat_batches(&first.schema(), &parts)?),
        })
    }
}

/// Which partitions a table reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reads {
    /// Those of every topic.
    All,
    /// Those of these topics, here or in a local log, every replayed file, the events that are pushed, and the
    /// journal of letters that are put back.
    Topics(BTreeSet<String>),
}

impl Reads {
    /// What the sources of a rollup's table bring.
    pub(crate) fn of(table: &TablePlan<'_>) -> Self {
        Self::Topics(table.topics.iter().map(|&t| t.to_owned()).collect())
    }

    pub(crate) fn covers(&self, partition: &TopicPartition) -> bool {
        match self {
            Self::All => true,
            Self::Topics(topics) => reads(topics.iter().map(String::as_str), partition),
        }
    }
}

/// Does a table whose sources come from these topics read a partition? Files, pushed events and the journal may
/// hold events of any type, but no samples.
pub fn reads<'t>(topics: impl IntoIterator<Item = &'t str>, partition: &TopicPartition) -> bool {
    let local = log::source_topic_of(partition);
    let holds_events = log::topic_of(partition) == Some(EVENTS_TOPIC)
        || partition.topic.starts_with(FILE_TOPIC)
        || *partition.topic == *JOURNAL_TOPIC;
    topics
        .into_iter()
        .any(|topic| topic == &*partition.topic || local == Some(topic) || (holds_events && !is_source_topic(topic)))
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

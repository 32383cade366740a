//! Where records come from, behind one trait: Kafka, files of NDJSON, the local log of what is pushed, or the
//! journal of dead letters that are put back.
//!
//! A source never decides where to start: the worker tells it, from the last commit. A change of the
//! assignment is an event that the worker answers, not a callback's side effect: it drains what it
//! loses before it lets go, and looks up positions before it starts.

mod files;
mod journal;
mod kafka;
mod log;
mod until;

pub use files::{FILE_TOPIC, FileSource, FileSourceError};
pub use journal::{JOURNAL_TOPIC, JournalSource, journal_partition};
pub use kafka::{Fetch, KafkaReport, KafkaSettings, KafkaSource, PartitionReport, TopicReport};
pub use log::LogSource;
pub use until::Until;

use crate::decode::RawRecord;
use std::collections::BTreeMap;
use std::time::Duration;
use thiserror::Error;
use tidewatch_engine::commit::TopicPartition;

/// A stream of records from partitions that come and go.
pub trait Source: Send {
    /// Hands at most `records_max` records to `sink`, waiting up to `timeout` for the first one.
    fn poll(
        &mut self,
        records_max: usize,
        timeout: Duration,
        sink: &mut dyn FnMut(&SourceRecord<'_>),
    ) -> Result<Polled, SourceError>;

    /// Answers [`SourceEvent::Assigned`], or goes back for a replay: the next record of each partition
    /// is the first one after its position.
    fn start_after(&mut self, positions: &BTreeMap<TopicPartition, i64>) -> Result<(), SourceError>;

    /// Answers [`SourceEvent::Revoked`]: everything of these partitions is committed or given up.
    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), SourceError>;

    /// Stops fetching until [`Self::resume`], without leaving the group.
    fn pause(&mut self) -> Result<(), SourceError>;

    /// Goes on fetching.
    fn resume(&mut self) -> Result<(), SourceError>;

    /// Publishes committed positions for lag tools. Never read back.
    fn publish_progress(&mut self, positions: &BTreeMap<TopicPartition, i64>);

    /// Last offset that was passed per partition, where that is further than the last record handed out:
    /// markers of transactions and compacted records take offsets, too.
    fn covered(&self) -> BTreeMap<TopicPartition, i64> {
        BTreeMap::new()
    }

    /// Offset of the last record that exists, per partition, as far as known without asking.
    fn end_offsets(&self) -> BTreeMap<TopicPartition, i64>;

    /// Leaves: called after the last commit.
    fn close(&mut self);
}

/// A record and where it came from.
#[derive(Debug)]
pub struct SourceRecord<'a> {
    /// A small number that stays with its partition as long as the source lives.
    pub slot: usize,
    /// Its partition.
    pub partition: &'a TopicPartition,
    /// Its offset.
    pub offset: i64,
    /// Its content.
    pub raw: RawRecord<'a>,
}

/// How a poll ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Polled {
    /// So many records were handed over; zero means that nothing came in time.
    Records(usize),
    /// The assignment changes; to be answered before the next poll.
    Event(SourceEvent),
}

/// A change of what is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceEvent {
    /// These partitions are ours now; answered by [`Source::start_after`].
    Assigned(Vec<TopicPartition>),
    /// These partitions go elsewhere; answered by [`Source::release`].
    Revoked(Vec<TopicPartition>),
    /// These partitions are gone already (the group has moved on): their states cannot be committed.
    Lost(Vec<TopicPartition>),
    /// All there is to read was read. Only sources with an end say so.
    Finished,
}

/// Why a source cannot go on.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The client library says so.
    #[error("kafka: {0}")]
    Kafka(#[from] rdkafka::error::KafkaError),
    /// A broker, or what it sends, cannot be read.
    #[error("kafka: {0}")]
    Fetch(#[from] tidewatch_kafka::ReadError),
    /// The system gives no thread to read with.
    #[error("kafka: no thread to fetch with: {0}")]
    NoThread(#[from] std::io::Error),
    /// A partition does not have the offsets that would come next.
    #[error("{partition}: offset {wanted} is not there; what exists is {first} to {last}\n  hint: {hint}")]
    OffsetOutOfRange {
        /// Which partition.
        partition: TopicPartition,
        /// The offset after the committed position.
        wanted: i64,
        /// First offset that exists.
        first: i64,
        /// Last offset that exists.
        last: i64,
        /// What may have happened.
        hint: &'static str,
    },
    /// A record was deleted between two reads.
    #[error(
        "kafka: the next record was deleted while its partition was read\n  hint: start again; the next start says which records are missing and what can be done"
    )]
    OffsetsMoved,
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileSourceError),
    /// The local log cannot be read.
    #[error("the log of pushed records: {0}")]
    Log(#[from] crate::log::ReadError),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] Box<crate::letters::LettersError>),
}

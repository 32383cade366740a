//! The journal of letters that are put back, as partition 0 of a topic of its own: a record's offset is
//! its number in the journal. It ends where the journal ended when it was opened.
//!
//! Records keep the topic and the timestamp that they had at first, so that types, fallbacks for missing
//! times and the look into the future decide as then.

use super::{Polled, Source, SourceError, SourceEvent, SourceRecord};
use crate::decode::{NoHeaders, RawRecord};
use crate::letters::JournalReader;
use crate::letters::journal::{Journaled, routing_topic};
use std::collections::BTreeMap;
use std::time::Duration;
use tidewatch_engine::commit::{BEFORE_FIRST, TopicPartition};
use tokio::runtime::Handle;

/// Topic of the journal. Kafka allows no colon in the names of its topics.
pub const JOURNAL_TOPIC: &str = "redrive:journal";

/// Rows that are held in memory.
const CHUNK_ROWS: i64 = 256;

/// The one partition of the journal.
pub fn journal_partition() -> TopicPartition {
    TopicPartition::new(JOURNAL_TOPIC, 0)
}

/// Reads the journal to its end.
#[derive(Debug)]
pub struct JournalSource {
    journal: JournalReader,
    /// Where the store is read: a worker's thread has no runtime of its own.
    runtime: Handle,
    partition: TopicPartition,
    /// Last number handed out, or skipped because every table has it.
    position: i64,
    chunk: std::vec::IntoIter<Journaled>,
    announced: bool,
    paused: bool,
}

impl JournalSource {
    /// Will read `journal` on `runtime`.
    pub fn new(journal: JournalReader, runtime: Handle) -> Self {
        Self {
            journal,
            runtime,
            partition: journal_partition(),
            position: BEFORE_FIRST,
            chunk: Vec::new().into_iter(),
            announced: false,
            paused: false,
        }
    }

    fn next(&mut self) -> Result<Option<Journaled>, SourceError> {
        if self.chunk.as_slice().is_empty() && self.position < self.journal.end() {
            let to = self.position.saturating_add(CHUNK_ROWS).min(self.journal.end());
            let read = self.runtime.block_on(self.journal.read(self.position, to));
            self.chunk = read.map_err(Box::new)?.into_iter();
        }
        Ok(self.chunk.next())
    }
}

impl Source for JournalSource {
    fn poll(
        &mut self,
        records_max: usize,
        timeout: Duration,
        sink: &mut dyn FnMut(&SourceRecord<'_>),
    ) -> Result<Polled, SourceError> {
        if !self.announced {
            self.announced = true;
            return Ok(Polled::Event(SourceEvent::Assigned(vec![self.partition.clone()])));
        }
        if self.paused {
            std::thread::sleep(timeout);
            return Ok(Polled::Records(0));
        }
        let mut count = 0;
        while count < records_max {
            let Some(row) = self.next()? else {
                return Ok(if count > 0 { Polled::Records(count) } else { Polled::Event(SourceEvent::Finished) });
            };
            self.position = row.sequence;
            let raw = RawRecord {
                topic: routing_topic(&row.origin),
                payload: &row.payload,
                timestamp_us: row.record_time_us,
                headers: &NoHeaders,
            };
            sink(&SourceRecord { slot: 0, partition: &self.partition, offset: row.sequence, raw });
            count += 1;
        }
        Ok(Polled::Records(count))
    }

    fn start_after(&mut self, positions: &BTreeMap<TopicPartition, i64>) -> Result<(), SourceError> {
        self.position = positions.get(&self.partition).copied().unwrap_or(BEFORE_FIRST);
        self.chunk = Vec::new().into_iter();
        Ok(())
    }

    fn release(&mut self, _partitions: &[TopicPartition]) -> Result<(), SourceError> {
        Ok(())
    }

    fn pause(&mut self) -> Result<(), SourceError> {
        self.paused = true;
        Ok(())
    }

    fn resume(&mut self) -> Result<(), SourceError> {
        self.paused = false;
        Ok(())
    }

    fn publish_progress(&mut self, _positions: &BTreeMap<TopicPartition, i64>) {}

    fn end_offsets(&self) -> BTreeMap<TopicPartition, i64> {
        BTreeMap::from([(self.partition.clone(), self.journal.end())])
    }

    fn close(&mut self) {
        self.chunk = Vec::new().into_iter();
    }
}

#[cfg(test)]
mod tests;

//! A source that ends at given positions: a replay of what was counted, and of nothing after it.

use super::{Polled, Source, SourceError, SourceEvent, SourceRecord};
use std::collections::BTreeMap;
use std::time::Duration;
use tidewatch_engine::commit::TopicPartition;

/// Hands on the records of another source up to the last offset of each partition. Partitions that have no
/// last offset are not replayed at all.
pub struct Until {
    inner: Box<dyn Source>,
    ends: BTreeMap<TopicPartition, i64>,
    reached: BTreeMap<TopicPartition, i64>,
}

impl std::fmt::Debug for Until {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Until").field("ends", &self.ends).field("reached", &self.reached).finish_non_exhaustive()
    }
}

impl Until {
    /// Ends `inner` after the offsets of `ends`.
    pub fn new(inner: Box<dyn Source>, ends: BTreeMap<TopicPartition, i64>) -> Self {
        Self { inner, ends, reached: BTreeMap::new() }
    }

    fn is_finished(&self) -> bool {
        self.ends.iter().all(|(partition, end)| self.reached.get(partition).is_some_and(|r| r >= end))
    }
}

impl Source for Until {
    fn poll(
        &mut self,
        records_max: usize,
        timeout: Duration,
        sink: &mut dyn FnMut(&SourceRecord<'_>),
    ) -> Result<Polled, SourceError> {
        if self.is_finished() {
            return Ok(Polled::Event(SourceEvent::Finished));
        }
        let (ends, reached) = (&self.ends, &mut self.reached);
        let polled = self.inner.poll(records_max, timeout, &mut |record| {
            let last = reached.entry(record.partition.clone()).or_insert(record.offset);
            *last = record.offset.max(*last);
            if ends.get(record.partition).is_some_and(|&end| record.offset <= end) {
                sink(record);
            }
        })?;
        for (partition, offset) in self.inner.covered() {
            let last = self.reached.entry(partition).or_insert(offset);
            *last = offset.max(*last);
        }
        Ok(polled)
    }

    fn start_after(&mut self, positions: &BTreeMap<TopicPartition, i64>) -> Result<(), SourceError> {
        self.inner.start_after(positions)
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), SourceError> {
        self.inner.release(partitions)
    }

    fn pause(&mut self) -> Result<(), SourceError> {
        self.inner.pause()
    }

    fn resume(&mut self) -> Result<(), SourceError> {
        self.inner.resume()
    }

    /// A replay is nobody's progress.
    fn publish_progress(&mut self, _positions: &BTreeMap<TopicPartition, i64>) {}

    fn covered(&self) -> BTreeMap<TopicPartition, i64> {
        let covered = self.inner.covered().into_iter();
        covered.filter_map(|(p, offset)| self.ends.get(&p).map(|&end| (p.clone(), offset.min(end)))).collect()
    }

    fn end_offsets(&self) -> BTreeMap<TopicPartition, i64> {
        self.ends.clone()
    }

    fn close(&mut self) {
        self.inner.close();
    }
}

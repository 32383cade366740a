//! Topics of the local log, each as partition 0 of `topic@identity`. Nobody else reads them, so that they are
//! assigned at once and never revoked.

use super::{Polled, Source, SourceError, SourceEvent, SourceRecord};
use crate::decode::{NoHeaders, RawRecord};
use crate::log::{EVENTS_TOPIC, EventLog, source_topic};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tidewatch_engine::commit::TopicPartition;

/// Reads topics of a log.
#[derive(Debug)]
pub struct LogSource {
    log: Arc<EventLog>,
    tails: Vec<Tail>,
    /// Whose turn it is to be read first.
    turn: usize,
    until_end: bool,
    is_replay: bool,
    announced: bool,
    paused: bool,
}

/// How far one topic was read.
#[derive(Debug)]
struct Tail {
    topic: String,
    partition: TopicPartition,
    /// Its name in packs; `None` for events, which may be of any type that a pack declares, whatever its topic
    /// is there.
    routed: Option<String>,
    /// Offset of the record read next.
    next: i64,
    is_released: bool,
}

impl LogSource {
    /// Will read these topics as the one who counts them: what is committed may be deleted from the log. With
    /// `until_end` it finishes where a topic ends, instead of waiting for more.
    pub fn new(log: Arc<EventLog>, topics: &[&str], until_end: bool) -> Self {
        let tail = |&topic: &&str| Tail {
            partition: log.partition(topic),
            topic: topic.to_owned(),
            routed: (topic != EVENTS_TOPIC).then(|| source_topic(topic)),
            next: 0,
            is_released: false,
        };
        let tails = topics.iter().map(tail).collect();
        Self { tails, log, turn: 0, until_end, is_replay: false, announced: false, paused: false }
    }

    /// Will read what is left of these topics again, to their ends, as nobody's progress.
    pub fn replay(log: Arc<EventLog>, topics: &[&str]) -> Self {
        Self { is_replay: true, ..Self::new(log, topics, true) }
    }

    /// Where to start: after `position`, unless that would leave a hole or belongs to another life of the log.
    fn start(&self, tail: &Tail, position: i64) -> Result<i64, SourceError> {
        let (first, end) = (self.log.first(&tail.topic), self.log.end(&tail.topic));
        let wanted = position + 1;
        let hint = if wanted > end {
            "the log was put back to an earlier state, and its newest records are gone: restore them, or move the folder (push.path) away to begin a new log"
        } else if wanted >= first || position < 0 || self.is_replay {
            return Ok(wanted.max(first));
        } else {
            "records were deleted before every table had them: restore the folder of the log (push.path), or start a new store"
        };
        Err(SourceError::OffsetOutOfRange { partition: tail.partition.clone(), wanted, first, last: end - 1, hint })
    }

    fn is_at_end(&self) -> bool {
        self.tails.iter().all(|t| t.is_released || t.next >= self.log.end(&t.topic))
    }
}

impl Source for LogSource {
    fn poll(
        &mut self,
        records_max: usize,
        timeout: Duration,
        sink: &mut dyn FnMut(&SourceRecord<'_>),
    ) -> Result<Polled, SourceError> {
        if !self.announced {
            self.announced = true;
            return Ok(Polled::Event(SourceEvent::Assigned(self.tails.iter().map(|t| t.partition.clone()).collect())));
        }
        if self.paused {
            std::thread::sleep(timeout);
            return Ok(Polled::Records(0));
        }
        if self.is_at_end() {
            if self.until_end {
                return Ok(Polled::Event(SourceEvent::Finished));
            }
            let waiting: Vec<_> =
                self.tails.iter().filter(|t| !t.is_released).map(|t| (t.topic.as_str(), t.next)).collect();
            if !self.log.wait(&waiting, timeout) {
                return Ok(Polled::Records(0));
            }
        }
        let mut count = 0;
        // One topic that has much must not keep the others waiting for long.
        self.turn = (self.turn + 1) % self.tails.len().max(1);
        for step in 0..self.tails.len() {
            let slot = (self.turn + step) % self.tails.len();
            let Tail { topic, partition, routed, next, is_released } = &mut self.tails[slot];
            if *is_released || count >= records_max {
                continue;
            }
            let read = self.log.read(topic, *next, records_max - count, &mut |record| {
                let timestamp_us = Some(record.time_us);
                let raw =
                    RawRecord { topic: routed.as_deref(), payload: record.payload, timestamp_us, headers: &NoHeaders };
                // An empty record says nothing; its offset is covered all the same.
                if !record.payload.is_empty() {
                    sink(&SourceRecord { slot, partition, offset: record.offset, raw });
                }
            })?;
            *next += read as i64;
            count += read;
        }
        Ok(Polled::Records(count))
    }

    fn start_after(&mut self, positions: &BTreeMap<TopicPartition, i64>) -> Result<(), SourceError> {
        for slot in 0..self.tails.len() {
            let Some(&position) = positions.get(&self.tails[slot].partition) else { continue };
            let next = self.start(&self.tails[slot], position)?;
            let tail = &mut self.tails[slot];
            (tail.next, tail.is_released) = (next, false);
        }
        self.publish_progress(positions);
        Ok(())
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), SourceError> {
        self.tails.iter_mut().filter(|t| partitions.contains(&t.partition)).for_each(|t| t.is_released = true);
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

    /// What every table has may be deleted.
    fn publish_progress(&mut self, positions: &BTreeMap<TopicPartition, i64>) {
        if self.is_replay {
            return;
        }
        for tail in &self.tails {
            if let Some(&position) = positions.get(&tail.partition) {
                self.log.committed(&tail.topic, position);
            }
        }
    }

    fn end_offsets(&self) -> BTreeMap<TopicPartition, i64> {
        self.tails.iter().map(|t| (t.partition.clone(), self.log.end(&t.topic) - 1)).collect()
    }

    fn close(&mut self) {}
}

#[cfg(test)]
mod tests;

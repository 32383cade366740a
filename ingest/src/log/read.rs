//! Reading from an offset on.

use super::error::{ReadError, words};
use super::segment::{self, Block};
use super::{EventLog, identity};
use tidewatch_engine::commit::TopicPartition;

/// A record of the log.
#[derive(Debug, Clone, Copy)]
pub struct LogRecord<'a> {
    /// Its offset.
    pub offset: i64,
    /// When it arrived, microseconds since the epoch.
    pub time_us: i64,
    /// Its bytes.
    pub payload: &'a [u8],
}

impl EventLog {
    /// Hands at most `records_max` records of a topic to `sink`, from offset `from` on and without gaps; says how
    /// many. Does not wait. A topic that does not exist has no records.
    ///
    /// Errors: `from` was deleted, or lies behind the end by more than the next record.
    pub fn read(
        &self,
        topic: &str,
        from: i64,
        records_max: usize,
        sink: &mut dyn FnMut(&LogRecord<'_>),
    ) -> Result<usize, ReadError> {
        let fail = |error: fjall::Error| ReadError::Disk { topic: topic.to_owned(), reason: words(&error) };
        let mut count = 0;
        while count < records_max {
            let next = from + count as i64;
            let Some((keyspace, end)) = self.keyspace_of(topic, next)? else { break };
            let before = count;
            for block in keyspace.range(segment::key(next)..) {
                let (key, block) = block.into_inner().map_err(fail)?;
                let last = segment::last_of(&key).unwrap_or_default();
                let damaged = |found| ReadError::Damaged { topic: topic.to_owned(), last, found };
                // What is written and not synced yet is nobody's to read.
                if last >= end {
                    break;
                }
                let block = Block::read(&block).map_err(damaged)?;
                let first = last + 1 - block.count as i64;
                let next = from + count as i64;
                if first > next {
                    return Err(damaged("the records before it are missing"));
                }
                let records = block.records().zip(first..).skip((next - first) as usize);
                for (payload, offset) in records.take(records_max - count) {
                    sink(&LogRecord { offset, time_us: block.time_us, payload });
                    count += 1;
                }
                if count >= records_max {
                    break;
                }
            }
            if count == before {
                let found = "it is empty, but not the last";
                return Err(ReadError::Damaged { topic: topic.to_owned(), last: next, found });
            }
        }
        Ok(count)
    }

    /// Arrival of the record at `offset`, or of the next one that is left, microseconds since the epoch; `None`
    /// when there is none.
    pub fn time_of(&self, topic: &str, offset: i64) -> Result<Option<i64>, ReadError> {
        let mut time = None;
        self.read(topic, offset.max(self.first(topic)), 1, &mut |record| time = Some(record.time_us))?;
        Ok(time)
    }

    /// First offset whose record arrived at `time_us` (microseconds since the epoch) or later; the end when all
    /// arrived before. The times of records never go back by more than clocks do.
    pub fn offset_at(&self, topic: &str, time_us: i64) -> Result<i64, ReadError> {
        let (mut low, mut high) = (self.first(topic), self.end(topic));
        while low < high {
            let middle = low + (high - low) / 2;
            match self.time_of(topic, middle)? {
                Some(time) if time < time_us => low = middle + 1,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// The topic of a partition of this log; `None` when it is another's.
    pub fn own_topic<'p>(&self, partition: &'p TopicPartition) -> Option<&'p str> {
        let topic = identity::topic_of(partition)?;
        (self.partition(topic) == *partition).then_some(topic)
    }

    /// The keyspace that holds an offset, and how far it is synced; `None` when it is the next one to come.
    fn keyspace_of(&self, topic: &str, offset: i64) -> Result<Option<(fjall::Keyspace, i64)>, ReadError> {
        let out = |first, end: i64| {
            Err(ReadError::OutOfRange { topic: topic.to_owned(), wanted: offset, first, last: end - 1 })
        };
        let Some(found) = self.shared.topic(topic) else {
            return if offset == 0 { Ok(None) } else { out(0, 0) };
        };
        let state = found.state();
        if offset == state.end {
            return Ok(None);
        }
        if offset > state.end || offset < state.first() {
            return out(state.first(), state.end);
        }
        let segment = state.segments.iter().rev().find(|s| s.first <= offset);
        Ok(segment.map(|s| (s.keyspace.clone(), state.end)))
    }
}

//! The one writer: takes what waits, writes it as one batch, syncs once, answers all. Between batches it begins
//! new segments and drops those that are free to go.

use super::error::{AppendError, words};
use super::segment::{self, Segment};
use super::topic::Topic;
use super::{Append, Shared};
use fjall::PersistMode;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// So many bytes share one sync at most.
const BATCH_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// How often it is looked for what can be dropped, while nothing is appended.
const TIDY_EVERY: Duration = Duration::from_secs(1);
/// A log is at least so many segments when it is full: so much of it is dropped at a time.
const SEGMENTS_MIN: u64 = 16;
/// Largest and smallest segment.
const SEGMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
const SEGMENT_BYTES_MIN: u64 = 16 * 1024;
/// A segment is so old at most, in parts of the retention, and at least this long.
const AGE_PARTS: u32 = 8;
const AGE_MIN: Duration = Duration::from_secs(60);

/// See the module page.
pub(super) struct Writer {
    shared: Arc<Shared>,
    segment_bytes: u64,
    segment_age_us: i64,
    retention_us: i64,
    last_tidy: Duration,
}

/// Where a topic will stand once the batch is synced.
struct Staged {
    topic: Arc<Topic>,
    segment: Segment,
    end: i64,
    records: u64,
}

impl Writer {
    pub fn new(shared: Arc<Shared>) -> Self {
        let us = |d: Duration| i64::try_from(d.as_micros()).unwrap_or(i64::MAX / 4);
        let settings = shared.settings;
        Self {
            segment_bytes: (settings.bytes_max / SEGMENTS_MIN).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX),
            segment_age_us: us((settings.retention / AGE_PARTS).max(AGE_MIN)),
            retention_us: us(settings.retention),
            last_tidy: shared.clock.monotonic(),
            shared,
        }
    }

    pub fn run(mut self, inbox: &Receiver<Append>) {
        self.shared.metrics.bytes.set(self.shared.bytes() as i64);
        loop {
            match inbox.recv_timeout(TIDY_EVERY) {
                Ok(first) => {
                    let batch = gather(first, inbox);
                    self.write(batch);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let now = self.shared.clock.monotonic();
            if now.saturating_sub(self.last_tidy) >= TIDY_EVERY {
                self.last_tidy = now;
                if let Err(error) = self.tidy() {
                    self.fail(&error);
                }
            }
        }
    }

    fn write(&self, batch: Vec<Append>) {
        let failure = self.shared.failure().clone();
        if let Some(reason) = failure {
            batch.into_iter().for_each(|append| answer(append, Err(AppendError::Failed(reason.clone()))));
            return;
        }
        let (mut room, mut staged) = match self.prepare(&batch) {
            Ok(prepared) => prepared,
            Err(error) => return self.give_up(batch, &error),
        };
        let mut blocks = self.shared.database.batch().durability(Some(PersistMode::SyncData));
        let (mut taken, mut firsts) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
        for append in batch {
            let bytes = append.bytes();
            let stage = staged.get_mut(&append.topic).filter(|_| bytes <= room);
            let Some(stage) = stage else {
                let bytes_max = self.shared.settings.bytes_max;
                self.shared.metrics.refused("full");
                answer(append, Err(AppendError::Full { kept: bytes_max.saturating_sub(room), bytes_max }));
                continue;
            };
            room -= bytes;
            firsts.push(stage.end);
            stage.end += append.records.len() as i64;
            let block = segment::encode(append.time_us, stage.segment.bytes, &append.records);
            blocks.insert(&stage.segment.keyspace, segment::key(stage.end - 1), block);
            stage.segment.bytes += bytes;
            let oldest_us = stage.segment.times_us.map_or(append.time_us, |(oldest, _)| oldest);
            stage.segment.times_us = Some((oldest_us, append.time_us));
            stage.records += append.records.len() as u64;
            taken.push(append);
        }
        if taken.is_empty() {
            return;
        }
        let started = self.shared.clock.monotonic();
        if let Err(error) = blocks.commit() {
            return self.give_up(taken, &error);
        }
        let seconds = self.shared.clock.monotonic().saturating_sub(started).as_secs_f64();
        self.shared.metrics.sync_seconds.observe(seconds);
        for (name, stage) in staged {
            let mut state = stage.topic.state();
            state.end = stage.end;
            if let Some(active) = state.segments.back_mut() {
                *active = stage.segment;
            }
            drop(state);
            self.shared.metrics.records.with_label_values(&[&name]).inc_by(stage.records);
        }
        self.shared.metrics.bytes.set(self.shared.bytes() as i64);
        self.shared.ring();
        taken.into_iter().zip(firsts).for_each(|(append, first)| answer(append, Ok(first)));
    }

    /// How many bytes there is room for, and where every topic of the batch stands.
    fn prepare(&self, batch: &[Append]) -> fjall::Result<(u64, BTreeMap<String, Staged>)> {
        let room = self.room(batch)?;
        let mut staged = BTreeMap::new();
        for append in batch {
            if !staged.contains_key(&append.topic) {
                staged.insert(append.topic.clone(), self.stage(&append.topic)?);
            }
        }
        Ok((room, staged))
    }

    /// The active segment of a topic, which is made when there is none, and followed by another when it is full.
    fn stage(&self, name: &str) -> fjall::Result<Staged> {
        let topic = match self.shared.topic(name) {
            Some(topic) => topic,
            None => {
                let topic = Arc::new(Topic::new(self.new_segment(name, 0)?));
                let mut topics = self.shared.topics.write().unwrap_or_else(PoisonError::into_inner);
                Arc::clone(topics.entry(name.to_owned()).or_insert(topic))
            }
        };
        let is_full = topic.state().segments.back().is_none_or(|s| s.bytes >= self.segment_bytes);
        if is_full {
            self.begin_segment(name, &topic)?;
        }
        let state = topic.state();
        let (segment, end) = match state.segments.back() {
            Some(segment) => (segment.clone(), state.end),
            None => return Err(fjall::Error::KeyspaceDeleted),
        };
        drop(state);
        Ok(Staged { topic, segment, end, records: 0 })
    }

    fn new_segment(&self, topic: &str, first: i64) -> fjall::Result<Segment> {
        let keyspace = self.shared.database.keyspace(&segment::name(topic, first), segment::options)?;
        Ok(Segment { first, keyspace, bytes: 0, times_us: None })
    }

    fn begin_segment(&self, name: &str, topic: &Topic) -> fjall::Result<()> {
        let segment = self.new_segment(name, topic.end())?;
        topic.state().segments.push_back(segment);
        Ok(())
    }

    /// Bytes that may be added. When that is less than what waits, everything that is free to go goes,
    /// oldest first, until it is enough.
    fn room(&self, batch: &[Append]) -> fjall::Result<u64> {
        let wanted: u64 = batch.iter().map(Append::bytes).sum();
        loop {
            let room = self.shared.settings.bytes_max.saturating_sub(self.shared.bytes());
            if room >= wanted || !self.drop_oldest()? {
                return Ok(room);
            }
        }
    }

    /// Drops the oldest segment that every table has; false when there is none.
    fn drop_oldest(&self) -> fjall::Result<bool> {
        let topics = self.shared.all_topics();
        for (name, topic) in &topics {
            // The active segment can go as well, once it is not active any more.
            let is_free = {
                let state = topic.state();
                state.segments.len() == 1 && state.segments[0].bytes > 0 && state.committed == state.end - 1
            };
            if is_free {
                self.begin_segment(name, topic)?;
            }
        }
        let free = topics.iter().filter(|(_, topic)| topic.state().is_oldest_free());
        let age = |topic: &Topic| topic.state().segments.front().and_then(|s| s.times_us).map_or(0, |t| t.1);
        match free.min_by_key(|(_, topic)| age(topic)) {
            Some((name, topic)) => self.drop_first(name, topic, "bound").map(|()| true),
            None => Ok(false),
        }
    }

    fn drop_first(&self, name: &str, topic: &Topic, reason: &str) -> fjall::Result<()> {
        let (segment, records) = {
            let mut state = topic.state();
            let records = state.last_of(0) + 1 - state.first();
            (state.segments.pop_front(), records)
        };
        let Some(segment) = segment else { return Ok(()) };
        self.shared.database.delete_keyspace(segment.keyspace)?;
        tracing::debug!(topic = name, first = segment.first, records, reason, "segment of the log dropped");
        let records = u64::try_from(records).unwrap_or_default();
        self.shared.metrics.dropped.with_label_values(&[name, reason]).inc_by(records);
        self.shared.metrics.bytes.set(self.shared.bytes() as i64);
        Ok(())
    }

    /// Drops what was kept long enough, and ends segments that have grown old, so that they can be.
    fn tidy(&self) -> fjall::Result<()> {
        let now_us = self.shared.clock.now_us();
        for (name, topic) in self.shared.all_topics() {
            loop {
                let state = topic.state();
                let newest_us = state.segments.front().and_then(|s| s.times_us).map_or(i64::MIN, |t| t.1);
                let is_due = state.is_oldest_free() && now_us.saturating_sub(newest_us) >= self.retention_us;
                drop(state);
                if !is_due {
                    break;
                }
                self.drop_first(&name, &topic, "retention")?;
            }
            let is_old = {
                let state = topic.state();
                let oldest_us = state.segments.back().and_then(|s| s.times_us).map(|t| t.0);
                oldest_us.is_some_and(|oldest| now_us.saturating_sub(oldest) >= self.segment_age_us)
            };
            if is_old {
                self.begin_segment(&name, &topic)?;
            }
        }
        Ok(())
    }

    /// Whoever hears of it finds the log failed.
    fn give_up(&self, batch: Vec<Append>, error: &fjall::Error) {
        self.fail(error);
        let reason = words(error);
        batch.into_iter().for_each(|append| answer(append, Err(AppendError::Failed(reason.clone()))));
    }

    /// Nothing is appended from here on: what the disk has of it is known only after a new start.
    fn fail(&self, error: &fjall::Error) {
        let reason = words(error);
        tracing::error!(error = reason, "the log cannot be written any more");
        self.shared.metrics.failed.set(1);
        self.shared.failure().get_or_insert(reason);
    }
}

/// What waits behind the first one, as far as it shares a sync with it.
fn gather(first: Append, inbox: &Receiver<Append>) -> Vec<Append> {
    let mut bytes = first.bytes();
    let mut batch = vec![first];
    while bytes < BATCH_BYTES_MAX
        && let Ok(next) = inbox.try_recv()
    {
        bytes += next.bytes();
        batch.push(next);
    }
    batch
}

fn answer(append: Append, answer: Result<i64, AppendError>) {
    // Whoever asked may have gone; the records lie there all the same.
    let _ = append.reply.send(answer);
}

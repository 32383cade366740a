//! How far a backfill has come, for whoever watches.

use crate::decode::{RawRecord, event_time_us};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use tidewatch_engine::backfill::{Span, whole_from};
use tidewatch_engine::commit::TopicPartition;

/// Counted by the source while it reads.
#[derive(Debug, Default)]
pub struct Progress {
    records: AtomicU64,
    passed: AtomicI64,
    total: i64,
    deleted: i64,
    /// Event time of the first record of partitions whose beginning is deleted; `None`: it says none.
    firsts: Mutex<BTreeMap<TopicPartition, Option<i64>>>,
}

impl Progress {
    pub(super) fn new(spans: &[Span]) -> Self {
        let total = spans.iter().map(Span::len).sum();
        Self { total, deleted: spans.iter().map(|s| s.deleted).sum(), ..Self::default() }
    }

    pub(super) fn note(&self, records: u64, passed: i64) {
        self.records.fetch_add(records, Ordering::Relaxed);
        self.passed.fetch_add(passed, Ordering::Relaxed);
    }

    pub(super) fn note_first(&self, record: &RawRecord<'_>, partition: &TopicPartition) {
        let mut firsts = self.firsts.lock().unwrap_or_else(PoisonError::into_inner);
        firsts.entry(partition.clone()).or_insert_with(|| event_time_us(record));
    }

    /// Records read.
    pub fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// Offsets passed, of all that are to be.
    pub fn offsets(&self) -> (i64, i64) {
        (self.passed.load(Ordering::Relaxed), self.total)
    }

    /// Records that retention has deleted before they could be read.
    pub fn deleted(&self) -> i64 {
        self.deleted
    }

    /// The first window (or event time, of a keyed table) from which on no event is missing because it was
    /// deleted, in microseconds since the epoch; `None` when it cannot be told.
    pub fn whole_from(&self, disorder_us: i64, pane_us: Option<i64>) -> Option<i64> {
        let firsts = self.firsts.lock().unwrap_or_else(PoisonError::into_inner);
        let times: Option<Vec<i64>> = firsts.values().copied().collect();
        whole_from(&times?, disorder_us, pane_us)
    }
}

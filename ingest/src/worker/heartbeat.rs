//! The heartbeat of a worker: when it has last turned its loop, and whether it has anything to do. Written by the
//! worker without a lock, read by whoever wants to know whether it lives.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Written by one worker, read by others.
#[derive(Debug, Default)]
pub(super) struct Heartbeat {
    /// Milliseconds of the monotonic clock.
    turned_ms: AtomicU64,
    turns: AtomicU64,
    partitions: AtomicU64,
    lag: AtomicU64,
    is_committing: AtomicBool,
    has_ended: AtomicBool,
}

/// What a heartbeat says at some moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pulse {
    /// When the worker last turned its loop, or looked for an answer that it waits for; by the monotonic clock.
    pub turned: Duration,
    /// How often it has turned its loop.
    pub turns: u64,
    /// Partitions that it owns.
    pub partitions: u64,
    /// Records that it has not read yet, as far as it knows.
    pub lag: u64,
    /// Has it handed anything to the committer that is not committed yet?
    pub is_committing: bool,
    /// It has ended: nothing is to be expected of it.
    pub has_ended: bool,
}

impl Heartbeat {
    /// The worker goes on, if only with waiting.
    pub(super) fn beat(&self, now: Duration) {
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.turned_ms.store(now_ms, Ordering::Relaxed);
    }

    /// The worker begins another turn.
    pub(super) fn turn(&self, now: Duration, is_committing: bool) {
        self.is_committing.store(is_committing, Ordering::Relaxed);
        self.turns.fetch_add(1, Ordering::Relaxed);
        self.beat(now);
    }

    pub(super) fn own(&self, partitions: usize) {
        self.partitions.store(partitions as u64, Ordering::Relaxed);
    }

    pub(super) fn lag(&self, records: i64) {
        self.lag.store(u64::try_from(records).unwrap_or(0), Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
    }

    pub(super) fn pulse(&self) -> Pulse {
        Pulse {
            turned: Duration::from_millis(self.turned_ms.load(Ordering::Relaxed)),
            turns: self.turns.load(Ordering::Relaxed),
            partitions: self.partitions.load(Ordering::Relaxed),
            lag: self.lag.load(Ordering::Relaxed),
            is_committing: self.is_committing.load(Ordering::Relaxed),
            has_ended: self.has_ended.load(Ordering::Relaxed),
        }
    }
}

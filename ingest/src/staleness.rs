//! How long counted rows wait for the commit that shows them to others.
//!
//! Workers commit at intervals of their own (`ingest.flush_interval`, `samples.flush_interval`), so the wait is told in
//! such intervals: what is 3 here is late for each of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Shared by all workers of a process: the gauge shows the longest wait. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Staleness {
    gauge: prometheus::Gauge,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Number of the next worker.
    next: u64,
    /// Intervals by worker; who has nothing to commit is not among them.
    waits: BTreeMap<u64, f64>,
}

impl Staleness {
    pub(crate) fn new(gauge: prometheus::Gauge) -> Self {
        Self { gauge, state: Arc::default() }
    }

    /// For another worker, which commits at this interval.
    pub(crate) fn worker(&self, interval: Duration) -> Uncommitted {
        let worker = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.next += 1;
            state.next
        };
        Uncommitted { worker, interval, since: None, staleness: self.clone() }
    }

    /// Intervals that the oldest counted row has waited; 0 when all is committed.
    pub fn intervals(&self) -> f64 {
        self.gauge.get()
    }

    fn set(&self, worker: u64, intervals: Option<f64>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match intervals {
            Some(intervals) => state.waits.insert(worker, intervals),
            None => state.waits.remove(&worker),
        };
        self.gauge.set(state.waits.values().copied().fold(0.0, f64::max));
    }
}

/// The rows of one worker that no commit covers. What it leaves is forgotten with it: others count it again.
#[derive(Debug)]
pub(crate) struct Uncommitted {
    worker: u64,
    interval: Duration,
    /// When the oldest of them was seen first, by the monotonic clock.
    since: Option<Duration>,
    staleness: Staleness,
}

impl Uncommitted {
    /// There are so many at `now`.
    pub fn seen(&mut self, rows: usize, now: Duration) {
        self.since = if rows == 0 { None } else { Some(self.since.unwrap_or(now)) };
        let intervals = |since| now.saturating_sub(since).as_secs_f64() / self.interval.as_secs_f64().max(1e-3);
        self.staleness.set(self.worker, self.since.map(intervals));
    }

    /// All that were there at `flushed` are committed.
    pub fn committed(&mut self, flushed: Duration) {
        self.since = self.since.map(|since| since.max(flushed));
    }

    /// They are thrown away, to be read again.
    pub fn forget(&mut self) {
        self.since = None;
    }
}

impl Drop for Uncommitted {
    fn drop(&mut self) {
        self.staleness.set(self.worker, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn staleness() -> Staleness {
        Staleness::new(prometheus::Gauge::new("staleness", "of tests").unwrap())
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_longest_wait_is_told_in_intervals_of_its_worker() {
        let staleness = staleness();
        let (mut events, mut samples) = (staleness.worker(10 * SECOND), staleness.worker(60 * SECOND));
        events.seen(0, 5 * SECOND);
        samples.seen(7, 5 * SECOND);
        events.seen(1, 20 * SECOND);
        samples.seen(8, 20 * SECOND);
        assert_eq!(staleness.intervals(), 0.25);
        samples.seen(9, 65 * SECOND);
        events.seen(1, 65 * SECOND);
        assert_eq!(staleness.intervals(), 4.5, "45 of 10 seconds; the minute of the other is its interval");
        drop(events);
        assert_eq!(staleness.intervals(), 1.0);
        samples.seen(0, 66 * SECOND);
        assert_eq!(staleness.intervals(), 0.0);
    }

    #[test]
    fn a_commit_leaves_what_was_counted_since_its_flush() {
        let staleness = staleness();
        let mut events = staleness.worker(10 * SECOND);
        events.seen(3, 100 * SECOND);
        events.committed(110 * SECOND);
        events.seen(2, 115 * SECOND);
        assert_eq!(staleness.intervals(), 0.5);
        events.committed(90 * SECOND);
        events.seen(2, 120 * SECOND);
        assert_eq!(staleness.intervals(), 1.0, "an earlier flush says nothing of them");
        events.forget();
        events.seen(2, 121 * SECOND);
        assert_eq!(staleness.intervals(), 0.0);
    }
}

//! Time and chance, both made up.

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::{Rng, SeedableRng};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tidewatch_ingest::clock::Clock;

/// When every simulation begins: 2026-03-01T12:00:00Z, in microseconds. What it reads has come in before.
pub const START_US: i64 = 1_772_366_400_000_000;

/// A clock that goes on when it is told to.
#[derive(Debug)]
pub struct FakeClock(AtomicI64);

impl FakeClock {
    pub fn new() -> Self {
        Self(AtomicI64::new(START_US))
    }

    pub fn advance(&self, by_us: i64) {
        self.0.fetch_add(by_us, Ordering::SeqCst);
    }
}

impl Clock for FakeClock {
    fn now_us(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros((self.now_us() - START_US).unsigned_abs())
    }
}

/// The same numbers for the same seed.
#[derive(Debug)]
pub struct Chance(Pcg64Mcg);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(Pcg64Mcg::seed_from_u64(seed))
    }

    /// From 0 to `bound`, exclusive.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.0.next_u64()) * bound as u128) >> 64) as usize
    }

    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Some of these, at least one if there are any.
    pub fn some<T: Copy>(&mut self, from: &[T]) -> Vec<T> {
        let Some(last) = from.len().checked_sub(1) else { return Vec::new() };
        let sure = self.below(last + 1);
        let mut kept = Vec::new();
        for (index, one) in from.iter().enumerate() {
            if index == sure || self.one_in(2) {
                kept.push(*one);
            }
        }
        kept
    }
}

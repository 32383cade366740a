//! How long to wait.

use crate::clock::millis;
use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::{Rng, SeedableRng};
use std::time::Duration;

/// Bounds of an exponential backoff with full jitter.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    min_ms: i64,
    max_ms: i64,
}

impl Backoff {
    /// Bounds; a `max` below `min` is taken for `min`.
    pub fn of(min: Duration, max: Duration) -> Self {
        let min_ms = millis(min).max(1);
        Self { min_ms, max_ms: millis(max).max(min_ms) }
    }

    /// Wait after the given number of failures (1 is the first): uniform from `min` to the smaller of
    /// `max` and `min · 2^failures`, both inclusive.
    pub fn wait_ms(&self, failures: u32, seed: u64) -> i64 {
        let factor = 1_i64.checked_shl(failures.min(40)).unwrap_or(i64::MAX);
        let longest_ms = self.min_ms.saturating_mul(factor).min(self.max_ms);
        self.min_ms + uniform(seed, longest_ms - self.min_ms + 1)
    }

    /// Something below `min`, to spread what would otherwise happen at one instant.
    pub fn spread_ms(&self, seed: u64) -> i64 {
        uniform(seed, self.min_ms)
    }
}

/// A whole number from 0 to `below` (exclusive).
fn uniform(seed: u64, below: i64) -> i64 {
    let below = u64::try_from(below).unwrap_or(0).max(1);
    let drawn = Pcg64Mcg::seed_from_u64(seed).next_u64();
    // The high half of the product (Lemire 2019 without rejection: the bias is below/2^64).
    let scaled = (u128::from(drawn) * u128::from(below)) >> 64;
    i64::try_from(scaled).unwrap_or(0)
}

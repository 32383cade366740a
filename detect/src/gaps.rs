//! How long a key usually says nothing: a histogram of the gaps between its events.
//!
//! Buckets are four to an octave, so a quantile is at most 19 % too high, never too low. Counts add up: two
//! histograms of one key merge in any order.

use serde::{Deserialize, Serialize};

/// Gaps up to here are one bucket.
const SMALLEST_MS: f64 = 1000.0;
const PER_OCTAVE: f64 = 4.0;
/// The last bucket begins at 2²⁴ seconds, more than half a year.
const BUCKETS: usize = 24 * 4 + 1;

/// Gaps of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gaps {
    buckets: Vec<u32>,
}

impl Default for Gaps {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS] }
    }
}

impl Gaps {
    /// Takes in one gap.
    pub fn learn(&mut self, gap_ms: i64) {
        let octaves = libm::log2((gap_ms as f64 / SMALLEST_MS).max(1.0));
        let at = (libm::ceil(octaves * PER_OCTAVE) as usize).min(BUCKETS - 1);
        if let Some(count) = self.buckets.get_mut(at) {
            *count = count.saturating_add(1);
        }
    }

    /// Adds what another one knows.
    pub fn merge(&mut self, other: &Gaps) {
        for (mine, other) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine = mine.saturating_add(*other);
        }
    }

    /// Gaps taken in.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|n| u64::from(*n)).sum()
    }

    /// The gap at rank ⌈q·n⌉ in milliseconds, at most 19 % above it; of none, none. The longest are told as at
    /// least half a year.
    pub fn quantile_ms(&self, q: f64) -> Option<i64> {
        let rank = (libm::ceil(q * self.count() as f64) as u64).max(1);
        let mut below = 0;
        let at = self.buckets.iter().position(|n| {
            below += u64::from(*n);
            below >= rank
        })?;
        Some(libm::ceil(SMALLEST_MS * libm::exp2(at as f64 / PER_OCTAVE)) as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_never_below_and_at_most_a_fifth_above() {
        let mut gaps = Gaps::default();
        assert_eq!(gaps.quantile_ms(0.5), None);
        let sorted: Vec<i64> = (1..=1000).map(|i| i * i * 37 + 1000).collect();
        sorted.iter().for_each(|gap| gaps.learn(*gap));
        for q in [0.01, 0.5, 0.95, 1.0] {
            let exact = sorted[(q * 1000.0) as usize - 1];
            let found = gaps.quantile_ms(q).unwrap();
            assert!(found >= exact && found as f64 <= exact as f64 * 1.19 + 1.0, "{q}: {found}, exactly {exact}");
        }
    }

    #[test]
    fn parts_merge_to_the_whole() {
        let (mut whole, mut left, mut right) = (Gaps::default(), Gaps::default(), Gaps::default());
        for gap in (0..5000).map(|i| i * 7919 % 9_000_000) {
            whole.learn(gap);
            if gap % 3 == 0 { left.learn(gap) } else { right.learn(gap) }
        }
        right.merge(&left);
        assert_eq!(right, whole);
    }
}

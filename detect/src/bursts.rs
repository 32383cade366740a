//! What is usual of a key even though no model of counts expects it: its bursts of the last four weeks.
//!
//! A **burst** is all that is a spike by score, lift and count, told or not. Its size is the largest excess of an hour
//! over the expected, in events: bursts come from outside (a video, a bot, a campaign), so they are compared in
//! events, whatever the hour of the day.
//!
//! That is the empirical return level: four as large in 28 days come about once a week. Nothing is assumed of the
//! tail, which in social traffic is heavier than any that counts around a rate have.

use serde::{Deserialize, Serialize};

/// Bursts are forgotten after this time.
pub const MEMORY_MS: i64 = 28 * 24 * 3_600_000;
/// Most bursts that are remembered; beyond, the smallest is forgotten, which no threshold up to this misses.
pub const KEPT_MAX: usize = 32;

/// Bursts of one key, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Bursts {
    /// End in ms, and size in whole events.
    kept: Vec<(i64, u64)>,
}

impl Bursts {
    /// A burst ended at this time.
    pub fn learn(&mut self, at_ms: i64, excess: f64) {
        self.kept.retain(|(then_ms, _)| *then_ms > at_ms - MEMORY_MS);
        if self.kept.len() >= KEPT_MAX {
            let smallest = self.kept.iter().enumerate().min_by_key(|(_, (_, size))| *size).map(|(at, _)| at);
            smallest.map(|at| self.kept.remove(at));
        }
        self.kept.push((at_ms, excess as u64));
    }

    /// How many bursts of the last four weeks were as large.
    pub fn as_large(&self, now_ms: i64, excess: f64) -> usize {
        let recent = self.kept.iter().filter(|(at_ms, _)| *at_ms > now_ms - MEMORY_MS);
        recent.filter(|(_, size)| *size >= excess as u64).count()
    }

    /// Bytes beside the struct itself.
    pub fn bytes(&self) -> usize {
        self.kept.capacity() * size_of::<(i64, u64)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 86_400_000;

    #[test]
    fn as_large_is_within_four_weeks() {
        let mut bursts = Bursts::default();
        bursts.learn(0, 100.0);
        bursts.learn(DAY_MS, 50.0);
        assert_eq!(bursts.as_large(2 * DAY_MS, 50.0), 2);
        assert_eq!(bursts.as_large(2 * DAY_MS, 51.0), 1);
        assert_eq!(bursts.as_large(28 * DAY_MS, 50.0), 1, "the first is four weeks ago");
    }

    #[test]
    fn memory_is_bounded_and_keeps_the_large_ones() {
        let mut bursts = Bursts::default();
        for at in 0..1000_u32 {
            bursts.learn(i64::from(at), f64::from(at % 100));
        }
        assert_eq!(bursts.kept.len(), KEPT_MAX);
        assert_eq!(bursts.as_large(1000, 98.0), 20);
    }
}

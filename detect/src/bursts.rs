//! What is usual of a key even though no model of counts expects it: its bursts of the last four weeks.
//!
//! A **burst** is a run of windows with a score of at least [`SCORE`] in any view, spikes among them. Its size is
//! its excess over what was expected, in events: the largest of one window and the largest of an hour. Bursts come
//! from outside (a video, a bot, a campaign), so their size is compared in events, whatever the hour of the day.
//! A burst was as large as another if it was so in both.
//!
//! That is the empirical return level: four as large in 28 days come about once a week. Nothing is assumed of the
//! tail, which in social traffic is heavier than any that counts around a rate have.

use crate::bits;
use serde::{Deserialize, Serialize};

/// −log₁₀ of the chance at which a burst begins.
pub const SCORE: f64 = 3.0;
/// Bursts are forgotten after this time.
pub const MEMORY_MS: i64 = 28 * 24 * 3_600_000;
/// Most bursts that are remembered; beyond, the one with the smallest excess of an hour is forgotten.
pub const KEPT_MAX: usize = 32;

/// Excess of a burst over the expected, in events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Size {
    /// Of its largest window.
    #[serde(with = "bits::one")]
    pub window: f64,
    /// Of its largest hour; windows of the past fade from it with a half-life.
    #[serde(with = "bits::one")]
    pub hour: f64,
}

impl Size {
    /// The larger of both, in each view.
    #[must_use]
    pub fn max(self, other: Size) -> Size {
        Size { window: self.window.max(other.window), hour: self.hour.max(other.hour) }
    }

    fn as_large_as(self, other: Size) -> bool {
        self.window >= other.window && self.hour >= other.hour
    }
}

/// Bursts of one key, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Bursts {
    kept: Vec<(i64, Size)>,
}

impl Bursts {
    /// A burst ended at this time.
    pub fn learn(&mut self, at_ms: i64, size: Size) {
        self.kept.retain(|(then_ms, _)| *then_ms > at_ms - MEMORY_MS);
        if self.kept.len() >= KEPT_MAX {
            let smallest = (0..self.kept.len()).min_by(|a, b| self.hour_of(*a).total_cmp(&self.hour_of(*b)));
            smallest.map(|at| self.kept.remove(at));
        }
        self.kept.push((at_ms, size));
    }

    /// How many bursts of the last four weeks were as large.
    pub fn as_large(&self, now_ms: i64, size: Size) -> usize {
        self.kept.iter().filter(|(at_ms, kept)| *at_ms > now_ms - MEMORY_MS && kept.as_large_as(size)).count()
    }

    /// Bytes beside the struct itself.
    pub fn bytes(&self) -> usize {
        self.kept.capacity() * size_of::<(i64, Size)>()
    }

    fn hour_of(&self, at: usize) -> f64 {
        self.kept.get(at).map_or(f64::INFINITY, |(_, size)| size.hour)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 86_400_000;

    #[test]
    fn as_large_is_as_large_in_both_views_and_lately() {
        let mut bursts = Bursts::default();
        bursts.learn(0, Size { window: 100.0, hour: 100.0 });
        bursts.learn(DAY_MS, Size { window: 10.0, hour: 500.0 });
        let size = Size { window: 50.0, hour: 90.0 };
        assert_eq!(bursts.as_large(2 * DAY_MS, size), 1, "the second was longer, not higher");
        assert_eq!(bursts.as_large(28 * DAY_MS, size), 0, "the first is four weeks ago");
    }

    #[test]
    fn memory_is_bounded_and_keeps_the_large_ones() {
        let mut bursts = Bursts::default();
        for at in 0..1000_u32 {
            let size = f64::from(at % 100);
            bursts.learn(i64::from(at), Size { window: size, hour: size });
        }
        assert_eq!(bursts.kept.len(), KEPT_MAX);
        assert_eq!(bursts.as_large(1000, Size { window: 98.0, hour: 98.0 }), 20);
    }
}

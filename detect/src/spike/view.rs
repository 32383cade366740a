//! One window, seen alone, with the one before, and at the end of its last hour.

use super::Settings;
use crate::baseline::{Expectation, Spread, decay};
use crate::bits;
use crate::tail;
use crate::zone::HOUR_MS;
use serde::{Deserialize, Serialize};

/// Less is not expected of any window: below it a count says little about a rate (CATALOG 2.21-g).
pub const EXPECTED_MIN: f64 = 1.0;
/// Windows fade from the view of an hour with this half-life.
pub const TRAIL_HALF_LIFE_MS: i64 = HOUR_MS / 2;
/// A window less rare than this (−log₁₀) is calm.
const CALM_SCORE: f64 = 2.0;
/// Scores are not compared beyond this; it also is what a probability of 0 has.
const SCORE_MAX: f64 = 1e6;
/// log₁₀ of the number of views, for having looked so often (Bonferroni).
const LOG10_VIEWS: f64 = 0.477_121_254_719_662_4;

/// A count beside what was expected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Pair {
    #[serde(with = "bits::one")]
    pub(super) seen: f64,
    #[serde(with = "bits::one")]
    pub(super) expected: f64,
}

impl Pair {
    /// −log₁₀ of the chance to see as much.
    fn score(self, overdispersion: f64) -> f64 {
        if self.seen <= self.expected {
            return 0.0;
        }
        (-tail::log10_upper(self.seen as u64, self.expected, overdispersion)).min(SCORE_MAX)
    }

    fn lift(self) -> f64 {
        self.seen / self.expected
    }
}

/// What the views of the next window need of the windows before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Views {
    last: Option<Pair>,
    hour: Pair,
    hour_spread: Spread,
}

/// A window as it is seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    pub(super) start_ms: i64,
    pub(super) count: u64,
    pub(super) expected: f64,
    pub(super) score: f64,
    pub(super) calm: bool,
    /// Whether it is a spike by score, lift and count.
    pub(super) exceeds: bool,
    /// Counted − expected of its last hour.
    pub(super) excess: f64,
    hour: Pair,
}

impl Views {
    pub(super) fn read(
        &self,
        settings: &Settings,
        (start_ms, count): (i64, u64),
        expectation: &Expectation,
    ) -> Reading {
        let expected = (expectation.season * expectation.level.max(1.0)).max(EXPECTED_MIN);
        let now = Pair { seen: count as f64, expected };
        let before = self.last.unwrap_or_default();
        let both = Pair { seen: before.seen + now.seen, expected: before.expected + expected };
        let keep = decay(settings.window_ms, TRAIL_HALF_LIFE_MS);
        let hour = Pair { seen: self.hour.seen * keep + now.seen, expected: self.hour.expected * keep + expected };

        let alone = now.score(expectation.overdispersion);
        let with_last = if self.last.is_some() { both.score(expectation.overdispersion) } else { 0.0 };
        let in_hour = hour.score(self.hour_spread.overdispersion(settings.window_ms));
        let score = (alone.max(with_last).max(in_hour) - LOG10_VIEWS).max(0.0);

        let long = in_hour - LOG10_VIEWS >= settings.score_open;
        let lift = if long { now.lift().max(hour.lift()) } else { now.lift() };
        let calm = now.lift() < settings.lift_close || alone < CALM_SCORE;
        let rare = score >= settings.score_open && lift >= settings.lift_open;
        let exceeds = !calm && rare && count >= settings.count_min;
        Reading { start_ms, count, expected, score, calm, exceeds, excess: hour.seen - hour.expected, hour }
    }

    pub(super) fn pass(&mut self, reading: &Reading) {
        self.last = Some(Pair { seen: reading.count as f64, expected: reading.expected });
        self.hour = reading.hour;
    }

    /// How much hours vary, from one that is usual.
    pub(super) fn learn(&mut self, window_ms: i64) {
        // Counts that fade with k, k², … have 1/(1 + k) of the variance that their faded sum would have by chance.
        let chance = 1.0 / (1.0 + decay(window_ms, TRAIL_HALF_LIFE_MS));
        self.hour_spread.learn(self.hour.seen, self.hour.expected, chance, window_ms);
    }

    /// What came before is no neighbour of what comes next.
    pub(super) fn forget(&mut self) {
        (self.last, self.hour) = (None, Pair::default());
    }
}

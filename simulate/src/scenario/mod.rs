//! Scenarios: what goes wrong, when, and therefore what a correct engine must find.
//!
//! A scenario is a list of effects, each on a schedule relative to the start of the run. Apart from its
//! effects it is the steady stream of the same seed, event by event.

#[cfg(test)]
mod tests;

mod list;

pub use list::scenarios;

/// A named list of effects on a schedule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scenario {
    /// Name on the command line.
    pub name: &'static str,
    /// What happens, in a sentence.
    pub description: &'static str,
    /// What happens, in numbers.
    pub effects: &'static [ScheduledEffect],
}

/// One effect and its schedule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScheduledEffect {
    /// What happens.
    pub effect: Effect,
    /// When.
    pub schedule: Schedule,
}

/// What a scenario does to the steady stream. Creators are counted by size: 0 is the largest (in a
/// smaller population the last one stands in); the shop is the creator's first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Effect {
    /// A creator goes viral: orders come at `factor` times the usual rate, with impact level `VIRAL`.
    ViralSpike {
        /// Whose orders.
        creator: usize,
        /// Times the usual rate.
        factor: f64,
    },
    /// A provider's API fails and is slow.
    CarrierOutage {
        /// As in the field `provider`.
        provider: &'static str,
        /// Share of the calls that end as `server_error` (two thirds) or `timeout`.
        error_share: f64,
        /// Times the usual latency, for calls that do not time out.
        latency_factor: f64,
    },
    /// Webhooks are received and not processed; when it ends, those that wait are processed in a rush.
    WebhookBacklog,
    /// The best-selling product of the shop loses nearly all of its stock, and nothing is supplied.
    StockOut {
        /// Whose shop.
        creator: usize,
    },
    /// The shop's token expires and cannot be refreshed: its calls are refused.
    TokenExpiry {
        /// Whose shop.
        creator: usize,
    },
    /// Events are sent again, the same bytes under the same id, up to three times within a minute.
    DuplicateStorm {
        /// Share of the events that are sent again.
        share: f64,
    },
    /// One shop's events arrive late.
    LateShop {
        /// Whose shop.
        creator: usize,
        /// How late.
        delay_ms: i64,
    },
    /// One shop's events reach nobody until the end, and then all at once.
    ShopOffline {
        /// Whose shop.
        creator: usize,
    },
    /// The clock behind one shop's events is wrong.
    ClockSkew {
        /// Whose shop.
        creator: usize,
        /// Added to every time that the events tell; positive is ahead.
        error_ms: i64,
    },
    /// Bad input comes on top of the good events and takes nothing away from them.
    BadInput {
        /// Bad events per good event.
        share: f64,
    },
}

/// When an effect is on, in milliseconds of event time since the start of the run. Half-open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    /// From the start, without end.
    Always,
    /// In `[from_ms, until_ms)`.
    Once {
        /// Inclusive.
        from_ms: i64,
        /// Exclusive.
        until_ms: i64,
    },
    /// In `[from_ms, until_ms)` of every period; `until_ms` is at most `period_ms`.
    Every {
        /// Length of a period.
        period_ms: i64,
        /// Inclusive, since the start of the period.
        from_ms: i64,
        /// Exclusive, since the start of the period.
        until_ms: i64,
    },
}

/// A stretch of event time in which an effect is on: `[from_ms, until_ms)` since the start of the run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// What happens.
    pub effect: Effect,
    /// Inclusive.
    pub from_ms: i64,
    /// Exclusive.
    pub until_ms: i64,
}

/// A name that no scenario has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown scenario {found:?}; expected one of: {}", names().join(", "))]
pub struct UnknownScenario {
    /// The name asked for.
    pub found: String,
}

impl Scenario {
    /// The scenario of that name.
    pub fn named(name: &str) -> Result<Self, UnknownScenario> {
        let found = scenarios().iter().find(|scenario| scenario.name == name);
        found.copied().ok_or_else(|| UnknownScenario { found: name.to_owned() })
    }

    /// What happens in the first `duration_ms` of a run, by start.
    pub fn intervals(&self, duration_ms: i64) -> Vec<Interval> {
        let mut intervals = Vec::new();
        for ScheduledEffect { effect, schedule } in self.effects {
            let mut after_ms = 0;
            while let Some((from_ms, until_ms)) = schedule.next_interval(after_ms).filter(|i| i.0 < duration_ms) {
                intervals.push(Interval { effect: *effect, from_ms, until_ms: until_ms.min(duration_ms) });
                after_ms = until_ms;
            }
        }
        intervals.sort_by_key(|interval| interval.from_ms);
        intervals
    }

    /// The effects that are on, each with the moment at which it ends.
    pub(crate) fn active(&self, elapsed_ms: i64) -> impl Iterator<Item = (Effect, i64)> {
        self.effects.iter().filter_map(move |scheduled| {
            let (from_ms, until_ms) = scheduled.schedule.next_interval(elapsed_ms)?;
            (from_ms <= elapsed_ms).then_some((scheduled.effect, until_ms))
        })
    }
}

impl Schedule {
    /// Whether the effect is on that long after the start.
    pub fn is_active(self, elapsed_ms: i64) -> bool {
        self.next_interval(elapsed_ms).is_some_and(|(from_ms, _)| from_ms <= elapsed_ms)
    }

    /// The first interval that ends after `elapsed_ms`.
    pub(crate) fn next_interval(self, elapsed_ms: i64) -> Option<(i64, i64)> {
        match self {
            Self::Always => (elapsed_ms < i64::MAX).then_some((0, i64::MAX)),
            Self::Once { from_ms, until_ms } => (elapsed_ms < until_ms).then_some((from_ms, until_ms)),
            Self::Every { period_ms, from_ms, until_ms } => {
                let this_period = elapsed_ms.max(0).div_euclid(period_ms) * period_ms;
                let period = if elapsed_ms < this_period + until_ms { this_period } else { this_period + period_ms };
                Some((period + from_ms, period + until_ms))
            }
        }
    }
}

fn names() -> Vec<&'static str> {
    scenarios().iter().map(|scenario| scenario.name).collect()
}

//! Scenarios: what goes wrong, when, and therefore what a correct engine must find.
//!
//! A scenario is a list of effects, each on a schedule relative to the start of the run. Apart from its
//! effects it is the steady stream of the same seed, event by event.

#[cfg(test)]
mod tests;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;

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

/// All scenarios.
pub fn scenarios() -> &'static [Scenario] {
    SCENARIOS
}

impl Scenario {
    /// The scenario of that name.
    pub fn named(name: &str) -> Result<Self, UnknownScenario> {
        let found = SCENARIOS.iter().find(|scenario| scenario.name == name);
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

    /// The effects that are on.
    pub(crate) fn active(&self, elapsed_ms: i64) -> impl Iterator<Item = Effect> {
        self.effects.iter().filter(move |e| e.schedule.is_active(elapsed_ms)).map(|e| e.effect)
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
    SCENARIOS.iter().map(|scenario| scenario.name).collect()
}

const VIRAL: Effect = Effect::ViralSpike { creator: 4, factor: 10.0 };
const OUTAGE: Effect = Effect::CarrierOutage { provider: "usps", error_share: 0.6, latency_factor: 8.0 };

const SCENARIOS: &[Scenario] = &[
    Scenario { name: "steady", description: "An ordinary day: nothing goes wrong on purpose.", effects: &[] },
    Scenario {
        name: "viral_spike",
        description: "One creator's orders come at ten times the usual rate from minute 5 to minute 10.",
        effects: &[ScheduledEffect {
            effect: VIRAL,
            schedule: Schedule::Once { from_ms: 5 * MINUTE, until_ms: 10 * MINUTE },
        }],
    },
    Scenario {
        name: "carrier_outage",
        description: "From minute 5 to minute 10, 60 % of the calls to USPS fail and the others take eight times as long.",
        effects: &[ScheduledEffect {
            effect: OUTAGE,
            schedule: Schedule::Once { from_ms: 5 * MINUTE, until_ms: 10 * MINUTE },
        }],
    },
    Scenario {
        name: "duplicate_storm",
        description: "From minute 2 to minute 7, 30 % of the events are sent again under the same id.",
        effects: &[ScheduledEffect {
            effect: Effect::DuplicateStorm { share: 0.3 },
            schedule: Schedule::Once { from_ms: 2 * MINUTE, until_ms: 7 * MINUTE },
        }],
    },
    Scenario {
        name: "late_shop",
        description: "What happens in one shop from minute 2 to minute 7 arrives a quarter of an hour late.",
        effects: &[ScheduledEffect {
            effect: Effect::LateShop { creator: 2, delay_ms: 15 * MINUTE },
            schedule: Schedule::Once { from_ms: 2 * MINUTE, until_ms: 7 * MINUTE },
        }],
    },
    Scenario {
        name: "clock_skew",
        description: "From minute 2 to minute 7 one shop's clock is two minutes ahead and another's is two minutes behind.",
        effects: &[
            ScheduledEffect {
                effect: Effect::ClockSkew { creator: 1, error_ms: 2 * MINUTE },
                schedule: Schedule::Once { from_ms: 2 * MINUTE, until_ms: 7 * MINUTE },
            },
            ScheduledEffect {
                effect: Effect::ClockSkew { creator: 3, error_ms: -2 * MINUTE },
                schedule: Schedule::Once { from_ms: 2 * MINUTE, until_ms: 7 * MINUTE },
            },
        ],
    },
    Scenario {
        name: "bad_input",
        description: "One bad event comes with every hundred good ones: broken JSON, no tenant, wrong type, the year 2099, an unknown outcome, an oversized message.",
        effects: &[ScheduledEffect { effect: Effect::BadInput { share: 0.01 }, schedule: Schedule::Always }],
    },
    Scenario {
        name: "demo",
        description: "Every five minutes an outage of USPS (0:45 to 2:15) and a viral creator (3:00 to 4:30), with a trickle of bad input.",
        effects: &[
            ScheduledEffect {
                effect: OUTAGE,
                schedule: Schedule::Every { period_ms: 5 * MINUTE, from_ms: 45 * SECOND, until_ms: 135 * SECOND },
            },
            ScheduledEffect {
                effect: VIRAL,
                schedule: Schedule::Every { period_ms: 5 * MINUTE, from_ms: 180 * SECOND, until_ms: 270 * SECOND },
            },
            ScheduledEffect { effect: Effect::BadInput { share: 0.001 }, schedule: Schedule::Always },
        ],
    },
];

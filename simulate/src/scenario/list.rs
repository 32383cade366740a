//! The scenarios that there are.

use super::{Effect, Scenario, Schedule, ScheduledEffect};

pub(super) const SECOND: i64 = 1000;
pub(super) const MINUTE: i64 = 60 * SECOND;
pub(super) const HOUR: i64 = 60 * MINUTE;

/// All scenarios.
pub fn scenarios() -> &'static [Scenario] {
    SCENARIOS
}

pub(super) const VIRAL: Effect = Effect::ViralSpike { creator: 4, factor: 10.0 };
pub(super) const OUTAGE: Effect = Effect::CarrierOutage { provider: "usps", error_share: 0.6, latency_factor: 8.0 };

const FROM_2_TO_7: Schedule = Schedule::Once { from_ms: 2 * MINUTE, until_ms: 7 * MINUTE };

/// In hours of the week.
const fn hours(from: i64, until: i64) -> Schedule {
    Schedule::Once { from_ms: from * HOUR, until_ms: until * HOUR }
}

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
        name: "webhook_backlog",
        description: "From minute 2 to minute 7 webhooks are received and not processed; then all at once.",
        effects: &[ScheduledEffect { effect: Effect::WebhookBacklog, schedule: FROM_2_TO_7 }],
    },
    Scenario {
        name: "stock_out",
        description: "From minute 2 to minute 7 the best seller of the largest shop is out of stock and still ordered: oversells.",
        effects: &[ScheduledEffect { effect: Effect::StockOut { creator: 0 }, schedule: FROM_2_TO_7 }],
    },
    Scenario {
        name: "token_expiry",
        description: "From minute 2 to minute 7 one shop's token has expired: its calls are refused, its synchronisation fails.",
        effects: &[ScheduledEffect { effect: Effect::TokenExpiry { creator: 1 }, schedule: FROM_2_TO_7 }],
    },
    Scenario {
        name: "duplicate_storm",
        description: "From minute 2 to minute 7, 30 % of the events are sent again under the same id.",
        effects: &[ScheduledEffect { effect: Effect::DuplicateStorm { share: 0.3 }, schedule: FROM_2_TO_7 }],
    },
    Scenario {
        name: "late_shop",
        description: "What happens in one shop from minute 2 to minute 7 arrives a quarter of an hour late.",
        effects: &[ScheduledEffect {
            effect: Effect::LateShop { creator: 2, delay_ms: 15 * MINUTE },
            schedule: FROM_2_TO_7,
        }],
    },
    Scenario {
        name: "shop_offline",
        description: "What happens in one shop from hour 2 to hour 26 arrives at hour 26, a day late.",
        effects: &[ScheduledEffect {
            effect: Effect::ShopOffline { creator: 2 },
            schedule: Schedule::Once { from_ms: 2 * HOUR, until_ms: 26 * HOUR },
        }],
    },
    Scenario {
        name: "clock_skew",
        description: "From minute 2 to minute 7 one shop's clock is two minutes ahead and another's is two minutes behind.",
        effects: &[
            ScheduledEffect { effect: Effect::ClockSkew { creator: 1, error_ms: 2 * MINUTE }, schedule: FROM_2_TO_7 },
            ScheduledEffect { effect: Effect::ClockSkew { creator: 3, error_ms: -2 * MINUTE }, schedule: FROM_2_TO_7 },
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
    Scenario {
        name: "week",
        description: "A week with everything: a shop that is offline for a day, a viral evening, an outage of USPS, a backlog, a stock-out, an expired token, copies, a wrong clock, a trickle of bad input.",
        effects: &[
            ScheduledEffect { effect: Effect::ShopOffline { creator: 2 }, schedule: hours(20, 44) },
            ScheduledEffect { effect: VIRAL, schedule: hours(42, 47) },
            ScheduledEffect { effect: OUTAGE, schedule: hours(64, 67) },
            ScheduledEffect { effect: Effect::WebhookBacklog, schedule: hours(88, 90) },
            ScheduledEffect { effect: Effect::StockOut { creator: 0 }, schedule: hours(96, 120) },
            ScheduledEffect { effect: Effect::TokenExpiry { creator: 1 }, schedule: hours(110, 116) },
            ScheduledEffect { effect: Effect::DuplicateStorm { share: 0.3 }, schedule: hours(132, 133) },
            ScheduledEffect {
                effect: Effect::ClockSkew { creator: 3, error_ms: -2 * MINUTE },
                schedule: hours(140, 146),
            },
            ScheduledEffect { effect: Effect::BadInput { share: 0.0005 }, schedule: Schedule::Always },
        ],
    },
];

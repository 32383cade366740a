//! What every simulated thing can look up: the run's settings, the population, the scenario's effects.

use crate::ids::Ids;
use crate::population::{Population, ShopIndex};
use crate::rates::Rates;
use crate::scenario::{Effect, Scenario, Schedule};

#[derive(Debug)]
pub(crate) struct World {
    pub seed: u64,
    pub ids: Ids,
    pub start_us: i64,
    pub scenario: Scenario,
    pub population: Population,
    pub rates: Rates,
    /// How long a day of warehouses, roads and suppliers lasts.
    pub day_us: i64,
}

/// A provider's trouble.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outage {
    pub error_share: f64,
    pub latency_factor: f64,
}

impl World {
    /// So many days of warehouses, roads and suppliers, in microseconds.
    pub fn days_us(&self, days: f64) -> i64 {
        (self.day_us as f64 * days) as i64
    }

    pub fn is_viral(&self, creator: usize, time_us: i64) -> bool {
        let ranked = |rank| self.population.ranked(rank) == creator;
        self.active(time_us).any(|effect| matches!(effect, Effect::ViralSpike { creator, .. } if ranked(creator)))
    }

    pub fn outage(&self, provider: &str, time_us: i64) -> Option<Outage> {
        self.active(time_us).find_map(|effect| match effect {
            Effect::CarrierOutage { provider: failing, error_share, latency_factor } if failing == provider => {
                Some(Outage { error_share, latency_factor })
            }
            _ => None,
        })
    }

    pub fn resent_share(&self, time_us: i64) -> Option<f64> {
        self.active(time_us).find_map(|effect| match effect {
            Effect::DuplicateStorm { share } => Some(share),
            _ => None,
        })
    }

    /// How long what the shop sends is held back, beyond the ordinary delay.
    pub fn held_us(&self, shop: ShopIndex, time_us: i64) -> i64 {
        let held = self.active_until(time_us).find_map(|(effect, until_us)| match effect {
            Effect::LateShop { creator, delay_ms } if self.is_main_shop(creator, shop) => Some(delay_ms * 1000),
            Effect::ShopOffline { creator } if self.is_main_shop(creator, shop) => Some(until_us - time_us),
            _ => None,
        });
        held.unwrap_or(0)
    }

    /// How wrong the clock of the shop is; 0 for a clock that is right.
    pub fn clock_error_us(&self, shop: ShopIndex, time_us: i64) -> i64 {
        let error = self.active(time_us).find_map(|effect| match effect {
            Effect::ClockSkew { creator, error_ms } if self.is_main_shop(creator, shop) => Some(error_ms * 1000),
            _ => None,
        });
        error.unwrap_or(0)
    }

    /// When the webhooks that wait are processed again, if they wait.
    pub fn webhooks_wait_until_us(&self, time_us: i64) -> Option<i64> {
        self.active_until(time_us)
            .find_map(|(effect, until_us)| matches!(effect, Effect::WebhookBacklog).then_some(until_us))
    }

    /// When the shop can be supplied again, if it has run out of stock on purpose.
    pub fn no_stock_until_us(&self, shop: ShopIndex, time_us: i64) -> Option<i64> {
        self.active_until(time_us).find_map(|(effect, until_us)| match effect {
            Effect::StockOut { creator } if self.is_main_shop(creator, shop) => Some(until_us),
            _ => None,
        })
    }

    /// Whether the shop's token has expired on purpose.
    pub fn has_no_token(&self, shop: ShopIndex, time_us: i64) -> bool {
        self.active(time_us)
            .any(|effect| matches!(effect, Effect::TokenExpiry { creator } if self.is_main_shop(creator, shop)))
    }

    /// The first interval of a schedule that ends after that time: `[from, until)`.
    pub fn next_interval_us(&self, schedule: Schedule, time_us: i64) -> Option<(i64, i64)> {
        let (from_ms, until_ms) = schedule.next_interval((time_us - self.start_us).div_euclid(1000))?;
        Some((self.time_of_us(from_ms), self.time_of_us(until_ms)))
    }

    fn time_of_us(&self, elapsed_ms: i64) -> i64 {
        self.start_us.saturating_add(elapsed_ms.saturating_mul(1000))
    }

    fn is_main_shop(&self, rank: usize, shop: ShopIndex) -> bool {
        shop == self.population.main_shop(rank)
    }

    fn active(&self, time_us: i64) -> impl Iterator<Item = Effect> {
        self.active_until(time_us).map(|(effect, _)| effect)
    }

    /// The effects that are on, with the moment at which they end.
    fn active_until(&self, time_us: i64) -> impl Iterator<Item = (Effect, i64)> {
        let active = self.scenario.active((time_us - self.start_us).div_euclid(1000));
        active.map(|(effect, until_ms)| (effect, self.time_of_us(until_ms)))
    }
}

//! What every simulated thing can look up: the run's settings, the population, the scenario's effects.

use crate::ids::Ids;
use crate::population::{Population, ShopIndex};
use crate::scenario::{Effect, Scenario};

#[derive(Debug)]
pub(crate) struct World {
    pub seed: u64,
    pub ids: Ids,
    pub start_us: i64,
    pub scenario: Scenario,
    pub population: Population,
}

/// A provider's trouble.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outage {
    pub error_share: f64,
    pub latency_factor: f64,
}

impl World {
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

    pub fn delay_us(&self, shop: ShopIndex, time_us: i64) -> Option<i64> {
        self.active(time_us).find_map(|effect| match effect {
            Effect::LateShop { creator, delay_ms } if self.is_main_shop(creator, shop) => Some(delay_ms * 1000),
            _ => None,
        })
    }

    /// How wrong the clock of the shop is; 0 for a clock that is right.
    pub fn clock_error_us(&self, shop: ShopIndex, time_us: i64) -> i64 {
        let error = self.active(time_us).find_map(|effect| match effect {
            Effect::ClockSkew { creator, error_ms } if self.is_main_shop(creator, shop) => Some(error_ms * 1000),
            _ => None,
        });
        error.unwrap_or(0)
    }

    fn is_main_shop(&self, rank: usize, shop: ShopIndex) -> bool {
        shop == ShopIndex { creator: self.population.ranked(rank), shop: 0 }
    }

    fn active(&self, time_us: i64) -> impl Iterator<Item = Effect> {
        self.scenario.active((time_us - self.start_us).div_euclid(1000))
    }
}

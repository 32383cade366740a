//! The first moments of a run: everybody tells what is there.

use crate::automation::declare_rules;
use crate::flow::{Flow, Lane, Scene};
use crate::health::declare_dependencies;
use crate::inventory::{declare, empty_shelf};
use crate::population::ShopIndex;
use crate::random::{Entity, Stream};
use crate::scenario::{Effect, Schedule, ScheduledEffect};
use crate::shipping::{Carrier, Failover};
use crate::shops::{TokenTrouble, connect};
use crate::world::World;

/// Time between two creators, so that many of them do not speak at once.
const SPACING_US: i64 = 1000;

/// One creator after the other tells of rules, shops and products.
#[derive(Debug)]
pub(crate) struct Opening {
    creator: usize,
    lane: Lane,
}

impl Opening {
    pub fn new(world: &World) -> Self {
        Self { creator: 0, lane: Lane::new(world.seed, Entity { stream: Stream::Openings, number: 0 }) }
    }
}

impl Flow for Opening {
    fn step(&mut self, scene: &mut Scene<'_>) -> Option<i64> {
        let world = scene.world;
        if self.creator == 0 {
            declare_dependencies(scene, &mut self.lane);
        }
        let creator = world.population.creators.get(self.creator)?;
        declare_rules(scene, self.creator);
        for shop in &creator.shops {
            connect(scene, *shop);
            for product in &world.population.shop(*shop).products {
                declare(scene, *product);
            }
        }
        self.creator += 1;
        Some(scene.now_us + SPACING_US)
    }
}

/// The flows that bring what the scenario wants to happen at the edges of its effects, each with the
/// time of its first step.
pub(crate) fn troubles(world: &World) -> Vec<(i64, Box<dyn Flow>)> {
    let mut flows: Vec<(i64, Box<dyn Flow>)> = Vec::new();
    for (number, ScheduledEffect { effect, schedule }) in world.scenario.effects.iter().enumerate() {
        let Some((from_us, _)) = world.next_interval_us(*schedule, world.start_us) else { continue };
        match *effect {
            Effect::CarrierOutage { provider, .. } => {
                let Some(carrier) = Carrier::of_provider(provider) else { continue };
                let failover = Failover::new(world, carrier, *schedule, number);
                if let Some((noticed_us, _)) = failover.next_us(world, world.start_us) {
                    flows.push((noticed_us, Box::new(failover)));
                }
            }
            Effect::StockOut { creator } => {
                let shop = world.population.main_shop(creator);
                flows.push((from_us, Box::new(StockTrouble { shop, schedule: *schedule })));
            }
            Effect::TokenExpiry { creator } => {
                let shop = world.population.main_shop(creator);
                flows.push((from_us, Box::new(TokenTrouble::new(shop, *schedule))));
            }
            _ => {}
        }
    }
    flows
}

/// Takes a shop's best seller off the shelf whenever the schedule says so.
#[derive(Debug)]
struct StockTrouble {
    shop: ShopIndex,
    schedule: Schedule,
}

impl Flow for StockTrouble {
    fn step(&mut self, scene: &mut Scene<'_>) -> Option<i64> {
        empty_shelf(scene, self.shop);
        let (_, until_us) = scene.world.next_interval_us(self.schedule, scene.now_us)?;
        scene.world.next_interval_us(self.schedule, until_us).map(|(from_us, _)| from_us)
    }
}

//! Orders: placed, paid, processed, shipped; some fail, are cancelled or come back.

mod body;
mod life;
#[cfg(test)]
mod tests;

pub(crate) use life::EVENTS_PER_ORDER;

use crate::event::SimulatedEvent;
use crate::flow::Flow;
use crate::population::ShopIndex;
use crate::random::{Entity, Random};
use crate::world::World;
use life::Step;

/// One order, between two events of its life.
#[derive(Debug)]
pub(crate) struct Order {
    entity: Entity,
    shop: ShopIndex,
    random: Random,
    step: Step,
    /// Number of the next event within the order, from 1.
    sequence: u8,
    time_us: i64,
    is_viral: bool,
    viral_score: i64,
    impact_level: &'static str,
    priority_level: &'static str,
    is_automated: bool,
    money: Money,
    order_status: &'static str,
    payment_status: &'static str,
    stage: &'static str,
    processing_started_us: i64,
    attempt: i64,
}

/// Amounts in minor units, known once the order was placed.
#[derive(Debug, Default, Clone, Copy)]
struct Money {
    total: i64,
    shipping: i64,
    fee: i64,
}

impl Order {
    /// An order about to be placed in that shop.
    pub fn new(world: &World, entity: Entity, time_us: i64, shop: ShopIndex, mut random: Random) -> Self {
        // Both readings are drawn, so that going viral changes nothing else about an order.
        let (quiet, score) = (Self::quiet_levels(&mut random), random.between(60, 98));
        let usual_score = if random.chance(0.9) { 0 } else { random.between(1, 25) };
        let is_viral = world.is_viral(shop.creator, time_us);
        let (impact_level, priority_level) = if is_viral { ("VIRAL", "urgent") } else { quiet };
        Self {
            entity,
            shop,
            step: Step::Create,
            sequence: 1,
            time_us,
            is_viral,
            viral_score: if is_viral { score } else { usual_score },
            impact_level,
            priority_level,
            is_automated: random.chance(0.88),
            money: Money::default(),
            order_status: "pending",
            payment_status: "authorized",
            stage: "received",
            processing_started_us: time_us,
            attempt: 1,
            random,
        }
    }

    fn quiet_levels(random: &mut Random) -> (&'static str, &'static str) {
        random.weighted(&[(("AUTO", "automated"), 60), (("MED", "standard"), 30), (("HIGH", "high"), 10)])
    }
}

impl Flow for Order {
    fn time_us(&self) -> i64 {
        self.time_us
    }

    fn shop(&self) -> Option<ShopIndex> {
        Some(self.shop)
    }

    fn emit(&mut self, world: &World) -> SimulatedEvent {
        body::write(self, world)
    }

    fn advance(&mut self) -> bool {
        if self.step == Step::FailProcessing {
            self.attempt += 1;
        }
        let Some(next) = self.step.next(self.payment_status == "paid", &mut self.random) else { return false };
        self.time_us += next.gap_us(&mut self.random).max(1000);
        self.step = next;
        self.sequence += 1;
        if matches!(next, Step::StartProcessing | Step::ResumeProcessing) {
            self.processing_started_us = self.time_us;
        }
        true
    }

    fn random(&mut self) -> &mut Random {
        &mut self.random
    }
}

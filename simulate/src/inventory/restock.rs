//! Supply: planned when stock runs low, received some days later.

use super::kind;
use super::ledger::{Change, Reason, change};
use crate::event::{Envelope, EventKind, Key, Owner, Truth};
use crate::flow::{Flow, Lane, Scene};
use crate::population::ProductIndex;
use crate::random::{Entity, Random, Stream};
use crate::world::World;

const PLANNED: EventKind = kind("inventory.restock.planned.v1");
const RECEIVED: EventKind = kind("inventory.restock.received.v1");

/// One delivery from a supplier.
#[derive(Debug)]
pub(super) struct Restock {
    entity: Entity,
    product: ProductIndex,
    lane: Lane,
    /// When it is to come; none before it is planned.
    planned_for_us: Option<i64>,
}

impl Restock {
    /// Begun by the event of that entity.
    pub fn new(world: &World, entity: Entity, product: ProductIndex) -> Self {
        let entity = entity.stream_of(Stream::Restocks);
        Self { entity, product, lane: Lane::new(world.seed, entity), planned_for_us: None }
    }

    fn tell(&mut self, scene: &mut Scene<'_>, planned_for_us: i64, is_received: bool) {
        let world = scene.world;
        let about = world.population.product(self.product);
        let plan_id = world.ids.named("rst_", self.entity, 0).to_string();
        let owner = Owner::Shop(about.shop);
        let envelope = Envelope {
            kind: if is_received { RECEIVED } else { PLANNED },
            id: world.ids.ulid(self.entity, 1 + u8::from(is_received), scene.now_us),
            owner,
            subject: ("restock", &plan_id),
            key: Key::OfTenant(&about.id),
            sequence: Some(1 + u32::from(is_received)),
            correlation: None,
            truth: Truth::Normal,
        };
        let quantity = scene.state.levels[self.product.0].restock_quantity;
        let event = envelope.event(world, scene.now_us, |o| {
            o.text("plan_id", &plan_id);
            o.text("product_id", &about.id);
            o.integer("quantity", quantity);
            if is_received {
                o.time("received_at", scene.now_us);
            } else {
                o.date("planned_for", planned_for_us);
            }
        });
        scene.send(&mut self.lane, owner, event);
    }
}

impl Flow for Restock {
    fn step(&mut self, scene: &mut Scene<'_>) -> Option<i64> {
        let about = scene.world.population.product(self.product);
        let Some(planned_for_us) = self.planned_for_us else {
            let planned_for_us = scene.now_us + scene.world.days_us(about.lead_time_days as f64);
            self.planned_for_us = Some(planned_for_us);
            self.tell(scene, planned_for_us, false);
            let mut random = Random::of(scene.world.seed, self.entity);
            return Some(planned_for_us + scene.world.days_us(random.unit() - 0.6));
        };
        if let Some(until_us) = scene.world.no_stock_until_us(about.shop, scene.now_us) {
            return Some(until_us);
        }
        self.tell(scene, planned_for_us, true);
        let level = &mut scene.state.levels[self.product.0];
        level.is_restocking = false;
        let delta = level.restock_quantity;
        let received = Change { reason: Reason::Restock, delta, reserved: 0, order_id: None, truth: Truth::Normal };
        change(scene, self.product, received);
        None
    }
}

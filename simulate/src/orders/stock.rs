//! What an order does to the stock: reserve, take, give back.

use super::{Held, Order};
use crate::event::{Envelope, EventKind, INVENTORY_TOPIC, Key, Owner, Truth};
use crate::flow::Scene;
use crate::inventory::{Change, Reason, change};
use crate::population::ProductIndex;
use crate::random::Stream;

const OVERSELL: EventKind = EventKind {
    topic: INVENTORY_TOPIC,
    event_type: "inventory.oversell.detected.v1",
    source: "/creatorflow/inventory-tracking",
};

/// Share of the oversells that nobody notices in time.
const UNNOTICED_SHARE: f64 = 0.2;

/// Share of what comes back that cannot be sold again.
const BROKEN_SHARE: f64 = 0.1;

impl Order {
    /// Promises the pieces of each line to the order. Of what is not available nothing is promised,
    /// unless nobody notices.
    pub(super) fn reserve(&mut self, scene: &mut Scene<'_>) {
        for index in 0..self.lines.len() {
            let line = self.lines[index];
            let available = scene.state.levels[line.product.0].available();
            if available < line.quantity {
                let is_noticed = !self.random.chance(UNNOTICED_SHARE);
                self.tell_oversell(scene, index, available, is_noticed);
                if is_noticed {
                    self.is_short = true;
                    continue;
                }
            }
            self.change_stock(scene, index, Reason::Reservation, 0, line.quantity);
            self.lines[index].held = Held::Reserved;
        }
    }

    /// Whether every line can be taken from the shelf now.
    pub(super) fn can_take(&self, scene: &Scene<'_>) -> bool {
        self.lines.iter().all(|line| {
            let level = &scene.state.levels[line.product.0];
            match line.held {
                Held::Taken => true,
                Held::Reserved => level.on_hand >= line.quantity,
                Held::Nothing => level.available() >= line.quantity,
            }
        })
    }

    /// Takes every line from the shelf.
    pub(super) fn take(&mut self, scene: &mut Scene<'_>) {
        for index in 0..self.lines.len() {
            let line = self.lines[index];
            match line.held {
                Held::Taken => continue,
                Held::Reserved => self.change_stock(scene, index, Reason::Sale, -line.quantity, -line.quantity),
                Held::Nothing => self.change_stock(scene, index, Reason::Sale, -line.quantity, 0),
            }
            self.lines[index].held = Held::Taken;
        }
        self.is_short = false;
    }

    /// Undoes what was done to the stock.
    pub(super) fn give_back(&mut self, scene: &mut Scene<'_>) {
        for index in 0..self.lines.len() {
            let line = self.lines[index];
            match line.held {
                Held::Nothing => {}
                Held::Reserved => self.change_stock(scene, index, Reason::Release, 0, -line.quantity),
                Held::Taken => {
                    self.change_stock(scene, index, Reason::Return, line.quantity, 0);
                    let is_broken = self.order_status == "returned" && self.random.chance(BROKEN_SHARE);
                    // Never more than what is there and promised to nobody.
                    let available = scene.state.levels[line.product.0].available();
                    if is_broken && available >= line.quantity {
                        self.change_stock(scene, index, Reason::Damage, -line.quantity, 0);
                    }
                }
            }
            self.lines[index].held = Held::Nothing;
        }
    }

    fn change_stock(&self, scene: &mut Scene<'_>, index: usize, reason: Reason, delta: i64, reserved: i64) {
        let order_id = self.order_id(scene.world);
        let truth = self.truth();
        let wanted = Change { reason, delta, reserved, order_id: Some(&order_id), truth };
        change(scene, self.lines[index].product, wanted);
    }

    fn tell_oversell(&mut self, scene: &mut Scene<'_>, index: usize, available: i64, is_noticed: bool) {
        let world = scene.world;
        let line = self.lines[index];
        let product = world.population.product(line.product);
        let order_id = self.order_id(world);
        let envelope = Envelope {
            kind: OVERSELL,
            id: world.ids.ulid(self.entity.child(Stream::Oversells), index as u8, scene.now_us),
            owner: Owner::Shop(self.shop),
            subject: ("order", &order_id),
            key: Key::OfTenant(&product.id),
            sequence: None,
            correlation: Some(&order_id),
            truth: if self.has_run_out(scene, line.product) { Truth::StockOut } else { self.truth() },
        };
        let event = envelope.event(world, scene.now_us, |o| {
            o.text("order_id", &order_id);
            o.text("product_id", &product.id);
            o.integer("requested", line.quantity);
            o.integer("available", available);
            o.text("outcome", if is_noticed { "prevented" } else { "occurred" });
            o.integer("value_minor", product.price_minor * line.quantity);
            o.text("currency", world.population.creator_of(self.shop).market.currency);
        });
        self.send(scene, event);
    }

    /// Whether the scenario has taken the product off the shelf.
    fn has_run_out(&self, scene: &Scene<'_>, product: ProductIndex) -> bool {
        scene.world.no_stock_until_us(self.shop, scene.now_us).is_some()
            && scene.world.population.shop(self.shop).products.first() == Some(&product)
    }
}

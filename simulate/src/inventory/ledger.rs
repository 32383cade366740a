//! Levels of stock and their changes.

use super::kind;
use super::restock::Restock;
use super::sync::StockSync;
use crate::event::{Envelope, EventKind, Key, Owner, Truth};
use crate::flow::{Lane, Scene};
use crate::population::{ProductIndex, ShopIndex};
use crate::random::{Entity, Random, Stream};
use crate::world::World;

const CHANGED: EventKind = kind("inventory.stock.changed.v1");
const UPSERTED: EventKind = kind("inventory.product.upserted.v1");

/// Pieces in an average order.
const UNITS_PER_ORDER: f64 = 1.6;

/// Share of the changes after which the shop platform is told at once.
const SYNCED_AT_ONCE: f64 = 0.2;

/// Stock of one product.
#[derive(Debug)]
pub(crate) struct Level {
    pub on_hand: i64,
    /// Promised to orders. More than what is there when something was oversold.
    pub reserved: i64,
    pub is_restocking: bool,
    pub reorder_point: i64,
    pub low_threshold: i64,
    /// How much is ordered at a time.
    pub restock_quantity: i64,
    /// Events of the product so far; none until it was declared.
    sequence: u32,
    lane: Lane,
}

/// Why stock changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Sale,
    Reservation,
    Release,
    Return,
    Restock,
    AdjustmentAuto,
    AdjustmentManual,
    SyncCorrection,
    Damage,
}

impl Reason {
    fn as_str(self) -> &'static str {
        match self {
            Self::Sale => "sale",
            Self::Reservation => "reservation",
            Self::Release => "release",
            Self::Return => "return",
            Self::Restock => "restock",
            Self::AdjustmentAuto => "adjustment_auto",
            Self::AdjustmentManual => "adjustment_manual",
            Self::SyncCorrection => "sync_correction",
            Self::Damage => "damage",
        }
    }

    fn is_automated(self) -> bool {
        !matches!(self, Self::AdjustmentManual | Self::Damage)
    }
}

/// A change of the stock of one product.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    pub reason: Reason,
    /// Added to what is there.
    pub delta: i64,
    /// Added to what is promised.
    pub reserved: i64,
    pub order_id: Option<&'a str>,
    pub truth: Truth,
}

impl Level {
    /// Stock for the days until the next delivery and some more.
    pub fn new(world: &World, product: usize) -> Self {
        let entity = Entity::member(Stream::Products, product, 0);
        let mut random = Random::of(world.seed, entity);
        let index = ProductIndex(product);
        let about = world.population.product(index);
        let share = world.population.share_of(about.shop) * world.population.share_in_shop(index);
        let per_day = world.rates.orders * world.day_us as f64 / 1e6 * share * UNITS_PER_ORDER;
        let lead = about.lead_time_days as f64;
        let reorder_point = (per_day * (lead + 1.5)) as i64 + 6;
        let restock_quantity = (per_day * 6.0) as i64 + 15;
        Self {
            on_hand: reorder_point + restock_quantity * random.between(10, 100) / 100,
            reserved: 0,
            is_restocking: false,
            reorder_point,
            low_threshold: (per_day * lead * 0.6) as i64 + 3,
            restock_quantity,
            sequence: 0,
            lane: Lane::new(world.seed, entity),
        }
    }

    pub fn available(&self) -> i64 {
        self.on_hand - self.reserved
    }
}

/// Tells of a product and of the stock that it begins with, unless that has been told.
pub(crate) fn declare(scene: &mut Scene<'_>, product: ProductIndex) {
    let level = &mut scene.state.levels[product.0];
    if level.sequence > 0 {
        return;
    }
    let stock = level.on_hand;
    // The first delivery brings what is there, so that all changes add up to it.
    level.on_hand = 0;
    let population = &scene.world.population;
    let about = population.product(product);
    let currency = population.creator_of(about.shop).market.currency;
    tell(scene, product, UPSERTED, Truth::Normal, None, |_, now_us, o| {
        o.text("product_id", &about.id);
        o.text("sku", &about.sku);
        o.text("name", &about.name);
        o.text("category", about.category);
        o.integer("base_price_minor", about.price_minor);
        o.integer("unit_cost_minor", about.cost_minor);
        o.text("currency", currency);
        o.integer("stock_quantity", stock);
        o.text("status", "active");
        o.time("updated_at", now_us);
    });
    change(
        scene,
        product,
        Change { reason: Reason::Restock, delta: stock, reserved: 0, order_id: None, truth: Truth::Normal },
    );
}

/// Changes the stock, tells of it, and orders more when it runs low.
pub(crate) fn change(scene: &mut Scene<'_>, product: ProductIndex, change: Change<'_>) {
    declare(scene, product);
    let level = &mut scene.state.levels[product.0];
    let before = level.on_hand;
    level.on_hand += change.delta;
    level.reserved += change.reserved;
    let needs_more = !level.is_restocking && level.available() <= level.reorder_point;
    level.is_restocking |= needs_more;
    let (after, reserved, sequence) = (level.on_hand, level.reserved, level.sequence);
    let (reorder_point, low_threshold, available) = (level.reorder_point, level.low_threshold, level.available());
    let world = scene.world;
    let about = world.population.product(product);
    let transaction = world.ids.named("itx_", Entity::member(Stream::Products, product.0, sequence + 1), 1);
    tell(scene, product, CHANGED, change.truth, change.order_id, |shop_id, _, o| {
        o.named("transaction_id", transaction);
        o.text("product_id", &about.id);
        o.text("sku", &about.sku);
        o.text("category", about.category);
        o.text("shop_id", shop_id);
        o.text("location", "main");
        o.integer("quantity_before", before);
        o.integer("quantity_after", after);
        o.integer("delta", change.delta);
        o.integer("reserved", reserved);
        o.integer("available", available);
        o.text("reason", change.reason.as_str());
        o.optional_text("order_id", change.order_id);
        o.boolean("is_automated", change.reason.is_automated());
        o.integer("reorder_point", reorder_point);
        o.integer("low_threshold", low_threshold);
        o.integer("lead_time_days", about.lead_time_days);
        o.integer("unit_cost_minor", about.cost_minor);
        o.integer("unit_price_minor", about.price_minor);
        o.text("currency", world.population.creator_of(about.shop).market.currency);
    });
    let entity = Entity::member(Stream::Products, product.0, sequence + 1);
    if needs_more {
        scene.begin(scene.now_us, Restock::new(world, entity, product));
    }
    let mut random = Random::of(world.seed, entity);
    if random.chance(SYNCED_AT_ONCE) {
        let delay_us = random.log_normal(40e6, 0.6) as i64;
        scene.begin(scene.now_us + delay_us, StockSync::new(world, entity, product, scene.now_us, random));
    }
}

/// Takes all but a few pieces of the shop's best seller off the shelf.
pub(crate) fn empty_shelf(scene: &mut Scene<'_>, shop: ShopIndex) {
    const LEFT: i64 = 2;
    let Some(product) = scene.world.population.shop(shop).products.first().copied() else { return };
    let surplus = (scene.state.levels[product.0].available() - LEFT).max(0);
    let lost = Change {
        reason: Reason::AdjustmentManual,
        delta: -surplus,
        reserved: 0,
        order_id: None,
        truth: Truth::StockOut,
    };
    change(scene, product, lost);
}

/// Sends the next event of a product.
fn tell(
    scene: &mut Scene<'_>,
    product: ProductIndex,
    kind: EventKind,
    truth: Truth,
    order_id: Option<&str>,
    data: impl FnOnce(&str, i64, &mut crate::json::Object<'_>),
) {
    let world = scene.world;
    let about = world.population.product(product);
    let level = &mut scene.state.levels[product.0];
    level.sequence += 1;
    let owner = Owner::Shop(about.shop);
    let envelope = Envelope {
        kind,
        id: world.ids.ulid(Entity::member(Stream::Products, product.0, level.sequence), 0, scene.now_us),
        owner,
        subject: ("product", &about.id),
        key: Key::OfTenant(&about.id),
        sequence: Some(level.sequence),
        correlation: order_id,
        truth,
    };
    let mut lane = level.lane.clone();
    let shop_id = &world.population.shop(about.shop).id;
    let now_us = scene.now_us;
    let event = envelope.event(world, now_us, |o| data(shop_id, now_us, o));
    scene.send(&mut lane, owner, event);
    scene.state.levels[product.0].lane = lane;
}

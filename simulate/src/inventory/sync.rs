//! The shop platform's number of pieces is brought in line with ours.

use super::kind;
use super::ledger::{Change, Reason, change};
use crate::event::{Envelope, EventKind, Key, Owner, Truth};
use crate::flow::{Flow, Lane, Scene};
use crate::json::Object;
use crate::population::{ProductIndex, ShopIndex};
use crate::random::{Entity, Random, Stream};
use crate::series::Tick;
use crate::world::World;

const COMPLETED: EventKind = kind("inventory.stock_sync.completed.v1");

const FAILURE_SHARE: f64 = 0.012;
const DRIFT_SHARE: f64 = 0.004;

/// One product's synchronisation after a change, with its repetition.
#[derive(Debug)]
pub(super) struct StockSync {
    entity: Entity,
    product: ProductIndex,
    /// When the change happened.
    changed_us: i64,
    random: Random,
    lane: Lane,
    attempt: u8,
}

/// What a synchronisation found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finding {
    Synced,
    /// The platform has so many pieces more than we.
    Drifted(i64),
    Failed,
}

impl StockSync {
    /// Begun by the event of that entity, which happened at `changed_us`.
    pub fn new(world: &World, entity: Entity, product: ProductIndex, changed_us: i64, random: Random) -> Self {
        let entity = entity.stream_of(Stream::StockSyncs);
        Self { entity, product, changed_us, random, lane: Lane::new(world.seed, entity), attempt: 1 }
    }

    fn find(&mut self) -> Finding {
        if self.attempt == 1 && self.random.chance(FAILURE_SHARE) {
            return Finding::Failed;
        }
        let by = self.random.weighted(&[(-2, 1), (-1, 3), (1, 3), (2, 1)]);
        if self.random.chance(DRIFT_SHARE) { Finding::Drifted(by) } else { Finding::Synced }
    }
}

impl Flow for StockSync {
    fn step(&mut self, scene: &mut Scene<'_>) -> Option<i64> {
        let finding = self.find();
        let world = scene.world;
        let about = world.population.product(self.product);
        let owner = Owner::Shop(about.shop);
        let shop_id = &world.population.shop(about.shop).id;
        let level = &scene.state.levels[self.product.0];
        let drift = if let Finding::Drifted(by) = finding { by.max(-level.on_hand) } else { 0 };
        let envelope = Envelope {
            kind: COMPLETED,
            id: world.ids.ulid(self.entity, self.attempt, scene.now_us),
            owner,
            subject: ("product", &about.id),
            key: Key::OfTenant(&about.id),
            sequence: None,
            correlation: None,
            truth: Truth::Normal,
        };
        let event = envelope.event(world, scene.now_us, |o| {
            o.named("batch_id", world.ids.named("syn_", self.entity, 0));
            o.text("product_id", &about.id);
            o.text("shop_id", shop_id);
            o.integer("platform_stock", level.on_hand + drift);
            o.integer("local_stock", level.on_hand);
            o.integer("reserved_quantity", level.reserved);
            let status = match finding {
                Finding::Synced => "synced",
                Finding::Drifted(_) => "drifted",
                Finding::Failed => "failed",
            };
            o.text("sync_status", status);
            o.integer("items_checked", i64::from(finding != Finding::Failed));
            o.integer("items_matched", i64::from(finding == Finding::Synced));
            write_times(o, self.changed_us, scene.now_us);
            o.text("trigger", "webhook");
            o.integer("attempt", i64::from(self.attempt));
            o.optional_text("error_code", (finding == Finding::Failed).then_some("platform_unavailable"));
            o.boolean("recovered", self.attempt > 1 && finding != Finding::Failed);
        });
        scene.send(&mut self.lane, owner, event);
        if finding == Finding::Failed {
            self.attempt += 1;
            return Some(scene.now_us + self.random.log_normal(12e6, 0.7) as i64);
        }
        if drift != 0 {
            let reason = Reason::SyncCorrection;
            let correction = Change { reason, delta: drift, reserved: 0, order_id: None, truth: Truth::Normal };
            change(scene, self.product, correction);
        }
        None
    }
}

/// Compares all products of a shop, on schedule.
pub(crate) fn synchronise_shop(tick: &mut Tick<'_>, scene: &mut Scene<'_>, shop: ShopIndex) {
    let world = scene.world;
    let about = world.population.shop(shop);
    let is_failed = world.has_no_token(shop, scene.now_us) || tick.random.chance(FAILURE_SHARE);
    let truth = if world.has_no_token(shop, scene.now_us) { Truth::TokenExpiry } else { Truth::Normal };
    let took_us = tick.random.log_normal(6e6, 0.5) as i64;
    let batch_id = world.ids.named("syn_", tick.entity, 1).to_string();
    let levels = || about.products.iter().map(|product| &scene.state.levels[product.0]);
    let (local, reserved) = levels().fold((0, 0), |(l, r), level| (l + level.on_hand, r + level.reserved));
    let checked = if is_failed { 0 } else { about.products.len() as i64 };
    let matched = checked - i64::from(checked > 0 && tick.random.chance(0.004));
    let envelope = Envelope {
        kind: COMPLETED,
        id: world.ids.ulid(tick.entity, 0, scene.now_us),
        owner: Owner::Shop(shop),
        subject: ("stock_sync", &batch_id),
        key: Key::OfTenant(&about.id),
        sequence: None,
        correlation: None,
        truth,
    };
    let event = envelope.event(world, scene.now_us, |o| {
        o.text("batch_id", &batch_id);
        o.text("shop_id", &about.id);
        o.integer("platform_stock", local + (checked - matched));
        o.integer("local_stock", local);
        o.integer("reserved_quantity", reserved);
        let status = if is_failed {
            "failed"
        } else if matched < checked {
            "drifted"
        } else {
            "synced"
        };
        o.text("sync_status", status);
        o.integer("items_checked", checked);
        o.integer("items_matched", matched);
        write_times(o, scene.now_us - took_us, scene.now_us);
        o.text("trigger", "schedule");
        o.integer("attempt", 1);
        o.optional_text("error_code", is_failed.then_some("platform_unavailable"));
        o.boolean("recovered", false);
    });
    scene.send(tick.lane, Owner::Shop(shop), event);
}

fn write_times(o: &mut Object<'_>, changed_us: i64, synced_us: i64) {
    o.time("source_changed_at", changed_us);
    o.time("synced_at", synced_us);
    o.integer("sync_latency_ms", synced_us.div_euclid(1000) - changed_us.div_euclid(1000));
}

//! Orders and products of a shop are fetched on schedule.

use super::kind;
use crate::event::{Envelope, EventKind, Key, Owner, Truth};
use crate::flow::Scene;
use crate::population::ShopIndex;
use crate::series::Tick;

const COMPLETED: EventKind = kind("apihealth.api_sync.completed.v1");

const FAILURE_SHARE: f64 = 0.006;

/// What is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SyncKind {
    Orders,
    Products,
}

/// Fetches what has changed in a shop since the last time that went well.
pub(crate) fn synchronise(tick: &mut Tick<'_>, scene: &mut Scene<'_>, shop: ShopIndex, fetched: SyncKind) {
    let world = scene.world;
    let is_expired = world.has_no_token(shop, scene.now_us);
    let is_failed = tick.random.chance(FAILURE_SHARE) || is_expired;
    let duration_ms = tick.random.log_normal(1400.0, 0.6) as i64;
    let trigger = tick.random.weighted(&[("schedule", 96), ("manual", 4)]);
    let about = world.population.shop(shop);
    let now_us = scene.now_us;
    let state = &mut scene.state.shops[shop.0];
    let (created, updated, newest_us) = match (is_failed, fetched) {
        (true, _) => (0, 0, None),
        (false, SyncKind::Products) => (0, i64::from(tick.random.chance(0.1)), None),
        (false, SyncKind::Orders) => {
            let found = (state.orders_created, state.orders_updated, state.newest_change_us.take());
            (state.orders_created, state.orders_updated) = (0, 0);
            found
        }
    };
    let seen = match fetched {
        SyncKind::Orders => created + updated,
        SyncKind::Products if is_failed => 0,
        SyncKind::Products => about.products.len() as i64,
    };
    // Without news the last change is the fetch itself.
    let lag_ms = newest_us.map_or(duration_ms, |newest_us| (now_us - newest_us) / 1000);
    let sync_id = world.ids.named("sync_", tick.entity, 0).to_string();
    let owner = Owner::Shop(shop);
    let envelope = Envelope {
        kind: COMPLETED,
        id: world.ids.ulid(tick.entity, 0, now_us),
        owner,
        subject: ("sync", &sync_id),
        key: Key::OfTenant(&about.id),
        sequence: None,
        correlation: None,
        truth: if is_expired { Truth::TokenExpiry } else { Truth::Normal },
    };
    let event = envelope.event(world, now_us, |o| {
        o.text("sync_id", &sync_id);
        o.text("shop_id", &about.id);
        o.text("kind", if fetched == SyncKind::Orders { "orders" } else { "products" });
        o.text("trigger", trigger);
        o.integer("records_seen", seen);
        o.integer("created", created);
        o.integer("updated", updated);
        o.integer("failed", 0);
        o.integer("lag_ms", lag_ms);
        o.integer("duration_ms", duration_ms);
        o.text("outcome", if is_failed { "failed" } else { "success" });
    });
    scene.send(tick.lane, owner, event);
}

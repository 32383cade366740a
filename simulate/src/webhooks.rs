//! Webhooks of the shop platform: received, then processed, now and then only after some attempts.

#[cfg(test)]
mod tests;

use crate::event::{API_HEALTH_TOPIC, Envelope, EventKind, Key, Owner, SimulatedEvent, Truth};
use crate::flow::{Flow, Lane, Scene};
use crate::json::Object;
use crate::population::ShopIndex;
use crate::random::{Entity, Random};
use crate::world::World;

const RECEIVED: EventKind = kind("apihealth.webhook.received.v1");
const PROCESSED: EventKind = kind("apihealth.webhook.processed.v1");
const PROVIDER: &str = "tiktok_shop";

/// Attempts after the first before a webhook is given up.
const RETRIES_MAX: u8 = 3;

/// Share of the attempts that fail.
const FAILURE_SHARE: f64 = 0.03;

/// Events of an average webhook: its reception, the first attempt, and rarely more.
pub(crate) const EVENTS_PER_WEBHOOK: f64 = 2.031;

/// What webhooks tell that belong to no new order.
const KINDS: &[(&str, u32)] = &[
    ("PACKAGE_UPDATE", 46),
    ("PRODUCT_STATUS_CHANGE", 28),
    ("RECIPIENT_ADDRESS_UPDATE", 13),
    ("CANCELLATION_STATUS_CHANGE", 13),
];

/// How long those that waited take to be done with, in the middle.
const RUSH_US: f64 = 25e6;

const fn kind(event_type: &'static str) -> EventKind {
    EventKind { topic: API_HEALTH_TOPIC, event_type, source: "/creatorflow/tiktok-shop-integration" }
}

/// One webhook, between two events.
#[derive(Debug)]
pub(crate) struct Webhook {
    entity: Entity,
    shop: ShopIndex,
    kind: &'static str,
    /// The order that it tells of.
    order_id: Option<String>,
    random: Random,
    lane: Lane,
    stage: Stage,
    received_us: i64,
    attempt_us: i64,
    last_failed: bool,
    has_waited: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Received,
    /// Number of attempts before this one.
    Attempt(u8),
}

impl Webhook {
    /// A webhook that is received at that time.
    pub fn new(world: &World, entity: Entity, time_us: i64, mut random: Random) -> Self {
        let shop = world.population.any_shop(&mut random);
        let kind = random.weighted(KINDS);
        Self::with(world, entity, time_us, random, shop, kind, None)
    }

    /// The webhook that brings a new order.
    pub fn of_order(world: &World, entity: Entity, time_us: i64, shop: ShopIndex, order_id: String) -> Self {
        let random = Random::of(world.seed, entity);
        Self::with(world, entity, time_us, random, shop, "ORDER_STATUS_CHANGE", Some(order_id))
    }

    fn with(
        world: &World,
        entity: Entity,
        received_us: i64,
        random: Random,
        shop: ShopIndex,
        kind: &'static str,
        order_id: Option<String>,
    ) -> Self {
        let (lane, stage) = (Lane::new(world.seed, entity), Stage::Received);
        let (attempt_us, last_failed, has_waited) = (0, false, false);
        Self { entity, shop, kind, order_id, random, lane, stage, received_us, attempt_us, last_failed, has_waited }
    }

    fn event(&mut self, world: &World, now_us: i64) -> SimulatedEvent {
        let event_id = world.ids.named("evt_", self.entity, 0).to_string();
        let shop_id = &world.population.shop(self.shop).id;
        let (kind, step) = match self.stage {
            Stage::Received => (RECEIVED, 1),
            Stage::Attempt(retries) => (PROCESSED, 2 + retries),
        };
        let order_id = self.order_id.take();
        let envelope = Envelope {
            kind,
            id: world.ids.ulid(self.entity, step, now_us),
            owner: Owner::Shop(self.shop),
            subject: ("webhook", &event_id),
            key: Key::OfTenant(shop_id),
            sequence: Some(u32::from(step)),
            correlation: order_id.as_deref(),
            truth: if self.has_waited { Truth::WebhookBacklog } else { Truth::Normal },
        };
        let event = envelope.event(world, now_us, |o| {
            o.text("shop_id", shop_id);
            o.text("provider", PROVIDER);
            o.text("webhook_type", self.kind);
            o.text("event_id", &event_id);
            match self.stage {
                Stage::Received => self.write_received(o),
                Stage::Attempt(retries) => self.write_attempt(retries, now_us, o),
            }
        });
        self.order_id = order_id;
        event
    }

    fn write_received(&mut self, o: &mut Object<'_>) {
        let transit_us = (self.random.log_normal(350_000.0, 0.8)) as i64;
        o.time("sent_at", self.received_us - transit_us);
        o.time("received_at", self.received_us);
        o.boolean("signature_valid", !self.random.chance(0.003));
    }

    fn write_attempt(&mut self, retries: u8, now_us: i64, o: &mut Object<'_>) {
        self.last_failed = self.random.chance(FAILURE_SHARE);
        let status = match (self.last_failed, retries) {
            (false, _) => "processed",
            (true, RETRIES_MAX) => "dead_letter",
            (true, _) => "retrying",
        };
        o.text("processing_status", status);
        o.integer("retry_count", i64::from(retries));
        o.time("received_at", self.received_us);
        o.time("processed_at", now_us);
        o.integer("processing_ms", self.attempt_us / 1000);
        o.optional_text("error_code", self.last_failed.then_some("handler_failed"));
    }
}

impl Flow for Webhook {
    fn step(&mut self, scene: &mut Scene<'_>) -> Option<i64> {
        let is_attempt = matches!(self.stage, Stage::Attempt(_));
        let wait_until_us = scene.world.webhooks_wait_until_us(scene.now_us);
        if let (true, Some(until_us)) = (is_attempt, wait_until_us) {
            self.has_waited = true;
            return Some(until_us.saturating_add(self.random.log_normal(RUSH_US, 0.8) as i64));
        }
        let event = self.event(scene.world, scene.now_us);
        scene.send(&mut self.lane, Owner::Shop(self.shop), event);
        let waiting = (self.received_us, scene.world.ids.unique(self.entity, 0));
        let wait_us = match self.stage {
            Stage::Received => {
                scene.state.waiting_webhooks.insert(waiting);
                self.stage = Stage::Attempt(0);
                0
            }
            Stage::Attempt(retries) if !self.last_failed || retries == RETRIES_MAX => {
                scene.state.waiting_webhooks.remove(&waiting);
                return None;
            }
            Stage::Attempt(retries) => {
                self.stage = Stage::Attempt(retries + 1);
                self.random.log_normal(2e6 * f64::from(1 << retries), 0.3) as i64
            }
        };
        self.attempt_us = self.random.log_normal(420_000.0, 0.7) as i64;
        Some(scene.now_us + wait_us + self.attempt_us)
    }
}

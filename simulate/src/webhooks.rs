//! Webhooks of the shop platform: received, then processed, now and then only after some attempts.

#[cfg(test)]
mod tests;

use crate::event::{API_HEALTH_TOPIC, Envelope, SimulatedEvent, Tenant, Truth};
use crate::flow::Flow;
use crate::json::Object;
use crate::population::ShopIndex;
use crate::random::{Entity, Random};
use crate::world::World;

const RECEIVED: &str = "apihealth.webhook.received.v1";
const PROCESSED: &str = "apihealth.webhook.processed.v1";
const SOURCE: &str = "/creatorflow/tiktok-shop-integration";
const PROVIDER: &str = "tiktok_shop";

/// Attempts after the first before a webhook is given up.
const RETRIES_MAX: u8 = 3;

/// Share of the attempts that fail.
const FAILURE_SHARE: f64 = 0.03;

/// Events of an average webhook: its reception, the first attempt, and rarely more.
pub(crate) const EVENTS_PER_WEBHOOK: f64 = 2.031;

const KINDS: &[(&str, u32)] = &[
    ("ORDER_STATUS_CHANGE", 70),
    ("PACKAGE_UPDATE", 14),
    ("PRODUCT_STATUS_CHANGE", 8),
    ("RECIPIENT_ADDRESS_UPDATE", 4),
    ("CANCELLATION_STATUS_CHANGE", 4),
];

/// One webhook, between two events.
#[derive(Debug)]
pub(crate) struct Webhook {
    entity: Entity,
    shop: ShopIndex,
    kind: &'static str,
    random: Random,
    stage: Stage,
    received_us: i64,
    time_us: i64,
    attempt_us: i64,
    last_failed: bool,
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
        Self {
            entity,
            shop: world.population.any_shop(&mut random),
            kind: random.weighted(KINDS),
            random,
            stage: Stage::Received,
            received_us: time_us,
            time_us,
            attempt_us: 0,
            last_failed: false,
        }
    }

    fn write_received(&mut self, o: &mut Object<'_>) {
        let transit_us = (self.random.log_normal(350_000.0, 0.8)) as i64;
        o.time("sent_at", self.received_us - transit_us);
        o.time("received_at", self.received_us);
        o.boolean("signature_valid", !self.random.chance(0.003));
    }

    fn write_attempt(&mut self, retries: u8, o: &mut Object<'_>) {
        self.last_failed = self.random.chance(FAILURE_SHARE);
        let status = match (self.last_failed, retries) {
            (false, _) => "processed",
            (true, RETRIES_MAX) => "dead_letter",
            (true, _) => "retrying",
        };
        o.text("processing_status", status);
        o.integer("retry_count", i64::from(retries));
        o.time("received_at", self.received_us);
        o.time("processed_at", self.time_us);
        o.integer("processing_ms", self.attempt_us / 1000);
        o.optional_text("error_code", self.last_failed.then_some("handler_failed"));
    }
}

impl Flow for Webhook {
    fn time_us(&self) -> i64 {
        self.time_us
    }

    fn shop(&self) -> Option<ShopIndex> {
        Some(self.shop)
    }

    fn emit(&mut self, world: &World) -> SimulatedEvent {
        let event_id = world.ids.named("evt_", self.entity, 0).to_string();
        let shop_id = world.population.shop_id(self.shop);
        let (event_type, step) = match self.stage {
            Stage::Received => (RECEIVED, 1),
            Stage::Attempt(retries) => (PROCESSED, 2 + retries),
        };
        let envelope = Envelope {
            topic: API_HEALTH_TOPIC,
            event_type,
            id: world.ids.ulid(self.entity, step, self.time_us),
            source: SOURCE,
            subject: &["webhook/", &event_id].concat(),
            time_us: self.time_us,
            clock_error_us: world.clock_error_us(self.shop, self.time_us),
            tenant: Tenant::Creator(&world.population.creators[self.shop.creator].id),
            key_entity: shop_id,
            sequence: None,
            truth: Truth::Normal,
        };
        envelope.with_data(|o| {
            o.text("shop_id", shop_id);
            o.text("provider", PROVIDER);
            o.text("webhook_type", self.kind);
            o.text("event_id", &event_id);
            match self.stage {
                Stage::Received => self.write_received(o),
                Stage::Attempt(retries) => self.write_attempt(retries, o),
            }
        })
    }

    fn advance(&mut self) -> bool {
        let wait_us = match self.stage {
            Stage::Attempt(retries) if !self.last_failed || retries == RETRIES_MAX => return false,
            Stage::Attempt(retries) => {
                self.stage = Stage::Attempt(retries + 1);
                self.random.log_normal(2e6 * f64::from(1 << retries), 0.3) as i64
            }
            Stage::Received => {
                self.stage = Stage::Attempt(0);
                0
            }
        };
        self.attempt_us = self.random.log_normal(420_000.0, 0.7) as i64;
        self.time_us += wait_us + self.attempt_us;
        true
    }

    fn random(&mut self) -> &mut Random {
        &mut self.random
    }
}

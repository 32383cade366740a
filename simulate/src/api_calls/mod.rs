//! Calls to other people's APIs, with their retries.

mod outcome;
mod profile;
#[cfg(test)]
mod tests;

use crate::event::{API_HEALTH_TOPIC, Envelope, SimulatedEvent, Tenant, Truth};
use crate::flow::Flow;
use crate::json::Object;
use crate::population::ShopIndex;
use crate::random::{Entity, Random};
use crate::world::{Outage, World};
use outcome::Outcome;
use profile::{Credentials, PROFILES, Profile};

const EVENT_TYPE: &str = "apihealth.api_call.completed.v1";

/// Attempts of one logical call before the caller gives up.
const ATTEMPTS_MAX: u8 = 3;

/// Attempts of an average call on an ordinary day: those that fail for a time (0.95 %) are repeated.
pub(crate) const ATTEMPTS_PER_CALL: f64 = 1.0096;

/// The caller waits no longer than that.
const TIMEOUT_MS: i64 = 15_000;

const MINUTE_US: i64 = 60_000_000;

/// One logical call, between two attempts.
#[derive(Debug)]
pub(crate) struct ApiCall {
    entity: Entity,
    profile: &'static Profile,
    /// None for calls with the platform's credentials.
    shop: Option<ShopIndex>,
    random: Random,
    attempt: u8,
    /// When the attempt ends: that is the time of the event.
    time_us: i64,
    last: Outcome,
}

impl ApiCall {
    /// A call whose first attempt ends at that time.
    pub fn new(world: &World, entity: Entity, time_us: i64, mut random: Random) -> Self {
        let total = PROFILES.iter().map(|p| u64::from(p.weight)).sum();
        let mut left = random.below(total);
        let chosen = PROFILES.iter().find(|p| match left.checked_sub(u64::from(p.weight)) {
            Some(rest) => {
                left = rest;
                false
            }
            None => true,
        });
        let profile = chosen.unwrap_or(&PROFILES[0]);
        let shop = world.population.any_shop(&mut random);
        let shop = (profile.credentials == Credentials::Shop).then_some(shop);
        Self { entity, profile, shop, random, attempt: 1, time_us, last: Outcome::Success }
    }

    fn duration_ms(&mut self, outcome: Outcome, outage: Option<Outage>) -> i64 {
        let factor = outage.map_or(1.0, |outage| outage.latency_factor);
        let usual = self.random.log_normal(self.profile.median_ms, self.profile.sigma);
        match outcome {
            Outcome::Timeout => TIMEOUT_MS + self.random.between(0, 40),
            // Refused at the door, before any work was done.
            Outcome::RateLimited | Outcome::AuthError => (usual * factor / 4.0) as i64 + 1,
            _ => ((usual * factor) as i64 + 1).min(TIMEOUT_MS - 1),
        }
    }

    fn write_data(&mut self, world: &World, outage: Option<Outage>, o: &mut Object<'_>) {
        let profile = self.profile;
        let outcome = Outcome::draw(outage, &mut self.random);
        self.last = outcome;
        o.text("call_id", &world.ids.named("cl_", self.entity, self.attempt).to_string());
        o.text("logical_call_id", &world.ids.named("lc_", self.entity, 0).to_string());
        o.text("provider", profile.provider);
        o.text("api", profile.api);
        o.text("operation", profile.operation);
        o.text("method", profile.method);
        o.text("direction", profile.direction);
        o.optional_text("shop_id", self.shop.map(|shop| world.population.shop_id(shop)));
        o.integer("status_code", outcome.status_code(profile.method, &mut self.random));
        o.text("outcome", outcome.as_str());
        o.optional_text("error_code", outcome.error_code());
        o.integer("duration_ms", self.duration_ms(outcome, outage));
        o.integer("attempt", i64::from(self.attempt));
        let remaining =
            if outcome == Outcome::RateLimited { 0 } else { self.random.between(1, profile.rate_limit - 1) };
        o.integer("rate_limit_limit", profile.rate_limit);
        o.integer("rate_limit_remaining", remaining);
        o.time("rate_limit_reset_at", (self.time_us.div_euclid(MINUTE_US) + 1) * MINUTE_US);
        o.integer("cost_micro", profile.cost_micro);
        o.text("currency", "USD");
        let has_answer = !matches!(outcome, Outcome::Timeout | Outcome::NetworkError);
        o.integer("request_bytes", self.random.between(180, 2400));
        o.integer("response_bytes", if has_answer { self.random.log_normal(2500.0, 0.9) as i64 } else { 0 });
    }
}

impl Flow for ApiCall {
    fn time_us(&self) -> i64 {
        self.time_us
    }

    fn shop(&self) -> Option<ShopIndex> {
        self.shop
    }

    fn emit(&mut self, world: &World) -> SimulatedEvent {
        let profile = self.profile;
        let outage = world.outage(profile.provider, self.time_us);
        let (tenant, key_entity, clock_error_us) = match self.shop {
            Some(shop) => (
                Tenant::Creator(&world.population.creators[shop.creator].id),
                world.population.shop_id(shop),
                world.clock_error_us(shop, self.time_us),
            ),
            None => (Tenant::Platform, profile.provider, 0),
        };
        let envelope = Envelope {
            topic: API_HEALTH_TOPIC,
            event_type: EVENT_TYPE,
            id: world.ids.ulid(self.entity, self.attempt, self.time_us),
            source: profile.source,
            subject: &["api/", profile.provider, ".", profile.api].concat(),
            time_us: self.time_us,
            clock_error_us,
            tenant,
            key_entity,
            sequence: None,
            truth: if outage.is_some() { Truth::CarrierOutage } else { Truth::Normal },
        };
        envelope.with_data(|o| self.write_data(world, outage, o))
    }

    fn advance(&mut self) -> bool {
        if !self.last.is_retried() || self.attempt == ATTEMPTS_MAX {
            return false;
        }
        // Back-off, doubled with each attempt, then the attempt itself.
        let wait_ms = self.random.log_normal(500.0 * f64::from(1 << self.attempt), 0.3);
        self.time_us += ((wait_ms + self.profile.median_ms) * 1000.0) as i64;
        self.attempt += 1;
        true
    }

    fn random(&mut self) -> &mut Random {
        &mut self.random
    }
}

//! Calls to other people's APIs, with their retries.

mod outcome;
mod profile;
#[cfg(test)]
mod tests;

use crate::event::{API_HEALTH_TOPIC, Envelope, EventKind, Key, Owner, SimulatedEvent, Truth};
use crate::flow::{Flow, Lane, Scene};
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
    lane: Lane,
    attempt: u8,
    last: Outcome,
}

/// What a scenario does to a call.
#[derive(Debug, Clone, Copy)]
struct Trouble {
    outage: Option<Outage>,
    has_no_token: bool,
}

impl ApiCall {
    /// A call. A step of it is the end of an attempt.
    pub fn new(world: &World, entity: Entity, mut random: Random) -> Self {
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
        let lane = Lane::new(world.seed, entity);
        Self { entity, profile, shop, random, lane, attempt: 1, last: Outcome::Success }
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

    /// The event of the attempt that ends now.
    pub fn event(&mut self, world: &World, now_us: i64) -> SimulatedEvent {
        let profile = self.profile;
        let is_of_shop = profile.provider == "tiktok_shop";
        let trouble = Trouble {
            outage: world.outage(profile.provider, now_us),
            has_no_token: is_of_shop && self.shop.is_some_and(|shop| world.has_no_token(shop, now_us)),
        };
        let truth = match trouble {
            Trouble { has_no_token: true, .. } => Truth::TokenExpiry,
            Trouble { outage: Some(_), .. } => Truth::CarrierOutage,
            Trouble { .. } => Truth::Normal,
        };
        let key_entity = self.shop.map_or(profile.provider, |shop| &world.population.shop(shop).id);
        let envelope = Envelope {
            kind: EventKind { topic: API_HEALTH_TOPIC, event_type: EVENT_TYPE, source: profile.source },
            id: world.ids.ulid(self.entity, self.attempt, now_us),
            owner: self.owner(),
            subject: ("api", &[profile.provider, ".", profile.api].concat()),
            key: Key::OfTenant(key_entity),
            sequence: None,
            correlation: None,
            truth,
        };
        envelope.event(world, now_us, |o| self.write_data(world, now_us, trouble, o))
    }

    fn owner(&self) -> Owner {
        self.shop.map_or(Owner::Platform, Owner::Shop)
    }

    fn write_data(&mut self, world: &World, now_us: i64, trouble: Trouble, o: &mut Object<'_>) {
        let profile = self.profile;
        let outage = trouble.outage;
        // Drawn all the same, so that the rest of the call is as it would have been.
        let drawn = Outcome::draw(outage, &mut self.random);
        let outcome = if trouble.has_no_token { Outcome::AuthError } else { drawn };
        self.last = outcome;
        o.named("call_id", world.ids.named("cl_", self.entity, self.attempt));
        o.named("logical_call_id", world.ids.named("lc_", self.entity, 0));
        o.text("provider", profile.provider);
        o.text("api", profile.api);
        o.text("operation", profile.operation);
        o.text("method", profile.method);
        o.text("direction", profile.direction);
        o.optional_text("shop_id", self.shop.map(|shop| world.population.shop(shop).id.as_str()));
        o.integer("status_code", outcome.status_code(profile.method, &mut self.random));
        o.text("outcome", outcome.as_str());
        o.optional_text("error_code", outcome.error_code());
        o.integer("duration_ms", self.duration_ms(outcome, outage));
        o.integer("attempt", i64::from(self.attempt));
        let remaining =
            if outcome == Outcome::RateLimited { 0 } else { self.random.between(1, profile.rate_limit - 1) };
        o.integer("rate_limit_limit", profile.rate_limit);
        o.integer("rate_limit_remaining", remaining);
        o.time("rate_limit_reset_at", (now_us.div_euclid(MINUTE_US) + 1) * MINUTE_US);
        o.integer("cost_micro", profile.cost_micro);
        o.text("currency", "USD");
        let has_answer = !matches!(outcome, Outcome::Timeout | Outcome::NetworkError);
        o.integer("request_bytes", self.random.between(180, 2400));
        o.integer("response_bytes", if has_answer { self.random.log_normal(2500.0, 0.9) as i64 } else { 0 });
    }
}

impl Flow for ApiCall {
    fn step(&mut self, scene: &mut Scene<'_>) -> Option<i64> {
        let event = self.event(scene.world, scene.now_us);
        let owner = self.owner();
        scene.send(&mut self.lane, owner, event);
        if !self.last.is_retried() || self.attempt == ATTEMPTS_MAX {
            return None;
        }
        // Back-off, doubled with each attempt, then the attempt itself.
        let wait_ms = self.random.log_normal(500.0 * f64::from(1 << self.attempt), 0.3);
        self.attempt += 1;
        Some(scene.now_us + ((wait_ms + self.profile.median_ms) * 1000.0) as i64)
    }
}

//! Tokens: refreshed every now and then, and expired when a scenario says so.

use super::connection::{Connection, tell_connection};
use super::kind;
use crate::event::{Envelope, EventKind, Key, Owner, Truth};
use crate::flow::{Flow, Scene};
use crate::population::ShopIndex;
use crate::random::{Entity, Stream};
use crate::scenario::Schedule;
use crate::series::Tick;

const CHANGED: EventKind = kind("apihealth.oauth_token.changed.v1");

const LIFE_US: i64 = 24 * 3_600_000_000;
const FAILURE_SHARE: f64 = 0.02;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenChange {
    Issued,
    Refreshed,
    RefreshFailed,
    Expired,
}

impl TokenChange {
    fn as_str(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::Refreshed => "refreshed",
            Self::RefreshFailed => "refresh_failed",
            Self::Expired => "expired",
        }
    }
}

pub(super) fn tell_token(scene: &mut Scene<'_>, shop: ShopIndex, change: TokenChange, truth: Truth) {
    let now_us = scene.now_us;
    let state = &mut scene.state.shops[shop.0];
    state.token_version += 1;
    match change {
        TokenChange::Issued | TokenChange::Refreshed => state.token_expires_us = now_us + LIFE_US,
        TokenChange::Expired => state.token_expires_us = now_us,
        TokenChange::RefreshFailed => {}
    }
    let (version, expires_us, mut lane) = (state.token_version, state.token_expires_us, state.lane.clone());
    let world = scene.world;
    let shop_id = &world.population.shop(shop).id;
    let owner = Owner::Shop(shop);
    let envelope = Envelope {
        kind: CHANGED,
        id: world.ids.ulid(Entity::member(Stream::Tokens, shop.0, version), 0, now_us),
        owner,
        subject: ("oauth_token", shop_id),
        key: Key::OfTenant(shop_id),
        sequence: Some(version),
        correlation: None,
        truth,
    };
    let event = envelope.event(world, now_us, |o| {
        o.text("shop_id", shop_id);
        o.text("change", change.as_str());
        o.time("token_expires_at", expires_us);
    });
    scene.send(&mut lane, owner, event);
    scene.state.shops[shop.0].lane = lane;
}

/// Refreshes the token of a shop, unless it has expired for a reason that a refresh cannot mend.
pub(crate) fn refresh_token(tick: &mut Tick<'_>, scene: &mut Scene<'_>, shop: ShopIndex) {
    let is_failed = tick.random.chance(FAILURE_SHARE);
    if scene.world.has_no_token(shop, scene.now_us) {
        tell_token(scene, shop, TokenChange::RefreshFailed, Truth::TokenExpiry);
        return;
    }
    if is_failed {
        // The next attempt, some hours before the token expires, goes well.
        tell_token(scene, shop, TokenChange::RefreshFailed, Truth::Normal);
        tell_connection(scene, shop, Connection::Degraded, "token_refresh_failed", Truth::Normal);
        scene.begin(scene.now_us + 300_000_000, Recovery { shop });
        return;
    }
    tell_token(scene, shop, TokenChange::Refreshed, Truth::Normal);
}

/// The second attempt to refresh a token.
#[derive(Debug)]
struct Recovery {
    shop: ShopIndex,
}

impl Flow for Recovery {
    fn step(&mut self, scene: &mut Scene<'_>) -> Option<i64> {
        if !scene.world.has_no_token(self.shop, scene.now_us) {
            tell_token(scene, self.shop, TokenChange::Refreshed, Truth::Normal);
            tell_connection(scene, self.shop, Connection::Connected, "token_refreshed", Truth::Normal);
        }
        None
    }
}

/// Brings the expiries that the scenario wants, and their ends.
#[derive(Debug)]
pub(crate) struct TokenTrouble {
    shop: ShopIndex,
    schedule: Schedule,
    is_expired: bool,
}

impl TokenTrouble {
    pub fn new(shop: ShopIndex, schedule: Schedule) -> Self {
        Self { shop, schedule, is_expired: false }
    }
}

impl Flow for TokenTrouble {
    fn step(&mut self, scene: &mut Scene<'_>) -> Option<i64> {
        let (shop, truth) = (self.shop, Truth::TokenExpiry);
        if self.is_expired {
            tell_token(scene, shop, TokenChange::Issued, truth);
            tell_connection(scene, shop, Connection::Connected, "authorised", truth);
        } else {
            tell_token(scene, shop, TokenChange::RefreshFailed, truth);
            tell_token(scene, shop, TokenChange::Expired, truth);
            tell_connection(scene, shop, Connection::ReauthRequired, "token_expired", truth);
        }
        self.is_expired = !self.is_expired;
        let (from_us, until_us) = scene.world.next_interval_us(self.schedule, scene.now_us)?;
        Some(if self.is_expired { until_us } else { from_us })
    }
}

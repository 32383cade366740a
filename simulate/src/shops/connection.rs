//! The state of a shop's connection to its platform.

use super::kind;
use super::token::{TokenChange, tell_token};
use crate::event::{Envelope, EventKind, Key, Owner, Truth};
use crate::flow::Scene;
use crate::population::ShopIndex;
use crate::random::{Entity, Stream};

const CHANGED: EventKind = kind("apihealth.shop_connection.changed.v1");

/// What a connection can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connection {
    Connected,
    Degraded,
    ReauthRequired,
}

impl Connection {
    fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Degraded => "degraded",
            Self::ReauthRequired => "reauth_required",
        }
    }
}

/// Tells of a shop's first token and that it is connected.
pub(crate) fn connect(scene: &mut Scene<'_>, shop: ShopIndex) {
    tell_token(scene, shop, TokenChange::Issued, Truth::Normal);
    tell_connection(scene, shop, Connection::Connected, "authorised", Truth::Normal);
}

pub(super) fn tell_connection(
    scene: &mut Scene<'_>,
    shop: ShopIndex,
    connection: Connection,
    reason: &str,
    truth: Truth,
) {
    let state = &mut scene.state.shops[shop.0];
    state.connection_sequence += 1;
    let (sequence, mut lane) = (state.connection_sequence, state.lane.clone());
    let world = scene.world;
    let shop_id = &world.population.shop(shop).id;
    let owner = Owner::Shop(shop);
    let envelope = Envelope {
        kind: CHANGED,
        id: world.ids.ulid(Entity::member(Stream::Connections, shop.0, sequence), 0, scene.now_us),
        owner,
        subject: ("shop_connection", shop_id),
        key: Key::OfTenant(shop_id),
        sequence: Some(sequence),
        correlation: None,
        truth,
    };
    let event = envelope.event(world, scene.now_us, |o| {
        o.text("shop_id", shop_id);
        o.text("state", connection.as_str());
        o.text("reason", reason);
    });
    scene.send(&mut lane, owner, event);
    scene.state.shops[shop.0].lane = lane;
}

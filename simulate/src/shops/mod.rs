//! Shops on their platform: whether they are connected, with which token, and how far they are
//! synchronised.

mod connection;
mod limit;
mod sync;
#[cfg(test)]
mod tests;
mod token;

pub(crate) use connection::connect;
pub(crate) use limit::sample_rate_limit;
pub(crate) use sync::{SyncKind, synchronise};
pub(crate) use token::{TokenTrouble, refresh_token};

use crate::event::{API_HEALTH_TOPIC, EventKind};

const fn kind(event_type: &'static str) -> EventKind {
    EventKind { topic: API_HEALTH_TOPIC, event_type, source: "/creatorflow/tiktok-shop-integration" }
}

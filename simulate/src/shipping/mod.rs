//! Parcels: rates are compared, labels bought, and carriers tell where a parcel is.
//!
//! What happens to a parcel is decided by its order; this module knows carriers and writes the events.

mod body;
mod carrier;
mod failover;
#[cfg(test)]
mod tests;

pub(crate) use body::{Claim, LabelOutcome, Moment};
pub(crate) use carrier::{Carrier, Quote, Wanted};
pub(crate) use failover::Failover;

use crate::flow::Lane;
use crate::random::{Entity, Stream};
use crate::world::World;

/// What is known of an order's parcel.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub entity: Entity,
    pub lane: Lane,
    /// The order's quote that was chosen last.
    pub quote: Quote,
    pub weight_g: i64,
    pub zone: i64,
    /// Events of the shipment so far.
    pub sequence: u32,
    pub status: &'static str,
    /// Labels asked for so far.
    pub labels: i64,
    /// Quotes asked for so far.
    pub quotes: u8,
    /// Labels that failed since one went well, and where the last one did.
    pub failures: i64,
    pub failed_at: Option<Carrier>,
    /// What the creator's usual carrier asks.
    pub baseline_minor: i64,
    /// Places on the way so far.
    pub moves: u8,
    /// Attempts at the door so far.
    pub deliveries: i64,
    /// When the carrier promised to deliver.
    pub promised_us: i64,
    pub is_address_ok: bool,
    pub is_damaged: bool,
    pub is_late: bool,
}

impl Parcel {
    pub fn new(world: &World, order: Entity, quote: Quote, weight_g: i64, zone: i64) -> Self {
        let entity = order.child(Stream::Shipments);
        Self {
            entity,
            lane: Lane::new(world.seed, entity),
            quote,
            weight_g,
            zone,
            sequence: 0,
            status: "pending",
            labels: 0,
            quotes: 0,
            failures: 0,
            failed_at: None,
            baseline_minor: 0,
            moves: 0,
            deliveries: 0,
            promised_us: 0,
            is_address_ok: true,
            is_damaged: false,
            is_late: false,
        }
    }
}

//! Stock: what is there, what is promised to orders, and every change of it.
//!
//! [`Level`] is the truth; it changes only through [`change`], which tells of it. So what the events
//! say, added up, is what is there.

mod adjustment;
mod ledger;
mod restock;
mod sync;
#[cfg(test)]
mod tests;

pub(crate) use adjustment::adjust;
pub(crate) use ledger::{Change, Level, Reason, change, declare, empty_shelf};
pub(crate) use sync::synchronise_shop;

use crate::event::{EventKind, INVENTORY_TOPIC};

const fn kind(event_type: &'static str) -> EventKind {
    EventKind { topic: INVENTORY_TOPIC, event_type, source: "/creatorflow/inventory-tracking" }
}

//! Puts what was found to the alert that it explains.

use super::Found;
use crate::route::{Fingerprint, NotifierState, Timestamp};

/// Puts what was found to the alert where messages take it from. False where the alert that began at `starts_at` is
/// not there any more.
pub fn attach(state: &mut NotifierState, alert: Fingerprint, starts_at: Timestamp, found: &Found) -> bool {
    let is_there = state.store.get(alert).is_some_and(|known| known.starts_at == starts_at);
    if is_there {
        let stored = state.store.detail_mut(alert).into_iter();
        stored.chain(state.groups.details_mut(alert)).for_each(|detail| found.clone().fill(detail));
    }
    is_there
}

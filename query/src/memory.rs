//! What the operators of a query share.

use datafusion::common::{Result, resources_datafusion_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The part of the memory, one of so many, that anybody may take; the rest is divided equally.
const COMMON_PART: usize = 2;

/// A pool of which half is for whoever comes, and half is divided equally among those that can spill: none takes what
/// the others need for their last merge. A query with hundreds of small operators has room in the first half, where
/// an equal share of everything would be too small for the one that holds most.
#[derive(Debug)]
pub(crate) struct SharedPool {
    bytes_max: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// Operators that can spill.
    spillers: usize,
    bytes: usize,
    /// Of operators that cannot.
    unspillable: usize,
}

impl SharedPool {
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, held: Mutex::default() }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much more a reservation may take.
    fn available(&self, held: &Held, reservation: &MemoryReservation) -> usize {
        let rest = self.bytes_max.saturating_sub(held.bytes);
        if !reservation.consumer().can_spill() {
            return rest;
        }
        let common = (self.bytes_max / COMMON_PART).saturating_sub(held.bytes);
        let fair = self.bytes_max.saturating_sub(held.unspillable) / held.spillers.max(1);
        fair.saturating_sub(reservation.size()).max(common).min(rest)
    }
}

impl fmt::Display for SharedPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({} of {} bytes)", self.name(), self.held().bytes, self.bytes_max)
    }
}

impl MemoryPool for SharedPool {
    fn name(&self) -> &str {
        "shared"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.held().spillers += usize::from(consumer.can_spill());
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        let mut held = self.held();
        held.spillers = held.spillers.saturating_sub(usize::from(consumer.can_spill()));
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        let mut held = self.held();
        held.bytes += additional;
        if !reservation.consumer().can_spill() {
            held.unspillable += additional;
        }
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        let mut held = self.held();
        held.bytes = held.bytes.saturating_sub(shrink);
        if !reservation.consumer().can_spill() {
            held.unspillable = held.unspillable.saturating_sub(shrink);
        }
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let mut held = self.held();
        let available = self.available(&held, reservation);
        if additional > available {
            return Err(resources_datafusion_err!(
                "{} asked for {additional} bytes more than the {} that it holds, of which {available} are there",
                reservation.consumer().name(),
                reservation.size()
            ));
        }
        held.bytes += additional;
        if !reservation.consumer().can_spill() {
            held.unspillable += additional;
        }
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.held().bytes
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.bytes_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn one_of_many_may_hold_what_nobody_else_wants_and_leaves_the_others_their_share() {
        let pool: Arc<dyn MemoryPool> = Arc::new(SharedPool::new(1000));
        let spiller = |name: &str| MemoryConsumer::new(name).with_can_spill(true).register(&pool);
        let many: Vec<_> = (0..10).map(|at| spiller(&format!("sort {at}"))).collect();
        // Half is common, beyond it everybody has a tenth.
        many[0].try_grow(500).unwrap();
        assert!(many[0].try_grow(1).is_err());
        many[1].try_grow(100).unwrap();
        assert!(many[1].try_grow(1).is_err());
        (2..6).for_each(|at| many[at].try_grow(100).unwrap());
        assert!(many[6].try_grow(1).is_err(), "nothing is left before the first has spilled");
        many[0].shrink(450);
        many[6].try_grow(100).unwrap();
        // What cannot spill takes what there is, and the shares become smaller.
        let join = MemoryConsumer::new("join").register(&pool);
        assert!(join.try_grow(351).is_err());
        join.try_grow(350).unwrap();
        assert_eq!(pool.reserved(), 1000);
        assert!(many[7].try_grow(1).is_err());
    }
}

//! Events on their way: sent, and not yet at the broker.

use crate::event::{SimulatedEvent, Truth};
use crate::random::{Entity, Random, Stream};
use crate::world::World;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Events by their arrival.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    heap: BinaryHeap<Arrival>,
    /// Events taken so far: equal arrivals keep the order in which they were sent.
    taken: u64,
    /// Those that are no copies; numbers the draws of their copies.
    originals: u64,
}

#[derive(Debug)]
struct Arrival {
    time_us: i64,
    order: u64,
    event: SimulatedEvent,
}

impl Arrivals {
    /// Takes an event of that time for that arrival, and the copies that the scenario wants of it.
    pub fn send(&mut self, world: &World, event: SimulatedEvent, time_us: i64, arrival_us: i64) {
        let number = self.originals;
        self.originals += 1;
        if let Some(share) = world.resent_share(time_us) {
            let mut random = Random::of(world.seed, Entity { stream: Stream::Copies, number });
            if random.chance(share) {
                for _ in 0..random.weighted(&[(1, 70), (2, 20), (3, 10)]) {
                    let copy_us = arrival_us + random.between(500_000, 60_000_000);
                    self.push(copy_us, SimulatedEvent { truth: Truth::Duplicate, ..event.clone() });
                }
            }
        }
        self.push(arrival_us, event);
    }

    /// Takes an event as it is.
    pub fn push(&mut self, arrival_us: i64, mut event: SimulatedEvent) {
        event.arrival_ms = arrival_us.div_euclid(1000);
        self.heap.push(Arrival { time_us: arrival_us, order: self.taken, event });
        self.taken += 1;
    }

    /// The next event to arrive, unless something happens before that.
    pub fn pop_until(&mut self, time_us: i64) -> Option<SimulatedEvent> {
        if self.heap.peek()?.time_us > time_us {
            return None;
        }
        self.heap.pop().map(|arrival| arrival.event)
    }
}

// The earliest is the greatest, as a `BinaryHeap` hands out the greatest first.
impl Ord for Arrival {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.time_us, other.order).cmp(&(self.time_us, self.order))
    }
}

impl PartialOrd for Arrival {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Arrival {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Arrival {}

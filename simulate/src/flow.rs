//! A simulated thing that goes on step by step, and what a step can do.

use crate::arrivals::Arrivals;
use crate::event::{Owner, SimulatedEvent, Truth};
use crate::random::{Entity, Random, mix};
use crate::state::State;
use crate::world::World;
use std::fmt;

/// The ordinary delay between an event and its arrival: the median, and the limit of its long tail.
const DELAY_MEDIAN_US: f64 = 250_000.0;
const DELAY_MAX_US: i64 = 8_000_000;

/// An event that took longer than that is labelled late.
const LATE_FROM_US: i64 = 60_000_000;

/// An order, a call with its retries, a webhook with its attempts, a probe that looks every minute.
pub(crate) trait Flow: fmt::Debug + Send {
    /// Does what happens now; returns when the next step is due, or nothing at the end.
    fn step(&mut self, scene: &mut Scene<'_>) -> Option<i64>;
}

/// The moment of a step, and everything that it can see and change.
///
/// Steps are taken in the order of their time by a clock that is right, whatever delays their events
/// have. So the state of the platform does not depend on what happens to events on their way.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    pub world: &'a World,
    pub state: &'a mut State,
    pub now_us: i64,
    pub arrivals: &'a mut Arrivals,
    /// Flows begun in this step, with the time of their first one.
    pub begun: &'a mut Vec<(i64, Box<dyn Flow>)>,
}

impl Scene<'_> {
    /// Sends an event that happened now. The events of one lane arrive in the order in which they are sent.
    pub fn send(&mut self, lane: &mut Lane, owner: Owner, mut event: SimulatedEvent) {
        let held_us = owner.shop().map_or(0, |shop| self.world.held_us(shop, self.now_us));
        let arrival_us = lane.arrival_us(self.now_us, held_us);
        if arrival_us - self.now_us >= LATE_FROM_US {
            event.truth = Truth::Late;
        } else if owner.shop().is_some_and(|shop| self.world.clock_error_us(shop, self.now_us) != 0) {
            event.truth = Truth::Skewed;
        }
        self.arrivals.send(self.world, event, self.now_us, arrival_us);
    }

    /// Lets another flow take its first step at that time, or now if that is over.
    pub fn begin(&mut self, time_us: i64, flow: impl Flow + 'static) {
        self.begun.push((time_us.max(self.now_us), Box::new(flow)));
    }
}

/// The way that events of one thing take to the broker.
///
/// Its draws are its own, so that a thing's fate does not depend on how many events it sends.
#[derive(Debug, Clone)]
pub(crate) struct Lane {
    random: Random,
    last_us: i64,
}

impl Lane {
    pub fn new(seed: u64, entity: Entity) -> Self {
        Self { random: Random::of(mix(seed ^ 0x6c61_6e65), entity), last_us: i64::MIN }
    }

    fn arrival_us(&mut self, time_us: i64, held_us: i64) -> i64 {
        let ordinary_us = (self.random.log_normal(DELAY_MEDIAN_US, 1.0) as i64).min(DELAY_MAX_US);
        self.last_us = (time_us + ordinary_us + held_us).max(self.last_us);
        self.last_us
    }
}

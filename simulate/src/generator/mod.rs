//! Puts the events of everything that goes on into the order in which they reach the broker.
//!
//! A heap holds, by arrival, the next event of every order, call and webhook under way, and the next
//! beginning of each source. An event arrives some time after it happened (a quarter of a second,
//! sometimes seconds), so events are out of order by event time, as they are in reality; the events of
//! one order, call or webhook always arrive in their order.

mod source;
#[cfg(test)]
mod tests;

use crate::event::{SimulatedEvent, Truth};
use crate::flow::Flow;
use crate::ids::Ids;
use crate::population::Population;
use crate::random::{Entity, Random, Stream};
use crate::scenario::Scenario;
use crate::world::World;
use source::{Beginning, Source};
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// The ordinary delay between an event and its arrival: the median, and the limit of its long tail.
const DELAY_MEDIAN_US: f64 = 250_000.0;
const DELAY_MAX_US: i64 = 8_000_000;

/// An event that took longer than that is labelled late.
const LATE_FROM_US: i64 = 60_000_000;

/// What to generate.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Same settings, same events, byte for byte.
    pub seed: u64,
    /// First moment of event time, in milliseconds since 1970.
    pub start_ms: i64,
    /// Length of event time; without it the events never end. What happened before the end still arrives
    /// after it, so that no event is missing.
    pub duration_ms: Option<i64>,
    /// Mean over a day of a run long enough for whole order lives: it starts at some 65 % of this rate
    /// and reaches it after about five minutes. Effects of the scenario come on top.
    pub events_per_second: f64,
    /// Follow the rhythm of the day (0.4 to 1.6 times the mean); otherwise every hour is average.
    pub daily_rhythm: bool,
    /// Number of creators. Their sizes fall off as 1, 1/2, 1/3, …
    pub creators: usize,
    /// What goes wrong, and when.
    pub scenario: Scenario,
}

impl Settings {
    /// 50 creators, 200 events per second with the rhythm of the day, without end.
    pub fn new(scenario: Scenario, seed: u64, start_ms: i64) -> Self {
        Self { seed, start_ms, duration_ms: None, events_per_second: 200.0, daily_rhythm: true, creators: 50, scenario }
    }
}

/// Settings that make no sense.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// Not a positive number, or more than the microsecond resolution can tell apart.
    #[error("events_per_second: expected more than 0 and at most 1000000, found {0}")]
    Rate(f64),
    /// None, or so many that most would never act.
    #[error("creators: expected 1 to 100000, found {0}")]
    Creators(usize),
    /// Negative.
    #[error("duration_ms: expected 0 or more, found {0}")]
    Duration(i64),
    /// Before 1970 or after the year 9000.
    #[error("start_ms: expected milliseconds between the years 1970 and 9000, found {0}")]
    Start(i64),
}

/// The events of a run, by arrival.
#[derive(Debug)]
pub struct Generator {
    world: World,
    sources: Vec<Source>,
    queue: BinaryHeap<Entry>,
    /// Entries made so far: equal arrivals keep the order in which they were queued.
    entries: u64,
    /// Original events delivered so far; numbers the draws of their copies.
    originals: u64,
    end_us: i64,
}

/// What arrives, and when.
#[derive(Debug)]
struct Entry {
    arrival_us: i64,
    order: u64,
    what: What,
}

#[derive(Debug)]
enum What {
    /// The next event of a flow.
    Flow(Box<dyn Flow>),
    /// A finished event: a copy, or bad input.
    Event(SimulatedEvent),
    /// The next beginning of the source at that index.
    Source(usize),
}

impl Generator {
    /// A generator at its start.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        check(&settings)?;
        let start_us = settings.start_ms * 1000;
        let world = World {
            seed: settings.seed,
            ids: Ids::new(settings.seed, settings.start_ms),
            start_us,
            scenario: settings.scenario,
            population: Population::new(settings.seed, settings.creators),
        };
        let sources = Source::all(&world, settings.events_per_second, settings.daily_rhythm);
        let end_us =
            settings.duration_ms.map_or(i64::MAX, |length| start_us.saturating_add(length.saturating_mul(1000)));
        let mut generator = Self { world, sources, queue: BinaryHeap::new(), entries: 0, originals: 0, end_us };
        for index in 0..generator.sources.len() {
            generator.queue_source(index);
        }
        Ok(generator)
    }

    fn push(&mut self, arrival_us: i64, what: What) {
        self.queue.push(Entry { arrival_us, order: self.entries, what });
        self.entries += 1;
    }

    fn queue_source(&mut self, index: usize) {
        let next_us = self.sources[index].next_us();
        if next_us < self.end_us {
            self.push(next_us, What::Source(index));
        }
    }

    /// Queues the next event of a flow, not before `earliest_us`: its events arrive in their order.
    fn queue_flow(&mut self, mut flow: Box<dyn Flow>, earliest_us: i64) {
        let time_us = flow.time_us();
        if time_us >= self.end_us {
            return;
        }
        let ordinary_us = (flow.random().log_normal(DELAY_MEDIAN_US, 1.0) as i64).min(DELAY_MAX_US);
        let held_us = flow.shop().and_then(|shop| self.world.delay_us(shop, time_us)).unwrap_or(0);
        self.push((time_us + ordinary_us + held_us).max(earliest_us), What::Flow(flow));
    }

    fn begin(&mut self, index: usize) {
        let time_us = self.sources[index].next_us();
        match self.sources[index].begin(&self.world) {
            Beginning::Flow(flow) => self.queue_flow(flow, time_us),
            Beginning::Single(event) => self.push(time_us, What::Event(event)),
        }
        self.queue_source(index);
    }

    fn deliver(&mut self, mut flow: Box<dyn Flow>, arrival_us: i64) -> SimulatedEvent {
        let time_us = flow.time_us();
        let mut event = flow.emit(&self.world);
        event.arrival_ms = arrival_us.div_euclid(1000);
        if arrival_us - time_us >= LATE_FROM_US {
            event.truth = Truth::Late;
        } else if flow.shop().is_some_and(|shop| self.world.clock_error_us(shop, time_us) != 0) {
            event.truth = Truth::Skewed;
        }
        self.queue_copies(&event, time_us, arrival_us);
        if flow.advance() {
            self.queue_flow(flow, arrival_us);
        }
        event
    }

    fn queue_copies(&mut self, event: &SimulatedEvent, time_us: i64, arrival_us: i64) {
        let number = self.originals;
        self.originals += 1;
        let Some(share) = self.world.resent_share(time_us) else { return };
        let mut random = Random::of(self.world.seed, Entity { stream: Stream::Copies, number });
        if !random.chance(share) {
            return;
        }
        for _ in 0..random.weighted(&[(1, 70), (2, 20), (3, 10)]) {
            let copy_us = arrival_us + random.between(500_000, 60_000_000);
            let copy =
                SimulatedEvent { arrival_ms: copy_us.div_euclid(1000), truth: Truth::Duplicate, ..event.clone() };
            self.push(copy_us, What::Event(copy));
        }
    }
}

impl Iterator for Generator {
    type Item = SimulatedEvent;

    fn next(&mut self) -> Option<SimulatedEvent> {
        loop {
            let Entry { arrival_us, what, .. } = self.queue.pop()?;
            match what {
                What::Source(index) => self.begin(index),
                What::Flow(flow) => return Some(self.deliver(flow, arrival_us)),
                What::Event(mut event) => {
                    event.arrival_ms = arrival_us.div_euclid(1000);
                    return Some(event);
                }
            }
        }
    }
}

// The earliest entry is the greatest, as a `BinaryHeap` hands out the greatest first.
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.arrival_us, other.order).cmp(&(self.arrival_us, self.order))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

fn check(settings: &Settings) -> Result<(), SettingsError> {
    const YEAR_9000_MS: i64 = 221_845_392_000_000;
    let rate = settings.events_per_second;
    if !(rate > 0.0 && rate <= 1e6) {
        return Err(SettingsError::Rate(rate));
    }
    if !(1..=100_000).contains(&settings.creators) {
        return Err(SettingsError::Creators(settings.creators));
    }
    if let Some(duration_ms) = settings.duration_ms.filter(|d| *d < 0) {
        return Err(SettingsError::Duration(duration_ms));
    }
    if !(0..YEAR_9000_MS).contains(&settings.start_ms) {
        return Err(SettingsError::Start(settings.start_ms));
    }
    Ok(())
}

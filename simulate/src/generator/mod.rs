//! Lets everything happen, and puts the events into the order in which they reach the broker.
//!
//! Two heaps: the agenda holds, by time, the next step of everything that goes on; what a step tells is
//! on its way in `arrivals`. An event arrives some time after it happened (a quarter of a second,
//! sometimes seconds), so events are out of order by event time, as they are in reality; the events of
//! one order, call, product or parcel always arrive in their order.

mod settings;
mod source;
#[cfg(test)]
mod tests;

pub use settings::{BusinessDay, Settings, SettingsError};

use crate::arrivals::Arrivals;
use crate::event::SimulatedEvent;
use crate::flow::{Flow, Scene};
use crate::ids::Ids;
use crate::opening::{Opening, troubles};
use crate::population::Population;
use crate::rates::Rates;
use crate::series::Series;
use crate::state::State;
use crate::world::World;
use source::Source;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// The events of a run, by arrival. Memory grows with what is under way at a time (orders not yet
/// delivered, events held back), not with the length of the run.
#[derive(Debug)]
pub struct Generator {
    world: World,
    state: State,
    agenda: BinaryHeap<Turn>,
    /// Turns made so far: those of one time keep their order.
    turns: u64,
    arrivals: Arrivals,
    /// Begun in the current step.
    begun: Vec<(i64, Box<dyn Flow>)>,
    end_us: i64,
}

/// The next step of a flow.
#[derive(Debug)]
struct Turn {
    time_us: i64,
    order: u64,
    flow: Box<dyn Flow>,
}

impl Generator {
    /// A generator at its start.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        settings.check()?;
        let start_us = settings.start_ms * 1000;
        let population = Population::new(settings.seed, settings.creators);
        let world = World {
            seed: settings.seed,
            ids: Ids::new(settings.seed, settings.start_ms),
            start_us,
            scenario: settings.scenario,
            rates: Rates::new(settings.events_per_second, &population),
            population,
            day_us: settings.business_day.length_us(),
        };
        let end_us =
            settings.duration_ms.map_or(i64::MAX, |length| start_us.saturating_add(length.saturating_mul(1000)));
        let mut begun: Vec<(i64, Box<dyn Flow>)> = vec![(start_us, Box::new(Opening::new(&world)))];
        begun.extend(troubles(&world));
        begun.extend(Series::all(&world).map(|(time_us, series)| (time_us, Box::new(series) as Box<dyn Flow>)));
        for source in Source::all(&world, settings.events_per_second, settings.daily_rhythm) {
            begun.push((source.next_us(), Box::new(source)));
        }
        let (agenda, arrivals) = (BinaryHeap::new(), Arrivals::default());
        let mut generator = Self { state: State::new(&world), world, agenda, turns: 0, arrivals, begun, end_us };
        generator.queue_begun();
        Ok(generator)
    }

    fn queue(&mut self, time_us: i64, flow: Box<dyn Flow>) {
        if time_us < self.end_us {
            self.agenda.push(Turn { time_us, order: self.turns, flow });
            self.turns += 1;
        }
    }

    fn queue_begun(&mut self) {
        let mut begun = std::mem::take(&mut self.begun);
        for (time_us, flow) in begun.drain(..) {
            self.queue(time_us, flow);
        }
        // The room is used again.
        self.begun = begun;
    }

    fn take(&mut self, turn: Turn) {
        let Turn { time_us, mut flow, .. } = turn;
        let mut scene = Scene {
            world: &self.world,
            state: &mut self.state,
            now_us: time_us,
            arrivals: &mut self.arrivals,
            begun: &mut self.begun,
        };
        let next_us = flow.step(&mut scene);
        self.queue_begun();
        if let Some(next_us) = next_us {
            self.queue(next_us.max(time_us), flow);
        }
    }
}

impl Iterator for Generator {
    type Item = SimulatedEvent;

    fn next(&mut self) -> Option<SimulatedEvent> {
        loop {
            // Whatever happens later arrives later.
            let next_us = self.agenda.peek().map_or(i64::MAX, |turn| turn.time_us);
            if let Some(event) = self.arrivals.pop_until(next_us) {
                return Some(event);
            }
            let turn = self.agenda.pop()?;
            self.take(turn);
        }
    }
}

// The earliest turn is the greatest, as a `BinaryHeap` hands out the greatest first.
impl Ord for Turn {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.time_us, other.order).cmp(&(self.time_us, self.order))
    }
}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Turn {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Turn {}

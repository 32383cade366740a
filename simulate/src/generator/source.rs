//! Where things begin: orders placed, calls made, webhooks sent, at random moments of a given rate.

use crate::api_calls::{ATTEMPTS_PER_CALL, ApiCall};
use crate::bad_input;
use crate::event::{BadInput, SimulatedEvent};
use crate::flow::Flow;
use crate::orders::{EVENTS_PER_ORDER, Order};
use crate::random::{Entity, Random, Stream};
use crate::rhythm::activity;
use crate::scenario::{Effect, Schedule, ScheduledEffect};
use crate::webhooks::{EVENTS_PER_WEBHOOK, Webhook};
use crate::world::World;

/// Shares of the events by what they tell of.
const ORDER_SHARE: f64 = 0.40;
const API_CALL_SHARE: f64 = 0.45;
const WEBHOOK_SHARE: f64 = 0.15;

/// Begins things of one kind.
#[derive(Debug)]
pub(super) struct Source {
    kind: Kind,
    /// Beginnings per second of an average hour, while the schedule is on.
    rate: f64,
    follows_rhythm: bool,
    schedule: Schedule,
    random: Random,
    number: u64,
    next_us: i64,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Orders,
    ApiCalls,
    Webhooks,
    /// The orders that a spike adds at the creator of that index.
    ViralOrders(usize),
    BadInput,
}

/// What begins.
#[derive(Debug)]
pub(super) enum Beginning {
    Flow(Box<dyn Flow>),
    Single(SimulatedEvent),
}

impl Source {
    /// The sources that a rate of events and the scenario ask for.
    pub fn all(world: &World, events_per_second: f64, follows_rhythm: bool) -> Vec<Self> {
        let order_rate = events_per_second * ORDER_SHARE / EVENTS_PER_ORDER;
        let mut kinds = vec![
            (Kind::Orders, order_rate, Schedule::Always),
            (Kind::ApiCalls, events_per_second * API_CALL_SHARE / ATTEMPTS_PER_CALL, Schedule::Always),
            (Kind::Webhooks, events_per_second * WEBHOOK_SHARE / EVENTS_PER_WEBHOOK, Schedule::Always),
        ];
        for ScheduledEffect { effect, schedule } in world.scenario.effects {
            match *effect {
                Effect::ViralSpike { creator, factor } => {
                    let creator = world.population.ranked(creator);
                    // The steady stream brings the first of the `factor`.
                    let rate = order_rate * world.population.sizes.share(creator) * (factor - 1.0);
                    kinds.push((Kind::ViralOrders(creator), rate, *schedule));
                }
                Effect::BadInput { share } => kinds.push((Kind::BadInput, events_per_second * share, *schedule)),
                _ => {}
            }
        }
        let source = |(kind, rate, schedule): (Kind, f64, Schedule)| {
            let random = Random::of(world.seed, Entity { stream: kind.starts(), number: 0 });
            let mut source = Self { kind, rate, follows_rhythm, schedule, random, number: 0, next_us: world.start_us };
            source.advance(world.start_us);
            source
        };
        kinds.into_iter().map(source).collect()
    }

    /// When the next thing begins; `i64::MAX` for never.
    pub fn next_us(&self) -> i64 {
        self.next_us
    }

    /// Begins the next thing.
    pub fn begin(&mut self, world: &World) -> Beginning {
        let entity = Entity { stream: self.kind.stream(), number: self.number };
        let mut random = Random::of(world.seed, entity);
        let time_us = self.next_us;
        self.number += 1;
        self.advance(world.start_us);
        match self.kind {
            Kind::Orders => {
                let shop = world.population.any_shop(&mut random);
                Beginning::Flow(Box::new(Order::new(world, entity, time_us, shop, random)))
            }
            Kind::ViralOrders(creator) => {
                let shop = world.population.any_shop_of(creator, &mut random);
                Beginning::Flow(Box::new(Order::new(world, entity, time_us, shop, random)))
            }
            Kind::ApiCalls => Beginning::Flow(Box::new(ApiCall::new(world, entity, time_us, random))),
            Kind::Webhooks => Beginning::Flow(Box::new(Webhook::new(world, entity, time_us, random))),
            Kind::BadInput => Beginning::Single(bad_event(world, entity, time_us, random)),
        }
    }

    /// Moves on to the next moment of a Poisson process, skipping the time when the schedule is off.
    fn advance(&mut self, start_us: i64) {
        let mut from_us = self.next_us;
        loop {
            let elapsed_ms = (from_us - start_us).div_euclid(1000);
            let Some((on_ms, off_ms)) = self.schedule.next_interval(elapsed_ms) else {
                self.next_us = i64::MAX;
                return;
            };
            from_us = from_us.max(start_us + on_ms * 1000);
            let rate = if self.follows_rhythm { self.rate * activity(from_us) } else { self.rate };
            self.next_us = from_us.saturating_add(self.random.exponential(1e6 / rate).round() as i64);
            if self.next_us < start_us.saturating_add(off_ms.saturating_mul(1000)) {
                return;
            }
            // Past the end of the interval: try again from the start of the next.
            from_us = start_us.saturating_add(off_ms.saturating_mul(1000));
        }
    }
}

impl Kind {
    fn stream(self) -> Stream {
        match self {
            Self::Orders => Stream::Orders,
            Self::ApiCalls => Stream::ApiCalls,
            Self::Webhooks => Stream::Webhooks,
            Self::ViralOrders(_) => Stream::ViralOrders,
            Self::BadInput => Stream::BadInput,
        }
    }

    fn starts(self) -> Stream {
        match self {
            Self::Orders => Stream::OrderStarts,
            Self::ApiCalls => Stream::ApiStarts,
            Self::Webhooks => Stream::WebhookStarts,
            Self::ViralOrders(_) => Stream::ViralStarts,
            Self::BadInput => Stream::BadStarts,
        }
    }
}

/// A spoiled API call or a spoiled first event of an order that is never heard of again.
fn bad_event(world: &World, entity: Entity, time_us: i64, mut random: Random) -> SimulatedEvent {
    let kind = bad_input::draw(&mut random);
    // An unknown value does count, so it must not belong to an order that goes nowhere.
    let is_call = kind == BadInput::UnknownEnum || random.chance(0.5);
    let mut event = if is_call {
        ApiCall::new(world, entity, time_us, random).emit(world)
    } else {
        let shop = world.population.any_shop(&mut random);
        Order::new(world, entity, time_us, shop, random).emit(world)
    };
    bad_input::spoil(&mut event, kind);
    event
}

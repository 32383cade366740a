//! Where things begin: orders placed, calls made, webhooks sent, at random moments of a given rate.

use crate::api_calls::ApiCall;
use crate::automation::change_something;
use crate::bad_input;
use crate::event::{BadInput, SimulatedEvent};
use crate::flow::{Flow, Scene};
use crate::inventory::adjust;
use crate::orders::Order;
use crate::random::{Entity, Random, Stream};
use crate::rhythm::activity;
use crate::scenario::{Effect, Schedule, ScheduledEffect};
use crate::webhooks::Webhook;
use crate::world::World;

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
    Adjustments,
    Changes,
    /// The orders that a spike adds at the creator of that index.
    ViralOrders(usize),
    BadInput,
}

impl Source {
    /// The sources that a rate of events and the scenario ask for.
    pub fn all(world: &World, events_per_second: f64, follows_rhythm: bool) -> Vec<Self> {
        let rates = &world.rates;
        let mut kinds = vec![
            (Kind::Orders, rates.orders, Schedule::Always),
            (Kind::ApiCalls, rates.api_calls, Schedule::Always),
            (Kind::Webhooks, rates.webhooks, Schedule::Always),
            (Kind::Adjustments, rates.adjustments, Schedule::Always),
            (Kind::Changes, rates.changes, Schedule::Always),
        ];
        for ScheduledEffect { effect, schedule } in world.scenario.effects {
            match *effect {
                Effect::ViralSpike { creator, factor } => {
                    let creator = world.population.ranked(creator);
                    // The steady stream brings the first of the `factor`.
                    let rate = rates.orders * world.population.sizes.share(creator) * (factor - 1.0);
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

impl Flow for Source {
    fn step(&mut self, scene: &mut Scene<'_>) -> Option<i64> {
        let world = scene.world;
        let entity = Entity { stream: self.kind.stream(), number: self.number };
        let mut random = Random::of(world.seed, entity);
        self.number += 1;
        let now_us = scene.now_us;
        match self.kind {
            Kind::Orders => {
                let shop = world.population.any_shop(&mut random);
                scene.begin(now_us, Order::new(world, entity, shop, random));
            }
            Kind::ViralOrders(creator) => {
                let shop = world.population.any_shop_of(creator, &mut random);
                scene.begin(now_us, Order::new(world, entity, shop, random));
            }
            Kind::ApiCalls => scene.begin(now_us, ApiCall::new(world, entity, random)),
            Kind::Webhooks => scene.begin(now_us, Webhook::new(world, entity, now_us, random)),
            Kind::Adjustments => adjust(scene, entity, random),
            Kind::Changes => change_something(scene, entity, random),
            Kind::BadInput => scene.arrivals.push(now_us, bad_event(world, entity, now_us, random)),
        }
        self.advance(world.start_us);
        (self.next_us < i64::MAX).then_some(self.next_us)
    }
}

impl Kind {
    fn stream(self) -> Stream {
        match self {
            Self::Orders => Stream::Orders,
            Self::ApiCalls => Stream::ApiCalls,
            Self::Webhooks => Stream::Webhooks,
            Self::Adjustments => Stream::Adjustments,
            Self::Changes => Stream::RuleChanges,
            Self::ViralOrders(_) => Stream::ViralOrders,
            Self::BadInput => Stream::BadInput,
        }
    }

    fn starts(self) -> Stream {
        match self {
            Self::Orders => Stream::OrderStarts,
            Self::ApiCalls => Stream::ApiStarts,
            Self::Webhooks => Stream::WebhookStarts,
            Self::Adjustments => Stream::AdjustmentStarts,
            Self::Changes => Stream::RuleChangeStarts,
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
        ApiCall::new(world, entity, random).event(world, time_us)
    } else {
        let shop = world.population.any_shop(&mut random);
        Order::new(world, entity, shop, random).placed(world, time_us)
    };
    bad_input::spoil(&mut event, kind);
    event
}

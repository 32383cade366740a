//! When a carrier is out for some time, another stands in until it is back.

use super::Carrier;
use crate::event::{API_HEALTH_TOPIC, Envelope, EventKind, Key, Owner, Truth};
use crate::flow::{Flow, Lane, Scene};
use crate::random::{Entity, Stream};
use crate::scenario::Schedule;
use crate::world::World;

const SWITCHED: EventKind = EventKind {
    topic: API_HEALTH_TOPIC,
    event_type: "apihealth.failover.switched.v1",
    source: "/creatorflow/shipping-automation",
};

/// How long an outage lasts before another carrier stands in.
const PATIENCE_US: i64 = 60_000_000;

/// Watches over one carrier whose outages are known.
#[derive(Debug)]
pub(crate) struct Failover {
    carrier: Carrier,
    schedule: Schedule,
    /// Number of the effect in the scenario.
    number: usize,
    switches: u32,
    /// When the outage ends, once it was noticed.
    until_us: Option<i64>,
    lane: Lane,
}

impl Failover {
    pub fn new(world: &World, carrier: Carrier, schedule: Schedule, number: usize) -> Self {
        let lane = Lane::new(world.seed, Entity::member(Stream::Failovers, number, 0));
        Self { carrier, schedule, number, switches: 0, until_us: None, lane }
    }

    /// When the next outage is noticed, and when it ends.
    pub fn next_us(&self, world: &World, after_us: i64) -> Option<(i64, i64)> {
        let (from_us, until_us) = world.next_interval_us(self.schedule, after_us)?;
        Some((from_us.saturating_add(PATIENCE_US), until_us))
    }

    fn tell(&mut self, scene: &mut Scene<'_>, from: Carrier, to: Carrier, reason: &str) {
        self.switches += 1;
        let entity = Entity::member(Stream::Failovers, self.number, self.switches);
        let envelope = Envelope {
            kind: SWITCHED,
            id: scene.world.ids.ulid(entity, 0, scene.now_us),
            owner: Owner::Platform,
            subject: ("failover", self.carrier.provider()),
            key: Key::OfTenant(self.carrier.provider()),
            sequence: Some(self.switches),
            correlation: None,
            truth: Truth::CarrierOutage,
        };
        let event = envelope.event(scene.world, scene.now_us, |o| {
            o.text("from", from.as_str());
            o.text("to", to.as_str());
            o.text("reason", reason);
            o.text("mode", "automatic");
        });
        scene.send(&mut self.lane, Owner::Platform, event);
    }
}

impl Flow for Failover {
    fn step(&mut self, scene: &mut Scene<'_>) -> Option<i64> {
        let (carrier, stand_in) = (self.carrier, self.carrier.stand_in());
        if self.until_us.take().is_some() {
            scene.state.switched_off.retain(|off| *off != carrier);
            self.tell(scene, stand_in, carrier, "recovered");
        } else if scene.world.outage(carrier.provider(), scene.now_us).is_some() {
            let (_, until_us) = self.next_us(scene.world, scene.now_us)?;
            scene.state.switched_off.push(carrier);
            self.tell(scene, carrier, stand_in, "outage");
            self.until_us = Some(until_us);
            return Some(until_us);
        }
        self.next_us(scene.world, scene.now_us).map(|(noticed_us, _)| noticed_us)
    }
}

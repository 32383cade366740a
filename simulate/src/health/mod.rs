//! How the machines behind the platform are.
//!
//! Services are checked, resources, queues and databases sampled, on schedule and from the real state
//! where there is one: the queue of webhooks is as long as the webhooks that wait.

mod backup;
mod check;
mod dependency;
mod sample;
#[cfg(test)]
mod tests;

pub(crate) use backup::{BACKUPS, back_up};
pub(crate) use check::{SERVICES, check_service};
pub(crate) use dependency::declare_dependencies;
pub(crate) use sample::{
    DATABASES, HOSTS, QUERIES, QUEUES, RESOURCES, observe_query, sample_database, sample_queue, sample_resource,
};

use crate::event::{Envelope, EventKind, HEALTH_TOPIC, Key, Owner, Truth};
use crate::flow::Scene;
use crate::json::Object;
use crate::series::Tick;

const fn kind(event_type: &'static str, source: &'static str) -> EventKind {
    EventKind { topic: HEALTH_TOPIC, event_type, source }
}

/// Sends what a probe saw of the subject, which is the record's key as well.
fn tell(
    tick: &mut Tick<'_>,
    scene: &mut Scene<'_>,
    kind: EventKind,
    subject: (&str, &str),
    truth: Truth,
    data: impl FnOnce(&mut Object<'_>),
) {
    let envelope = Envelope {
        kind,
        id: scene.world.ids.ulid(tick.entity, 0, scene.now_us),
        owner: Owner::Platform,
        subject,
        key: Key::Plain(subject.1),
        sequence: None,
        correlation: None,
        truth,
    };
    let event = envelope.event(scene.world, scene.now_us, data);
    scene.send(tick.lane, Owner::Platform, event);
}

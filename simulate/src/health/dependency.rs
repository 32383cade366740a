//! What depends on what.

use super::kind;
use crate::event::{Envelope, EventKind, Key, Owner, Truth};
use crate::flow::{Lane, Scene};
use crate::random::{Entity, Stream};

const DECLARED: EventKind = kind("health.dependency.declared.v1", "/platform/service-catalogue");

/// From, to, and how badly.
const DEPENDENCIES: [(&str, &str, &str); 11] = [
    ("web", "supabase-api", "hard"),
    ("supabase-api", "supabase-database", "hard"),
    ("edge-functions", "supabase-database", "hard"),
    ("order-queue", "edge-functions", "hard"),
    ("webhook-queue", "edge-functions", "hard"),
    ("order-queue", "tiktok-shop", "hard"),
    ("order-queue", "carrier-usps", "soft"),
    ("order-queue", "carrier-ups", "soft"),
    ("order-queue", "carrier-fedex", "soft"),
    ("order-queue", "carrier-dhl", "soft"),
    ("n8n", "openai", "soft"),
];

/// Tells all of them.
pub(crate) fn declare_dependencies(scene: &mut Scene<'_>, lane: &mut Lane) {
    for (number, (from, to, criticality)) in DEPENDENCIES.into_iter().enumerate() {
        let entity = Entity { stream: Stream::Dependencies, number: number as u64 };
        let envelope = Envelope {
            kind: DECLARED,
            id: scene.world.ids.ulid(entity, 0, scene.now_us),
            owner: Owner::Platform,
            subject: ("service", from),
            key: Key::Plain(from),
            sequence: None,
            correlation: None,
            truth: Truth::Normal,
        };
        let event = envelope.event(scene.world, scene.now_us, |o| {
            o.text("from_service", from);
            o.text("to_service", to);
            o.text("criticality", criticality);
        });
        scene.send(lane, Owner::Platform, event);
    }
}

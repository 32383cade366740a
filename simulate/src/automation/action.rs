//! What people have to do: actions are opened and, sooner or later, closed.

use super::kind;
use crate::event::{Envelope, EventKind, Key, Owner, Truth};
use crate::flow::{Flow, Lane, Scene};
use crate::json::Object;
use crate::population::ShopIndex;
use crate::random::{Entity, Random, Stream};
use crate::world::World;

const OPENED: EventKind = kind("automation.action.opened.v1");
const CLOSED: EventKind = kind("automation.action.closed.v1");

/// Something to do for a person.
#[derive(Debug, Clone)]
pub(crate) struct Action {
    pub shop: ShopIndex,
    /// What it belongs to.
    pub entity: Entity,
    /// Which of its actions.
    pub step: u8,
    pub system: &'static str,
    pub kind: &'static str,
    pub priority_level: &'static str,
    /// What it is about, as in `order/ord_5e21c7`.
    pub entity_ref: String,
}

impl Action {
    fn tell(
        &self,
        scene: &mut Scene<'_>,
        lane: &mut Lane,
        kind: EventKind,
        sequence: u8,
        rest: impl FnOnce(&mut Object<'_>),
    ) {
        let world = scene.world;
        let entity = self.entity.child(Stream::Actions);
        let step = self.step * 4 + sequence;
        let action_id = world.ids.named("act_", entity, self.step * 4).to_string();
        let owner = Owner::Shop(self.shop);
        let envelope = Envelope {
            kind,
            id: world.ids.ulid(entity, step, scene.now_us),
            owner,
            subject: ("action", &action_id),
            key: Key::OfTenant(&action_id),
            sequence: Some(u32::from(sequence)),
            correlation: self.entity_ref.strip_prefix("order/"),
            truth: Truth::Normal,
        };
        let event = envelope.event(world, scene.now_us, |o| {
            o.text("action_id", &action_id);
            o.text("system", self.system);
            o.text("kind", self.kind);
            o.text("priority_level", self.priority_level);
            o.text("entity_ref", &self.entity_ref);
            rest(o);
        });
        scene.send(lane, owner, event);
    }
}

pub(crate) fn open_action(scene: &mut Scene<'_>, lane: &mut Lane, action: &Action, due_us: i64) {
    action.tell(scene, lane, OPENED, 1, |o| o.time("due_at", due_us));
}

pub(crate) fn close_action(scene: &mut Scene<'_>, lane: &mut Lane, action: &Action, closed_by: &str, human_ms: i64) {
    action.tell(scene, lane, CLOSED, 2, |o| {
        o.text("closed_by", closed_by);
        o.integer("human_ms", human_ms);
    });
}

/// An action that belongs to nothing else, from its opening to its end.
#[derive(Debug)]
pub(super) struct Chore {
    action: Action,
    random: Random,
    lane: Lane,
    due_us: Option<i64>,
}

impl Chore {
    pub fn new(world: &World, entity: Entity, shop: ShopIndex, mut random: Random) -> Self {
        let (system, kind) = random.weighted(&[
            (("inventory", "approve_restock"), 35),
            (("orders", "review_return"), 30),
            (("shipping", "confirm_pickup"), 20),
            (("tiktok", "answer_review"), 15),
        ]);
        let priority_level = random.weighted(&[("standard", 70), ("high", 22), ("urgent", 8)]);
        let entity_ref = format!("shop/{}", world.population.shop(shop).id);
        let action = Action { shop, entity, step: 0, system, kind, priority_level, entity_ref };
        Self { action, random, lane: Lane::new(world.seed, entity), due_us: None }
    }
}

impl Flow for Chore {
    fn step(&mut self, scene: &mut Scene<'_>) -> Option<i64> {
        let Some(due_us) = self.due_us else {
            let due_us = scene.now_us + scene.world.days_us(0.5);
            self.due_us = Some(due_us);
            open_action(scene, &mut self.lane, &self.action, due_us);
            return Some(scene.now_us + scene.world.days_us(self.random.log_normal(0.12, 0.9)).max(1000));
        };
        let is_expired = scene.now_us > due_us;
        let closed_by = if is_expired { "expired" } else { self.random.weighted(&[("human", 75), ("automation", 25)]) };
        let human_ms = if closed_by == "human" { self.random.log_normal(90_000.0, 0.7) as i64 } else { 0 };
        close_action(scene, &mut self.lane, &self.action, closed_by, human_ms);
        None
    }
}

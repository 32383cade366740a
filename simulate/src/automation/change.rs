//! Rules and features that creators change.

use super::action::Chore;
use super::kind;
use super::rule::{FEATURES, Rule};
use crate::event::{Envelope, EventKind, Key, Owner, Truth};
use crate::flow::Scene;
use crate::random::{Entity, Random, Stream};

const RULE_CHANGED: EventKind = kind("automation.automation_rule.changed.v1");
const FEATURE_TOGGLED: EventKind = kind("automation.automation_feature.toggled.v1");

/// Tells of the rules and features that a creator begins with.
pub(crate) fn declare_rules(scene: &mut Scene<'_>, creator: usize) {
    for rule in Rule::ALL {
        tell_rule(scene, creator, rule, "created");
    }
    for feature in 0..FEATURES.len() {
        tell_feature(scene, creator, feature);
    }
}

/// Somebody edits a rule, switches something on or off, or has something to do.
pub(crate) fn change_something(scene: &mut Scene<'_>, entity: Entity, mut random: Random) {
    let world = scene.world;
    let shop = world.population.any_shop(&mut random);
    let creator = world.population.shop(shop).creator;
    let rule = *random.pick(&Rule::ALL);
    let feature = random.below(FEATURES.len() as u64) as usize;
    match random.below(100) {
        0..50 => scene.begin(scene.now_us, Chore::new(world, entity, shop, random)),
        50..70 => tell_rule(scene, creator, rule, "edited"),
        70..85 => {
            let state = scene.state.creators[creator].rules.get(rule);
            // Most of the time nearly all rules are on.
            let is_active = !state.is_active || random.chance(0.7);
            if is_active == state.is_active {
                tell_rule(scene, creator, rule, "edited");
                return;
            }
            state.is_active = is_active;
            tell_rule(scene, creator, rule, if is_active { "enabled" } else { "disabled" });
        }
        _ => {
            let enabled = &mut scene.state.creators[creator].features.enabled[feature];
            *enabled = !*enabled || random.chance(0.6);
            tell_feature(scene, creator, feature);
        }
    }
}

fn tell_rule(scene: &mut Scene<'_>, creator: usize, rule: Rule, change: &str) {
    let about = rule.about();
    let state = scene.state.creators[creator].rules.get(rule);
    state.sequence += 1;
    let (sequence, is_active) = (state.sequence, state.is_active);
    let world = scene.world;
    let mut lane = scene.state.creators[creator].lane.clone();
    let owner = Owner::Creator(creator);
    let entity = Entity::member(Stream::Rules, creator * Rule::ALL.len() + rule as usize, sequence);
    let envelope = Envelope {
        kind: RULE_CHANGED,
        id: world.ids.ulid(entity, 1, scene.now_us),
        owner,
        subject: ("rule", about.id),
        key: Key::OfTenant(about.id),
        sequence: Some(sequence),
        correlation: None,
        truth: Truth::Normal,
    };
    let event = envelope.event(world, scene.now_us, |o| {
        o.text("rule_id", about.id);
        o.text("rule_name", about.name);
        o.text("rule_type", about.automation_type);
        o.text("priority_level", "standard");
        o.boolean("is_active", is_active);
        o.text("change", change);
        o.text("actor_id", &format!("usr_{}", creator + 1));
        o.time("updated_at", scene.now_us);
    });
    scene.send(&mut lane, owner, event);
    scene.state.creators[creator].lane = lane;
}

fn tell_feature(scene: &mut Scene<'_>, creator: usize, feature: usize) {
    let features = &mut scene.state.creators[creator].features;
    features.sequence[feature] += 1;
    let (sequence, enabled) = (features.sequence[feature], features.enabled[feature]);
    let world = scene.world;
    let mut lane = scene.state.creators[creator].lane.clone();
    let owner = Owner::Creator(creator);
    let envelope = Envelope {
        kind: FEATURE_TOGGLED,
        id: world.ids.ulid(
            Entity::member(Stream::Features, creator * FEATURES.len() + feature, sequence),
            0,
            scene.now_us,
        ),
        owner,
        subject: ("feature", FEATURES[feature]),
        key: Key::OfTenant(FEATURES[feature]),
        sequence: Some(sequence),
        correlation: None,
        truth: Truth::Normal,
    };
    let event = envelope.event(world, scene.now_us, |o| {
        o.text("feature", FEATURES[feature]);
        o.boolean("available", true);
        o.boolean("enabled", enabled);
    });
    scene.send(&mut lane, owner, event);
    scene.state.creators[creator].lane = lane;
}

//! Runs of rules, with their repetitions.

use super::kind;
use super::rule::Rule;
use crate::event::{Envelope, EventKind, Key, Owner, Truth};
use crate::flow::{Flow, Lane, Scene};
use crate::population::ShopIndex;
use crate::random::{Entity, Random};

const FINISHED: EventKind = kind("automation.automation_run.finished.v1");

const FAILURE_SHARE: f64 = 0.02;
const SKIPPED_SHARE: f64 = 0.008;
/// Attempts of one logical run.
const ATTEMPTS_MAX: u8 = 3;

/// What a rule is run for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work<'a> {
    /// The runs for one order, one count of stock, one day.
    pub entity: Entity,
    /// Which of them.
    pub step: u8,
    pub correlation: Option<&'a str>,
}

/// Lets a rule do its work and tells that it has finished now; `false` if the rule is off.
pub(crate) fn run_rule(
    scene: &mut Scene<'_>,
    rule: Rule,
    shop: ShopIndex,
    work: Work<'_>,
    random: &mut Random,
    lane: &mut Lane,
) -> bool {
    let creator = scene.world.population.shop(shop).creator;
    if !scene.state.creators[creator].rules.is_active(rule) {
        return false;
    }
    // Steps of four: there are three attempts in each.
    let run = Run { rule, shop, entity: work.entity, step: work.step * 4, attempt: 1 };
    if run.tell(scene, work.correlation, random, lane) == Outcome::Failed {
        let order_id = work.correlation.map(str::to_owned);
        let retry = Retry { run: run.again(), order_id, random: random.clone(), lane: lane.clone() };
        scene.begin(scene.now_us + random.log_normal(9e6, 0.6) as i64, retry);
    }
    true
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Success,
    Failed,
    Skipped,
}

#[derive(Debug, Clone, Copy)]
struct Run {
    rule: Rule,
    shop: ShopIndex,
    entity: Entity,
    step: u8,
    attempt: u8,
}

impl Run {
    fn again(self) -> Self {
        Self { attempt: self.attempt + 1, ..self }
    }

    fn tell(self, scene: &mut Scene<'_>, order_id: Option<&str>, random: &mut Random, lane: &mut Lane) -> Outcome {
        let about = self.rule.about();
        let outcome = if random.chance(if self.attempt == 1 { FAILURE_SHARE } else { 0.15 }) {
            Outcome::Failed
        } else if random.chance(SKIPPED_SHARE) {
            Outcome::Skipped
        } else {
            Outcome::Success
        };
        let took_ms = random.log_normal(about.median_ms, 0.4) as i64 + 1;
        let is_done = outcome == Outcome::Success;
        let items = if self.rule == Rule::Reconcile { random.between(20, 200) } else { 1 };
        let human_ms = if outcome == Outcome::Failed { random.between(0, 60_000) } else { 0 };
        let world = scene.world;
        let creator = world.population.shop(self.shop).creator;
        let tally = &mut scene.state.creators[creator].rules.get(self.rule).tally;
        tally.errors += i64::from(outcome == Outcome::Failed);
        if is_done {
            tally.items += items;
            tally.saved_ms += about.manual_ms - took_ms.min(about.manual_ms);
            tally.took_ms += took_ms;
        }
        let run_id = world.ids.named("run_", self.entity, self.step + self.attempt).to_string();
        let owner = Owner::Shop(self.shop);
        let envelope = Envelope {
            kind: FINISHED,
            id: world.ids.ulid(self.entity, self.step + self.attempt, scene.now_us),
            owner,
            subject: ("run", &run_id),
            key: Key::OfTenant(about.id),
            sequence: None,
            correlation: order_id,
            truth: Truth::Normal,
        };
        let event = envelope.event(world, scene.now_us, |o| {
            o.text("run_id", &run_id);
            o.named("logical_run_id", world.ids.named("run_", self.entity, self.step + 1));
            o.text("rule_id", about.id);
            o.text("automation_type", about.automation_type);
            o.text("system", about.system);
            o.integer("items", items);
            let outcome_name = match outcome {
                Outcome::Success => "success",
                Outcome::Failed => "failed",
                Outcome::Skipped => "skipped",
            };
            o.text("outcome", outcome_name);
            o.time("started_at", scene.now_us.div_euclid(1000) * 1000 - took_ms * 1000);
            o.time("finished_at", scene.now_us);
            o.integer("duration_ms", took_ms);
            o.integer("attempt", i64::from(self.attempt));
            o.integer("manual_baseline_ms", about.manual_ms);
            o.integer("human_ms", human_ms);
            o.integer("rework_ms", if outcome == Outcome::Failed { human_ms / 2 } else { 0 });
            o.integer("cost_micro", about.cost_micro);
            o.integer("actions_averted", i64::from(is_done));
            o.optional_text("error_code", (outcome == Outcome::Failed).then_some("step_failed"));
        });
        scene.send(lane, owner, event);
        outcome
    }
}

/// A run that failed and is repeated.
#[derive(Debug)]
struct Retry {
    run: Run,
    order_id: Option<String>,
    random: Random,
    lane: Lane,
}

impl Flow for Retry {
    fn step(&mut self, scene: &mut Scene<'_>) -> Option<i64> {
        let outcome = self.run.tell(scene, self.order_id.as_deref(), &mut self.random, &mut self.lane);
        if outcome != Outcome::Failed || self.run.attempt == ATTEMPTS_MAX {
            return None;
        }
        self.run = self.run.again();
        Some(scene.now_us + self.random.log_normal(20e6, 0.6) as i64)
    }
}

//! Rows that the shop system adds up itself, once a day. What they say is what the runs of that day say.

use super::kind;
use super::rule::Rule;
use super::run::{Work, run_rule};
use crate::event::{Envelope, EventKind, Key, Owner, Truth};
use crate::flow::Scene;
use crate::random::Stream;
use crate::series::Tick;

const REPORTED: EventKind = kind("automation.automation_metric.reported.v1");

const MS_PER_HOUR: i64 = 3_600_000;

/// Reports what each rule of a creator did since the last report, and compares the books.
pub(crate) fn report_day(tick: &mut Tick<'_>, scene: &mut Scene<'_>, creator: usize) {
    let world = scene.world;
    let owner = Owner::Creator(creator);
    for rule in Rule::ALL {
        let tally = std::mem::take(&mut scene.state.creators[creator].rules.get(rule).tally);
        let about = rule.about();
        let envelope = Envelope {
            kind: REPORTED,
            id: world.ids.ulid(tick.entity, rule as u8, scene.now_us),
            owner,
            subject: ("automation_metric", about.automation_type),
            key: Key::OfTenant(about.id),
            sequence: None,
            correlation: None,
            truth: Truth::Normal,
        };
        let manual_ms = tally.saved_ms + tally.took_ms;
        let event = envelope.event(world, scene.now_us, |o| {
            o.text("automation_type", about.automation_type);
            // The day that is over: reports come shortly after midnight.
            o.date("metric_date", scene.now_us - MS_PER_HOUR * 1000 * 12);
            o.integer("orders_processed", tally.items);
            o.decimal("time_saved_hours", tally.saved_ms * 1000 / MS_PER_HOUR, 3);
            o.integer("stress_reduction_score", (90 - 10 * tally.errors).max(10));
            o.decimal("efficiency_gain", if tally.took_ms > 0 { manual_ms * 100 / tally.took_ms - 100 } else { 0 }, 2);
            o.integer("error_count", tally.errors);
        });
        scene.send(tick.lane, owner, event);
    }
    let Some(shop) = world.population.creators[creator].shops.first().copied() else { return };
    let work = Work { entity: tick.entity.stream_of(Stream::Reports), step: 0, correlation: None };
    run_rule(scene, Rule::Reconcile, shop, work, tick.random, tick.lane);
}

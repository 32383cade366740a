//! Stock that turns out to be other than it was thought to be.

use super::ledger::{Change, Reason, change};
use crate::automation::{Rule, Work, run_rule};
use crate::event::Truth;
use crate::flow::{Lane, Scene};
use crate::random::{Entity, Random, Stream};

/// Counts some product of some shop again.
pub(crate) fn adjust(scene: &mut Scene<'_>, entity: Entity, mut random: Random) {
    let world = scene.world;
    let shop = world.population.any_shop(&mut random);
    let about = world.population.shop(shop);
    let Some(product) = about.products.get(about.any_position(&mut random)).copied() else { return };
    let reason = random.weighted(&[(Reason::AdjustmentAuto, 50), (Reason::AdjustmentManual, 35), (Reason::Damage, 15)]);
    let missing = random.between(1, 3);
    let delta = if reason != Reason::Damage && random.chance(0.4) { missing } else { -missing };
    // What is promised to orders is not given away.
    if scene.state.levels[product.0].available() + delta < 0 {
        return;
    }
    change(scene, product, Change { reason, delta, reserved: 0, order_id: None, truth: Truth::Normal });
    if reason == Reason::AdjustmentAuto {
        let mut lane = Lane::new(world.seed, entity);
        let work = Work { entity: entity.child(Stream::AutomationRuns), step: 0, correlation: None };
        run_rule(scene, Rule::AdjustStock, shop, work, &mut random, &mut lane);
    }
}

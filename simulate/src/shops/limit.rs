//! How much of its platform's rate limit a shop uses.

use super::kind;
use crate::event::{Envelope, EventKind, Key, Owner, Truth};
use crate::flow::Scene;
use crate::population::ShopIndex;
use crate::rhythm::activity;
use crate::series::Tick;

const SAMPLED: EventKind = kind("apihealth.rate_limit.sampled.v1");

const LIMIT: i64 = 600;
const WINDOW_S: i64 = 60;

pub(crate) fn sample_rate_limit(tick: &mut Tick<'_>, scene: &mut Scene<'_>, shop: ShopIndex) {
    let world = scene.world;
    let about = world.population.shop(shop);
    let share = world.population.share_of(shop).sqrt();
    let is_viral = world.is_viral(about.creator, scene.now_us);
    let usual = LIMIT as f64 * share * activity(scene.now_us) * 0.6;
    let used = tick.random.log_normal(usual * if is_viral { 5.0 } else { 1.0 }, 0.3) as i64;
    let owner = Owner::Shop(shop);
    let envelope = Envelope {
        kind: SAMPLED,
        id: world.ids.ulid(tick.entity, 0, scene.now_us),
        owner,
        subject: ("rate_limit", &about.id),
        key: Key::OfTenant(&about.id),
        sequence: None,
        correlation: None,
        truth: if is_viral { Truth::ViralSpike } else { Truth::Normal },
    };
    let event = envelope.event(world, scene.now_us, |o| {
        o.text("provider", "tiktok_shop");
        o.text("api", "orders");
        o.text("shop_id", &about.id);
        o.integer("limit", LIMIT);
        o.integer("used", used.clamp(1, LIMIT));
        o.integer("window_s", WINDOW_S);
    });
    scene.send(tick.lane, owner, event);
}

//! What the events of an order say.

use super::{Line, Money, Order};
use crate::event::{Envelope, EventKind, Key, ORDERS_TOPIC, Owner, SimulatedEvent};
use crate::flow::Scene;
use crate::json::Object;
use crate::population::Creator;
use crate::world::World;

/// Rule named by orders that no human touched.
const AUTOMATION_RULE: &str = "rule_auto_confirm";

/// The next event of an order: what all of them say, and what this one says.
fn event(
    order: &mut Order,
    world: &World,
    now_us: i64,
    event_type: &'static str,
    data: impl FnOnce(&mut Order, &mut Object<'_>),
) -> SimulatedEvent {
    let order_id = order.order_id(world);
    let envelope = Envelope {
        kind: EventKind { topic: ORDERS_TOPIC, event_type, source: "/creatorflow/order-management" },
        id: world.ids.ulid(order.entity, order.sequence, now_us),
        owner: Owner::Shop(order.shop),
        subject: ("order", &order_id),
        key: Key::OfTenant(&order_id),
        sequence: Some(u32::from(order.sequence)),
        correlation: None,
        truth: order.truth(),
    };
    order.sequence += 1;
    // 18 digits, as TikTok's are.
    let tiktok_order_id = format!("{:018}", world.ids.unique(order.entity, 0) % 1_000_000_000_000_000_000);
    envelope.event(world, now_us, |o| {
        o.text("order_id", &order_id);
        o.text("tiktok_order_id", &tiktok_order_id);
        o.text("shop_id", &world.population.shop(order.shop).id);
        data(order, o);
        o.text("priority_level", order.priority_level);
        o.text("impact_level", order.impact_level);
    })
}

pub(super) fn created(order: &mut Order, world: &World, now_us: i64) -> SimulatedEvent {
    let creator = world.population.creator_of(order.shop);
    let index = world.population.shop(order.shop).creator;
    event(order, world, now_us, "orders.order.created.v1", |order, o| {
        o.text("order_status", order.order_status);
        o.text("payment_status", order.payment_status);
        o.text("fulfillment_stage", order.stage);
        write_money(order.money, creator, o);
        o.objects("items", &order.lines, |line, o| write_line(line, world, o));
        let random = &mut order.random;
        o.text("customer_key", &format!("c_{:08x}", random.below(0xffff_ffff)));
        o.boolean("customer_is_new", random.chance(0.35));
        o.text("ship_country", creator.market.country);
        o.text("ship_region", order.region);
        o.text("sales_platform", "tiktok_shop");
        write_attribution(order, index, o);
        // The shop system tells of an order within a second.
        o.time("ordered_at", now_us - order.random.between(50_000, 900_000));
        write_automation(order, o);
        o.integer("viral_score", order.viral_score);
    })
}

fn write_line(line: &Line, world: &World, o: &mut Object<'_>) {
    let product = world.population.product(line.product);
    o.text("product_id", &product.id);
    o.text("sku", &product.sku);
    o.text("category", product.category);
    o.text("variant", product.variant);
    o.integer("quantity", line.quantity);
    o.integer("unit_price_minor", product.price_minor);
    o.integer("line_total_minor", product.price_minor * line.quantity);
    o.integer("unit_cost_minor", product.cost_minor);
}

/// Where the order came from. A viral order comes from the one video that everybody watches.
fn write_attribution(order: &mut Order, creator: usize, o: &mut Object<'_>) {
    let random = &mut order.random;
    let channel = random.weighted(&[("tiktok_video", 45), ("tiktok_live", 30), ("shop_tab", 20), ("affiliate", 5)]);
    let content = 88_000 + creator as u64 * 20 + random.below(20);
    let campaign = random.chance(0.2).then(|| format!("cmp_{}", creator + 1));
    let channel = if order.is_viral { "tiktok_video" } else { channel };
    o.text("channel", channel);
    if order.is_viral {
        o.text("content_id", &format!("vid_{}", 90_000 + creator));
    } else if matches!(channel, "tiktok_video" | "tiktok_live") {
        o.text("content_id", &format!("vid_{content}"));
    }
    o.optional_text("campaign_id", campaign.as_deref());
}

fn write_automation(order: &Order, o: &mut Object<'_>) {
    o.boolean("is_automated", order.is_automated);
    o.optional_text("automation_rule_id", order.is_automated.then_some(AUTOMATION_RULE));
}

fn write_money(money: Money, creator: &Creator, o: &mut Object<'_>) {
    o.integer("total_minor", money.total);
    o.integer("shipping_minor", money.shipping);
    o.integer("fee_minor", money.fee);
    o.text("currency", creator.market.currency);
}

pub(super) fn payment(order: &mut Order, scene: &Scene<'_>, status: &'static str, refund: i64) -> SimulatedEvent {
    let creator = scene.world.population.creator_of(order.shop);
    event(order, scene.world, scene.now_us, "orders.order.payment_changed.v1", |order, o| {
        o.text("payment_status", status);
        o.text("previous_payment_status", order.payment_status);
        order.payment_status = status;
        write_money(order.money, creator, o);
        o.integer("refund_minor", refund);
    })
}

pub(super) fn processed(order: &mut Order, scene: &Scene<'_>, outcome: &str) -> SimulatedEvent {
    let (started_us, now_us) = (order.processing_started_us, scene.now_us);
    event(order, scene.world, now_us, "orders.order.processed.v1", |order, o| {
        o.text("outcome", outcome);
        o.integer("attempt", order.attempt);
        o.time("processing_started_at", started_us);
        o.time("processed_at", now_us);
        o.integer("processing_ms", now_us.div_euclid(1000) - started_us.div_euclid(1000));
        write_automation(order, o);
        let touches = if order.is_automated && order.attempt == 1 { 0 } else { order.random.between(1, 4) };
        o.integer("manual_touches", touches);
        o.integer("human_ms", touches * order.random.between(15_000, 120_000));
    })
}

/// An exception of that code and source, raised or resolved by somebody.
pub(super) fn exception(
    order: &mut Order,
    scene: &Scene<'_>,
    event_type: &'static str,
    (code, source): (&str, &str),
    resolved_by: Option<&str>,
) -> SimulatedEvent {
    event(order, scene.world, scene.now_us, event_type, |_, o| {
        o.text("exception_code", code);
        o.text("exception_source", source);
        o.optional_text("resolved_by", resolved_by);
    })
}

pub(super) fn status(
    order: &mut Order,
    scene: &Scene<'_>,
    status: &'static str,
    stage: &'static str,
) -> SimulatedEvent {
    event(order, scene.world, scene.now_us, "orders.order.status_changed.v1", |order, o| {
        o.text("order_status", status);
        o.text("previous_status", order.order_status);
        o.text("fulfillment_stage", stage);
        o.text("previous_stage", order.stage);
        match status {
            "processing" => o.time("processing_started_at", scene.now_us),
            "shipped" => o.time("shipped_at", scene.now_us),
            "delivered" => o.time("delivered_at", scene.now_us),
            _ => {}
        }
        order.order_status = status;
        order.stage = stage;
    })
}

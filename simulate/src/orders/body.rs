//! What the events of an order say.

use super::life::Step;
use super::{Money, Order};
use crate::event::{Envelope, ORDERS_TOPIC, SimulatedEvent, Tenant, Truth};
use crate::json::Object;
use crate::population::{Creator, Product};
use crate::world::World;

const SOURCE: &str = "/creatorflow/order-management";

/// Rule named by orders that no human touched.
const AUTOMATION_RULE: &str = "rule_auto_confirm";

/// Writes the event of the step that the order is at, and takes over what it changes.
pub(super) fn write(order: &mut Order, world: &World) -> SimulatedEvent {
    let creator = &world.population.creators[order.shop.creator];
    let order_id = world.ids.named("ord_", order.entity, 0).to_string();
    let subject = ["order/", &order_id].concat();
    let envelope = Envelope {
        topic: ORDERS_TOPIC,
        event_type: order.step.event_type(),
        id: world.ids.ulid(order.entity, order.sequence, order.time_us),
        source: SOURCE,
        subject: &subject,
        time_us: order.time_us,
        clock_error_us: world.clock_error_us(order.shop, order.time_us),
        tenant: Tenant::Creator(&creator.id),
        key_entity: &order_id,
        sequence: Some(u32::from(order.sequence)),
        truth: if order.is_viral { Truth::ViralSpike } else { Truth::Normal },
    };
    // 18 digits, as TikTok's are.
    let tiktok_order_id = format!("{:018}", world.ids.unique(order.entity, 0) % 1_000_000_000_000_000_000);
    envelope.with_data(|o| {
        o.text("order_id", &order_id);
        o.text("tiktok_order_id", &tiktok_order_id);
        o.text("shop_id", world.population.shop_id(order.shop));
        match order.step {
            Step::Create => write_created(order, creator, o),
            Step::Pay => write_payment(order, "paid", 0, creator, o),
            Step::FailPayment => write_payment(order, "failed", 0, creator, o),
            Step::Refund => write_payment(order, "refunded", order.money.total + order.money.shipping, creator, o),
            Step::Process => write_processed(order, "success", o),
            Step::FailProcessing => write_processed(order, "failed", o),
            Step::RaiseException => write_exception(order, o),
            _ => write_status(order, o),
        }
        o.text("priority_level", order.priority_level);
        o.text("impact_level", order.impact_level);
    })
}

fn write_created(order: &mut Order, creator: &Creator, o: &mut Object<'_>) {
    o.text("order_status", order.order_status);
    o.text("payment_status", order.payment_status);
    o.text("fulfillment_stage", order.stage);
    let lines: Vec<_> = (0..order.random.weighted(&[(1, 75), (2, 20), (3, 5)]))
        .map(|_| (order.random.pick(&creator.products), order.random.weighted(&[(1, 80), (2, 16), (3, 4)])))
        .collect();
    let total: i64 = lines.iter().map(|(product, quantity)| product.price_minor * quantity).sum();
    order.money = Money { total, shipping: if total >= 5000 { 0 } else { 499 }, fee: total * 6 / 100 };
    write_money(order.money, creator, o);
    o.objects("items", &lines, |(product, quantity), o| write_item(product, *quantity, o));
    let random = &mut order.random;
    o.text("customer_key", &format!("c_{:08x}", random.below(0xffff_ffff)));
    o.boolean("customer_is_new", random.chance(0.35));
    o.text("ship_country", creator.market.country);
    let region: &&str = random.pick(creator.market.regions);
    o.text("ship_region", region);
    o.text("sales_platform", "tiktok_shop");
    write_attribution(order, o);
    // The shop system tells of an order within a second.
    o.time("ordered_at", order.time_us - order.random.between(50_000, 900_000));
    write_automation(order, o);
    o.integer("viral_score", order.viral_score);
}

fn write_item(product: &Product, quantity: i64, o: &mut Object<'_>) {
    o.text("product_id", &product.id);
    o.text("sku", &product.sku);
    o.text("category", product.category);
    o.text("variant", product.variant);
    o.integer("quantity", quantity);
    o.integer("unit_price_minor", product.price_minor);
    o.integer("line_total_minor", product.price_minor * quantity);
    o.integer("unit_cost_minor", product.cost_minor);
}

/// Where the order came from. A viral order comes from the one video that everybody watches.
fn write_attribution(order: &mut Order, o: &mut Object<'_>) {
    let random = &mut order.random;
    let channel = random.weighted(&[("tiktok_video", 45), ("tiktok_live", 30), ("shop_tab", 20), ("affiliate", 5)]);
    let content = 88_000 + order.shop.creator as u64 * 20 + random.below(20);
    let campaign = random.chance(0.2).then(|| format!("cmp_{}", order.shop.creator + 1));
    let channel = if order.is_viral { "tiktok_video" } else { channel };
    o.text("channel", channel);
    if order.is_viral {
        o.text("content_id", &format!("vid_{}", 90_000 + order.shop.creator));
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

fn write_payment(order: &mut Order, status: &'static str, refund: i64, creator: &Creator, o: &mut Object<'_>) {
    o.text("payment_status", status);
    o.text("previous_payment_status", order.payment_status);
    order.payment_status = status;
    write_money(order.money, creator, o);
    o.integer("refund_minor", refund);
}

fn write_processed(order: &mut Order, outcome: &str, o: &mut Object<'_>) {
    o.text("outcome", outcome);
    o.integer("attempt", order.attempt);
    o.time("processing_started_at", order.processing_started_us);
    o.time("processed_at", order.time_us);
    o.integer("processing_ms", order.time_us.div_euclid(1000) - order.processing_started_us.div_euclid(1000));
    write_automation(order, o);
    let touches = if order.is_automated && order.attempt == 1 { 0 } else { order.random.between(1, 4) };
    o.integer("manual_touches", touches);
    o.integer("human_ms", touches * order.random.between(15_000, 120_000));
}

fn write_exception(order: &mut Order, o: &mut Object<'_>) {
    let (code, source) = order.random.weighted(&[
        (("address_invalid", "shipping"), 35),
        (("stock_short", "inventory"), 30),
        (("platform_rejected", "tiktok"), 15),
        (("payment_review", "payment"), 10),
        (("rule_conflict", "order"), 10),
    ]);
    o.text("exception_code", code);
    o.text("exception_source", source);
}

fn write_status(order: &mut Order, o: &mut Object<'_>) {
    let Some((status, stage)) = order.step.status_and_stage() else { return };
    let stage = stage.unwrap_or(order.stage);
    o.text("order_status", status);
    o.text("previous_status", order.order_status);
    o.text("fulfillment_stage", stage);
    o.text("previous_stage", order.stage);
    match order.step {
        Step::StartProcessing => o.time("processing_started_at", order.time_us),
        Step::Ship => o.time("shipped_at", order.time_us),
        Step::Deliver => o.time("delivered_at", order.time_us),
        _ => {}
    }
    order.order_status = status;
    order.stage = stage;
}

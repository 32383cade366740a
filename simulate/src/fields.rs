//! Which fields the events have, as the catalogue of events says.

use crate::BadInput;
use crate::Truth;
use crate::testing::{eventful_week, json};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Event types with their fields: s text, i integer, n number, b boolean, t time, d day, a array. What
/// ends in `?` may be missing.
const FIELDS: &[(&str, &str)] = &[
    (
        "orders.order.created.v1",
        "order_id:s tiktok_order_id:s shop_id:s order_status:s payment_status:s fulfillment_stage:s priority_level:s \
         impact_level:s total_minor:i shipping_minor:i fee_minor:i currency:s items:a customer_key:s customer_is_new:b \
         ship_country:s ship_region:s channel:s content_id:s? campaign_id:s? sales_platform:s ordered_at:t \
         is_automated:b automation_rule_id:s? viral_score:i",
    ),
    (
        "orders.order.status_changed.v1",
        "order_id:s tiktok_order_id:s shop_id:s order_status:s previous_status:s fulfillment_stage:s previous_stage:s \
         priority_level:s impact_level:s processing_started_at:t? shipped_at:t? delivered_at:t?",
    ),
    (
        "orders.order.payment_changed.v1",
        "order_id:s tiktok_order_id:s shop_id:s payment_status:s previous_payment_status:s priority_level:s \
         impact_level:s total_minor:i shipping_minor:i fee_minor:i refund_minor:i currency:s",
    ),
    (
        "orders.order.processed.v1",
        "order_id:s tiktok_order_id:s shop_id:s priority_level:s impact_level:s outcome:s attempt:i \
         processing_started_at:t processed_at:t processing_ms:i is_automated:b automation_rule_id:s? \
         manual_touches:i human_ms:i",
    ),
    (
        "orders.order.exception_raised.v1",
        "order_id:s tiktok_order_id:s shop_id:s priority_level:s impact_level:s exception_code:s exception_source:s",
    ),
    (
        "orders.order.exception_resolved.v1",
        "order_id:s tiktok_order_id:s shop_id:s priority_level:s impact_level:s exception_code:s exception_source:s \
         resolved_by:s",
    ),
    (
        "inventory.stock.changed.v1",
        "product_id:s sku:s category:s shop_id:s location:s transaction_id:s quantity_before:i quantity_after:i \
         delta:i reserved:i available:i reason:s order_id:s? is_automated:b reorder_point:i low_threshold:i \
         lead_time_days:n unit_cost_minor:i unit_price_minor:i currency:s",
    ),
    (
        "inventory.stock_sync.completed.v1",
        "product_id:s? batch_id:s shop_id:s platform_stock:i local_stock:i reserved_quantity:i sync_status:s \
         items_checked:i items_matched:i source_changed_at:t synced_at:t sync_latency_ms:i trigger:s attempt:i \
         error_code:s? recovered:b",
    ),
    (
        "inventory.oversell.detected.v1",
        "order_id:s product_id:s requested:i available:i outcome:s value_minor:i currency:s",
    ),
    ("inventory.restock.planned.v1", "plan_id:s product_id:s quantity:i planned_for:d"),
    ("inventory.restock.received.v1", "plan_id:s product_id:s quantity:i received_at:t"),
    (
        "inventory.product.upserted.v1",
        "product_id:s sku:s name:s category:s base_price_minor:i unit_cost_minor:i currency:s stock_quantity:i \
         status:s updated_at:t",
    ),
    (
        "shipping.rate.quoted.v1",
        "quote_id:s order_id:s quotes:a chosen_carrier:s chosen_service:s chosen_cost_minor:i baseline_cost_minor:i \
         currency:s",
    ),
    (
        "shipping.label.completed.v1",
        "shipment_id:s order_id:s carrier:s service_type:s outcome:s requested_at:t created_at:t label_ms:i \
         shipping_minor:i insurance_minor:i baseline_cost_minor:i savings_minor:i currency:s is_automated:b \
         batch_id:s? error_code:s? attempt:i zone:s weight_g:i",
    ),
    (
        "shipping.shipment.status_changed.v1",
        "shipment_id:s order_id:s tracking_number:s carrier:s service_type:s status:s previous_status:s occurred_at:t \
         estimated_delivery:d delivered_at:t? address_ok:b? damage:b? attempts:i dest_country:s dest_region:s",
    ),
    (
        "shipping.claim.filed.v1",
        "claim_id:s shipment_id:s carrier:s kind:s claimed_minor:i recovered_minor:i currency:s",
    ),
    (
        "apihealth.api_call.completed.v1",
        "call_id:s provider:s api:s operation:s method:s direction:s shop_id:s? status_code:i outcome:s error_code:s? \
         duration_ms:i attempt:i logical_call_id:s rate_limit_limit:i rate_limit_remaining:i rate_limit_reset_at:t \
         cost_micro:i currency:s request_bytes:i response_bytes:i",
    ),
    (
        "apihealth.webhook.received.v1",
        "shop_id:s provider:s webhook_type:s event_id:s sent_at:t received_at:t signature_valid:b",
    ),
    (
        "apihealth.webhook.processed.v1",
        "shop_id:s provider:s webhook_type:s event_id:s processing_status:s retry_count:i received_at:t \
         processed_at:t processing_ms:i error_code:s?",
    ),
    ("apihealth.rate_limit.sampled.v1", "provider:s api:s shop_id:s limit:i used:i window_s:i"),
    ("apihealth.oauth_token.changed.v1", "shop_id:s change:s token_expires_at:t"),
    ("apihealth.shop_connection.changed.v1", "shop_id:s state:s reason:s"),
    (
        "apihealth.api_sync.completed.v1",
        "sync_id:s shop_id:s kind:s trigger:s records_seen:i created:i updated:i failed:i lag_ms:i duration_ms:i \
         outcome:s",
    ),
    ("apihealth.failover.switched.v1", "from:s to:s reason:s mode:s"),
    (
        "automation.automation_run.finished.v1",
        "run_id:s rule_id:s automation_type:s system:s items:i outcome:s started_at:t finished_at:t duration_ms:i \
         attempt:i logical_run_id:s manual_baseline_ms:i human_ms:i rework_ms:i cost_micro:i actions_averted:i \
         error_code:s?",
    ),
    (
        "automation.automation_rule.changed.v1",
        "rule_id:s rule_name:s rule_type:s priority_level:s is_active:b change:s actor_id:s updated_at:t",
    ),
    ("automation.automation_feature.toggled.v1", "feature:s available:b enabled:b"),
    ("automation.action.opened.v1", "action_id:s system:s kind:s priority_level:s due_at:t entity_ref:s"),
    ("automation.action.closed.v1", "action_id:s system:s kind:s priority_level:s entity_ref:s closed_by:s human_ms:i"),
    (
        "automation.automation_metric.reported.v1",
        "automation_type:s metric_date:d orders_processed:i time_saved_hours:n stress_reduction_score:i \
         efficiency_gain:n error_count:i",
    ),
    (
        "health.health_check.completed.v1",
        "service_name:s component:s status:s response_time_ms:i current_value:i threshold_warning:i \
         threshold_critical:i metric_type:s escalation_level:s region:s",
    ),
    ("health.resource.sampled.v1", "host:s resource:s used:i capacity:i unit:s"),
    ("health.queue.sampled.v1", "queue:s depth:i oldest_age_ms:i in_rate:n out_rate:n workers_busy:i workers_total:i"),
    ("health.db.sampled.v1", "db:s active_connections:i max_connections:i cache_hit_ratio:n deadlocks:i"),
    ("health.query.observed.v1", "fingerprint:s db:s calls:i total_ms:i mean_ms:n"),
    ("health.backup.finished.v1", "backup_id:s kind:s status:s bytes:i duration_ms:i finished_at:t"),
    ("health.dependency.declared.v1", "from_service:s to_service:s criticality:s"),
];

/// Event types with the fields of the elements of an array.
const ELEMENTS: &[(&str, &str, &str)] = &[
    (
        "orders.order.created.v1",
        "items",
        "product_id:s sku:s category:s variant:s quantity:i unit_price_minor:i line_total_minor:i unit_cost_minor:i",
    ),
    ("shipping.rate.quoted.v1", "quotes", "carrier:s service_type:s cost_minor:i eta_days:i"),
];

fn is_a(value: &Value, kind: &str) -> bool {
    let has_form = |length: usize, dashes: [usize; 2]| {
        value.as_str().is_some_and(|text| text.len() == length && dashes.iter().all(|at| text.as_bytes()[*at] == b'-'))
    };
    match kind {
        "s" => value.as_str().is_some_and(|text| !text.is_empty()),
        "i" => value.is_i64(),
        "n" => value.is_number(),
        "b" => value.is_boolean(),
        "t" => has_form(24, [4, 7]),
        "d" => has_form(10, [4, 7]),
        "a" => value.as_array().is_some_and(|elements| !elements.is_empty()),
        other => panic!("no kind {other}"),
    }
}

fn assert_fields(data: &Map<String, Value>, fields: &str, place: &str) {
    let mut known = BTreeSet::new();
    for field in fields.split_whitespace() {
        let (name, kind) = field.split_once(':').unwrap();
        known.insert(name);
        match (data.get(name), kind.strip_suffix('?')) {
            (None, None) => panic!("{place}.{name} is missing in {data:?}"),
            (None, Some(_)) => {}
            (Some(value), optional) => assert!(is_a(value, optional.unwrap_or(kind)), "{place}.{name}: {value}"),
        }
    }
    for name in data.keys() {
        assert!(known.contains(name.as_str()), "{place}.{name} is not in the catalogue");
    }
}

#[test]
fn events_have_the_fields_of_the_catalogue() {
    let known: BTreeMap<_, _> = FIELDS.iter().copied().collect();
    let mut checked: BTreeMap<&str, u32> = BTreeMap::new();
    for event in eventful_week() {
        if matches!(event.truth, Truth::Bad(kind) if kind != BadInput::UnknownEnum) {
            continue;
        }
        // So many of a type have everything that can be missing.
        let count = checked.entry(event.event_type).or_default();
        *count += 1;
        if *count > 500 {
            continue;
        }
        let json = json(event);
        let fields = known.get(event.event_type).unwrap_or_else(|| panic!("{} is unknown", event.event_type));
        assert_fields(json["data"].as_object().unwrap(), fields, event.event_type);
        for (_, array, fields) in ELEMENTS.iter().filter(|(event_type, ..)| *event_type == event.event_type) {
            for element in json["data"][*array].as_array().unwrap() {
                assert_fields(element.as_object().unwrap(), fields, array);
            }
        }
    }
    assert_eq!(checked.len(), FIELDS.len(), "{checked:?}");
}

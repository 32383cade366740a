use super::*;
use crate::ORDERS_TOPIC;
use crate::testing::{attribute, by_field, eventful_week, int, is_counted, json, of_type, steady, steady_week, text};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The events of each order, in the order of arrival.
fn lives_in(events: &[SimulatedEvent]) -> BTreeMap<String, Vec<Value>> {
    by_field(events.iter().filter(is_counted).filter(|event| event.topic == ORDERS_TOPIC), "order_id")
}

fn lives() -> BTreeMap<String, Vec<Value>> {
    lives_in(steady())
}

fn kind(event: &Value) -> &str {
    let parts: Vec<_> = event["type"].as_str().unwrap().split('.').collect();
    parts[2]
}

/// Transitions that the catalogue accepts.
fn is_valid(from: &str, to: &str) -> bool {
    const FIRST_FOUR: [&str; 4] = ["pending", "confirmed", "processing", "ready_to_ship"];
    match to {
        "confirmed" => from == "pending",
        "processing" => matches!(from, "confirmed" | "on_hold" | "exception"),
        "ready_to_ship" => from == "processing",
        "shipped" => from == "ready_to_ship",
        "delivered" => from == "shipped",
        "completed" => from == "delivered",
        "on_hold" | "exception" => FIRST_FOUR.contains(&from),
        "cancelled" => FIRST_FOUR.contains(&from) || matches!(from, "on_hold" | "exception"),
        "returned" => matches!(from, "shipped" | "delivered" | "completed"),
        _ => false,
    }
}

#[test]
fn the_events_of_an_order_arrive_in_their_order() {
    for (key, life) in lives() {
        let mut time = String::new();
        for (index, event) in life.iter().enumerate() {
            assert_eq!(event["sequence"], format!("{:012}", index + 1), "{key}");
            assert_eq!(kind(event) == "created", index == 0, "{key}");
            assert!(*event["time"].as_str().unwrap() >= *time, "{key}");
            time = event["time"].as_str().unwrap().to_owned();
        }
    }
}

#[test]
fn statuses_follow_each_other_as_the_catalogue_says() {
    let ends = assert_statuses_follow_each_other(steady());
    for end in ["completed", "cancelled", "returned", "exception", "on_hold"] {
        assert!(ends.contains(end), "no order was ever {end}");
    }
    assert_statuses_follow_each_other(steady_week());
    assert_statuses_follow_each_other(eventful_week());
}

fn assert_statuses_follow_each_other(events: &[SimulatedEvent]) -> HashSet<String> {
    let mut ends = HashSet::new();
    for (key, life) in lives_in(events) {
        let (mut status, mut payment, mut stage) = (Value::Null, Value::Null, Value::Null);
        for event in &life {
            let data = &event["data"];
            match kind(event) {
                "created" => {
                    assert_eq!(data["order_status"], "pending");
                    status = data["order_status"].clone();
                    payment = data["payment_status"].clone();
                    stage = data["fulfillment_stage"].clone();
                }
                "status_changed" => {
                    assert_eq!(data["previous_status"], status, "{key}");
                    assert_eq!(data["previous_stage"], stage, "{key}");
                    let (from, to) = (status.as_str().unwrap(), data["order_status"].as_str().unwrap());
                    assert!(is_valid(from, to), "{key}: {from} to {to}");
                    status = data["order_status"].clone();
                    stage = data["fulfillment_stage"].clone();
                    ends.insert(to.to_owned());
                }
                "payment_changed" => {
                    assert_eq!(data["previous_payment_status"], payment, "{key}");
                    payment = data["payment_status"].clone();
                }
                _ => {}
            }
        }
    }
    ends
}

#[test]
fn processing_adds_up() {
    let mut failed = 0;
    for (key, life) in lives() {
        let attempts: Vec<_> = life.iter().filter(|event| kind(event) == "processed").collect();
        for (index, event) in attempts.iter().enumerate() {
            let data = &event["data"];
            assert_eq!(data["attempt"], index + 1, "{key}");
            assert!(data["processing_ms"].as_i64().unwrap() > 0, "{key}");
            assert_eq!(data["processed_at"], event["time"], "{key}");
            failed += u32::from(data["outcome"] == "failed");
        }
    }
    assert!(failed > 0);
}

#[test]
fn exceptions_are_raised_and_resolved_in_turn() {
    let mut resolved = HashSet::new();
    for (key, life) in lives() {
        let mut open: Option<&Value> = None;
        for event in &life {
            match kind(event) {
                "exception_raised" => assert!(open.replace(event).is_none(), "{key}"),
                "exception_resolved" => {
                    let raised = open.take().unwrap_or_else(|| panic!("{key}"));
                    for field in ["exception_code", "exception_source"] {
                        assert_eq!(raised["data"][field], event["data"][field], "{key}");
                    }
                    resolved.insert(text(event, "resolved_by").to_owned());
                }
                "status_changed" if text(event, "order_status") == "shipped" => assert!(open.is_none(), "{key}"),
                _ => {}
            }
        }
    }
    assert_eq!(resolved.len(), 2);
}

#[test]
fn money_adds_up() {
    for (key, life) in lives() {
        let data = &life[0]["data"];
        let sum: i64 = data["items"].as_array().unwrap().iter().map(|i| i["line_total_minor"].as_i64().unwrap()).sum();
        assert_eq!(data["total_minor"], sum, "{key}");
        let mut refunded = 0;
        for event in life.iter().filter(|event| kind(event) == "payment_changed") {
            assert_eq!(event["data"]["total_minor"], sum, "{key}");
            let is_refund = text(event, "payment_status").ends_with("refunded");
            assert_eq!(int(event, "refund_minor") > 0, is_refund, "{key}");
            refunded += int(event, "refund_minor");
            let all = sum + int(event, "shipping_minor");
            assert_eq!(refunded == all, text(event, "payment_status") == "refunded", "{key}");
        }
    }
}

/// Orders of the first minutes, which could be over at the end, with all that happened because of them.
#[test]
fn the_length_of_an_average_life_is_as_stated() {
    let orders: HashSet<_> = of_type(steady(), "order.created")
        .filter(|event| crate::testing::elapsed_ms(event) < 8 * crate::testing::MINUTE_MS)
        .map(|event| text(&json(event), "order_id").to_owned())
        .collect();
    let mut events = 0;
    for event in steady() {
        let subject = || attribute(event, "subject")?.strip_prefix("order/");
        let order = attribute(event, "correlationid").or_else(subject);
        events += usize::from(order.is_some_and(|order| orders.contains(order)));
    }
    // One change of stock in five is synchronised, and a few set off a delivery; neither names the order.
    let mean = events as f64 / orders.len() as f64 + 0.6 + 0.1;
    assert!((mean - EVENTS_PER_ORDER).abs() < 0.3, "{mean} over {} orders", orders.len());
}

#[test]
fn sizes_of_creators_fall_off() {
    let mut orders: HashMap<String, u32> = HashMap::new();
    for event in of_type(steady(), "order.created") {
        *orders.entry(event.key.split(':').next().unwrap().to_owned()).or_default() += 1;
    }
    assert!(orders.len() > 45);
    assert!(orders["crt_0001"] > 6 * orders["crt_0010"]);
}

use super::*;
use crate::ORDERS_TOPIC;
use crate::testing::{json, run, settings};
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// The events of each order, by arrival.
fn lives() -> HashMap<String, Vec<Value>> {
    let mut lives: HashMap<String, Vec<Value>> = HashMap::new();
    for event in run(settings("steady", 20)).iter().filter(|event| event.topic == ORDERS_TOPIC) {
        lives.entry(event.key.clone()).or_default().push(json(event));
    }
    lives
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
    let mut ends = HashSet::new();
    for (key, life) in lives() {
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
    for end in ["completed", "cancelled", "returned", "exception"] {
        assert!(ends.contains(end), "no order was ever {end}");
    }
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
        let exceptions = life.iter().filter(|event| kind(event) == "exception_raised").count();
        assert!(exceptions <= 1, "{key}");
    }
    assert!(failed > 0);
}

#[test]
fn money_adds_up() {
    for (key, life) in lives() {
        let data = &life[0]["data"];
        let sum: i64 = data["items"].as_array().unwrap().iter().map(|i| i["line_total_minor"].as_i64().unwrap()).sum();
        assert_eq!(data["total_minor"], sum, "{key}");
        for event in life.iter().filter(|event| kind(event) == "payment_changed") {
            assert_eq!(event["data"]["total_minor"], sum, "{key}");
            let is_refund = event["data"]["payment_status"] == "refunded";
            assert_eq!(event["data"]["refund_minor"].as_i64().unwrap() > 0, is_refund, "{key}");
        }
    }
}

#[test]
fn the_length_of_an_average_life_is_as_stated() {
    // Only orders that could be over: those of the first minutes.
    let over: Vec<_> = lives()
        .into_values()
        .filter(|life| life[0]["time"].as_str().unwrap() < "2026-03-14T00:10:00")
        .map(|life| life.len())
        .collect();
    let mean = over.iter().sum::<usize>() as f64 / over.len() as f64;
    assert!((mean - EVENTS_PER_ORDER).abs() < 0.1, "{mean} over {} orders", over.len());
}

#[test]
fn sizes_of_creators_fall_off() {
    let mut orders: HashMap<String, u32> = HashMap::new();
    for key in lives().into_keys() {
        *orders.entry(key.split(':').next().unwrap().to_owned()).or_default() += 1;
    }
    assert!(orders.len() > 45);
    assert!(orders["crt_0001"] > 6 * orders["crt_0010"]);
}

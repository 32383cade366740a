use super::*;
use crate::testing::{
    HOUR_MS, START_MS, by_field, elapsed_ms, eventful_week, int, is_counted, json, of_type, steady, steady_week, text,
};
use crate::{SimulatedEvent, Truth};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The events of each shipment, in the order of their numbers.
fn shipments(events: &[SimulatedEvent]) -> BTreeMap<String, Vec<Value>> {
    let own = events
        .iter()
        .filter(is_counted)
        .filter(|event| event.event_type.contains(".label.") || event.event_type.contains(".shipment."));
    let mut shipments = by_field(own, "shipment_id");
    for events in shipments.values_mut() {
        events.sort_by_key(|event| event["sequence"].as_str().unwrap().to_owned());
    }
    shipments
}

fn is_valid(from: &str, to: &str) -> bool {
    match to {
        "label_created" | "label_failed" => matches!(from, "pending" | "label_failed"),
        "picked_up" => from == "label_created",
        "in_transit" => matches!(from, "picked_up" | "in_transit"),
        "out_for_delivery" => matches!(from, "in_transit" | "delivery_exception"),
        "delivered" | "delivery_exception" => from == "out_for_delivery",
        "returned_to_sender" => from == "delivery_exception",
        "lost" => from == "picked_up",
        _ => false,
    }
}

fn assert_shipments_make_sense(events: &[SimulatedEvent]) -> HashSet<String> {
    let mut ends = HashSet::new();
    let mut tracking = HashSet::new();
    for (id, events) in shipments(events) {
        let mut status = "pending".to_owned();
        let mut labels = 0;
        for (index, event) in events.iter().enumerate() {
            assert_eq!(event["sequence"], format!("{:012}", index + 1), "{id}");
            assert_eq!(event["correlationid"], event["data"]["order_id"]);
            if event["type"] == "shipping.label.completed.v1" {
                labels += 1;
                assert_eq!(int(event, "attempt"), labels, "{id}");
                let savings = int(event, "baseline_cost_minor") - int(event, "shipping_minor");
                assert_eq!(int(event, "savings_minor"), savings);
                continue;
            }
            assert_eq!(text(event, "previous_status"), status, "{id}");
            assert!(is_valid(&status, text(event, "status")), "{id}: {status} to {}", text(event, "status"));
            status = text(event, "status").to_owned();
            if index == 1 {
                assert!(tracking.insert(text(event, "tracking_number").to_owned()));
            }
        }
        assert!(labels > 0, "{id}");
        ends.insert(status);
    }
    ends
}

#[test]
fn statuses_of_shipments_follow_each_other() {
    let ends = assert_shipments_make_sense(steady());
    for end in ["delivered", "returned_to_sender", "lost"] {
        assert!(ends.contains(end), "no shipment was ever {end}");
    }
    assert_shipments_make_sense(steady_week());
    assert_shipments_make_sense(eventful_week());
}

#[test]
fn an_order_is_shipped_and_delivered_when_its_parcel_is() {
    let mut moments: HashMap<(String, &str), Value> = HashMap::new();
    for event in of_type(steady_week(), "order.status_changed").map(json) {
        for status in ["shipped", "delivered"] {
            if text(&event, "order_status") == status {
                moments.insert((text(&event, "order_id").to_owned(), status), event["time"].clone());
            }
        }
    }
    let mut matched = 0;
    for event in of_type(steady_week(), "shipment.status_changed").map(json) {
        let status = match text(&event, "status") {
            "picked_up" => "shipped",
            "delivered" => "delivered",
            _ => continue,
        };
        assert_eq!(moments.remove(&(text(&event, "order_id").to_owned(), status)), Some(event["time"].clone()));
        matched += 1;
    }
    assert!(matched > 1000 && moments.is_empty(), "{matched}, {} left", moments.len());
}

#[test]
fn the_cheapest_quote_is_chosen_and_the_label_costs_what_was_quoted() {
    let quotes = by_field(of_type(steady(), "rate.quoted"), "order_id");
    let mut costs = HashMap::new();
    for (order, quotes) in &quotes {
        for quote in quotes {
            let all = quote["data"]["quotes"].as_array().unwrap();
            let least = all.iter().map(|quote| quote["cost_minor"].as_i64().unwrap()).min().unwrap();
            // After a label that failed the carrier is left out.
            assert!(int(quote, "chosen_cost_minor") == least || quotes.len() > 1, "{quote}");
            costs.insert((order.clone(), int(quote, "chosen_cost_minor")), text(quote, "chosen_carrier").to_owned());
        }
    }
    for label in of_type(steady(), "label.completed").map(json) {
        let key = (text(&label, "order_id").to_owned(), int(&label, "shipping_minor"));
        assert_eq!(costs.get(&key).map(String::as_str), Some(text(&label, "carrier")), "{label}");
    }
    let carriers: HashSet<_> = costs.values().collect();
    assert_eq!(carriers.len(), Carrier::ALL.len(), "every carrier is the cheapest at times");
}

#[test]
fn deliveries_take_days_and_most_are_on_time() {
    let (mut on_time, mut late) = (0, 0);
    for event in of_type(steady_week(), "shipment.status_changed").map(json) {
        if text(&event, "status") == "delivered" {
            let day = &text(&event, "delivered_at")[..10];
            *if day <= text(&event, "estimated_delivery") { &mut on_time } else { &mut late } += 1;
        }
    }
    let share = f64::from(on_time) / f64::from(on_time + late);
    assert!((0.7..0.98).contains(&share), "{on_time} on time, {late} late");
    let created = elapsed_ms(of_type(steady_week(), "label.completed").next().unwrap());
    let first = of_type(steady_week(), "order.status_changed").find(|e| json(e)["data"]["order_status"] == "delivered");
    assert!(elapsed_ms(first.unwrap()) > created + 12 * HOUR_MS);
}

#[test]
fn claims_are_for_what_went_wrong() {
    let shipments = shipments(steady());
    let mut kinds = HashSet::new();
    for claim in of_type(steady(), "claim.filed").map(json) {
        let last = shipments[text(&claim, "shipment_id")].last().unwrap();
        match text(&claim, "kind") {
            "lost" => assert_eq!(text(last, "status"), "lost"),
            "damaged" => assert_eq!(last["data"]["damage"], true),
            "late" => assert_eq!(text(last, "status"), "delivered"),
            other => panic!("{other}"),
        }
        assert!(int(&claim, "recovered_minor") <= int(&claim, "claimed_minor"));
        kinds.insert(text(&claim, "kind").to_owned());
    }
    assert_eq!(kinds.len(), 3);
}

#[test]
fn another_carrier_stands_in_during_an_outage() {
    let switched: Vec<_> = of_type(eventful_week(), "failover.switched").filter(is_counted).collect();
    let told: Vec<_> = switched.iter().map(|event| (event.event_time_ms - START_MS, json(event))).collect();
    let seen: Vec<_> = told.iter().map(|(at, e)| (*at, text(e, "from"), text(e, "to"), text(e, "reason"))).collect();
    let (from, until) = (64 * HOUR_MS, 67 * HOUR_MS);
    assert_eq!(seen, [(from + 60_000, "USPS", "UPS", "outage"), (until, "UPS", "USPS", "recovered")]);
    for event in of_type(eventful_week(), "rate.quoted").filter(is_counted) {
        if (from + 60_000..until).contains(&elapsed_ms(event)) && event.truth != Truth::Skewed {
            assert_ne!(text(&json(event), "chosen_carrier"), "USPS");
        }
    }
}

use super::*;
use crate::testing::{
    MINUTE_MS, by_field, elapsed_ms, eventful_week, int, is_counted, json, of_type, run, settings, steady, steady_week,
    text,
};
use crate::{SimulatedEvent, Truth};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// The changes of each product, in the order of their numbers.
fn changes(events: &[SimulatedEvent]) -> BTreeMap<String, Vec<Value>> {
    let mut changes = by_field(of_type(events, "stock.changed").filter(is_counted), "product_id");
    for changes in changes.values_mut() {
        changes.sort_by_key(|change| change["sequence"].as_str().unwrap().to_owned());
    }
    changes
}

fn assert_stock_adds_up(events: &[SimulatedEvent]) {
    for (product, changes) in changes(events) {
        let (mut on_hand, mut reserved) = (0, 0);
        for (index, change) in changes.iter().enumerate() {
            // The first number is that of `product.upserted`.
            assert_eq!(change["sequence"], format!("{:012}", index + 2), "{product}");
            assert_eq!(int(change, "quantity_before"), on_hand, "{product}");
            assert_eq!(int(change, "quantity_after"), on_hand + int(change, "delta"), "{product}");
            on_hand = int(change, "quantity_after");
            assert!(on_hand >= 0, "{change}");
            assert_eq!(int(change, "available"), on_hand - int(change, "reserved"), "{product}");
            let promised = int(change, "reserved") - reserved;
            reserved = int(change, "reserved");
            assert!(reserved >= 0, "{change}");
            match text(change, "reason") {
                "reservation" => assert!(promised > 0 && int(change, "delta") == 0, "{change}"),
                "release" => assert!(promised < 0 && int(change, "delta") == 0, "{change}"),
                "sale" => assert!(int(change, "delta") < 0 && promised >= int(change, "delta"), "{change}"),
                "restock" | "return" => assert!(int(change, "delta") > 0 && promised == 0, "{change}"),
                _ => assert_eq!(promised, 0, "{change}"),
            }
        }
    }
}

#[test]
fn changes_add_up_to_the_stock() {
    assert_stock_adds_up(steady());
    assert_stock_adds_up(steady_week());
    assert_stock_adds_up(eventful_week());
}

#[test]
fn the_first_change_brings_what_the_product_began_with() {
    let changes = changes(steady_week());
    let products = by_field(of_type(steady_week(), "product.upserted"), "product_id");
    assert_eq!(changes.len(), products.len());
    for (product, upserted) in products {
        assert_eq!(upserted.len(), 1);
        assert_eq!(int(&upserted[0], "stock_quantity"), int(&changes[&product][0], "quantity_after"));
    }
}

#[test]
fn what_was_sold_is_what_was_ordered() {
    let mut sold: HashMap<(String, String), i64> = HashMap::new();
    for change in changes(steady()).values().flatten().filter(|change| text(change, "reason") == "sale") {
        let key = (text(change, "order_id").to_owned(), text(change, "product_id").to_owned());
        assert!(sold.insert(key, -int(change, "delta")).is_none(), "sold twice: {change}");
    }
    let mut ordered = HashMap::new();
    for order in of_type(steady(), "order.created").map(json) {
        for item in order["data"]["items"].as_array().unwrap() {
            let key = (text(&order, "order_id").to_owned(), item["product_id"].as_str().unwrap().to_owned());
            assert!(ordered.insert(key, item["quantity"].as_i64().unwrap()).is_none(), "two lines: {order}");
        }
    }
    for (key, quantity) in &sold {
        assert_eq!(ordered[key], *quantity, "{key:?}");
    }
    let shipped = of_type(steady(), "order.status_changed").map(json).filter(|s| text(s, "order_status") == "shipped");
    for order in shipped.map(|status| text(&status, "order_id").to_owned()) {
        let lines = ordered.keys().filter(|(id, _)| *id == order).count();
        assert_eq!(lines, sold.keys().filter(|(id, _)| *id == order).count(), "{order} went out incomplete");
        if sold.len() > 2000 {
            // Counting is quadratic: a sample will do.
            break;
        }
    }
    assert!(sold.len() > 3000);
}

#[test]
fn low_stock_is_ordered_and_comes() {
    let planned = by_field(of_type(steady_week(), "restock.planned"), "plan_id");
    let received = by_field(of_type(steady_week(), "restock.received"), "plan_id");
    assert!(received.len() > 20 && planned.len() >= received.len());
    for (plan, received) in &received {
        assert_eq!((planned[plan].len(), received.len()), (1, 1), "{plan}");
        assert_eq!(planned[plan][0]["data"]["quantity"], received[0]["data"]["quantity"]);
        assert!(planned[plan][0]["time"].as_str() < received[0]["time"].as_str());
    }
    let restocks = changes(steady_week()).into_values().flatten().filter(|change| text(change, "reason") == "restock");
    let products = of_type(steady_week(), "product.upserted").count();
    assert_eq!(restocks.count(), received.len() + products);
}

#[test]
fn a_synchronisation_tells_the_stock_of_its_moment() {
    let mut last: HashMap<String, i64> = HashMap::new();
    let (mut failed, mut recovered, mut checked) = (0, 0, 0);
    let mut events: Vec<_> = steady().iter().filter(|event| event.topic == INVENTORY_TOPIC).map(json).collect();
    events.sort_by_key(|event| event["time"].as_str().unwrap().to_owned());
    for event in &events {
        let product = event["data"]["product_id"].as_str().map(str::to_owned);
        match (event["type"].as_str().unwrap(), product) {
            ("inventory.stock.changed.v1", Some(product)) => {
                last.insert(product, int(event, "quantity_after"));
            }
            ("inventory.stock_sync.completed.v1", Some(product)) => {
                let is_same = last.get(&product) == Some(&int(event, "local_stock"));
                // Of two events in one millisecond either may be the first.
                checked += i64::from(is_same);
                let (platform, local) = (int(event, "platform_stock"), int(event, "local_stock"));
                assert!(text(event, "sync_status") == "drifted" || platform == local, "{event}");
                failed += i64::from(text(event, "sync_status") == "failed");
                recovered += i64::from(event["data"]["recovered"] == true);
                let latency_ms = int(event, "sync_latency_ms");
                assert!(latency_ms > 0, "{event}");
            }
            _ => {}
        }
    }
    let syncs = of_type(steady(), "stock_sync.completed").count() as i64;
    assert!(checked > syncs * 9 / 10, "{checked} of {syncs}");
    assert!(failed > 5 && recovered > 5);
}

#[test]
fn a_stock_out_brings_oversells_until_it_ends() {
    let events = run(settings("stock_out", 10));
    let lost: Vec<_> = of_type(&events, "stock.changed").filter(|event| event.truth == Truth::StockOut).collect();
    assert_eq!(lost.len(), 1);
    assert_eq!(elapsed_ms(lost[0]), 2 * MINUTE_MS);
    let product = text(&json(lost[0]), "product_id").to_owned();
    let (mut prevented, mut occurred) = (0, 0);
    for event in of_type(&events, "oversell.detected").filter(|event| event.truth == Truth::StockOut) {
        assert!((2 * MINUTE_MS..7 * MINUTE_MS).contains(&elapsed_ms(event)));
        let oversell = json(event);
        assert_eq!(text(&oversell, "product_id"), product);
        assert!(int(&oversell, "available") < int(&oversell, "requested"));
        match text(&oversell, "outcome") {
            "prevented" => prevented += 1,
            "occurred" => occurred += 1,
            other => panic!("{other}"),
        }
    }
    assert!(prevented > 20 && occurred > 3, "{prevented} prevented, {occurred} not");
    let ordinary = of_type(steady(), "oversell.detected").count();
    assert!(ordinary < 15, "{ordinary} on an ordinary day");
}

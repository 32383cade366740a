use super::*;
use crate::Truth;
use crate::testing::{MINUTE_MS, elapsed_ms, json, of_type, run, settings, steady};
use std::collections::HashMap;

#[test]
fn a_webhook_is_received_and_then_processed() {
    let mut webhooks: HashMap<String, Vec<serde_json::Value>> = HashMap::new();
    let events = run(settings("steady", 20));
    for event in
        events.iter().filter(|event| [RECEIVED, PROCESSED].map(|kind| kind.event_type).contains(&event.event_type))
    {
        let json = json(event);
        webhooks.entry(json["data"]["event_id"].as_str().unwrap().to_owned()).or_default().push(json);
    }
    let mut retried = 0;
    for (id, events) in &webhooks {
        assert_eq!(events[0]["type"], RECEIVED.event_type, "{id}");
        assert_eq!(events[0]["data"]["received_at"], events[0]["time"], "{id}");
        for (index, event) in events[1..].iter().enumerate() {
            let data = &event["data"];
            assert_eq!(event["type"], PROCESSED.event_type, "{id}");
            assert_eq!(data["retry_count"], index, "{id}");
            assert_eq!(data["received_at"], events[0]["time"], "{id}");
            assert_eq!(data["processed_at"], event["time"], "{id}");
            let is_last = index + 2 == events.len();
            assert!(data["processing_status"] == "retrying" || is_last, "{id}");
        }
        retried += usize::from(events.len() > 2);
    }
    assert!(retried > 50, "{retried}");
    let mean = webhooks.values().map(Vec::len).sum::<usize>() as f64 / webhooks.len() as f64;
    assert!((mean - EVENTS_PER_WEBHOOK).abs() < 0.02, "{mean}");
}

#[test]
fn every_order_comes_by_a_webhook() {
    let mut announced: HashMap<String, String> = HashMap::new();
    for event in of_type(steady(), "webhook.received").map(json) {
        if let Some(order) = event["correlationid"].as_str() {
            announced.insert(order.to_owned(), event["time"].as_str().unwrap().to_owned());
        }
    }
    for order in of_type(steady(), "order.created").map(json) {
        let announced = announced.remove(order["data"]["order_id"].as_str().unwrap()).unwrap();
        assert!(announced.as_str() < order["time"].as_str().unwrap());
    }
}

#[test]
fn a_backlog_holds_webhooks_until_it_ends() {
    let events = run(settings("webhook_backlog", 9));
    let steady = run(settings("steady", 9));
    let in_backlog = |event: &&crate::SimulatedEvent| (2 * MINUTE_MS..7 * MINUTE_MS).contains(&elapsed_ms(event));
    assert_eq!(of_type(&events, "webhook.processed").filter(in_backlog).count(), 0);
    let waited: Vec<_> = of_type(&events, "webhook.processed").filter(|e| e.truth == Truth::WebhookBacklog).collect();
    let expected = of_type(&steady, "webhook.processed").filter(in_backlog).count();
    assert!(waited.len().abs_diff(expected) * 20 < expected, "{} of {expected}", waited.len());
    assert!(waited.iter().all(|event| elapsed_ms(event) >= 7 * MINUTE_MS));
    let received = |events| of_type(events, "webhook.received").map(|event| event.body.clone()).collect::<Vec<_>>();
    assert_eq!(received(&events), received(&steady), "they come as always");
}

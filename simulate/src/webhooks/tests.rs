use super::*;
use crate::testing::{json, run, settings};
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

use super::super::PlainTexts;
use super::super::tests::{message, notification, over, slow};
use super::*;

fn sent(alerts: Vec<crate::route::Alert>, config: &PagerDutyConfig) -> (Value, HttpMessage) {
    let told = notification("pagerduty", alerts);
    let built = build(&message(&told), config, &Secret::new("hush"), &PlainTexts);
    (serde_json::from_slice(&built.body).unwrap(), built)
}

#[test]
fn an_event_triggers_and_resolves_under_one_key() {
    let config = PagerDutyConfig { class: Some("shipping".to_string()), ..PagerDutyConfig::default() };
    let (first, _) = sent(vec![slow("1")], &config);
    let (second, _) = sent(vec![over(slow("1"))], &config);
    assert_eq!((&first["event_action"], &second["event_action"]), (&json!("trigger"), &json!("resolve")));
    assert_eq!(first["dedup_key"], second["dedup_key"]);
    assert_eq!(first["dedup_key"].as_str().unwrap().len(), 64);
    assert_eq!((&first["payload"]["severity"], &first["payload"]["class"]), (&json!("critical"), &json!("shipping")));
    assert_eq!(first["payload"]["summary"], "[FIRING:1] Slow (1 critical)");
    assert_eq!(first["links"][0], json!({ "href": "http://runbooks/slow", "text": "Runbook" }));
    assert_eq!(first["payload"]["custom_details"]["num_firing"], "1");
}

#[test]
fn a_large_event_loses_its_details_not_its_alarm() {
    let alerts = (0..300).map(|i| {
        let mut alert = slow(&i.to_string());
        alert.annotations.0.insert("d".to_string(), "x".repeat(4000));
        alert
    });
    let (event, built) = sent(alerts.collect(), &PagerDutyConfig::default());
    assert!(built.body.len() <= EVENT_BYTES_MAX && event["event_action"] == "trigger");
    assert!(built.remarks[0].contains("dropped"));
}

#[test]
fn severities_are_pagerdutys() {
    for (ours, theirs) in
        [("critical", "critical"), ("error", "error"), ("Warning", "warning"), ("info", "info"), ("", "error")]
    {
        assert_eq!(severity(ours), theirs);
    }
}

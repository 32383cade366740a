use crate::Ruler;
use crate::explain::explain;
use crate::testing::bench::{Bench, groups};
use axum::body::Body;
use axum::http::{Method, Request};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

/// 2027-01-15T08:00:00Z.
const START_MS: i64 = 1_800_000_000_000;
const RULES: &str = "
groups:
  - name: g
    interval: 1m
    rules:
      - {alert: Errors, expr: errors > 5, labels: {severity: critical}}
";
const CONFIG: &str = "
route: {receiver: hook, group_by: [alertname], group_wait: 0s, group_interval: 1m, repeat_interval: 4h}
receivers: [{name: hook, webhook_configs: [{url: 'http://127.0.0.1:9/', send_resolved: true}]}]
tidewatch:
  flapping: {changes: 4, within: 10m, stable_for: 5m}
  escalation:
    - {name: E3, matchers: [severity=critical], manual_close: [alertname=Errors], levels: [{after: 1h, receivers: [hook]}]}
";

fn ask(bench: &Bench, ruler: &Ruler, method: Method, path: &str, body: &str) -> (u16, Value) {
    let request = Request::builder().method(method).uri(path).body(Body::from(body.to_owned())).unwrap();
    bench.runtime.block_on(async {
        let response = ruler.routes().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    })
}

/// The alert of the rule as Alertmanager's API lists it.
fn listed(bench: &Bench, ruler: &Ruler) -> Value {
    let (status, alerts) = ask(bench, ruler, Method::GET, "/api/v2/alerts", "");
    assert_eq!((status, alerts.as_array().map(Vec::len)), (200, Some(1)), "{alerts}");
    alerts[0].clone()
}

/// Evaluates and tells so many minutes after the start.
fn at(bench: &Bench, ruler: &Ruler, minute: i64, errors: f64) {
    let now_ms = START_MS + minute * 60_000;
    bench.data.push(&[("__name__", "errors")], now_ms, errors);
    bench.tick(ruler, now_ms);
}

#[test]
fn an_incident_that_a_person_must_close_stays_open_until_then() {
    let mut bench = Bench::new(START_MS);
    let ruler = bench.open(groups(RULES), CONFIG, |_| {});
    at(&bench, &ruler, 0, 9.0);
    let alert = listed(&bench, &ruler)["fingerprint"].as_str().unwrap().to_owned();
    at(&bench, &ruler, 1, 1.0);
    let explained = |bench: &Bench, ruler: &Ruler| {
        let (status, answer) = ask(bench, ruler, Method::GET, &format!("/api/v1/alerts/{alert}/explain"), "");
        assert_eq!(status, 200, "{answer}");
        answer["data"].clone()
    };
    let incident = explained(&bench, &ruler)["incident"].clone();
    assert!(incident["policy"] == "E3" && incident["resolved_at"].is_string(), "{incident}");

    let close = |bench: &Bench, ruler: &Ruler, alert: &str, body: &str| {
        let (status, answer) = ask(bench, ruler, Method::POST, &format!("/api/v1/alerts/{alert}/close"), body);
        (status, answer["errorType"].as_str().unwrap_or_default().to_owned())
    };
    let who = r#"{"by": "anna", "note": "paid after all"}"#;
    assert_eq!(close(&bench, &ruler, &alert, "{}"), (400, "bad_data".to_owned()), "nobody");
    assert_eq!(close(&bench, &ruler, "Errors", who), (400, "bad_data".to_owned()));
    assert_eq!(close(&bench, &ruler, "0123456789abcdef", who), (404, "not_found".to_owned()));
    assert!(explained(&bench, &ruler)["incident"].is_object(), "what was refused changed nothing");
    assert_eq!(close(&bench, &ruler, &alert, who), (200, String::new()));
    assert_eq!(close(&bench, &ruler, &alert, who), (404, "not_found".to_owned()), "it is closed already");

    drop(ruler);
    let ruler = bench.open(groups(RULES), CONFIG, |_| {});
    let after = explained(&bench, &ruler);
    assert!(after["incident"].is_null(), "closed on the disk, too: {after}");
    let history = after["history"].as_array().unwrap();
    let acts: Vec<&Value> = history.iter().filter(|row| row["stage"] == "person").collect();
    assert_eq!(acts.len(), 1, "{after}");
    assert!(acts[0]["reason"] == "closed by anna: paid after all" && acts[0]["by"][0] == "anna", "{}", acts[0]);
}

#[test]
fn flapping_is_seen_in_the_list_of_alerts_and_in_the_ledger() {
    let mut bench = Bench::new(START_MS);
    let ruler = bench.open(groups(RULES), CONFIG, |_| {});
    for (minute, errors) in [(0, 9.0), (1, 1.0), (2, 9.0)] {
        at(&bench, &ruler, minute, errors);
        let status = listed(&bench, &ruler)["status"].clone();
        assert!(status.get("flapping").is_none(), "minute {minute}: {status}");
    }
    at(&bench, &ruler, 3, 1.0);
    at(&bench, &ruler, 4, 9.0);
    let alert = listed(&bench, &ruler);
    assert_eq!((&alert["status"]["flapping"], &alert["status"]["state"]), (&true.into(), &"active".into()), "{alert}");
    (5..=9).for_each(|minute| at(&bench, &ruler, minute, 9.0));
    let alert = listed(&bench, &ruler);
    assert!(alert["status"].get("flapping").is_none(), "{alert}");

    let explained = explain(ruler.shared(), alert["fingerprint"].as_str().unwrap()).unwrap();
    let rows = explained.history.iter().filter(|row| row.stage == "flapping");
    let mut reasons: Vec<&str> = rows.map(|row| row.reason.as_str()).collect();
    // Each flush that it is held back from says so.
    reasons.dedup();
    let expected = [
        "flapping: 4 changes within 10m, held as firing until stable",
        "stable again: no change since 2027-01-15T08:04:00+00:00",
    ];
    assert_eq!(reasons, expected, "{explained}");
}

//! Two processes share a store: one evaluates the rules, the other goes on with them when that one is killed.

use super::{SOON, json, statuses};
use crate::live::{broker, settings};
use crate::support::{Sink, Tidewatch, post, wait_until};

const HOLDS: &str = r#"
groups:
  - name: watch
    interval: 1s
    rules:
      - alert: Holds
        expr: vector(7) > 5
        labels: {severity: critical}
        annotations: {summary: 'it is {{ $value }}'}
      - alert: Quiet
        expr: vector(1)
"#;

const MORE: &str = r#"
      - alert: Later
        expr: vector(9) > 5
"#;

fn names(alerts: &serde_json::Value) -> Vec<&str> {
    let mut names: Vec<&str> =
        alerts.as_array().unwrap().iter().map(|alert| alert["labels"]["alertname"].as_str().unwrap()).collect();
    names.sort_unstable();
    names
}

#[test]
fn another_process_goes_on_with_the_rules_when_theirs_is_killed() {
    let (broker, folder, sink) = (broker(), tempfile::tempdir().unwrap(), Sink::start());
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let routes = format!(
        "route: {{receiver: hook, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}\n\
         receivers:\n- name: hook\n  webhook_configs: [{{url: 'http://{}/hook', send_resolved: true}}]\n",
        sink.address
    );
    write("rules.yml", HOLDS);
    write("alertmanager.yml", &routes);
    let alerting = "[alerting]\nrules = [\"rules.yml\"]\nconfig = \"alertmanager.yml\"";
    let settings = settings(folder.path(), &broker, alerting);

    let mut first = Tidewatch::run(&settings);
    let address = first.address();
    let silence = r#"{"matchers":[{"name":"alertname","value":"Quiet","isRegex":false}],
        "startsAt":"2020-01-01T00:00:00Z","endsAt":"2100-01-01T00:00:00Z","createdBy":"anna","comment":"known"}"#;
    let sent = post(&address, "/api/v2/silences", &["Content-Type: application/json"], silence.as_bytes()).unwrap();
    assert_eq!(sent.status, 200, "{}", sent.text());
    let told_of = |name: &str| {
        let told = sink.taken();
        told.iter().filter(|one| one.json()["groupLabels"]["alertname"] == name).count()
    };
    wait_until("the first process to tell", SOON, || told_of("Holds") == 1);
    let began = json(&address, "/api/v2/alerts?filter=alertname%3DHolds")[0]["startsAt"].clone();

    let mut second = Tidewatch::run(&settings);
    let address = second.address();
    assert!(second.log().contains("this one stands by"), "{}", second.log());
    assert_eq!(json(&address, "/api/v1/rules")["data"]["groups"], serde_json::json!([]));
    // What it will go on with is read anew while it stands by.
    write("rules.yml", &format!("{}{MORE}", HOLDS.trim_end()));
    second.signal("HUP");
    wait_until("other rules to be read", SOON, || second.log().contains("packs reloaded"));

    first.kill();
    wait_until("the second process to evaluate", SOON, || {
        names(&json(&address, "/api/v1/alerts")["data"]["alerts"]) == ["Holds", "Later", "Quiet"]
    });
    assert!(second.log().contains("this one goes on with them"), "{}", second.log());
    wait_until("the second process to tell", SOON, || told_of("Later") == 1);
    let kept = json(&address, "/api/v2/alerts?filter=alertname%3DHolds");
    assert_eq!((&kept[0]["startsAt"], &kept[0]["status"]["state"]), (&began, &serde_json::json!("active")));
    assert_eq!(json(&address, "/api/v2/silences")[0]["createdBy"], "anna");
    assert_eq!((told_of("Holds"), told_of("Quiet")), (1, 0), "{:?}", sink.taken());
    let ledger = "SELECT count(*) AS n FROM system.alert_ledger WHERE stage = 'rule' AND alertname = 'Holds'";
    assert_eq!(second.sql(ledger), "n\n1\n", "it fired once, in the first process");
    assert!(!statuses(&sink).contains(&"resolved".to_owned()), "{:?}", statuses(&sink));
    // It takes up changes as the first did.
    write("rules.yml", &HOLDS.replace("vector(7) > 5", "vector(7) > 50"));
    second.signal("HUP");
    wait_until("the end of what holds no more", SOON, || statuses(&sink).iter().any(|status| status == "resolved"));
    second.stop();
}

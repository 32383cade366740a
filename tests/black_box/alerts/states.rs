//! What stands between an alert and a message, as people see it: inhibition and flapping in the API, the ledger and
//! `explain`; an incident that stays open until a person closes it over HTTP.

use super::{SOON, json, statuses};
use crate::support::{Sink, Tidewatch, post, program, run_tool, tidewatch, wait_until, write_settings};
use chrono::{DateTime, TimeDelta, Utc};
use std::path::{Path, PathBuf};

fn settings(folder: &Path, sink: &Sink) -> PathBuf {
    let routes = format!(
        "route: {{receiver: hook, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}\n\
         receivers:\n- name: hook\n  webhook_configs: [{{url: 'http://{}/hook', send_resolved: true}}]\n\
         inhibit_rules: [{{name: down-first, source_matchers: [severity=critical], target_matchers: [severity=warning]}}]\n\
         tidewatch:\n  flapping: {{changes: 4, within: 10m, stable_for: 1h}}\n  escalation:\n  - \
         {{name: E3, matchers: [severity=critical], manual_close: [alertname=Down], levels: [{{after: 1h, receivers: [hook]}}]}}\n",
        sink.address
    );
    std::fs::write(folder.join("alertmanager.yml"), routes).unwrap();
    write_settings(
        folder,
        "[storage]\nlocation = \"data\"\n[http]\nlisten = \"127.0.0.1:0\"\n[alerting]\nconfig = \"alertmanager.yml\"\n",
    )
}

/// Posts what another program says of alerts.
fn say(address: &str, alerts: &serde_json::Value) {
    let body = alerts.to_string();
    let answer = post(address, "/api/v2/alerts", &["Content-Type: application/json"], body.as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn alert(name: &str, severity: &str, starts: DateTime<Utc>, ends: Option<DateTime<Utc>>) -> serde_json::Value {
    let mut alert = serde_json::json!({
        "labels": { "alertname": name, "severity": severity }, "startsAt": starts.to_rfc3339(),
    });
    if let Some(ends) = ends {
        alert["endsAt"] = ends.to_rfc3339().into();
    }
    alert
}

#[test]
fn inhibition_is_explained_and_an_incident_is_closed_by_a_person() {
    let (folder, sink) = (tempfile::tempdir().unwrap(), Sink::start());
    let mut process = Tidewatch::run(&settings(folder.path(), &sink));
    let address = process.address();
    let url = format!("http://{address}");
    let why = |alert: &str| tidewatch(&["explain", "alert", alert, "--url", &url]);
    let told = |name: &str| sink.taken().iter().any(|one| one.body.contains(name));
    let began = Utc::now() - TimeDelta::seconds(60);
    say(&address, &serde_json::json!([alert("Down", "critical", began, None), alert("Slow", "warning", began, None)]));
    wait_until("the critical one to be told", SOON, || told("Down"));
    wait_until("the other one to be held back", SOON, || why("Slow").contains("inhibit (stopped): inhibited by alert"));
    let down = json(&address, "/api/v2/alerts?filter=alertname%3DDown")[0]["fingerprint"].as_str().unwrap().to_owned();
    let slow = json(&address, "/api/v2/alerts?filter=alertname%3DSlow");
    assert_eq!(slow[0]["status"]["inhibitedBy"][0], down.as_str(), "{slow}");
    let text = why("Slow");
    assert!(text.contains(&format!("Inhibit: stopped: inhibited by alert {down} through rule down-first")), "{text}");
    let ledger = "SELECT DISTINCT alertname, passed, reason FROM system.alert_ledger WHERE stage = 'inhibit'";
    let rows = process.sql(ledger);
    let expected = format!("Slow,false,inhibited by alert {down} through rule down-first");
    assert_eq!(rows.lines().skip(1).collect::<Vec<_>>(), [expected]);
    assert!(!told("Slow"), "{:?}", sink.taken());

    let ended = Utc::now() - TimeDelta::seconds(1);
    say(&address, &serde_json::json!([alert("Down", "critical", began, Some(ended))]));
    wait_until("its end to be told", SOON, || statuses(&sink).iter().any(|status| status == "resolved"));
    wait_until("what it held back to be told", SOON, || told("Slow"));
    assert!(why(&down).contains("policy E3: not acknowledged"), "{}", why(&down));
    let close = || {
        let body = br#"{"by": "anna", "note": "repaired"}"#;
        post(&address, &format!("/api/v1/alerts/{down}/close"), &["Content-Type: application/json"], body).unwrap()
    };
    let closed = close();
    assert_eq!(closed.status, 200, "{}", closed.text());
    assert_eq!(close().status, 404, "it is closed");
    let text = why(&down);
    assert!(text.contains("person: closed by anna: repaired") && !text.contains("policy E3: not"), "{text}");
    process.stop();
}

#[test]
fn flapping_is_shown_and_amtool_lists_it_all_the_same() {
    let (folder, sink) = (tempfile::tempdir().unwrap(), Sink::start());
    let mut process = Tidewatch::run(&settings(folder.path(), &sink));
    let address = process.address();
    let begin = Utc::now() - TimeDelta::seconds(60);
    let listed = || json(&address, "/api/v2/alerts?filter=alertname%3DFlaps");
    for number in 0..3 {
        let at = |seconds: i64| begin + TimeDelta::seconds(number * 10 + seconds);
        say(&address, &serde_json::json!([alert("Flaps", "info", at(0), None)]));
        assert_eq!(listed()[0]["status"]["flapping"] == true, number == 2, "{}", listed());
        if number < 2 {
            say(&address, &serde_json::json!([alert("Flaps", "info", at(4), Some(at(5)))]));
        }
    }
    say(&address, &serde_json::json!([alert("Calm", "info", begin, None)]));
    let calm = json(&address, "/api/v2/alerts?filter=alertname%3DCalm");
    assert!(calm[0]["status"].get("flapping").is_none(), "{calm}");
    let ledger = "SELECT count(*) AS n FROM system.alert_ledger WHERE stage = 'flapping' AND alertname = 'Flaps'";
    wait_until("the ledger to tell", SOON, || process.sql(ledger) != "n\n0\n");
    let why = tidewatch(&["explain", "alert", "Flaps", "--url", &format!("http://{address}")]);
    assert!(why.contains("held as firing until stable"), "{why}");
    // Its Go client knows no such field.
    if let Some(amtool) = program("amtool", "prometheus-alertmanager") {
        let url = format!("--alertmanager.url=http://{address}");
        let names = run_tool(&amtool, &[url.as_str(), "alert", "query", "-o", "json"]);
        assert!(names.contains("Flaps") && names.contains("Calm"), "{names}");
    }
    process.stop();
}

//! Debian's vmalert evaluates rules through the Prometheus API, finds the alerts that the numbers ask for, writes back
//! what it records, and finds its own state again after a restart.

use crate::prometheus_api::{LATER, numbers, served_with};
use crate::support::{Csv, Sink, get, program, sql, wait_until};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

/// `Held` reads what the first rule has written back.
const RULES: &str = "
groups:
- name: calls
  interval: 1s
  rules:
  - record: provider:calls:total
    expr: TOTAL
    labels: {kept: vmalert}
  - alert: Busiest
    expr: TOTAL >= MOST
    labels: {severity: page}
    annotations: {summary: '{{ $value }} calls of {{ $labels.provider }}'}
  - alert: Held
    expr: provider:calls:total{kept=\"vmalert\"} >= MOST
    for: 3s
  - alert: Never
    expr: TOTAL > MOST
";

struct Vmalert {
    child: Child,
    address: String,
}

impl Vmalert {
    /// Reads and writes `server`, tells `sink`.
    fn start(program: &Path, rules: &Path, server: &str, sink: &Sink) -> Self {
        // A port that was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let child = Command::new(program)
            .arg(format!("-rule={}", rules.display()))
            .args(["datasource", "remoteWrite", "remoteRead"].map(|what| format!("-{what}.url=http://{server}")))
            .args(["-remoteWrite.flushInterval=500ms", "-evaluationInterval=1s"])
            .args([format!("-httpListenAddr={address}"), format!("-notifier.url=http://{}", sink.address)])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, address }
    }

    fn alerts(&self) -> Vec<Value> {
        let Ok(answer) = get(&self.address, "/api/v1/alerts", &[]) else { return Vec::new() };
        let answer: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        answer["data"]["alerts"].as_array().cloned().unwrap_or_default()
    }

    /// Waits until an alert fires; it and all others.
    fn firing(&self, name: &str) -> (Value, Vec<Value>) {
        let mut alerts = Vec::new();
        let is_one = |alert: &Value| alert["name"] == name && alert["state"] == "firing";
        wait_until(&format!("{name} to fire"), SOON, || {
            alerts = self.alerts();
            alerts.iter().any(is_one)
        });
        (alerts.iter().find(|alert| is_one(alert)).unwrap().clone(), alerts)
    }
}

impl Drop for Vmalert {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn vmalert_fires_what_the_numbers_say() {
    let Some(vmalert) = program("vmalert", "victoria-metrics") else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut server = served_with(folder.path(), "packs = [\"builtin:creatorflow\", \"builtin:prometheus\"]\n");
    let address = server.address();
    wait_until("the server to be ready", SOON, || get(&address, "/-/ready", &[]).is_ok_and(|r| r.status == 200));
    let csv = sql(&folder.path().join("data"), "SELECT provider, sum(requests) AS n FROM api_calls GROUP BY provider");
    let csv = Csv::parse(&csv);
    let counted: BTreeMap<String, f64> =
        csv.rows(["provider", "n"]).into_iter().map(|[p, n]| (p.to_owned(), n.parse().unwrap())).collect();
    let most = counted.values().copied().fold(0.0, f64::max);
    let busiest: Vec<&str> = counted.iter().filter(|(_, n)| **n == most).map(|(p, _)| p.as_str()).collect();

    let at = chrono::DateTime::parse_from_rfc3339(LATER).unwrap().timestamp();
    let total = format!("sum by (provider) (increase(api_calls_requests_total[1h] @ {at}))");
    let rules = folder.path().join("rules.yaml");
    std::fs::write(&rules, RULES.replace("TOTAL", &total).replace("MOST", &most.to_string())).unwrap();
    let sink = Sink::start();
    let process = Vmalert::start(&vmalert, &rules, &address, &sink);

    let providers = |alerts: &[Value], name: &str| {
        let named = alerts.iter().filter(|alert| alert["name"] == name);
        let mut all: Vec<String> = named.map(|a| a["labels"]["provider"].as_str().unwrap().to_owned()).collect();
        all.sort_unstable();
        all
    };
    let (first, alerts) = process.firing("Busiest");
    assert_eq!(providers(&alerts, "Busiest"), busiest, "{alerts:?}");
    let summary = first["annotations"]["summary"].as_str().unwrap();
    assert!(summary.starts_with(&format!("{most} calls of ")), "{summary}");
    let (held, alerts) = process.firing("Held");
    assert_eq!(providers(&alerts, "Held"), busiest, "{alerts:?}");
    assert!(providers(&alerts, "Never").is_empty(), "{alerts:?}");

    // What it wrote is here, and pending came before firing.
    assert_eq!(numbers(&address, "provider:calls:total{kept=\"vmalert\"}", "", "provider"), counted);
    let states = "count by (alertstate) (count_over_time(ALERTS{alertname=\"Held\"}[10m]))";
    let both = ["firing", "pending"].map(|state| (state.to_owned(), busiest.len() as f64));
    wait_until("both states to be written", SOON, || {
        numbers(&address, states, "", "alertstate") == BTreeMap::from(both.clone())
    });
    let told = |name: &str| sink.taken().iter().any(|one| one.path == "/api/v2/alerts" && one.body.contains(name));
    wait_until("both alerts to be told", SOON, || told("Busiest") && told("Held"));
    assert!(!told("Never"));

    // Another process takes the state from here, and does not wait anew.
    let since = "min by (alertname) (last_over_time(ALERTS_FOR_STATE{alertname=\"Held\"}[10m]))";
    let since = numbers(&address, since, "", "alertname")["Held"];
    let active = |alert: &Value| {
        chrono::DateTime::parse_from_rfc3339(alert["activeAt"].as_str().unwrap()).unwrap().timestamp() as f64
    };
    assert_eq!((active(&held), &held["restored"]), (since, &Value::Bool(false)), "{held}");
    drop(process);
    let process = Vmalert::start(&vmalert, &rules, &address, &sink);
    let (restored, _) = process.firing("Held");
    assert_eq!((active(&restored), &restored["restored"]), (since, &Value::Bool(true)), "{restored}");
    server.stop();
}

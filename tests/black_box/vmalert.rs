//! Debian's vmalert evaluates rules through the Prometheus API and finds the alerts that the numbers ask for.

use crate::prometheus_api::{LATER, served};
use crate::support::{Csv, get, program, sql, wait_until};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

struct Vmalert(Child);

impl Drop for Vmalert {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn vmalert_fires_what_the_numbers_say() {
    let Some(vmalert) = program("vmalert", "victoria-metrics") else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut server = served(folder.path());
    let csv = sql(&folder.path().join("data"), "SELECT provider, sum(requests) AS n FROM api_calls GROUP BY provider");
    let csv = Csv::parse(&csv);
    let counted: Vec<(String, f64)> =
        csv.rows(["provider", "n"]).into_iter().map(|[p, n]| (p.to_owned(), n.parse().unwrap())).collect();
    let most = counted.iter().map(|(_, n)| *n).fold(0.0, f64::max);

    let at = chrono::DateTime::parse_from_rfc3339(LATER).unwrap().timestamp();
    let total = format!("sum by (provider) (increase(api_calls_requests_total[1h] @ {at}))");
    let rules = format!(
        "groups:\n- name: calls\n  interval: 1s\n  rules:\n\
         \x20 - alert: Busiest\n    expr: '{total} >= {most}'\n    labels: {{severity: page}}\n    annotations: {{summary: '{{{{ $value }}}} calls of {{{{ $labels.provider }}}}'}}\n\
         \x20 - alert: Never\n    expr: '{total} > {most}'\n"
    );
    let file = folder.path().join("rules.yaml");
    std::fs::write(&file, rules).unwrap();
    // A port that was free a moment ago.
    let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let child = Command::new(vmalert)
        .arg(format!("-rule={}", file.display()))
        .arg(format!("-datasource.url=http://{}", server.address()))
        // It insists on somebody to tell; nobody listens there.
        .args([&format!("-httpListenAddr={listen}"), "-notifier.url=http://127.0.0.1:9", "-evaluationInterval=1s"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _vmalert = Vmalert(child);

    let mut alerts = serde_json::Value::Null;
    wait_until("a firing alert of vmalert", Duration::from_secs(60), || {
        let Ok(answer) = get(&listen, "/api/v1/alerts", &[]) else { return false };
        alerts = serde_json::from_slice(&answer.body).unwrap_or_default();
        alerts["data"]["alerts"].as_array().is_some_and(|all| all.iter().any(|a| a["state"] == "firing"))
    });
    let firing = alerts["data"]["alerts"].as_array().unwrap();
    let mut providers: Vec<&str> = firing.iter().map(|a| a["labels"]["provider"].as_str().unwrap()).collect();
    let mut expected: Vec<&str> = counted.iter().filter(|(_, n)| *n == most).map(|(p, _)| p.as_str()).collect();
    providers.sort_unstable();
    expected.sort_unstable();
    assert_eq!(providers, expected, "{alerts}");
    let summary = firing[0]["annotations"]["summary"].as_str().unwrap();
    assert!(summary.starts_with(&format!("{most} calls of ")), "{summary}");
    assert!(firing.iter().all(|a| a["name"] == "Busiest"), "{alerts}");
    server.stop();
}

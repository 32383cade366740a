//! From an event to the message on the phone, through kills: rules over what is counted, routes, a webhook, and the
//! answer to "why was I not paged".

mod backtests;
mod late;
mod latency;
mod packs;
mod states;
mod takeover;

use crate::support::{
    Sink, Tidewatch, get, post, program, run_tool, sql, tidewatch, tidewatch_fails, wait_until, write_settings,
};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(90);

const RULES: &str = r#"
groups:
  - name: calls
    interval: 1s
    rules:
      - record: provider:errors:20s
        expr: sum by (provider) (increase(api_calls_errors_total[20s]))
      - alert: Errors
        expr: provider:errors:20s > 2
        labels: {severity: critical, team: shipping}
        annotations: {summary: '{{ $value }} errors of {{ $labels.provider }}'}
        tidewatch: {runbook: 'https://runbooks.example/errors'}
"#;

fn settings(folder: &Path, sink: &Sink) -> PathBuf {
    settings_with(folder, sink, RULES)
}

fn settings_with(folder: &Path, sink: &Sink, rules: &str) -> PathBuf {
    std::fs::write(folder.join("rules.yml"), rules).unwrap();
    let routes = format!(
        "route: {{receiver: hook, group_by: [alertname, provider], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}\n\
         receivers:\n- name: hook\n  webhook_configs: [{{url: 'http://{}/hook', send_resolved: true}}]\n\
         tidewatch: {{webhook_signatures: [{{receiver: hook, key: k3y}}]}}\n",
        sink.address
    );
    std::fs::write(folder.join("alertmanager.yml"), routes).unwrap();
    write_settings(
        folder,
        "[storage]\nlocation = \"data\"\n[http]\nlisten = \"127.0.0.1:0\"\n[ingest]\nflush_interval = \"1s\"\n\
         [alerting]\nrules = [\"rules.yml\"]\nconfig = \"alertmanager.yml\"\nevaluation_interval = \"1s\"\n",
    )
}

/// Sends calls of now, one after another; most are fine.
struct Shop {
    next: AtomicU64,
}

impl Shop {
    fn new() -> Self {
        Self { next: AtomicU64::new(0) }
    }

    fn call(&self, address: &str, provider: &str, outcome: &str) -> bool {
        self.call_at(address, provider, outcome, chrono::Utc::now())
    }

    fn call_at(&self, address: &str, provider: &str, outcome: &str, time: chrono::DateTime<chrono::Utc>) -> bool {
        let (id, time) = (self.next.fetch_add(1, Ordering::SeqCst), time.to_rfc3339());
        let event = format!(
            r#"{{"specversion":"1.0","id":"call-{id}","source":"/calls","type":"apihealth.api_call.completed.v1","time":"{time}","tenantkind":"creator","tenantid":"c1","data":{{"provider":"{provider}","api":"rates","outcome":"{outcome}","duration_ms":12,"status_code":200}}}}"#
        );
        let sent = post(address, "/api/v1/events", &["Content-Type: application/cloudevents+json"], event.as_bytes());
        sent.is_ok_and(|response| response.status == 202)
    }
}

/// Keeps time going: windows are complete when later events have come.
fn with_traffic<T>(shop: &Shop, address: &str, work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                shop.call(address, "dhl", "success");
                std::thread::sleep(Duration::from_millis(300));
            }
        });
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        done.store(true, Ordering::SeqCst);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

pub fn json(address: &str, path: &str) -> serde_json::Value {
    let response = get(address, path, &[]).unwrap();
    assert_eq!(response.status, 200, "{path}: {}", response.text());
    serde_json::from_slice(&response.body).unwrap()
}

fn statuses(sink: &Sink) -> Vec<String> {
    sink.taken().iter().map(|one| one.json()["status"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_alert_is_told_once_and_told_to_be_over_whatever_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let sink = Sink::start();
    let config = settings(folder.path(), &sink);
    let shop = Shop::new();
    let mut process = Tidewatch::run(&config);
    let address = process.address();
    // The receiver is down at first.
    sink.answer(503);
    with_traffic(&shop, &address, || {
        let sent = Instant::now();
        (0..5).for_each(|_| assert!(shop.call(&address, "ups", "server_error")));
        wait_until("an attempt to tell", SOON, || !sink.received().is_empty());
        let took = sink.received()[0].at - sent;
        // Not only once the window of 10 s is over.
        eprintln!("{took:?} from the first event to the webhook");
    });
    process.kill();
    let mut process = Tidewatch::run(&config);
    let address = process.address();
    sink.answer(200);
    let alert = with_traffic(&shop, &address, || {
        wait_until("the message to be taken", SOON, || !sink.taken().is_empty());
        let told = sink.taken().remove(0);
        let body = told.json();
        assert_eq!((body["status"].as_str(), body["version"].as_str()), (Some("firing"), Some("4")), "{body}");
        assert_eq!(body["alerts"][0]["labels"]["provider"], "ups", "{body}");
        assert_eq!(body["alerts"][0]["annotations"]["summary"], "5 errors of ups", "{body}");
        assert!(told.header("x-tidewatch-signature").starts_with("t="), "{told:?}");
        assert_eq!(told.path, "/hook");
        let first = sink.received()[0].header("idempotency-key").to_owned();
        assert!(!first.is_empty() && told.header("idempotency-key") == first, "{first} {told:?}");

        let rules = json(&address, "/api/v1/rules?type=alert");
        assert_eq!(rules["data"]["groups"][0]["rules"][0]["name"], "Errors", "{rules}");
        let alerts = json(&address, "/api/v2/alerts");
        let alert = alerts[0]["fingerprint"].as_str().unwrap().to_owned();
        wait_until("its end to be told", SOON, || statuses(&sink).len() > 1);
        alert
    });
    assert_eq!(statuses(&sink), ["firing", "resolved"], "once each");
    let recorded = json(&address, "/api/v1/query?query=max_over_time(ALERTS%7Balertname%3D%22Errors%22%7D%5B5m%5D)");
    assert!(
        recorded["data"]["result"].as_array().unwrap().iter().any(|s| s["metric"]["alertstate"] == "firing"),
        "{recorded}"
    );

    let url = format!("http://{address}");
    let why = tidewatch(&["explain", "alert", &alert, "--url", &url]);
    for part in [
        "the condition holds, and the rule has no `for`",
        "hook/webhook[0]: delivered",
        "code 503",
        "code 200",
        "firing → inactive",
    ] {
        assert!(why.contains(part), "{part} in\n{why}");
    }
    let unknown = tidewatch_fails(&["explain", "alert", "0123456789abcdef", "--url", &url]);
    assert!(unknown.contains("no alert 0123456789abcdef is known"), "{unknown}");
    let ledger =
        "SELECT state_to, count(*) AS n FROM system.alert_ledger WHERE stage = 'rule' GROUP BY state_to ORDER BY 1";
    assert_eq!(process.sql(ledger).lines().skip(1).collect::<Vec<_>>(), ["firing,1", "inactive,1"]);
    process.stop();

    let (rules, data) = (folder.path().join("rules.yml"), folder.path().join("data"));
    let past = ["--data", data.to_str().unwrap(), "--since", "10m", "--step", "1s"];
    let backtest = [&["rules", "backtest", rules.to_str().unwrap(), "--format", "json"], &past[..]].concat();
    let found: serde_json::Value = serde_json::from_str(&tidewatch(&backtest)).unwrap();
    let counted =
        sql(&data, "SELECT window_start, provider, sum(errors) AS errors FROM api_calls GROUP BY 1, 2 ORDER BY 1, 2");
    assert_eq!(found["rules"][0]["noise"]["fired"], 1, "{found}\n{counted}");
    assert_eq!(found["rules"][0]["intervals"][0]["labels"]["provider"], "ups", "{found}");
    let stricter = folder.path().join("stricter.yml");
    std::fs::write(&stricter, RULES.replace("> 2", "> 20")).unwrap();
    let diff = [&["rules", "diff", rules.to_str().unwrap(), stricter.to_str().unwrap()], &past[..]].concat();
    let diff = tidewatch(&diff);
    assert!(diff.contains("would not have fired") && diff.contains("ups"), "{diff}");
}

#[test]
fn amtool_lists_silences_and_the_silence_explains() {
    let Some(amtool) = program("amtool", "prometheus-alertmanager") else { return };
    let folder = tempfile::tempdir().unwrap();
    let sink = Sink::start();
    let mut process = Tidewatch::run(&settings(folder.path(), &sink));
    let address = process.address();
    let url = format!("--alertmanager.url=http://{address}");
    let ask = |arguments: &[&str]| run_tool(&amtool, &[&[url.as_str()], arguments].concat());
    let shop = Shop::new();
    let id = ask(&["silence", "add", "provider=ups", "--author=anna", "--comment=maintenance", "--duration=1h"]);
    let silences: serde_json::Value = serde_json::from_str(&ask(&["silence", "query", "-o", "json"])).unwrap();
    assert_eq!((silences[0]["id"].as_str(), silences[0]["createdBy"].as_str()), (Some(id.trim()), Some("anna")));
    with_traffic(&shop, &address, || {
        (0..5).for_each(|_| assert!(shop.call(&address, "ups", "server_error")));
        let all = || ask(&["alert", "query", "--silenced", "-o", "json"]);
        wait_until("amtool sees it silenced", SOON, || all().contains("suppressed"));
        assert_eq!(ask(&["alert", "query", "-o", "json"]).trim(), "[]", "not among the active ones");
        let why = tidewatch(&["explain", "alert", "Errors", "--url", &format!("http://{address}")]);
        assert!(why.contains("silenced by anna until") && why.contains("maintenance"), "{why}");
        assert_eq!(statuses(&sink), Vec::<String>::new());
        ask(&["silence", "expire", id.trim()]);
        wait_until("it is told once the silence is over", SOON, || statuses(&sink) == ["firing"]);
        let posted = r#"[{"labels": {"alertname": "FromOutside", "team": "crew"}}]"#;
        let answer = post(&address, "/api/v2/alerts", &["Content-Type: application/json"], posted.as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        wait_until("an alert of others is told", SOON, || {
            sink.taken().iter().any(|one| one.body.contains("FromOutside"))
        });
    });
    assert!(ask(&["config", "show"]).contains("receiver: hook"));
    let status = json(&address, "/api/v2/status");
    assert!(!status.to_string().contains("k3y"), "secrets are not shown");
    process.stop();
}

#[test]
fn rules_are_checked_and_tested_from_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("rules.yml"), RULES).unwrap();
    assert!(tidewatch(&["rules", "check", &path("rules.yml")]).contains("2 rules in 1 groups"));
    std::fs::write(path("bad.yml"), RULES.replace("> 2", "> > 2")).unwrap();
    let mistake = tidewatch_fails(&["rules", "check", &path("bad.yml")]);
    assert!(mistake.contains("bad.yml:9:"), "{mistake}");
    let test = |value: u32| {
        format!(
            "rule_files: [rules.yml]\nevaluation_interval: 1s\ntests:\n- interval: 1s\n  input_series:\n  - series: 'provider:errors:20s{{provider=\"ups\"}}'\n    values: '9x5'\n  promql_expr_test:\n  - expr: 'provider:errors:20s'\n    eval_time: 3s\n    exp_samples: [{{labels: 'provider:errors:20s{{provider=\"ups\"}}', value: {value}}}]\n"
        )
    };
    std::fs::write(path("test.yml"), test(9)).unwrap();
    assert!(tidewatch(&["rules", "test", &path("test.yml")]).contains("SUCCESS"));
    std::fs::write(path("test.yml"), test(8)).unwrap();
    tidewatch_fails(&["rules", "test", &path("test.yml")]);
}

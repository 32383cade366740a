//! While it runs: answers count what is committed and what is not, each once.

use crate::support::{Csv, Tidewatch, get, post, wait_until, write_settings};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tidewatch_simulate::{
    DemoBroker, Generator, KafkaTarget, Run, Scenario, Settings, SimulatedEvent, TOPICS, to_kafka,
};

const SOON: Duration = Duration::from_secs(60);

pub fn broker() -> DemoBroker {
    DemoBroker::start(&TOPICS.map(|topic| (topic, 4))).unwrap()
}

/// Events of a few minutes, few enough for the broker in memory.
pub fn events(seed: u64, minutes: i64) -> Vec<SimulatedEvent> {
    let settings = Settings {
        duration_ms: Some(minutes * 60_000),
        events_per_second: 20.0,
        ..Settings::new(Scenario::named("steady").unwrap(), seed, 1_773_511_200_000)
    };
    Generator::new(settings).unwrap().collect()
}

pub fn calls(events: &[SimulatedEvent]) -> usize {
    events.iter().filter(|e| e.event_type == "apihealth.api_call.completed.v1").count()
}

pub fn send(broker: &DemoBroker, events: &[SimulatedEvent]) {
    let stop = AtomicBool::new(false);
    to_kafka(events.iter().cloned(), &KafkaTarget::new(broker.bootstrap_servers()), Run::new(&stop)).unwrap();
}

pub fn settings(folder: &Path, broker: &DemoBroker, rest: &str) -> PathBuf {
    let servers = broker.bootstrap_servers();
    let text = format!(
        "[storage]\nlocation = \"{}/data\"\n[http]\nlisten = \"127.0.0.1:0\"\n{rest}\n[kafka.properties]\n\"bootstrap.servers\" = \"{servers}\"\n",
        folder.display()
    );
    write_settings(folder, &text)
}

fn count(tidewatch: &mut Tidewatch) -> usize {
    let text = tidewatch.sql("SELECT coalesce(sum(requests), 0) AS n FROM api_calls");
    text.lines().nth(1).unwrap().parse().unwrap()
}

#[test]
fn nothing_is_committed_yet_and_every_answer_is_there() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let events = events(1, 3);
    let mut process = Tidewatch::run(&settings(folder.path(), &broker, "[ingest]\nflush_interval = \"1h\""));
    assert_eq!(process.get("/-/healthy").status, 200);
    assert_eq!(count(&mut process), 0, "an empty store answers sensibly");
    send(&broker, &events);
    let expected = calls(&events);
    wait_until("all calls in an answer", SOON, || count(&mut process) == expected);
    assert_eq!(process.metric("tidewatch_commit_total"), 0.0);
    assert_eq!(process.get("/-/ready").status, 200);
    process.stop();
    let again = crate::support::sql(&folder.path().join("data"), "SELECT sum(requests) AS n FROM api_calls");
    assert_eq!(again, format!("n\n{expected}\n"), "stopping commits");
}

#[test]
fn answers_only_grow_while_commits_and_queries_race() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let events = events(2, 6);
    let expected = calls(&events);
    let mut process = Tidewatch::run(&settings(folder.path(), &broker, "[ingest]\nflush_interval = \"100ms\""));
    process.address();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for part in events.chunks(400) {
                send(&broker, part);
                std::thread::sleep(Duration::from_millis(30));
            }
        });
        let mut last = 0;
        wait_until("all calls in an answer", SOON, || {
            let now = count(&mut process);
            assert!((last..=expected).contains(&now), "{last} was answered, then {now}, of {expected}");
            last = now;
            now == expected
        });
    });
    assert!(process.metric("tidewatch_commit_total") > 20.0, "commits did race");
    process.stop();
}

#[test]
fn limits_and_mistakes_have_codes_and_hints() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let mut process = Tidewatch::run(&settings(
        folder.path(),
        &broker,
        "[sql]\nrows_max = 10\ntimeout = \"4s\"\nmemory_bytes_max = 1_000_000\nspill_bytes_max = 0\nquery_bytes_max = 5000",
    ));
    let address = process.address();
    let error = |sql: &str| -> (u16, Value) {
        let response = post(&address, "/api/v1/sql", &["Content-Type: text/plain"], sql.as_bytes()).unwrap();
        let body: Value =
            serde_json::from_slice(&response.body).unwrap_or_else(|e| panic!("{sql}: {e}: {}", response.text()));
        (response.status, body["error"].clone())
    };
    let cases = [
        ("SELECT * FROM generate_series(1, 11)", 422, "row_limit"),
        ("SELECT count(*) FROM generate_series(1, 100000000) a, generate_series(1, 100000) b", 504, "timeout"),
        (
            "SELECT max(v) FROM (SELECT (value * 7919) % 300007 AS v, count(*) AS c FROM generate_series(1, 300000) GROUP BY 1)",
            422,
            "memory_limit",
        ),
        ("SELECT * FROM nowhere", 400, "bad_query"),
        ("SELECT requestz FROM api_calls", 400, "bad_query"),
        ("SELEKT", 400, "bad_query"),
        ("DROP TABLE api_calls", 400, "bad_query"),
        ("SELECT quantile(requests, 0.5) FROM api_calls", 400, "bad_query"),
        ("SELECT quantile(duration_ms, 95) FROM api_calls", 400, "bad_query"),
        (
            "SELECT avg(p) FROM (SELECT quantile(duration_ms, 0.5) AS p FROM api_calls GROUP BY tenant) GROUP BY quantile(p, 0.5)",
            400,
            "bad_query",
        ),
        ("", 400, "bad_request"),
    ];
    for (sql, status, code) in cases {
        let (found_status, body) = error(sql);
        assert_eq!((found_status, body["code"].as_str().unwrap()), (status, code), "{sql}: {body}");
    }
    let (_, body) = error("SELECT * FROM nowhere");
    assert!(body["hint"].as_str().unwrap().contains("api_calls"), "{body}");
    let (_, body) = error("SELECT quantile(requests, 0.5) FROM api_calls");
    assert!(body["message"].as_str().unwrap().contains("histogram column"), "{body}");
    let long = format!("SELECT '{}'", "x".repeat(6000));
    assert_eq!(error(&long).1["code"], "bad_query");
    assert_eq!(get(&address, "/nothing", &[]).unwrap().status, 404);

    let json = post(
        &address,
        "/api/v1/sql",
        &["Content-Type: application/json"],
        br#"{"sql": "SELECT 1 AS one, 'a' AS t", "format": "json"}"#,
    )
    .unwrap();
    let json: Value = serde_json::from_slice(&json.body).unwrap();
    assert_eq!(json["rows"], serde_json::json!([[1, "a"]]));
    assert_eq!(json["columns"][1], serde_json::json!({ "name": "t", "type": "text" }));
    let arrow =
        post(&address, "/api/v1/sql", &["Accept: application/vnd.apache.arrow.stream"], b"SELECT 1 AS one").unwrap();
    assert!(arrow.head.contains("application/vnd.apache.arrow.stream") && arrow.body[..4] == [0xff; 4], "{arrow:?}");
    let tables: Value = serde_json::from_slice(&get(&address, "/api/v1/tables", &[]).unwrap().body).unwrap();
    assert!(
        tables["tables"].as_array().unwrap().iter().any(|t| t["name"] == "api_calls" && t["window_seconds"] == 10.0),
        "{tables}"
    );
    assert_eq!(Csv::parse(&process.sql("SELECT * FROM api_calls")).len(), 0);
    process.stop();
}

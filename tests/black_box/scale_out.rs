//! Several workers of one consumer group, on real Apache Kafka, over one object store: they come, stop and are killed
//! under load, every row is as in a straight run, each answers for all, and one of them evaluates the rules for all.

use crate::live::{calls, events};
use crate::object_store::S3;
use crate::rebalance::kafka_partitions;
use crate::support::{RealKafka, Sink, Tidewatch, kafka, pack, post, python, tidewatch, wait_until, write_settings};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tidewatch_simulate::{KafkaTarget, Run, SimulatedEvent, to_kafka};

const SOON: Duration = Duration::from_secs(120);
const RUN: Duration = Duration::from_secs(180);
/// Parts in which events are produced, and the pause between two until the last worker has come.
const PARTS: usize = 200;
const PAUSE: Duration = Duration::from_millis(150);
/// After the last of the simulated events.
const EVALUATED_AT: i64 = 1_773_514_800;

/// Settings of one worker; the store, the group, the rules and what they remember are those of all.
fn settings(folder: &Path, name: &str, kafka: &RealKafka, s3: &S3, rest: &str) -> PathBuf {
    let within = folder.join(name);
    std::fs::create_dir_all(&within).unwrap();
    let text = format!(
        "packs = [\"{}\"]\n[storage]\nlocation = \"s3://bucket/{name_of_store}\"\n\
         options = {{ aws_access_key_id = \"a\", aws_secret_access_key = \"b\", aws_region = \"us-east-1\", \
         aws_endpoint = \"http://{}\", aws_allow_http = \"true\" }}\n[push]\npath = \"{}\"\n\
         [http]\nlisten = \"127.0.0.1:0\"\n[ingest]\nflush_interval = \"1s\"\n{rest}\n\
         [kafka.properties]\n\"bootstrap.servers\" = \"{}\"\n\"group.id\" = \"{name_of_store}\"\n\
         \"session.timeout.ms\" = \"6000\"\n\"heartbeat.interval.ms\" = \"500\"\n",
        pack("calls"),
        s3.address,
        within.join("log").display(),
        kafka.bootstrap_servers,
        name_of_store = if name == "straight" { "straight" } else { "tables" },
    );
    write_settings(&within, &text)
}

/// Partitions of Kafka that a worker has. Nothing is pushed but events: a log is one partition.
fn partitions(worker: &mut Tidewatch) -> f64 {
    kafka_partitions(worker, 1.0)
}

fn send(kafka: &RealKafka, events: &[SimulatedEvent]) {
    let target = KafkaTarget::new(&kafka.bootstrap_servers);
    to_kafka(events.iter().cloned(), &target, Run::new(&AtomicBool::new(false))).unwrap();
}

/// Every row, sketches byte for byte.
fn rows(settings: &Path) -> String {
    let query =
        "SELECT window_start, tenant, provider, api, requests, errors, duration_ms FROM api_calls ORDER BY 1, 2, 3, 4";
    tidewatch(&["sql", "-c", settings.to_str().unwrap(), "--format", "csv", query])
}

fn counted(worker: &mut Tidewatch) -> usize {
    let text = worker.sql("SELECT coalesce(sum(requests), 0) AS n FROM api_calls");
    text.lines().nth(1).unwrap().parse().unwrap()
}

fn calls_in_promql(worker: &mut Tidewatch) -> String {
    let body = format!("query=sum(increase(api_calls_requests_total[1h]))&time={EVALUATED_AT}");
    let form = ["Content-Type: application/x-www-form-urlencoded"];
    let answer = post(&worker.address(), "/api/v1/query", &form, body.as_bytes()).unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    answer["data"]["result"][0]["value"][1].as_str().unwrap_or_default().to_owned()
}

#[test]
fn workers_come_stop_and_are_killed_under_load_and_every_row_is_exact() {
    let (Some(_), Some(python)) = (kafka(), python()) else { return };
    let (kafka, s3, sink) = (RealKafka::start(), S3::start(&python), Sink::start());
    let (folder, all) = (tempfile::tempdir().unwrap(), events(44, 10));
    let expected = calls(&all);
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    // It holds once every worker's events are counted, whoever evaluates.
    write(
        "rules.yml",
        &format!(
            "groups:\n- name: all\n  interval: 1s\n  rules:\n  - alert: All\n    \
             expr: sum(increase(api_calls_requests_total[1h] @ {EVALUATED_AT})) >= {expected}\n    \
             annotations: {{summary: 'counted {{{{ $value }}}}'}}\n"
        ),
    );
    write(
        "routes.yml",
        &format!(
            "route: {{receiver: hook, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}\n\
             receivers:\n- name: hook\n  webhook_configs: [{{url: 'http://{}/hook', send_resolved: true}}]\n",
            sink.address
        ),
    );
    let shared = folder.path().display();
    let alerting = format!(
        "[alerting]\npath = \"{shared}/alerts\"\nrules = [\"{shared}/rules.yml\"]\nconfig = \"{shared}/routes.yml\""
    );
    let start = |name: &str| {
        let mut worker = Tidewatch::run(&settings(folder.path(), name, &kafka, &s3, &alerting));
        worker.address();
        worker
    };
    let has_partitions = |what: &str, worker: &mut Tidewatch| wait_until(what, SOON, || partitions(worker) > 0.0);

    let is_over = AtomicBool::new(false);
    let (mut first, mut fourth) = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut parts = all.chunks(all.len().div_ceil(PARTS));
            while !is_over.load(Ordering::SeqCst)
                && let Some(part) = parts.next()
            {
                send(&kafka, part);
                std::thread::sleep(PAUSE);
            }
            send(&kafka, &parts.collect::<Vec<_>>().concat());
        });
        let work = || {
            let mut first = start("first");
            has_partitions("the first has partitions", &mut first);
            let (mut second, mut third) = (start("second"), start("third"));
            has_partitions("the second has partitions", &mut second);
            has_partitions("the third has partitions", &mut third);
            third.kill();
            let mut fourth = start("fourth");
            has_partitions("the fourth has partitions", &mut fourth);
            second.stop();
            (first, fourth)
        };
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        is_over.store(true, Ordering::SeqCst);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    for (name, worker) in [("first", &mut first), ("fourth", &mut fourth)] {
        wait_until(&format!("the {name} answers for all"), SOON, || counted(worker) == expected);
        assert_eq!(calls_in_promql(worker), expected.to_string(), "{name}");
    }
    let told = || sink.taken().iter().map(|one| one.json()["alerts"][0].clone()).collect::<Vec<_>>();
    wait_until("the alert to be told", SOON, || !told().is_empty());
    assert_eq!(told()[0]["annotations"]["summary"], format!("counted {expected}"));
    // It was the first to come that evaluated.
    first.kill();
    wait_until("another to go on with the rules", SOON, || {
        fourth.get("/api/v1/alerts").text().contains("\"alertname\":\"All\"")
    });
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(told().len(), 1, "told once: {:?}", told());
    fourth.stop();

    let straight = settings(folder.path(), "straight", &kafka, &s3, "[alerting]\nenabled = false");
    Tidewatch::start(&["run", "-c", straight.to_str().unwrap(), "--until-caught-up"]).wait(RUN);
    let expected = rows(&straight);
    assert!(expected.lines().count() > 100);
    let found = rows(&folder.path().join("first/tidewatch.toml"));
    let differs = expected.lines().zip(found.lines()).find(|(one, other)| one != other);
    assert!(expected == found, "{} and {} rows: {differs:?}", expected.lines().count(), found.lines().count());
}

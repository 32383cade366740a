//! Events over HTTP, with neither Kafka nor files: durable when they are answered, counted once whatever is killed
//! or sent again, refused at the bound.

mod poster;
mod speed;

use crate::support::{
    Tidewatch, get, pack, post, python, repository, run_tool, skipped, sql, tidewatch, tidewatch_fails, wait_until,
    write_settings,
};
use poster::{Poster, batch, call, gzip};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, RwLock};
use std::time::{Duration, Instant};
use tidewatch_simulate::DemoBroker;

const SOON: Duration = Duration::from_secs(90);
const SINGLE: &str = "Content-Type: application/cloudevents+json";
const BATCH: &str = "Content-Type: application/cloudevents-batch+json";
const LINES: &str = "Content-Type: application/x-ndjson";
const REQUESTS: &str = "SELECT coalesce(sum(requests), 0) AS n FROM api_calls";

/// A small shop: a folder, and nothing else.
fn settings(folder: &Path, rest: &str) -> PathBuf {
    let flush = if rest.contains("flush_interval") { "" } else { "[ingest]\nflush_interval = \"150ms\"\n" };
    write_settings(folder, &format!("[storage]\nlocation = \"data\"\n[http]\nlisten = \"127.0.0.1:0\"\n{flush}{rest}"))
}

fn number(process: &mut Tidewatch, query: &str) -> u64 {
    process.sql(query).lines().nth(1).unwrap().parse().unwrap()
}

fn committed(folder: &Path, query: &str) -> u64 {
    sql(&folder.join("data"), query).lines().nth(1).unwrap().parse().unwrap()
}

fn push(address: &str, content_type: &str, body: &str) -> u16 {
    let response = post(address, "/api/v1/events", &[content_type], body.as_bytes()).unwrap();
    if response.status != 202 {
        eprintln!("{}: {}", response.status, response.text());
    }
    response.status
}

#[test]
fn every_content_type_counts_within_a_second_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = settings(folder.path(), "");
    let mut process = Tidewatch::run(&config);
    let address = process.address();
    let send_all = |address: &str| {
        assert_eq!(push(address, SINGLE, &call(0)), 202);
        assert_eq!(push(address, BATCH, &batch(1..101)), 202);
        let lines: Vec<String> = (101..201).map(call).collect();
        let packed = gzip(lines.join("\n").as_bytes());
        let response = post(address, "/api/v1/events", &[LINES, "Content-Encoding: gzip"], &packed).unwrap();
        assert_eq!(response.status, 202, "{}", response.text());
        let attributes = [
            "Content-Type: application/json",
            "ce-specversion: 1.0",
            "ce-id: call-201",
            "ce-source: /calls",
            "ce-type: apihealth.api_call.completed.v1",
            "ce-time: 2026-03-14T18:00:00Z",
            "ce-tenantkind: creator",
            "ce-tenantid: c1",
        ];
        let data = br#"{"provider":"usps","api":"rates","outcome":"success","duration_ms":201,"status_code":200}"#;
        let response = post(address, "/api/v1/events", &attributes, data).unwrap();
        assert_eq!(response.status, 202, "{}", response.text());
    };
    send_all(&address);
    let answered = Instant::now();
    wait_until("all of them in an answer", Duration::from_secs(10), || number(&mut process, REQUESTS) == 202);
    // What another process makes of the machine in between is not ours.
    assert!(answered.elapsed() < Duration::from_secs(5), "{:?} from the answer to the number", answered.elapsed());
    assert_eq!(push(&address, SINGLE, &call(202)), 202);
    let started = Instant::now();
    let seen = number(&mut process, REQUESTS);
    eprintln!("{seen} of 203 in the answer that began at once and took {:?}", started.elapsed());
    // The same again, and once more after a restart.
    send_all(&address);
    wait_until("the copies are known", SOON, || {
        process.metric("tidewatch_ingest_duplicates_total") == 202.0 * sources()
    });
    assert_eq!(number(&mut process, REQUESTS), 203);
    assert_eq!(get(&address, "/-/ready", &[]).unwrap().status, 200);
    process.stop();
    let mut process = Tidewatch::run(&config);
    send_all(&process.address());
    wait_until("the copies are known", SOON, || {
        process.metric("tidewatch_ingest_duplicates_total") == 202.0 * sources()
    });
    assert_eq!(number(&mut process, REQUESTS), 203);

    // While it runs, the log is its own.
    let busy = tidewatch_fails(&["verify", "-c", config.to_str().unwrap()]);
    assert!(busy.contains("open in another process") && busy.contains("stop it"), "{busy}");
    process.stop();
    assert_eq!(committed(folder.path(), REQUESTS), 203);
    assert_eq!(committed(folder.path(), "SELECT hdr_count(hdr_merge(duration_ms)) AS n FROM api_calls"), 203);
    let verified = tidewatch(&["verify", "-c", config.to_str().unwrap()]);
    assert!(verified.contains("is as replayed") && !verified.contains("DIFFERENT"), "{verified}");
    assert!(verified.contains("equal     api_calls: "), "{verified}");
}

/// Sources of the built-in pack that read a call: each notes a copy.
fn sources() -> f64 {
    let text = std::fs::read_to_string(repository().join("packs/creatorflow/sources.yaml")).unwrap();
    text.lines().filter(|l| l.trim() == "type: apihealth.api_call.completed.v1").count() as f64
}

#[test]
fn the_sdk_of_cloudevents_is_understood() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut process = Tidewatch::run(&settings(folder.path(), ""));
    let script = repository().join("tests/truth/push_events.py");
    let answers = run_tool(&python, &[script.to_str().unwrap(), &process.address(), "24"]);
    assert_eq!(answers.lines().filter(|l| l.trim() == "202").count(), 24, "{answers}");
    wait_until("its events", SOON, || number(&mut process, REQUESTS) == 24);
    // The same ids, in the other way of escaping: none is another event.
    run_tool(&python, &[script.to_str().unwrap(), &process.address(), "24"]);
    wait_until("the copies", SOON, || process.metric("tidewatch_ingest_duplicates_total") == 24.0 * sources());
    assert_eq!(number(&mut process, REQUESTS), 24);
    process.stop();
}

#[test]
fn mistakes_are_refused_or_become_dead_letters_that_can_be_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let config = settings(folder.path(), "");
    let mut process = Tidewatch::run(&config);
    let address = process.address();
    let wrong = call(1).replace("\"duration_ms\":1,", "\"duration_ms\":\"slow\",");
    let lines = format!("{}\n{wrong}\n", call(0));
    let refused = post(&address, "/api/v1/events", &[LINES], lines.as_bytes()).unwrap();
    assert_eq!(refused.status, 400);
    assert!(
        refused.text().contains(r#""index":1"#) && refused.text().contains("data.duration_ms"),
        "{}",
        refused.text()
    );
    let taken = post(&address, "/api/v1/events?on_error=dead_letter", &[LINES], lines.as_bytes()).unwrap();
    assert_eq!(taken.status, 202, "{}", taken.text());
    assert!(taken.text().contains(r#""dead_letters":1"#), "{}", taken.text());
    wait_until("one of them counts", SOON, || number(&mut process, REQUESTS) == 1);
    process.stop();
    let data = folder.path().join("data").display().to_string();
    let list = tidewatch(&["dead-letters", "list", "--data", &data, "--format", "csv"]);
    assert!(list.contains("wrong_type") && list.contains("events@"), "{list}");
}

#[test]
fn kills_while_many_post_lose_nothing_and_count_nothing_twice() {
    const LIVES: u64 = 6;
    const POSTERS: usize = 16;
    const BATCH_EVENTS: u64 = 7;
    let folder = tempfile::tempdir().unwrap();
    let config = settings(folder.path(), "");
    let (next, acknowledged) = (AtomicU64::new(0), AtomicU64::new(0));
    // Batches that were sent and not answered, by their first event.
    let unanswered = Mutex::new(Vec::<u64>::new());
    let address = RwLock::new(String::new());
    let send = |poster: &mut Option<Poster>, first: u64| -> bool {
        let connected = poster.take().or_else(|| Poster::connect(&address.read().unwrap()).ok());
        let Some(mut connected) = connected else { return false };
        let status =
            connected.post("application/cloudevents-batch+json", batch(first..first + BATCH_EVENTS).as_bytes());
        if let Ok(status) = &status {
            *poster = Some(connected);
            assert!([202, 429].contains(status), "{status}");
        }
        matches!(status, Ok(202))
    };
    for life in 0..LIVES {
        let mut process = Tidewatch::run(&config);
        *address.write().unwrap() = process.address();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..POSTERS {
                scope.spawn(|| {
                    let mut poster = None;
                    while !stop.load(Ordering::Relaxed) {
                        let again = unanswered.lock().unwrap().pop();
                        let first = again.unwrap_or_else(|| next.fetch_add(BATCH_EVENTS, Ordering::Relaxed));
                        if send(&mut poster, first) {
                            acknowledged.fetch_add(1, Ordering::Relaxed);
                        } else {
                            unanswered.lock().unwrap().push(first);
                            std::thread::sleep(Duration::from_millis(5));
                        }
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(400 + 173 * life));
            process.kill();
            stop.store(true, Ordering::Relaxed);
        });
    }
    let left = unanswered.into_inner().unwrap();
    assert!(acknowledged.load(Ordering::Relaxed) > 20 * LIVES, "{acknowledged:?} batches were answered");
    assert!(!left.is_empty(), "a kill must hit requests under way");
    let mut process = Tidewatch::run(&config);
    *address.write().unwrap() = process.address();
    let mut poster = None;
    for &first in &left {
        while !send(&mut poster, first) {}
    }
    let sent = next.load(Ordering::Relaxed);
    eprintln!("{sent} events, {} batches sent again in the end", left.len());
    wait_until("every event", SOON, || number(&mut process, REQUESTS) == sent);
    process.stop();
    assert_eq!(committed(folder.path(), REQUESTS), sent);
    assert_eq!(committed(folder.path(), "SELECT hdr_count(hdr_merge(duration_ms)) AS n FROM api_calls"), sent);
    let verified = tidewatch(&["verify", "-c", config.to_str().unwrap()]);
    assert!(verified.contains("is as replayed") && !verified.contains("DIFFERENT"), "{verified}");
}

#[test]
fn at_the_bound_it_says_come_again_and_commits_make_room() {
    let folder = tempfile::tempdir().unwrap();
    let bounds = "[push]\nbody_bytes_max = 32768\nlog_bytes_max = 131072\n";
    let config = settings(folder.path(), &format!("[ingest]\nflush_interval = \"1h\"\n{bounds}"));
    let mut process = Tidewatch::run(&config);
    let address = process.address();
    let mut sent = 0;
    let full = loop {
        let response = post(&address, "/api/v1/events", &[BATCH], batch(sent..sent + 40).as_bytes()).unwrap();
        if response.status != 202 {
            break response;
        }
        sent += 40;
        assert!(sent < 2000, "no bound");
    };
    assert_eq!(full.status, 429, "{}", full.text());
    assert!(full.head.to_ascii_lowercase().contains("retry-after: 10"), "{}", full.head);
    assert!(full.text().contains("push.log_bytes_max"), "{}", full.text());
    assert!(process.metric("tidewatch_log_appends_refused_total") > 0.0);
    wait_until("what was taken", SOON, || number(&mut process, REQUESTS) == sent);
    process.stop();
    let mut process = Tidewatch::run(&config);
    let address = process.address();
    let taken = || push(&address, BATCH, &batch(sent..sent + 40)) == 202;
    wait_until("what is committed makes room", SOON, taken);
    wait_until("all of it", SOON, || number(&mut process, REQUESTS) == sent + 40);
    assert!(process.metric("tidewatch_log_records_dropped_total") > 0.0);
    process.stop();
    assert_eq!(committed(folder.path(), REQUESTS), sent + 40);
}

#[test]
fn a_log_that_was_deleted_is_another_log() {
    let folder = tempfile::tempdir().unwrap();
    let config = settings(folder.path(), "");
    for life in 0..2u64 {
        let mut process = Tidewatch::run(&config);
        assert_eq!(push(&process.address(), BATCH, &batch(10 * life..10 * life + 10)), 202);
        wait_until("its events", SOON, || number(&mut process, REQUESTS) == 10 * (life + 1));
        process.stop();
        std::fs::remove_dir_all(folder.path().join("data-push")).unwrap();
    }
    assert_eq!(committed(folder.path(), REQUESTS), 20);
}

#[test]
fn beside_kafka_and_through_a_reload() {
    let folder = tempfile::tempdir().unwrap();
    let broker = DemoBroker::start(&[("shop", 2)]).unwrap();
    let mine = folder.path().join("mine");
    std::fs::create_dir(&mine).unwrap();
    for file in ["sources.yaml", "rollups.sql", "views.sql"] {
        std::fs::copy(Path::new(&pack("shop")).join(file), mine.join(file)).unwrap();
    }
    // This broker takes a member that has left for one that is silent.
    let kafka = format!(
        "[kafka.properties]\n\"bootstrap.servers\" = \"{}\"\n\"session.timeout.ms\" = \"6000\"\n",
        broker.bootstrap_servers()
    );
    let config = settings(folder.path(), &format!("[watermark]\nidle_after = \"1s\"\n{kafka}"));
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("packs = [\"mine\"]\n{text}")).unwrap();
    let order = |number: u64, minute: u64| {
        format!(
            r#"{{"specversion":"1.0","id":"{number}","source":"/t","type":"shop.order.created.v1","time":"2026-03-14T12:{minute:02}:01Z","tenantkind":"creator","tenantid":"c1","data":{{"order_id":"o{number}","total_minor":250,"currency":"USD"}}}}"#
        )
    };
    let orders = "SELECT coalesce(sum(orders), 0) AS n FROM orders";
    let mut process = Tidewatch::run(&config);
    let address = process.address();
    assert_eq!(push(&address, SINGLE, &order(0, 0)), 202);
    let file = folder.path().join("orders.ndjson");
    let lines: Vec<String> = (1..101).map(|n| order(n, n % 50)).collect();
    std::fs::write(&file, lines.join("\n")).unwrap();
    crate::support::produce_lines(broker.bootstrap_servers(), "shop", 2, &file);
    wait_until("orders of both", SOON, || number(&mut process, orders) == 101);
    // Nothing more is pushed: that holds no window back.
    let complete = "SELECT count(*) AS n FROM orders WHERE completeness = 'complete'";
    wait_until("windows are complete", SOON, || number(&mut process, complete) > 0);

    let rollups = mine.join("rollups.sql");
    let added = "CREATE ROLLUP all_orders AS SELECT count(*) AS orders FROM order_created GROUP BY tumble(INTERVAL '1 minute');";
    std::fs::write(&rollups, std::fs::read_to_string(&rollups).unwrap() + added).unwrap();
    process.signal("HUP");
    let mut sent = 101;
    while process.metric("tidewatch_pack_reloads_total") == 0.0 {
        assert_eq!(push(&address, SINGLE, &order(sent, 55)), 202, "it takes events all the while");
        sent += 1;
    }
    assert_eq!(push(&address, SINGLE, &order(sent, 55)), 202);
    sent += 1;
    // The new rollup has a place in a partition only once it was read again: not before its group has joined.
    let lines: Vec<String> = (sent..sent + 40).map(|n| order(n, 56)).collect();
    std::fs::write(&file, lines.join("\n")).unwrap();
    crate::support::produce_lines(broker.bootstrap_servers(), "shop", 2, &file);
    sent += 40;
    wait_until("orders after the reload", SOON, || number(&mut process, orders) == sent);
    process.stop();
    let backfill = ["backfill", "-c", config.to_str().unwrap(), "--rollup", "all_orders"];
    let filled = tidewatch(&backfill);
    assert!(!filled.contains("not filled"), "{filled}");
    assert_eq!(committed(folder.path(), "SELECT sum(orders) AS n FROM all_orders"), sent, "{filled}");
    assert_eq!(committed(folder.path(), orders), sent);
}

#[test]
fn a_full_disk_is_said_and_costs_nothing_that_was_answered() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(&folder.path().join("disk"), "6m") else { return };
    let config = settings(folder.path(), "[push]\npath = \"disk/log\"\n[probes]\ndisk_free_min = 0\n");
    let mut process = Tidewatch::run(&config);
    let address = process.address();
    let mut sent = 0;
    let failed = loop {
        // Not so alike that they pack to nothing.
        let noise =
            |n: u64| call(n).replace("\"api\":\"rates\"", &format!("\"noise\":\"{}\",\"api\":\"rates\"", noise(n)));
        let body = format!("[{}]", (sent..sent + 50).map(noise).collect::<Vec<_>>().join(","));
        let response = post(&address, "/api/v1/events", &[BATCH], body.as_bytes()).unwrap();
        if response.status != 202 {
            break response;
        }
        sent += 50;
        assert!(sent < 20_000, "the disk has 6 MiB");
    };
    assert_eq!(failed.status, 503, "{}", failed.text());
    assert!(failed.text().contains("log_failed") && failed.text().contains("No space left"), "{}", failed.text());
    let ready = get(&address, "/-/ready", &[]).unwrap();
    assert!(ready.status == 503 && ready.text().contains("No space left"), "{}", ready.text());
    assert_eq!(process.metric("tidewatch_log_failed"), 1.0);
    wait_until("what was answered", SOON, || number(&mut process, REQUESTS) >= sent);
    process.kill();
    disk.resize("200m");
    let mut process = Tidewatch::run(&config);
    let again = process.address();
    assert_eq!(push(&again, BATCH, &batch(0..sent + 50)), 202);
    wait_until("all of it, once", SOON, || number(&mut process, REQUESTS) == sent + 50);
    assert_eq!(get(&again, "/-/ready", &[]).unwrap().status, 200);
    process.stop();
    assert_eq!(committed(folder.path(), REQUESTS), sent + 50);
}

/// 2 KiB in hexadecimal that no other number has.
fn noise(number: u64) -> String {
    let mut state = number.wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{:08x}", state >> 32)
    };
    (0..256).map(|_| next()).collect()
}

/// A file system in memory with little room, at a path; unmounted when dropped.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    pub fn mount(path: &Path, size: &str) -> Option<Self> {
        let path = path.to_path_buf();
        std::fs::create_dir(&path).unwrap();
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(&path).output();
        if !mount.as_ref().is_ok_and(|m| m.status.success()) {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "cannot mount a small disk and CI=true: {mount:?}");
            skipped("a disk that can be filled", "run as root, where tmpfs may be mounted");
            return None;
        }
        Some(Self(path))
    }

    fn resize(&self, size: &str) {
        self.remount(&format!("size={size}"));
    }

    /// With other options, under whoever has it open.
    pub fn remount(&self, options: &str) {
        run_tool(Path::new("/bin/mount"), &["-o", &format!("remount,{options}"), self.0.to_str().unwrap()]);
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A process that is being killed may still have it open.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn without_a_disk_for_the_log_it_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let config = settings(folder.path(), "[push]\nenabled = false\n");
    let alone = tidewatch_fails(&["run", "-c", config.to_str().unwrap()]);
    assert!(alone.contains("no source of events"), "{alone}");
    let broker = DemoBroker::start(&[("apihealth.events.v1", 1)]).unwrap();
    let kafka = format!("[kafka.properties]\n\"bootstrap.servers\" = \"{}\"\n", broker.bootstrap_servers());
    let mut process = Tidewatch::run(&settings(folder.path(), &format!("[push]\nenabled = false\n{kafka}")));
    let refused = post(&process.address(), "/api/v1/events", &[SINGLE], call(0).as_bytes()).unwrap();
    assert_eq!(refused.status, 503);
    assert!(refused.text().contains("push_off") && refused.text().contains("enabled = true"), "{}", refused.text());
    process.stop();
}

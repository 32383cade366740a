//! A store that stops taking commits and comes back: readiness says so, nothing is lost or counted twice.

use super::shop::{ORDERS, number, pushed};
use crate::push::SmallDisk;
use crate::support::{Response, Tidewatch, get, pack, post, sql, wait_until, write_settings};
use std::path::{Path, PathBuf};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(90);
const BATCH: &str = "Content-Type: application/cloudevents-batch+json";

fn settings(folder: &Path, rest: &str) -> PathBuf {
    let text =
        "[storage]\nlocation = \"data\"\n[http]\nlisten = \"127.0.0.1:0\"\n[ingest]\nflush_interval = \"150ms\"\n";
    write_settings(folder, &format!("packs = [\"{}\"]\n{text}{rest}", pack("shop")))
}

fn probe(process: &mut Tidewatch, name: &str) -> Response {
    get(&process.address(), &format!("/-/{name}"), &[]).unwrap()
}

fn send(process: &mut Tidewatch, numbers: std::ops::Range<u64>) {
    let body = pushed(numbers);
    let answer = post(&process.address(), "/api/v1/events", &[BATCH], body.as_bytes()).unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
}

/// Breaks the store under a running process, and mends it.
fn is_said_and_costs_nothing(folder: &Path, break_it: impl Fn(), mend_it: impl Fn()) {
    let data = folder.join("data");
    let mut process = Tidewatch::run(&settings(folder, "[probes]\ndisk_free_min = 0\n"));
    assert_eq!(probe(&mut process, "startup").status, 200);
    send(&mut process, 0..20);
    wait_until("the first events are committed", SOON, || {
        data.join("orders").exists() && number(&sql(&data, ORDERS)) == 20
    });
    assert_eq!(probe(&mut process, "ready").status, 200);

    break_it();
    // What is pushed is durable all the same: its log lies elsewhere.
    send(&mut process, 20..50);
    wait_until("readiness says that commits fail", SOON, || {
        let ready = probe(&mut process, "ready");
        ready.status == 503 && ready.text().contains("commits fail: ") && ready.text().contains("times in a row")
    });
    assert_eq!(probe(&mut process, "healthy").status, 200, "a restart would not help");
    assert_eq!(probe(&mut process, "startup").status, 200, "it has started, for ever");
    send(&mut process, 50..60);
    mend_it();
    wait_until("it is ready again", SOON, || probe(&mut process, "ready").status == 200);
    send(&mut process, 60..70);
    wait_until("every event is in an answer", SOON, || number(&process.sql(ORDERS)) == 70);
    process.stop();
    assert_eq!(number(&sql(&data, ORDERS)), 70, "nothing is lost, nothing is counted twice");
    let all = "SELECT hdr_count(hdr_merge(totals)) AS n FROM orders";
    assert_eq!(number(&sql(&data, all)), 70);
}

#[test]
fn a_store_that_is_a_file_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let (data, away) = (folder.path().join("data"), folder.path().join("away"));
    let break_it = || {
        std::fs::rename(&data, &away).unwrap();
        std::fs::write(&data, "not a folder").unwrap();
    };
    let mend_it = || {
        std::fs::remove_file(&data).unwrap();
        std::fs::rename(&away, &data).unwrap();
    };
    is_said_and_costs_nothing(folder.path(), break_it, mend_it);
}

#[test]
fn a_store_that_is_read_only_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(&folder.path().join("data"), "200m") else { return };
    is_said_and_costs_nothing(folder.path(), || disk.remount("ro"), || disk.remount("rw"));
}

#[test]
fn a_disk_with_too_little_room_is_said_before_it_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let config = settings(folder.path(), &format!("[probes]\ndisk_free_min = {}\n", i64::MAX));
    let mut process = Tidewatch::run(&config);
    let ready = probe(&mut process, "ready");
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("the disk of the tables is nearly full"), "{}", ready.text());
    assert_eq!(probe(&mut process, "healthy").status, 200);
    process.stop();
}

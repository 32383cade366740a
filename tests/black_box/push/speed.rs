//! How many posts and events a second are acknowledged, beside a bare loop of 4 KiB appends, each with fdatasync, in
//! the same run and on the same disk:
//!
//! ```sh
//! cargo test --release --test black_box -- push::speed --ignored --nocapture
//! ```
//!
//! Beside the tests it runs in small, so that it does not rot.

use super::poster::{Poster, batch};
use super::{committed, settings};
use crate::support::Tidewatch;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What is measured: connections, and events of a request.
const CASES: [(usize, u64); 4] = [(1, 1), (32, 1), (1, 500), (32, 500)];

#[test]
fn tiny() {
    measure(Duration::from_millis(200));
}

#[test]
#[ignore = "a measurement"]
fn full() {
    measure(Duration::from_secs(8));
}

fn measure(time: Duration) {
    let folder = tempfile::tempdir_in(std::env::var("CARGO_TARGET_TMPDIR").unwrap_or_else(|_| ".".to_owned())).unwrap();
    let mut sent = 0;
    let mut process = Tidewatch::run(&settings(folder.path(), "[ingest]\nflush_interval = \"2s\"\n"));
    let address = process.address();
    for (connections, events) in CASES {
        // Disks have moods: before and after each case.
        let before = appends_per_second(folder.path(), time / 4);
        let (posts, next, stop) = (AtomicU64::new(0), AtomicU64::new(sent), AtomicBool::new(false));
        let started = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..connections {
                scope.spawn(|| {
                    let mut poster = Poster::connect(&address).unwrap();
                    while !stop.load(Ordering::Relaxed) {
                        let first = next.fetch_add(events, Ordering::Relaxed);
                        let body = batch(first..first + events);
                        assert_eq!(poster.post("application/cloudevents-batch+json", body.as_bytes()).unwrap(), 202);
                        posts.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            std::thread::sleep(time);
            stop.store(true, Ordering::Relaxed);
        });
        let seconds = started.elapsed().as_secs_f64();
        let posts = posts.load(Ordering::Relaxed);
        sent = next.load(Ordering::Relaxed);
        let per_second = posts as f64 / seconds;
        let bare = (before + appends_per_second(folder.path(), time / 4)) / 2.0;
        println!(
            "{connections:>2} clients, {events:>3} events each: {per_second:>6.0} posts/s, {:>7.0} events/s, {:.2} × the bare loop ({bare:.0}/s)",
            per_second * events as f64,
            per_second / bare
        );
    }
    let syncs = process.metric("tidewatch_log_sync_duration_seconds_count");
    println!(
        "{syncs:.0} syncs, {:.2} ms each",
        1e3 * process.metric("tidewatch_log_sync_duration_seconds_sum") / syncs
    );
    process.stop();
    assert_eq!(committed(folder.path(), super::REQUESTS), sent, "what was measured was counted");
}

fn appends_per_second(folder: &std::path::Path, time: Duration) -> f64 {
    let mut file = std::fs::File::create(folder.join("bare")).unwrap();
    let (block, started, mut appends) = ([7u8; 4096], Instant::now(), 0);
    while started.elapsed() < time {
        file.write_all(&block).unwrap();
        file.sync_data().unwrap();
        appends += 1;
    }
    appends as f64 / started.elapsed().as_secs_f64()
}

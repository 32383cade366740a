//! What it costs: run with `--ignored --nocapture`.

use crate::support::{Act, Sink, message, quick, start};
use std::time::{Duration, Instant};
use tidewatch_notify::{NotifyMetrics, Outbox, OutboxSettings};

fn percentile(sorted: &[Duration], share: f64) -> Duration {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}

#[test]
#[ignore = "measures"]
fn enqueueing() {
    let metrics = NotifyMetrics::register(&prometheus::Registry::new()).unwrap();
    let folder = tempfile::tempdir_in(".").unwrap();
    let outbox = Outbox::open(folder.path(), OutboxSettings::default(), metrics).unwrap();
    let body = format!("{{\"text\":\"{}\"}}", "x".repeat(2_000));
    let mut number = 0;
    for batch in [1, 10, 100] {
        let mut times: Vec<Duration> = (0..200)
            .map(|_| {
                let messages: Vec<_> = (0..batch)
                    .map(|_| {
                        number += 1;
                        message(&format!("m-{number}"), "group", "hook", &body)
                    })
                    .collect();
                let begun = Instant::now();
                outbox.enqueue(&messages).unwrap();
                begun.elapsed()
            })
            .collect();
        times.sort_unstable();
        let (p50, p99) = (percentile(&times, 0.5), percentile(&times, 0.99));
        println!("enqueue of {batch} messages of 2 kB: p50 {p50:.2?}, p99 {p99:.2?}");
    }
    let begun = Instant::now();
    drop(outbox);
    let metrics = NotifyMetrics::register(&prometheus::Registry::new()).unwrap();
    let outbox = Outbox::open(folder.path(), OutboxSettings::default(), metrics).unwrap();
    println!("closed and opened again with {} waiting messages in {:.2?}", outbox.waiting(), begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
async fn sending() {
    let sink = Sink::start(|_| Act::ok()).await;
    for concurrency_max in [1, 8, 64] {
        let mut settings = quick(&sink.url());
        settings.delivery.concurrency_max = concurrency_max;
        let folder = tempfile::tempdir_in(".").unwrap();
        let running = start(folder.path(), &[("hook", settings)]);
        let count = if concurrency_max == 1 { 500 } else { 3_000 };
        let batch: Vec<_> = (0..count).map(|n| message(&format!("k-{n}"), &format!("g {n}"), "hook", "{}")).collect();
        let begun = Instant::now();
        running.outbox.enqueue(&batch).unwrap();
        running.until_empty(Duration::from_secs(120)).await;
        let rate = f64::from(count) / begun.elapsed().as_secs_f64();
        let record = &running.outbox.metrics().record_seconds;
        let per_write = record.get_sample_sum() / record.get_sample_count() as f64;
        println!("{concurrency_max} at a time: {rate:.0} messages/s, a write of results {:.2} ms", per_write * 1e3);
        running.stop().await;
    }
}

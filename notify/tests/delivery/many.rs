//! Ten thousand messages to receivers that fail three times out of ten.

use crate::support::{Act, Received, Sink, message, ms, quick, start};
use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::{Rng, SeedableRng};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tidewatch_notify::{Outcome, Phase};

const MESSAGES: usize = 10_000;
const GROUPS: usize = 200;
const INTEGRATIONS: [&str; 4] = ["slack", "webhook", "pagerduty", "sms"];

/// Fails 30 % of requests in seven ways. Of those, silence is rare, as each costs a whole timeout.
fn faults(seed: u64) -> impl Fn(&Received) -> Act + Send + Sync + 'static {
    let random = Mutex::new(Pcg64Mcg::seed_from_u64(seed));
    move |_| {
        let drawn = random.lock().unwrap().next_u64();
        if drawn % 100 >= 30 {
            return Act::ok();
        }
        match (drawn >> 32) % 100 {
            0..30 => Act::status(500),
            30..45 => Act::Answer(429, vec!["Retry-After: 0.02".to_owned()], String::new()),
            45..50 => Act::Answer(503, vec!["Retry-After: 0".to_owned()], String::new()),
            50..65 => Act::Reset,
            65..80 => Act::TakeAndReset,
            80..88 => Act::Truncate,
            88..98 => Act::Slow(ms(30), 502),
            _ => Act::Silence,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_are_delivered_in_order_and_nothing_twice_under_two_keys() {
    let mut sinks = Vec::new();
    for seed in 0..INTEGRATIONS.len() {
        sinks.push(Sink::start(faults(seed as u64)).await);
    }
    let settings: Vec<_> = INTEGRATIONS.iter().zip(&sinks).map(|(name, sink)| (*name, quick(&sink.url()))).collect();
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path(), &settings);
    let begun = std::time::Instant::now();
    // From four tasks at once, each with groups of its own, in batches of 25.
    let tasks: Vec<_> = (0..4)
        .map(|task| {
            let outbox = Arc::clone(&running.outbox);
            tokio::spawn(async move {
                let numbers: Vec<usize> = (0..MESSAGES).filter(|number| number % GROUPS % 4 == task).collect();
                for batch in numbers.chunks(25) {
                    let batch = batch.iter().map(|number| {
                        let group = number % GROUPS;
                        let body = format!("{{\"group\":{group},\"number\":{number}}}");
                        let integration = INTEGRATIONS[group / 4 % INTEGRATIONS.len()];
                        message(&format!("m-{number}"), &format!("group {group}"), integration, &body)
                    });
                    outbox.enqueue_async(batch.collect()).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let enqueued = begun.elapsed();
    running.until_empty(Duration::from_secs(400)).await;
    let took = begun.elapsed();

    let (outbox, attempts) = running.finish().await;
    let metrics = outbox.metrics().clone();
    let delivered = attempts.iter().filter(|a| a.outcome == Outcome::Delivered).count();
    assert_eq!(delivered, MESSAGES);
    let numbers: Vec<u64> = attempts.iter().map(|a| a.number).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "the ledger's order");
    assert_eq!(metrics.outbox_bytes.get(), 0);

    let mut bodies: HashMap<String, String> = HashMap::new();
    let (mut taken, mut asked) = (0, 0);
    for sink in &sinks {
        let mut last_of_group: HashMap<usize, usize> = HashMap::new();
        for request in sink.received() {
            asked += 1;
            // Whether taken or not: a message is never tried before its predecessor is done with.
            let json: serde_json::Value = serde_json::from_str(&request.body).unwrap();
            let field = |name: &str| usize::try_from(json[name].as_u64().unwrap()).unwrap();
            let (group, number) = (field("group"), field("number"));
            assert_eq!(request.key(), format!("m-{number}"));
            let last = last_of_group.insert(group, number);
            assert!(last.is_none_or(|last| last <= number), "{number} after {last:?} in group {group}");
            taken += usize::from(request.taken);
            let before = bodies.insert(request.key().to_owned(), request.body.clone());
            assert!(before.is_none_or(|before| before == request.body), "one key, one body");
        }
    }
    let distinct: HashSet<&String> = bodies.keys().collect();
    assert_eq!(distinct.len(), MESSAGES);
    let failed = attempts.len() - delivered;
    assert!(failed > MESSAGES / 4, "{failed} failures are too few to prove anything");
    // A broken connection may be noticed before the request is read.
    assert!(asked <= attempts.len(), "{asked} requests, {} attempts", attempts.len());
    for number in (0..MESSAGES).step_by(997) {
        let explained = outbox.explain(&format!("m-{number}")).unwrap().unwrap();
        assert!(matches!(explained.phase, Phase::Delivered { .. }), "{explained:?}");
        let of_message = attempts.iter().filter(|a| a.key == explained.key).count();
        assert_eq!((explained.tries.len(), usize::try_from(explained.attempts).unwrap()), (of_message, of_message));
    }
    println!(
        "{MESSAGES} messages: enqueued in {enqueued:.1?}, delivered in {took:.1?} ({:.0}/s), {} attempts, \
         {} taken twice, results written in {} batches of {:.2} ms",
        MESSAGES as f64 / took.as_secs_f64(),
        attempts.len(),
        taken - MESSAGES,
        metrics.record_seconds.get_sample_count(),
        1e3 * metrics.record_seconds.get_sample_sum() / metrics.record_seconds.get_sample_count() as f64,
    );
}

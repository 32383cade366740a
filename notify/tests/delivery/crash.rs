//! `kill -9` at random moments of a process that enqueues and sends.

use crate::support::{Act, Sink, message, ms, quick, start};
use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::{Rng, SeedableRng};
use std::collections::{BTreeSet, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tidewatch_notify::*;

const KILLS: usize = 25;
const GROUPS: u64 = 12;
/// Enqueued by the last process, which is not killed.
const LAST: u64 = 40;

fn text_of(number: u64) -> String {
    format!("{{\"group\":{},\"number\":{number}}}", number % GROUPS)
}

/// What the killed process does: enqueues from `NOTIFY_FIRST` on, says which numbers are safe, and sends meanwhile.
/// With `NOTIFY_LAST` it ends when everything is delivered. Started by the test below.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the_test_that_kills_it"]
async fn child() {
    let Ok(folder) = std::env::var("NOTIFY_FOLDER") else { return };
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("NOTIFY_FIRST").unwrap();
    let last = number("NOTIFY_LAST").unwrap_or(u64::MAX);
    let running = start(Path::new(&folder), &[("hook", quick(&std::env::var("NOTIFY_URL").unwrap()))]);
    let mut next = first;
    while next <= last {
        let batch: Vec<u64> = (next..=last.min(next + next % 4)).collect();
        let messages =
            batch.iter().map(|n| message(&format!("m-{n}"), &format!("g {}", n % GROUPS), "hook", &text_of(*n)));
        running.outbox.enqueue_async(messages.collect()).await.unwrap();
        next += batch.len() as u64;
        say(&format!("SAFE {}", next - 1));
        tokio::time::sleep(ms(4)).await;
    }
    running.until_empty(Duration::from_secs(120)).await;
    running.stop().await;
    say("DONE");
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{line}").and_then(|()| out.flush()).unwrap();
}

fn spawn(folder: &Path, url: &str, first: u64, last: Option<u64>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["crash::child", "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env("NOTIFY_FOLDER", folder).env("NOTIFY_URL", url).env("NOTIFY_FIRST", first.to_string());
    if let Some(last) = last {
        command.env("NOTIFY_LAST", last.to_string());
    }
    command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap()
}

/// Follows what a child says; the number that is known to be safe is there at once, though the child is killed.
fn follow(child: &mut Child, safe: &Arc<AtomicU64>) -> std::thread::JoinHandle<bool> {
    let (lines, safe) = (BufReader::new(child.stdout.take().unwrap()).lines(), safe.clone());
    std::thread::spawn(move || {
        let mut done = false;
        for line in lines.map_while(Result::ok) {
            if let Some(number) = line.strip_prefix("SAFE ") {
                safe.fetch_max(number.parse().unwrap(), Ordering::SeqCst);
            }
            done |= line == "DONE";
        }
        done
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_keys_stay_whenever_the_process_is_killed() {
    let random = Mutex::new(Pcg64Mcg::seed_from_u64(7));
    let sink = Sink::start(move |_| match random.lock().unwrap().next_u64() % 20 {
        0..2 => Act::status(500),
        2..3 => Act::Reset,
        3..5 => Act::TakeAndReset,
        5..6 => Act::Answer(429, vec!["Retry-After: 0.05".to_owned()], String::new()),
        6..10 => Act::Slow(ms(25), 200),
        _ => Act::Slow(ms(8), 200),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let safe = Arc::new(AtomicU64::new(0));
    let mut random = Pcg64Mcg::seed_from_u64(11);
    for kill in 0..KILLS {
        let first = safe.load(Ordering::SeqCst) + 1;
        let mut child = spawn(folder.path(), &sink.url(), first, None);
        let follower = follow(&mut child, &safe);
        // Every fifth is killed while it starts, the others at any moment after it has begun to work.
        if kill % 5 != 4 {
            let begun = tokio::time::Instant::now();
            while safe.load(Ordering::SeqCst) < first {
                assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
                assert!(begun.elapsed() < Duration::from_secs(60), "the child does nothing");
                tokio::time::sleep(ms(2)).await;
            }
        }
        tokio::time::sleep(ms(random.next_u64() % 300)).await;
        // SIGKILL: nothing is flushed, nobody says goodbye.
        child.kill().unwrap();
        child.wait().unwrap();
        follower.join().unwrap();
    }
    let first = safe.load(Ordering::SeqCst) + 1;
    let last = first + LAST - 1;
    let mut child = spawn(folder.path(), &sink.url(), first, Some(last));
    let follower = follow(&mut child, &safe);
    let ended = tokio::task::spawn_blocking(move || (child.wait().unwrap(), follower.join().unwrap()));
    let (status, done) = ended.await.unwrap();
    assert!(status.success() && done, "{status}");

    // Every number up to the last was enqueued, most of them by a process that was killed.
    let mut taken = BTreeSet::new();
    let (mut requests, mut takings) = (0_usize, 0_usize);
    let mut last_of_group: HashMap<u64, u64> = HashMap::new();
    for request in sink.received() {
        requests += 1;
        let json: serde_json::Value = serde_json::from_str(&request.body).unwrap();
        let number = json["number"].as_u64().unwrap();
        assert_eq!(request.key(), format!("m-{number}"), "the key stays");
        assert_eq!(request.body, text_of(number), "so does the body");
        let before = last_of_group.insert(number % GROUPS, number);
        assert!(before.is_none_or(|before| before <= number), "{number} after {before:?}");
        if request.taken {
            takings += 1;
            taken.insert(number);
        }
    }
    let lost: Vec<u64> = (1..=last).filter(|number| !taken.contains(number)).collect();
    assert_eq!(lost, [] as [u64; 0]);
    assert_eq!(taken.last(), Some(&last));

    // The ledger knows of all of it: each message delivered once, and which were on their way at a kill.
    let metrics = NotifyMetrics::register(&prometheus::Registry::new()).unwrap();
    let outbox = Outbox::open(folder.path(), OutboxSettings::default(), metrics).unwrap();
    assert_eq!(outbox.waiting(), 0);
    let attempts = outbox.attempts_after(0, usize::MAX).unwrap();
    assert!(attempts.windows(2).all(|pair| pair[0].number < pair[1].number));
    let delivered = attempts.iter().filter(|a| a.outcome == Outcome::Delivered).count();
    assert_eq!(delivered as u64, last);
    let unknown = attempts.iter().filter(|a| a.outcome == Outcome::Unknown).count();
    assert!(unknown > KILLS / 4, "only {unknown} messages were on their way when the process was killed");
    println!(
        "{KILLS} kills: {last} messages, {requests} requests, {unknown} on their way at a kill, {} taken twice",
        takings - taken.len()
    );
}

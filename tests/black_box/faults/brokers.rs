//! Brokers that are killed, that come back or stay away, and a network that fails between one worker and the broker,
//! while events are produced all the time: each event is counted once, and counting goes on by itself.

use super::link::Link;
use crate::live::{calls, events};
use crate::rebalance::kafka_partitions;
use crate::support::{KafkaCluster, RealKafka, Tidewatch, kafka, pack, sql, wait_until, write_settings};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tidewatch_simulate::{KafkaTarget, Run, SimulatedEvent, to_kafka};

const SOON: Duration = Duration::from_secs(90);
/// From the moment that a broker is there again, or another leads, to the next commit.
const RECOVERY_MAX: Duration = Duration::from_secs(30);
/// Parts in which events are produced, and the pause between two until the trouble is over.
const PARTS: usize = 250;
const PAUSE: Duration = Duration::from_millis(150);

fn settings(folder: &Path, name: &str, servers: &str) -> PathBuf {
    let within = folder.join(name);
    std::fs::create_dir_all(&within).unwrap();
    let text = format!(
        "packs = [\"{}\"]\n[storage]\nlocation = \"{}/data\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
         [alerting]\nenabled = false\n[ingest]\nflush_interval = \"300ms\"\n\
         [kafka.properties]\n\"bootstrap.servers\" = \"{servers}\"\n\"session.timeout.ms\" = \"6000\"\n\
         \"heartbeat.interval.ms\" = \"500\"\n\"reconnect.backoff.max.ms\" = \"1000\"\n",
        pack("calls"),
        folder.display(),
    );
    write_settings(&within, &text)
}

/// Partitions of Kafka that a worker has. Nothing is pushed but events: a log is one partition.
fn partitions(worker: &mut Tidewatch) -> f64 {
    kafka_partitions(worker, 1.0)
}

fn send(servers: &str, events: &[SimulatedEvent]) {
    to_kafka(events.iter().cloned(), &KafkaTarget::new(servers), Run::new(&AtomicBool::new(false))).unwrap();
}

/// Calls that are committed.
fn committed(folder: &Path) -> usize {
    let text = sql(&folder.join("data"), "SELECT coalesce(sum(requests), 0) AS n FROM api_calls");
    text.lines().nth(1).unwrap().parse().unwrap()
}

/// Events that are produced in parts beside `work`, to its end.
struct Stream {
    events: Vec<SimulatedEvent>,
    /// Parts that were produced.
    parts: AtomicUsize,
}

impl Stream {
    fn new(seed: u64) -> Self {
        Self { events: events(seed, 12), parts: AtomicUsize::new(0) }
    }

    fn beside(&self, servers: &str, work: impl FnOnce()) {
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut parts = self.events.chunks(self.events.len().div_ceil(PARTS));
                while !is_over.load(Ordering::SeqCst) {
                    send(servers, parts.next().expect("events for as long as there is trouble"));
                    self.parts.fetch_add(1, Ordering::SeqCst);
                    std::thread::sleep(PAUSE);
                }
                send(servers, &parts.collect::<Vec<_>>().concat());
            });
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            is_over.store(true, Ordering::SeqCst);
            result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
    }

    fn wait_for(&self, parts: usize) {
        wait_until("events to be produced", SOON, || self.parts.load(Ordering::SeqCst) >= parts);
    }
}

/// Waits for the next commit, and says how long that took.
fn recovery(what: &str, folder: &Path) {
    let (before, start) = (committed(folder), Instant::now());
    wait_until(what, RECOVERY_MAX, || committed(folder) > before);
    eprintln!("{what}: the next commit after {:.1} s", start.elapsed().as_secs_f64());
}

fn is_exact(folder: &Path, expected: usize) {
    wait_until("every call is committed", SOON, || committed(folder) == expected);
    // Nothing comes after it.
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(committed(folder), expected);
}

#[test]
fn a_killed_broker_comes_back_and_counting_goes_on() {
    let Some(_) = kafka() else { return };
    let (kafka, folder, stream) = (RealKafka::start(), tempfile::tempdir().unwrap(), Stream::new(41));
    let mut process = None;
    stream.beside(&kafka.bootstrap_servers, || {
        stream.wait_for(5);
        let process = process.insert(Tidewatch::run(&settings(folder.path(), "one", &kafka.bootstrap_servers)));
        process.address();
        wait_until("something is committed", SOON, || committed(folder.path()) > 0);
        kafka.kill();
        std::thread::sleep(Duration::from_secs(2));
        assert_eq!(process.get("/-/healthy").status, 200, "a broker that is away is no reason to be restarted");
        kafka.start_again();
        recovery("a broker that was killed is back", folder.path());
    });
    is_exact(folder.path(), calls(&stream.events));
    process.unwrap().stop();
    assert_eq!(committed(folder.path()), calls(&stream.events));
}

#[test]
fn leaders_change_and_a_broker_is_lost_for_good() {
    let Some(_) = kafka() else { return };
    let (cluster, folder, stream) = (KafkaCluster::start(), tempfile::tempdir().unwrap(), Stream::new(42));
    let mut process = None;
    stream.beside(&cluster.bootstrap_servers, || {
        stream.wait_for(5);
        let process = process.insert(Tidewatch::run(&settings(folder.path(), "one", &cluster.bootstrap_servers)));
        process.address();
        wait_until("something is committed", SOON, || committed(folder.path()) > 0);
        // Each leads a third of the partitions, and one of them is the group's coordinator.
        for broker in ["1", "2"] {
            cluster.kill(broker);
            recovery(&format!("broker {broker} of three was killed"), folder.path());
            cluster.start_again(broker);
            std::thread::sleep(Duration::from_secs(3));
        }
        cluster.kill("3");
        recovery("broker 3 was lost for good", folder.path());
    });
    is_exact(folder.path(), calls(&stream.events));
    process.unwrap().stop();
    assert_eq!(committed(folder.path()), calls(&stream.events));
}

#[test]
fn a_worker_that_was_cut_off_wakes_up_after_its_partitions_moved() {
    let Some(_) = kafka() else { return };
    let link = Link::new();
    let (kafka, via) = RealKafka::start_via(link.port);
    link.towards(via);
    let (folder, stream) = (tempfile::tempdir().unwrap(), Stream::new(43));
    let mut workers = None;
    stream.beside(&kafka.bootstrap_servers, || {
        stream.wait_for(2);
        let cut_off = settings(folder.path(), "cut-off", &format!("127.0.0.1:{}", link.port));
        let mut cut_off = Tidewatch::run(&cut_off);
        cut_off.address();
        let mut other = Tidewatch::run(&settings(folder.path(), "other", &kafka.bootstrap_servers));
        other.address();
        wait_until("each has half of the partitions", SOON, || {
            let both = (partitions(&mut cut_off), partitions(&mut other));
            both.0 > 0.0 && both.0 == both.1
        });
        let all = partitions(&mut other) * 2.0;
        // Connections that break are made anew; nothing moves.
        for _ in 0..3 {
            link.reset();
            std::thread::sleep(Duration::from_millis(300));
        }
        recovery("connections were broken off", folder.path());
        link.black_hole(true);
        wait_until("the other has all partitions", SOON, || partitions(&mut other) == all);
        recovery("a worker was cut off", folder.path());
        link.black_hole(false);
        wait_until("each has half of the partitions again", SOON, || partitions(&mut other) == all / 2.0);
        recovery("a worker is back", folder.path());
        workers = Some((cut_off, other));
    });
    is_exact(folder.path(), calls(&stream.events));
    let (cut_off, other) = workers.unwrap();
    other.stop();
    cut_off.stop();
    assert_eq!(committed(folder.path()), calls(&stream.events));
}

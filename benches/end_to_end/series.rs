//! The same events of a thousand series and of a million, each window with each series; and how soon the first commit
//! comes after `kill -9` with a million of them open.

use super::{Broker, cost, median};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tidewatch_simulate::API_HEALTH_TOPIC;

const PACK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/end_to_end/series_pack");
const FEW: u64 = 1_000;
const MANY: u64 = 1_000_000;
/// Tenants that the series belong to: no budget is reached.
const TENANTS: u64 = 100;
const COMMITS: &str = "tidewatch_commit_total{outcome=\"committed\"";
/// Events of a window.
const WINDOW: u64 = 1_000_000;

pub fn run(events: u64, rounds: u64) {
    let brokers = [FEW, MANY].map(|series| {
        let broker = Broker::start(false);
        fill(broker.servers(), events, series);
        (series, broker, Vec::new(), Vec::new())
    });
    let mut brokers = Vec::from(brokers);
    for round in 0..rounds {
        for (_, broker, cpu, rate) in &mut brokers {
            let folder = tempfile::tempdir().unwrap();
            let settings = settings(folder.path(), broker.servers(), &format!("series-{round}"), "10s");
            let spent = cost(tidewatch().args(["run", "--until-caught-up", "-c"]).arg(&settings));
            cpu.push(spent.cpu.as_secs_f64() / events as f64);
            rate.push(events as f64 / spent.wall.as_secs_f64());
        }
    }
    let mut rates = Vec::new();
    for (series, _, cpu, rate) in &mut brokers {
        let (cpu, rate) = (median(cpu) * 1e9, median(rate));
        println!("{series:>9} series {cpu:>8.0} ns CPU per event {rate:>12.0} events/s, start included");
        rates.push(rate);
    }
    println!("events/s at {MANY} series: {:.2} × those at {FEW}; medians of {rounds}", rates[1] / rates[0]);
    let (_, broker, _, _) = &brokers[1];
    let mut times: Vec<f64> = (0..rounds).map(|round| restart(broker.servers(), events, round).as_secs_f64()).collect();
    println!(
        "first commit {:.2} s after a start after kill -9 with {MANY} series; median of {rounds}",
        median(&mut times)
    );
}

fn fill(servers: &str, events: u64, series: u64) {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("compression.type", "lz4")
        .set("linger.ms", "50")
        .set("queue.buffering.max.messages", "1000000")
        .create()
        .unwrap();
    for event in 0..events {
        // A prime apart, so that neighbours are far from each other in every table.
        let which = event.wrapping_mul(7_368_787) % series;
        let (tenant, seconds) = (which % TENANTS, 10 * (event / WINDOW));
        let time = format!("2026-03-14T18:{:02}:{:02}Z", seconds / 60 % 60, seconds % 60);
        let body = format!(
            r#"{{"specversion":"1.0","id":"{event}","source":"/bench","type":"apihealth.api_call.completed.v1","time":"{time}","tenantkind":"shop","tenantid":"t{tenant}","data":{{"provider":"p","api":"api-{which}","status_code":200,"duration_ms":{}}}}}"#,
            20 + event % 50
        );
        let key = which.to_string();
        let mut record = BaseRecord::to(API_HEALTH_TOPIC).key(&key).payload(&body);
        while let Err((_, unsent)) = producer.send(record) {
            record = unsent;
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    producer.flush(Duration::from_secs(60)).unwrap();
}

fn settings(folder: &Path, servers: &str, group: &str, flush_interval: &str) -> PathBuf {
    let path = folder.join("tidewatch.toml");
    let text = format!(
        "packs = [\"{PACK}\"]\n[storage]\nlocation = \"data\"\n[http]\nlisten = \"127.0.0.1:0\"\n[push]\nenabled = false\n\
         [alerting]\nenabled = false\n[ingest]\nflush_interval = \"{flush_interval}\"\n[kafka.properties]\n\"bootstrap.servers\" = \"{servers}\"\n\"group.id\" = \"{group}\"\n\
         \"session.timeout.ms\" = \"6000\"\n"
    );
    std::fs::write(&path, text).unwrap();
    path
}

fn tidewatch() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tidewatch"))
}

/// From the second start to its first commit.
fn restart(servers: &str, events: u64, round: u64) -> Duration {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), servers, &format!("restart-{round}"), "1s");
    let mut first = Running::start(&settings);
    // Half of the events: a million series have been seen, and the rest is still to be counted.
    first.wait("tidewatch_ingest_records_total", events as f64 / 2.0);
    first.0.kill().unwrap();
    first.0.wait().unwrap();
    // The group is to have forgotten the member that died: how long that takes is a setting.
    std::thread::sleep(Duration::from_secs(8));
    let begun = Instant::now();
    let mut second = Running::start(&settings);
    second.wait(COMMITS, 1.0);
    let took = begun.elapsed();
    second.0.kill().unwrap();
    second.0.wait().unwrap();
    took
}

/// A process, and where it listens.
struct Running(Child, String);

impl Running {
    fn start(settings: &Path) -> Self {
        let mut child =
            tidewatch().args(["run", "-c"]).arg(settings).stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let line = lines.by_ref().find(|line| line.contains("listening")).expect("it listens");
        let address = line.split("address=").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
        std::thread::spawn(move || lines.for_each(drop));
        Self(child, address)
    }

    /// Until a metric, summed over its labels, is at least so large.
    fn wait(&mut self, metric: &str, least: f64) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while self.metric(metric) < least {
            assert!(Instant::now() < deadline, "{metric} stays below {least}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn metric(&self, metric: &str) -> f64 {
        let mut stream = TcpStream::connect(&self.1).unwrap();
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let lines = text.lines().filter(|line| line.starts_with(metric));
        lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok()).sum()
    }
}

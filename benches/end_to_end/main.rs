//! From the broker to the commit, beside a bare librdkafka consumer of the same topics in the same run, and beside the
//! least that could be called counting: the same consumer, the fields that rollups ask for decoded by sonic-rs, one
//! update of a hash map.
//!
//! ```text
//! cargo bench --bench end_to_end                      real Apache Kafka (tests/kafka/start.sh)
//! cargo bench --bench end_to_end -- --events 2000000 --rounds 5
//! cargo bench --bench end_to_end -- --series          a thousand series beside a million, and a restart with them
//! cargo bench --bench end_to_end -- --tiny            a few events through the broker in memory
//! ```
//!
//! Each round runs all as processes of their own and takes the processor time that the system charged
//! them. What each needs to start, join its group and stop is measured on empty topics and subtracted.
//! Machines differ and are noisy: the ratio is the result.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a bench measures, and fails by panicking"
)]

mod series;

use nix::sys::resource::{UsageWho, getrusage};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use tidewatch_simulate::{
    API_HEALTH_TOPIC, DemoBroker, Generator, INVENTORY_TOPIC, KafkaTarget, ORDERS_TOPIC, Run, SHIPPING_TOPIC, Scenario,
    Settings, to_kafka,
};

const PARTITIONS: i32 = 4;
/// Those of the four sources. What else is in them is read and passed over.
const TOPICS: [&str; 4] = [ORDERS_TOPIC, INVENTORY_TOPIC, SHIPPING_TOPIC, API_HEALTH_TOPIC];
const PACK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/end_to_end/pack");

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, servers, count] = arguments.as_slice()
        && !role.starts_with("--")
    {
        let mut lengths = 0;
        let mut counts = HashMap::new();
        match role.as_str() {
            "bare" => consume(servers, count.parse().unwrap(), |payload| lengths += payload.len()),
            "straight" => consume(servers, count.parse().unwrap(), |payload| count_event(payload, &mut counts)),
            other => panic!("no role {other}"),
        }
        return assert!(lengths + counts.len() > 0);
    }
    let number = |name: &str, default: u64| {
        let at = arguments.iter().position(|a| a == name);
        at.map_or(default, |at| arguments[at + 1].parse().expect("a number"))
    };
    let is_tiny = arguments.iter().any(|a| a == "--tiny");
    let events = number("--events", if is_tiny { 3000 } else { 1_000_000 });
    let rounds = number("--rounds", if is_tiny { 1 } else { 5 });
    if arguments.iter().any(|a| a == "--series") {
        return series::run(number("--events", 2_000_000), number("--rounds", 3));
    }
    let (empty, full) = (Broker::start(is_tiny), Broker::start(is_tiny));
    println!("{events} events over {} topics with {PARTITIONS} partitions each, {}", TOPICS.len(), full.name());
    let sent = fill(full.servers(), events);
    // An empty topic has to exist; one event makes it.
    fill(empty.servers(), 100);

    let runs: [(&str, &Take); 4] = [
        ("librdkafka", &|broker, _, count| run_loop("bare", broker, count)),
        ("straight loop", &|broker, _, count| run_loop("straight", broker, count)),
        ("12 rollups of 4 sources", &|broker, round, _| run_tidewatch(PACK, broker, round)),
        ("all of CreatorFlow", &|broker, round, _| run_tidewatch("builtin:creatorflow", broker, round)),
    ];
    let mut costs = runs.map(|_| (Vec::new(), Vec::new()));
    for round in 0..rounds {
        for ((_, run), (cpu, wall)) in runs.iter().zip(&mut costs) {
            let start_up = run(&empty, round, 100);
            let whole = run(&full, round, sent);
            let net = |whole: Duration, start: Duration| {
                whole.saturating_sub(start).as_secs_f64().max(1e-9) / (sent - 100) as f64
            };
            cpu.push(net(whole.cpu, start_up.cpu));
            wall.push(net(whole.wall, start_up.wall));
        }
    }
    let medians = costs.map(|(mut cpu, mut wall)| (median(&mut cpu), median(&mut wall)));
    let (bare, _) = medians[0];
    for ((name, _), (cpu, wall)) in runs.iter().zip(medians) {
        let (ns, ratio) = (cpu * 1e9, cpu / bare);
        println!("{name:24} {ns:>8.0} ns CPU per event {:>12.0} events/s {ratio:>6.2} × the bare consumer", 1.0 / wall);
    }
    println!("medians of {rounds}");
}

/// One of those that take the events of a broker: in which round, and how many.
type Take = dyn Fn(&Broker, u64, u64) -> Cost;

struct Cost {
    cpu: Duration,
    wall: Duration,
}

/// Processor time and duration of a child that must succeed.
fn cost(command: &mut Command) -> Cost {
    let spent = || {
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
        let micros = |t: nix::sys::time::TimeVal| Duration::new(t.tv_sec() as u64, t.tv_usec() as u32 * 1000);
        micros(usage.user_time()) + micros(usage.system_time())
    };
    let (cpu, started) = (spent(), Instant::now());
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Cost { cpu: spent() - cpu, wall: started.elapsed() }
}

fn run_loop(role: &str, broker: &Broker, count: u64) -> Cost {
    cost(Command::new(std::env::current_exe().unwrap()).args([role, broker.servers(), &count.to_string()]))
}

/// Without the pack's rules: what evaluating them costs is by the clock, not by the event.
fn run_tidewatch(pack: &str, broker: &Broker, round: u64) -> Cost {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("tidewatch.toml");
    let text = format!(
        "packs = [\"{pack}\"]\n[storage]\nlocation = \"data\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
         [alerting]\npack_rules = false\n[kafka.properties]\n\"bootstrap.servers\" = \"{}\"\n\
         \"group.id\" = \"bench-{round}-{}\"\n",
        broker.servers(),
        pack.len()
    );
    std::fs::write(&settings, text).unwrap();
    cost(Command::new(env!("CARGO_BIN_EXE_tidewatch")).args(["run", "--until-caught-up", "-c"]).arg(&settings))
}

/// What rollups of orders, stock, shipments and calls ask for, some of it in each event.
#[derive(serde::Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow)]
    tenantid: Cow<'a, str>,
    #[serde(borrow, default)]
    data: Data<'a>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Data<'a> {
    #[serde(borrow)]
    provider: Option<Cow<'a, str>>,
    #[serde(borrow)]
    api: Option<Cow<'a, str>>,
    #[serde(borrow)]
    outcome: Option<Cow<'a, str>>,
    #[serde(borrow)]
    shop_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    order_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    product_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    carrier: Option<Cow<'a, str>>,
    status_code: Option<i64>,
    duration_ms: Option<f64>,
    delta: Option<i64>,
}

/// What is counted of events by one hash of the texts that they are counted by.
type Counts = HashMap<u64, (u64, f64)>;

fn count_event(payload: &[u8], counts: &mut Counts) {
    // Bad input is among the events, as in the topics of a platform.
    let Ok(event) = sonic_rs::from_slice::<Event<'_>>(payload) else { return };
    let data = &event.data;
    let mut hasher = DefaultHasher::new();
    (&event.kind, &event.tenantid, &data.provider, &data.api, &data.outcome, &data.shop_id, &data.carrier)
        .hash(&mut hasher);
    // Windows of 10 s: the text up to the tens of seconds.
    event.time.get(..18).hash(&mut hasher);
    black_box((&event.id, &data.order_id, &data.product_id, data.status_code, data.delta));
    let counted = counts.entry(hasher.finish()).or_default();
    counted.0 += 1;
    counted.1 += data.duration_ms.unwrap_or_default();
}

/// Takes every message.
fn consume(servers: &str, count: u64, mut take: impl FnMut(&[u8])) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("group.id", format!("bare-{}", std::process::id()))
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        // As Tidewatch sets them.
        .set("fetch.wait.max.ms", "50")
        .set("queued.max.messages.kbytes", "32768")
        .set("fetch.queue.backoff.ms", "20")
        .create()
        .unwrap();
    consumer.subscribe(&TOPICS).unwrap();
    let mut read = 0;
    let deadline = Instant::now() + Duration::from_secs(300);
    while read < count {
        assert!(Instant::now() < deadline, "{read} of {count} messages");
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            take(message.unwrap().payload().unwrap_or_default());
            read += 1;
        }
    }
}

fn fill(servers: &str, events: u64) -> u64 {
    let settings = Settings {
        events_per_second: 2000.0,
        daily_rhythm: false,
        ..Settings::new(Scenario::named("steady").unwrap(), 1, 1_773_511_200_000)
    };
    let stop = AtomicBool::new(false);
    let target = KafkaTarget::new(servers).with("compression.type", "lz4");
    let generator = Generator::new(settings).unwrap().filter(|event| TOPICS.contains(&event.topic));
    let generator = generator.take(events as usize);
    to_kafka(generator, &target, Run::new(&stop)).unwrap().events
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

enum Broker {
    Memory(DemoBroker),
    Kafka { folder: tempfile::TempDir, servers: String },
}

impl Broker {
    fn start(is_tiny: bool) -> Self {
        if is_tiny {
            return Self::Memory(DemoBroker::start(&TOPICS.map(|t| (t, PARTITIONS))).unwrap());
        }
        let folder = tempfile::tempdir().unwrap();
        let output = Command::new(script("start.sh")).arg(folder.path()).stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "tests/kafka/start.sh failed; --tiny needs no Kafka");
        let servers = String::from_utf8(output.stdout).unwrap().lines().last().unwrap().trim().to_owned();
        create_topics(&servers);
        Self::Kafka { folder, servers }
    }

    fn servers(&self) -> &str {
        match self {
            Self::Memory(broker) => broker.bootstrap_servers(),
            Self::Kafka { servers, .. } => servers,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Memory(_) => "the broker in memory",
            Self::Kafka { .. } => "Apache Kafka",
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Self::Kafka { folder, .. } = self {
            // A broker left over is seen; the numbers are already printed.
            let _ = Command::new(script("stop.sh")).arg(folder.path()).status();
        }
    }
}

/// All of them: few events do not reach every topic, and a consumer of one that is not there fails.
fn create_topics(servers: &str) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", servers).create().unwrap();
    let topics = TOPICS.map(|topic| NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(1)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for created in runtime.block_on(admin.create_topics(&topics, &AdminOptions::new())).unwrap() {
        created.unwrap();
    }
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka").join(name)
}

//! `tidewatch demo`: broker, generator, engine, storage and HTTP in one process.

use super::Apart;
use super::run::finish;
use crate::app::{App, Ended, start_log};
use crate::cli::Demo;
use crate::ingestion::kafka_topics;
use crate::packs;
use crate::settings::{Flight, Http, Ingest, Log, Personal, Postgres, Settings, Storage};
use crate::signals::{Hangup, Shutdown};
use crate::status::Status;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tidewatch_ingest::clock::{Clock, SystemClock};
use tidewatch_simulate::{self as simulation, DemoBroker, Generator, KafkaTarget, Pace, Scenario, TOPICS, to_kafka};

/// The broker looks for an offset from the first batch that it keeps of a partition on, at each fetch of each of them: few
/// partitions and large batches keep it from taking a processor for itself.
const PARTITIONS: i32 = 1;
const LINGER_MS: &str = "50";
const POSTGRES_PORT: u16 = 5433;
const FLIGHT_PORT: u16 = 9891;
/// On a local disk a commit is cheap: fresh files are worth more than few ones.
const FLUSH_INTERVAL: Duration = Duration::from_secs(5);

pub async fn demo(options: Demo, apart: Apart) -> Result<ExitCode> {
    let clock = SystemClock::new();
    let data = match options.data.clone() {
        Some(folder) => folder,
        None => PathBuf::from("tidewatch-demo").join(folder_name(clock.now_us())),
    };
    let packs = packs::load(&Settings::default().packs, tidewatch_query::Checking::Names).await?;
    // Also those that nothing is written to, so that none is missing.
    let topics: BTreeSet<&str> = kafka_topics(&packs.catalog).chain(TOPICS).collect();
    let broker = DemoBroker::start(&topics.into_iter().map(|topic| (topic, PARTITIONS)).collect::<Vec<_>>())?;
    let settings = settings(&options, &data, broker.bootstrap_servers());
    start_log(&settings)?;
    let (mut shutdown, mut hangup) = (Shutdown::listen()?, Hangup::ignored());
    let mut app = App::start(&settings, packs, &apart, false).await?;
    let producer = Producer::start(&options, broker.bootstrap_servers())?;
    print_welcome(&options, &settings, &app, &data);
    let status = tokio::spawn(Status::new(app.plant.metrics.clone(), app.plant.clock.clone()).run());
    let ended = tokio::select! {
        ended = app.work(&mut shutdown, &mut hangup, false) => ended?,
        () = sleep_or_for_ever(options.stop_after) => Ended::Requested,
    };
    status.abort();
    producer.stop()?;
    let code = finish(app, &mut shutdown, ended).await?;
    eprintln!("the tables stay in {}; ask them with\n  {}", data.display(), sql_command(&data));
    drop(broker);
    Ok(code)
}

async fn sleep_or_for_ever(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

/// `20261121T071925Z`: a folder of its own for every demo, because positions of a broker that is gone
/// mean nothing to the next one.
fn folder_name(now_us: i64) -> String {
    chrono::DateTime::from_timestamp_micros(now_us)
        .map_or_else(|| now_us.to_string(), |t| t.format("%Y%m%dT%H%M%SZ").to_string())
}

/// Another port of the same host; any free one where HTTP takes any free one.
fn beside(http: SocketAddr, port: u16) -> SocketAddr {
    SocketAddr::new(http.ip(), if http.port() == 0 { 0 } else { port })
}

fn settings(options: &Demo, data: &Path, bootstrap_servers: &str) -> Settings {
    let mut settings = Settings {
        storage: Storage { location: data.display().to_string(), ..Storage::default() },
        http: Http { listen: options.listen, ..Http::default() },
        postgres: Postgres { listen: Some(beside(options.listen, POSTGRES_PORT)), ..Postgres::default() },
        flight: Flight { listen: Some(beside(options.listen, FLIGHT_PORT)), ..Flight::default() },
        ingest: Ingest { flush_interval: FLUSH_INTERVAL, ..Ingest::default() },
        // The demo's people are made up.
        personal: Personal { salt: "tidewatch-demo".to_owned() },
        log: Log { filter: "warn,deltalake_core::kernel::transaction=off".to_owned(), ..Log::default() },
        ..Settings::default()
    };
    settings.kafka.properties = [("bootstrap.servers", bootstrap_servers), ("group.id", "tidewatch-demo")]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into();
    settings
}

/// The generator on a thread of its own.
struct Producer {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Result<()>>,
}

impl Producer {
    fn start(options: &Demo, bootstrap_servers: &str) -> Result<Self> {
        let clock = SystemClock::new();
        let scenario = Scenario::named(&options.scenario)?;
        let settings = simulation::Settings {
            events_per_second: options.rate,
            daily_rhythm: false,
            ..simulation::Settings::new(scenario, options.seed, clock.now_us() / 1000)
        };
        let generator = Generator::new(settings)?;
        let target = KafkaTarget::new(bootstrap_servers).with("linger.ms", LINGER_MS);
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("demo-producer".to_owned()).spawn(move || {
            let now_ms = || clock.now_us() / 1000;
            let run = simulation::Run::new(&flag).paced(Pace::RealTime(&now_ms));
            to_kafka(generator, &target, run).map(|_| ()).context("the generator of the demo")
        })?;
        Ok(Self { stop, thread })
    }

    fn stop(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_else(|_| anyhow::bail!("the generator of the demo panicked"))
    }
}

fn psql_command(address: SocketAddr) -> String {
    format!("psql -h {} -p {} -U tidewatch tidewatch", address.ip(), address.port())
}

fn sql_command(data: &Path) -> String {
    let program = std::env::args().next().unwrap_or_else(|| "tidewatch".to_owned());
    format!(
        "{program} sql --data {} \"SELECT provider, sum(requests) AS requests, sum(errors) AS errors, \
         quantile(duration_ms, 0.95) AS p95_ms FROM api_calls GROUP BY provider ORDER BY requests DESC\"",
        data.display()
    )
}

fn print_welcome(options: &Demo, settings: &Settings, app: &App, data: &Path) {
    let http = format!("http://{}", app.address);
    let scenario = Scenario::named(&options.scenario).map_or("", |s| s.description);
    println!(
        "Tidewatch demo

  broker     in this process, topics {topics} with one partition each
  events     about {rate}/s, scenario {name}: {scenario}
  engine     pack {packs}, a commit every {flush} s
  data       {data}   (Delta Lake tables: Parquet files and a log)
  HTTP       {http}
  Postgres   {postgres}
  Flight SQL {flight}

Look at
  {http}   health, charts, alerts, SQL, in a browser
  {http}/metrics
  {http}/api/v1/tables

Ask what is known up to this second, committed or not
  curl -s {http}/api/v1/sql -H 'accept: text/plain' -d \"
    SELECT window_start, provider, sum(requests) AS requests, sum(errors) AS errors,
           quantile(duration_ms, 0.95) AS p95_ms
    FROM api_calls WHERE window_start > now() - INTERVAL '1 minute'
    GROUP BY window_start, provider ORDER BY window_start DESC, requests DESC LIMIT 20\"

Ask the files
  {sql}

Ctrl-C commits what was read and stops.
",
        topics = TOPICS.join(", "),
        rate = options.rate,
        name = options.scenario,
        packs = settings.packs.join(", "),
        flush = FLUSH_INTERVAL.as_secs(),
        data = data.display(),
        postgres = app.wires.postgres.map_or_else(String::new, psql_command),
        flight = app.wires.flight.map_or_else(String::new, |a| format!("grpc://{a}")),
        sql = sql_command(data),
    );
}

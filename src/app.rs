//! Wiring: store, ingestion, readers and the HTTP server of one process.

use crate::alerting::{self, EngineData, LateInbox, LedgerSlot, Rules};
use crate::commands::Apart;
use crate::ingestion::{Ingestion, Plant, has_samples};
use crate::live::Workers;
use crate::own_series::Keeper;
use crate::packs::Packs;
use crate::probes::decide::Stage;
use crate::probes::{Front, Life, Sources};
use crate::push::{LocalLog, folder as push_folder};
use crate::reload::ProcessMetrics;
use crate::server::HttpServer;
use crate::settings::{LogFormat, Settings};
use crate::signals::{Hangup, Shutdown};
use crate::telemetry::{TARGET, Telemetry, TraceLayer};
use crate::wires::{Listeners, Wires};
use anyhow::{Context, Result};
use axum::Router;
use prometheus::Registry;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tidewatch_engine::rollup::Catalog;
use tidewatch_engine::samples::metadata::MetadataBook;
use tidewatch_ingest::News;
use tidewatch_ingest::clock::{Clock, SystemClock};
use tidewatch_ingest::maintenance::MaintenanceMetrics;
use tidewatch_ingest::metrics::IngestMetrics;
use tidewatch_ingest::push::{self, Push, PushMetrics};
use tidewatch_ingest::samples::{SampleMetrics, SampleReceiver};
use tidewatch_query::gate::QueryGate;
use tidewatch_query::http::{Endpoints, Probes, router};
use tidewatch_query::metrics::QueryMetrics;
use tidewatch_query::promql::PromEngine;
use tidewatch_query::scrape::Scrape;
use tidewatch_query::system::Surroundings;
use tidewatch_query::{Now, Snapshots, SqlEngine};
use tidewatch_storage::Store;
use tidewatch_wire::WireMetrics;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A running process.
pub struct App {
    /// Where the HTTP server listens.
    pub address: SocketAddr,
    pub(crate) plant: Plant,
    pub(crate) process: ProcessMetrics,
    pub(crate) ingestion: Option<Ingestion>,
    pub(crate) live: Arc<Workers>,
    pub(crate) engine: Arc<SqlEngine>,
    pub(crate) push: Push,
    pub(crate) wires: Wires,
    pub(crate) rules: Rules,
    own_series: Option<Keeper>,
    life: Life,
    server: JoinHandle<()>,
    stop_server: oneshot::Sender<()>,
}

/// How long what is being answered at a stop may take, after everything is committed.
const ANSWERS_END: Duration = Duration::from_secs(5);

/// What ended the work.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// The sources were read to their end.
    Finished,
    /// Somebody asked for it.
    Requested,
    /// Somebody asked to go on with the packs as they are now.
    Reload,
}

impl App {
    /// Starts everything; commits and queries run on runtimes of their own. `until_end` makes Kafka a source with an end.
    pub async fn start(settings: &Settings, packs: Packs, apart: &Apart, until_end: bool) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        settings.check_packs(&packs.catalog)?;
        let (registry, began) = (Registry::new(), clock.monotonic());
        // The port first: a second process with the same settings ends here, before it counts anything.
        let listener = TcpListener::bind(settings.http.listen)
            .await
            .with_context(|| format!("http.listen {}: is another process using the port?", settings.http.listen))?;
        let address = listener.local_addr()?;
        // Probes are answered from here on.
        let life = Life::default();
        let front = Front::new(life.clone());
        let wire_metrics = WireMetrics::register(&registry)?;
        let http = HttpServer { limits: settings.http_limits(), metrics: wire_metrics.clone() };
        let (stop_server, server) = serve(http, listener, &front);
        let plant = Plant {
            settings: settings.clone(),
            store: open_store(settings)?,
            log: LocalLog::open(settings, &registry, &clock)?,
            metrics: IngestMetrics::register(&registry)?,
            news: News::default(),
            maintenance_metrics: MaintenanceMetrics::register(&registry)?,
            clock: Arc::clone(&clock),
            commits: apart.commits.clone(),
            until_end,
        };
        let process = ProcessMetrics::register(&registry)?;
        let query_metrics = QueryMetrics::register(&registry)?;
        let listeners = Listeners::bind(settings).await?;
        let catalog = Arc::new(packs.catalog);
        life.reach(Stage::OpeningTables);
        let ingestion = plant.start(&catalog).await?;
        let push = open_push(&plant, &catalog, PushMetrics::register(&registry)?);
        let live = Arc::new(Workers::default());
        live.set(ingestion.handles());
        let snapshots = Arc::new(Snapshots::new(plant.store.clone(), Arc::clone(&live) as _));
        snapshots.define(packs.definitions);
        let metadata = Arc::new(MetadataBook::default());
        let samples = open_samples(&plant, &catalog, &metadata, SampleMetrics::register(&registry)?);
        let ledger = LedgerSlot::default();
        let surroundings = Surroundings {
            registry: Some(registry.clone()),
            limits: settings.named_limits(),
            ledger: Some(Arc::new(ledger.clone())),
        };
        let engine = || {
            SqlEngine::new(Arc::clone(&snapshots), settings.sql_limits(), now(&clock))
                .with_spill_folder(settings.spill_folder())
        };
        // Rules read on their own threads: they wait for nobody's query.
        let engine_of_rules = Arc::new(engine());
        let engine =
            engine().with_runtime(apart.queries.clone()).with_metrics(&query_metrics).with_surroundings(surroundings);
        let engine = Arc::new(engine);
        let queries = QueryGate::new(settings.sql.concurrency_max, settings.sql.concurrency_per_client_max);
        let wires = listeners.serve(settings, &engine, &queries, &wire_metrics)?;
        let promql = PromEngine::new(Arc::clone(&engine), settings.prom_limits())
            .with_metadata(Arc::clone(&metadata))
            .with_metrics(&query_metrics);
        let late = LateInbox::default();
        let data = Arc::new(EngineData {
            promql: PromEngine::new(engine_of_rules, settings.prom_limits()).with_metadata(Arc::clone(&metadata)),
            samples: samples.clone(),
            news: plant.news.clone(),
            late: late.clone(),
            events: plant.metrics.events.clone(),
            clock: Arc::clone(&clock),
            lag: settings.watermark.disorder + settings.watermark.idle_after,
        });
        life.reach(Stage::LoadingRules);
        let rules = alerting::open(settings, packs.rules, data, &clock, &registry).await?;
        let own_series = Keeper::start(
            registry.clone(),
            samples.clone(),
            address.to_string(),
            settings.scrape.keep_interval,
            Arc::clone(&clock),
        )?;
        let scrape = Scrape::new(Arc::clone(&engine), registry, query_metrics.clone(), settings.scrape.series_max);
        let endpoints = Endpoints {
            engine: Arc::clone(&engine),
            promql,
            scrape: Arc::new(scrape),
            metrics: query_metrics,
            queries,
            probes: probes(&plant, &life, &live),
            started_ms: clock.now_us().div_euclid(1000),
        };
        let others = push::routes(push.clone()).merge(samples.routes());
        let routes = move |rules: Router| router(endpoints.clone()).merge(others.clone()).merge(rules);
        front.open(routes(rules.routes()));
        let ingestion = Some(ingestion);
        let (store, clock_of_late) = (plant.store.clone(), Arc::clone(&clock));
        let rules = Rules::start(
            rules,
            Box::new(move |ruler| {
                late.follow(store, clock_of_late);
                ledger.fill(ruler.ledger());
                front.open(routes(ruler.routes()));
            }),
        );
        life.reach(Stage::Serving);
        process.started(clock.monotonic().saturating_sub(began));
        Ok(Self {
            address,
            plant,
            process,
            ingestion,
            live,
            engine,
            push,
            wires,
            rules,
            own_series,
            life,
            server,
            stop_server,
        })
    }

    /// Works until a stop or a reload is requested, a worker fails, or all sources are finished. Without
    /// `stop_when_finished` it goes on answering after the last source has ended.
    pub async fn work(
        &mut self,
        shutdown: &mut Shutdown,
        hangup: &mut Hangup,
        stop_when_finished: bool,
    ) -> Result<Ended> {
        let Self { ingestion, rules, .. } = self;
        let ended = async {
            if let Some(ingestion) = ingestion {
                ingestion.ended().await?;
            }
            if !stop_when_finished {
                tracing::info!("all sources are read to their end; still answering");
                std::future::pending::<()>().await;
            }
            Ok(Ended::Finished)
        };
        tokio::select! {
            () = shutdown.requested() => Ok(Ended::Requested),
            () = hangup.requested() => Ok(Ended::Reload),
            error = rules.failed() => Err(error),
            ended = ended => ended,
        }
    }

    /// Commits everything that was read, then stops answering.
    pub async fn drain(mut self) -> Result<()> {
        self.life.reach(Stage::Stopping);
        // What comes now would be kept in the log only.
        self.own_series.take();
        // Rules first: what they see at the end is whole, and messages on their way have their time.
        self.rules.stop().await?;
        let result = match self.ingestion.take() {
            Some(ingestion) => ingestion.drain().await,
            None => Ok(()),
        };
        // Readers may have gone already.
        let _ = self.stop_server.send(());
        let (wires, http) = tokio::join!(self.wires.stop(ANSWERS_END), tokio::time::timeout(ANSWERS_END, self.server));
        wires?;
        // Whoever still waits for an answer then is not answered.
        if let Ok(ended) = http {
            ended?;
        }
        Ok(result?)
    }
}

/// What takes events over HTTP, as the settings and the log allow.
fn open_push(plant: &Plant, catalog: &Arc<Catalog>, metrics: PushMetrics) -> Push {
    let (bounds, clock) = (plant.settings.push_bounds(), Arc::clone(&plant.clock));
    match &plant.log {
        LocalLog::On(log) => {
            let worker = plant.settings.worker();
            Push::on(Arc::clone(log), catalog, (worker.decode, worker.hash_key), bounds, metrics, clock)
        }
        LocalLog::Off { reason, hint } => Push::off((reason.clone(), hint.clone()), bounds, metrics, clock),
    }
}

/// What takes samples over HTTP, as the packs and the log allow.
fn open_samples(
    plant: &Plant,
    catalog: &Catalog,
    metadata: &Arc<MetadataBook>,
    metrics: SampleMetrics,
) -> SampleReceiver {
    let log = match &plant.log {
        _ if !has_samples(catalog) => {
            Err("no pack keeps pushed samples\n  hint: add \"builtin:prometheus\" to packs and start again".to_owned())
        }
        LocalLog::On(log) => Ok(Arc::clone(log)),
        LocalLog::Off { reason, hint } => Err(format!("{reason}\n  hint: {hint}")),
    };
    let (limits, clock) = (plant.settings.samples_bounds(), Arc::clone(&plant.clock));
    SampleReceiver::new(log, limits, Arc::clone(metadata), metrics, clock)
}

/// Answers at the door until the sender says stop, or is gone.
fn serve(http: HttpServer, listener: TcpListener, front: &Front) -> (oneshot::Sender<()>, JoinHandle<()>) {
    let (stop, stopped) = oneshot::channel();
    let stopped = async {
        // A dropped sender stops it as well.
        let _ = stopped.await;
    };
    (stop, tokio::spawn(http.serve(listener, front.routes(), stopped)))
}

/// What the probes ask.
fn probes(plant: &Plant, life: &Life, workers: &Arc<Workers>) -> Probes {
    let settings = &plant.settings;
    let store = plant.store.folder().map(|folder| ("the tables", folder));
    let log = plant.log.log().and_then(|_| push_folder(settings).ok()).map(|folder| ("pushed events", folder));
    let alerts =
        alerting::folder(settings).filter(|_| settings.alerting.enabled).map(|folder| ("states of alerts", folder));
    let sources = Sources {
        life: life.clone(),
        workers: Arc::clone(workers),
        commits: plant.metrics.commit_health.clone(),
        log: plant.log.log().cloned(),
        folders: store.into_iter().chain(log).chain(alerts).collect(),
        clock: Arc::clone(&plant.clock),
    };
    sources.probes(&settings.probes)
}

/// What `now()` gives in queries.
pub fn now(clock: &Arc<dyn Clock>) -> Now {
    let clock = Arc::clone(clock);
    Now::new(move || clock.now_us())
}

/// The store of the settings.
pub fn open_store(settings: &Settings) -> Result<Store> {
    Ok(Store::open(&settings.storage.location, settings.storage.options.clone())?)
}

/// Sends log lines to the standard error.
pub fn start_log(settings: &Settings) -> Result<()> {
    start_log_beside(settings, None)
}

/// The same, and traces to a collector if the settings name one.
pub fn start_log_and_traces(settings: &Settings) -> Result<Option<Telemetry>> {
    let started = Telemetry::start(&settings.telemetry, Arc::new(SystemClock::new()))?;
    let (layer, telemetry) = started.unzip();
    start_log_beside(settings, layer)?;
    Ok(telemetry)
}

fn start_log_beside(settings: &Settings, traces: Option<TraceLayer>) -> Result<()> {
    use tracing_subscriber::filter::{FilterExt, filter_fn};
    use tracing_subscriber::layer::{Layer, SubscriberExt};
    use tracing_subscriber::util::SubscriberInitExt;
    use tracing_subscriber::{EnvFilter, fmt, registry};
    let filter = EnvFilter::try_from_default_env()
        .or_else(|_| EnvFilter::try_new(&settings.log.filter))
        .context("log.filter")?;
    let log = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let log = match settings.log.format {
        LogFormat::Text => log.boxed(),
        LogFormat::Json => log.json().boxed(),
    };
    // What is traced would stand before every line of the log.
    match traces {
        Some(traces) => {
            let log = log.with_filter(filter.and(filter_fn(|metadata| metadata.target() != TARGET)));
            let traces = traces.with_filter(filter_fn(|metadata| metadata.target() == TARGET));
            registry().with(log).with(traces).init();
        }
        // One filter for all: libraries then know the greatest level, and do not ask about a trace of theirs for each
        // record that is consumed.
        None => registry().with(log).with(filter.add_directive(format!("{TARGET}=off").parse()?)).init(),
    }
    Ok(())
}

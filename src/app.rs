//! Wiring: catalogue, store, workers, readers and the HTTP server of one process.

use crate::live::Workers;
use crate::packs::Packs;
use crate::settings::{LogFormat, MissingRecords, Settings};
use crate::shutdown::Shutdown;
use anyhow::{Context, Result, bail};
use prometheus::Registry;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::sync::Arc;
use tidewatch_engine::rollup::Catalog;
use tidewatch_ingest::clock::{Clock, SystemClock};
use tidewatch_ingest::metrics::IngestMetrics;
use tidewatch_ingest::source::{FileSource, KafkaSettings, KafkaSource, Source};
use tidewatch_ingest::{Pipeline, WorkerThread};
use tidewatch_query::http::{Endpoints, router};
use tidewatch_query::metrics::QueryMetrics;
use tidewatch_query::scrape::Scrape;
use tidewatch_query::{Now, Snapshots, SqlEngine};
use tidewatch_storage::Store;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

/// A running process.
pub struct App {
    pub metrics: IngestMetrics,
    pub clock: Arc<dyn Clock>,
    /// Where the HTTP server listens.
    pub address: SocketAddr,
    workers: Vec<WorkerThread>,
    server: JoinHandle<std::io::Result<()>>,
    stop_server: oneshot::Sender<()>,
}

/// What ended the work.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// The sources were read to their end.
    Finished,
    /// Somebody asked for it.
    Requested,
}

impl App {
    /// Starts everything; commits run on a runtime of their own. `until_end` makes Kafka a source with an end.
    pub async fn start(settings: &Settings, packs: Packs, commits: &Handle, until_end: bool) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let catalog = Arc::new(packs.catalog);
        let registry = Registry::new();
        let metrics = IngestMetrics::register(&registry)?;
        let query_metrics = QueryMetrics::register(&registry)?;
        let store = open_store(settings)?;
        // The port first: a second process with the same settings ends here, before it counts anything.
        let listener = TcpListener::bind(settings.http.listen)
            .await
            .with_context(|| format!("http.listen {}: is another process using the port?", settings.http.listen))?;
        let pipeline = Pipeline {
            catalog: Arc::clone(&catalog),
            store: store.clone(),
            settings: settings.worker(),
            metrics: metrics.clone(),
            clock: Arc::clone(&clock),
            runtime: commits.clone(),
        };
        let mut workers = Vec::new();
        for source in sources(settings, &catalog, until_end)? {
            workers.push(pipeline.start(source).await?);
        }
        let live = Workers(workers.iter().map(|w| w.handle.clone()).collect());
        let snapshots = Snapshots::new(store, Arc::new(live));
        snapshots.define(packs.definitions);
        let engine = Arc::new(SqlEngine::new(snapshots, settings.sql_limits(), now(&clock)));
        let scrape = Scrape::new(Arc::clone(&engine), registry, query_metrics.clone(), settings.scrape.series_max);
        let endpoints = Endpoints {
            engine,
            scrape: Arc::new(scrape),
            metrics: query_metrics,
            queries: Arc::new(Semaphore::new(settings.sql.concurrency_max)),
        };
        let address = listener.local_addr()?;
        let (stop_server, stopped) = oneshot::channel();
        let server = tokio::spawn(async move {
            let stopped = async {
                // A dropped sender stops it as well.
                let _ = stopped.await;
            };
            axum::serve(listener, router(endpoints)).with_graceful_shutdown(stopped).await
        });
        Ok(Self { metrics, clock, address, workers, server, stop_server })
    }

    /// Works until a stop is requested, a worker fails, or all sources are finished. Without
    /// `stop_when_finished` it goes on answering after the last source has ended.
    pub async fn work(&mut self, shutdown: &mut Shutdown, stop_when_finished: bool) -> Result<Ended> {
        while !self.workers.is_empty() {
            let ended = futures::future::select_all(self.workers.iter_mut().map(|w| Box::pin(w.ended())));
            let index = tokio::select! {
                () = shutdown.requested() => return Ok(Ended::Requested),
                (result, index, _) = ended => result.map(|()| index)?,
            };
            self.workers.remove(index);
        }
        if !stop_when_finished {
            tracing::info!("all sources are read to their end; still answering");
            shutdown.requested().await;
            return Ok(Ended::Requested);
        }
        Ok(Ended::Finished)
    }

    /// Commits everything that was read, then stops answering.
    pub async fn drain(mut self) -> Result<()> {
        self.workers.iter().for_each(|w| w.handle.drain());
        let mut result = Ok(());
        for worker in &mut self.workers {
            result = result.and(worker.ended().await);
        }
        // Readers may have gone already.
        let _ = self.stop_server.send(());
        self.server.await??;
        Ok(result?)
    }
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

/// How Kafka is read; an error when the settings do not say.
pub fn kafka_settings(settings: &Settings, catalog: &Catalog, until_end: bool) -> Result<KafkaSettings> {
    if settings.kafka.properties.is_empty() {
        bail!("no source of events\n  hint: set \"bootstrap.servers\" in [kafka.properties], or paths in [files]");
    }
    let topics = catalog.topics().into_iter().map(str::to_owned).collect();
    let skip_missing = settings.kafka.missing_records == MissingRecords::Skip;
    Ok(KafkaSettings { topics, skip_missing, properties: settings.kafka.properties.clone(), until_end })
}

fn sources(settings: &Settings, catalog: &Catalog, until_end: bool) -> Result<Vec<Box<dyn Source>>> {
    if !settings.files.paths.is_empty() {
        return Ok(vec![Box::new(FileSource::new(settings.files.paths.clone(), settings.ingest.record_bytes_max))]);
    }
    let kafka = kafka_settings(settings, catalog, until_end)?;
    let open = |_| Ok(Box::new(KafkaSource::new(&kafka)?) as Box<dyn Source>);
    (0..settings.kafka.workers).map(open).collect()
}

/// Sends log lines to the standard error.
pub fn start_log(settings: &Settings) -> Result<()> {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env()
        .or_else(|_| EnvFilter::try_new(&settings.log.filter))
        .context("log.filter")?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match settings.log.format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}

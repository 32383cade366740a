//! What counts events by one catalogue: the workers of this process, and the maintenance of their tables.

use crate::push::LocalLog;
use crate::settings::{self, MissingRecords, Settings};
use anyhow::{Result, bail};
use std::sync::Arc;
use tidewatch_engine::rollup::{Catalog, SourcePlan};
use tidewatch_ingest::clock::Clock;
use tidewatch_ingest::log::{EVENTS_TOPIC, EventLog, is_source_topic};
use tidewatch_ingest::maintenance::{Maintenance, MaintenanceMetrics};
use tidewatch_ingest::metrics::IngestMetrics;
use tidewatch_ingest::samples::{LOG_TOPIC, SAMPLES_TOPIC};
use tidewatch_ingest::source::{Fetch, FileSource, KafkaSettings, KafkaSource, LogSource, Source};
use tidewatch_ingest::worker::{WorkerError, WorkerHandle};
use tidewatch_ingest::{News, Pipeline, WorkerThread, prepare};
use tidewatch_storage::{StorageError, Store};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What stays the same whatever is counted.
#[derive(Clone)]
pub struct Plant {
    pub settings: Settings,
    pub store: Store,
    /// What is pushed to this process.
    pub log: LocalLog,
    pub metrics: IngestMetrics,
    pub news: News,
    pub maintenance_metrics: MaintenanceMetrics,
    pub clock: Arc<dyn Clock>,
    /// Where commits and maintenance run.
    pub commits: Handle,
    /// Makes Kafka a source with an end.
    pub until_end: bool,
}

/// Counts until it is drained or its sources end.
pub struct Ingestion {
    workers: Vec<WorkerThread>,
    maintenance: Option<(watch::Sender<bool>, JoinHandle<()>)>,
}

impl Plant {
    /// Starts to count where the tables of the catalogue stand; tables that are missing are made.
    pub async fn start(&self, catalog: &Arc<Catalog>) -> Result<Ingestion> {
        let pipeline = Pipeline {
            catalog: Arc::clone(catalog),
            store: self.store.clone(),
            settings: self.settings.worker(),
            metrics: self.metrics.clone(),
            news: self.news.clone(),
            clock: Arc::clone(&self.clock),
            runtime: self.commits.clone(),
        };
        let mut workers = Vec::new();
        for source in self.sources(catalog)? {
            workers.push(pipeline.start(source).await?);
        }
        if let Some(log) = self.log.log().filter(|_| has_samples(catalog)) {
            workers.push(self.start_samples(&pipeline, log).await?);
        }
        // Beside commits: neither can be starved by queries, and a worker's commit waits for no task.
        let maintenance = self.settings.maintenance.enabled.then(|| {
            let (stop, stopped) = watch::channel(false);
            let (store, clock) = (self.store.clone(), Arc::clone(&self.clock));
            let (settings, metrics) = (self.settings.maintenance(), self.maintenance_metrics.clone());
            let maintenance = Maintenance::new(store, Some(catalog), settings, metrics, clock);
            (stop, self.commits.spawn(maintenance.run(stopped)))
        });
        Ok(Ingestion { workers, maintenance })
    }

    /// Counts pushed samples, beside events: they are committed more seldom.
    async fn start_samples(&self, pipeline: &Pipeline, log: &Arc<EventLog>) -> Result<WorkerThread> {
        let is_samples = |source: &&Arc<SourcePlan>| source.def.topic == SAMPLES_TOPIC;
        let sources = pipeline.catalog.sources.iter().filter(is_samples).cloned().collect();
        let pipeline = Pipeline {
            catalog: Arc::new(Catalog { sources, ..Catalog::default() }),
            settings: self.settings.samples_worker(),
            ..pipeline.clone()
        };
        let source = LogSource::new(Arc::clone(log), &[LOG_TOPIC], self.until_end);
        Ok(pipeline.start(Box::new(source)).await?)
    }

    /// Kafka or files, and what is pushed; one of them at least.
    fn sources(&self, catalog: &Catalog) -> Result<Vec<Box<dyn Source>>> {
        let mut all = match has_other_source(&self.settings) {
            true => sources(&self.settings, catalog, self.until_end)?,
            false => Vec::new(),
        };
        match &self.log {
            LocalLog::On(log) => {
                all.push(Box::new(LogSource::new(Arc::clone(log), &[EVENTS_TOPIC], self.until_end)));
            }
            LocalLog::Off { reason, hint } if all.is_empty() => bail!(
                "no source of events, and none can be pushed: {reason}\n  hint: set \"bootstrap.servers\" in [kafka.properties], or paths in [files]; or {hint}"
            ),
            LocalLog::Off { .. } => {}
        }
        Ok(all)
    }

    /// Makes the tables of a catalogue that are missing and adds measures that they lack, unless another one has been counted by another
    /// definition: then nothing is made, and every such table is named.
    pub async fn prepare_tables(&self, catalog: &Catalog) -> Result<(), Vec<StorageError>> {
        let tables = catalog.tables();
        let mut errors = Vec::new();
        for table in &tables {
            match self.store.table(&table.schema.name).await {
                Ok(Some(stored)) => errors.extend(stored.check_definition(table.schema).err()),
                Ok(None) => {}
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        // Workers that still count by the old definitions go on beside the new columns.
        let disorder_us = self.settings.worker().watermark.disorder_us;
        prepare(&self.store, catalog, disorder_us).await.map_err(|e| vec![e])
    }
}

impl Ingestion {
    /// To ask the workers what they have counted.
    pub fn handles(&self) -> Vec<WorkerHandle> {
        self.workers.iter().map(|w| w.handle.clone()).collect()
    }

    /// Waits until a worker fails or all sources are read to their end.
    pub async fn ended(&mut self) -> Result<(), WorkerError> {
        while !self.workers.is_empty() {
            let ended = futures::future::select_all(self.workers.iter_mut().map(|w| Box::pin(w.ended())));
            let (result, index, _) = ended.await;
            result?;
            self.workers.remove(index);
        }
        Ok(())
    }

    /// Commits everything that was read.
    pub async fn drain(mut self) -> Result<(), WorkerError> {
        if let Some((stop, task)) = self.maintenance.take() {
            // Whatever it is doing is left undone; the next one finds it.
            let _ = stop.send(true);
            let _ = task.await;
        }
        self.workers.iter().for_each(|w| w.handle.drain());
        let mut result = Ok(());
        for worker in &mut self.workers {
            result = result.and(worker.ended().await);
        }
        result
    }
}

/// Does some pack keep pushed samples?
pub fn has_samples(catalog: &Catalog) -> bool {
    catalog.topics().contains(SAMPLES_TOPIC)
}

/// Do the settings name Kafka or files?
pub fn has_other_source(settings: &Settings) -> bool {
    !settings.kafka.properties.is_empty() || !settings.files.paths.is_empty()
}

/// What is read of Kafka: topics of the local log are none of Kafka's.
pub fn kafka_topics(catalog: &Catalog) -> impl Iterator<Item = &str> {
    catalog.topics().into_iter().filter(|topic| !is_source_topic(topic))
}

/// How Kafka is read; an error when the settings do not say.
pub fn kafka_settings(settings: &Settings, catalog: &Catalog, until_end: bool) -> Result<KafkaSettings> {
    if settings.kafka.properties.is_empty() {
        bail!(
            "no source of events\n  hint: set \"bootstrap.servers\" in [kafka.properties], or paths in [files], or leave [push] enabled"
        );
    }
    let topics = kafka_topics(catalog).map(str::to_owned).collect();
    let skip_missing = settings.kafka.missing_records == MissingRecords::Skip;
    let fetch = match settings.kafka.fetch {
        settings::Fetch::Auto => Fetch::Auto,
        settings::Fetch::Librdkafka => Fetch::Librdkafka,
    };
    Ok(KafkaSettings { topics, skip_missing, properties: settings.kafka.properties.clone(), until_end, fetch })
}

fn sources(settings: &Settings, catalog: &Catalog, until_end: bool) -> Result<Vec<Box<dyn Source>>> {
    if !settings.files.paths.is_empty() {
        return Ok(vec![Box::new(FileSource::new(settings.files.paths.clone(), settings.ingest.record_bytes_max))]);
    }
    let kafka = kafka_settings(settings, catalog, until_end)?;
    let open = |_| Ok(Box::new(KafkaSource::new(&kafka)?) as Box<dyn Source>);
    (0..settings.kafka.workers).map(open).collect()
}

//! Starts workers with their committers and joins them again.

use crate::clock::Clock;
use crate::committer::Committer;
use crate::metrics::IngestMetrics;
use crate::news::News;
use crate::source::{Source, SourceError};
use crate::worker::{CommitterLink, Worker, WorkerError, WorkerHandle, WorkerSettings};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use thiserror::Error;
use tidewatch_engine::rollup::Catalog;
use tidewatch_storage::{StorageError, Store};
use tokio::sync::{mpsc, oneshot};

/// What every worker of this process shares.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// What is counted.
    pub catalog: Arc<Catalog>,
    /// Where it goes.
    pub store: Store,
    /// How.
    pub settings: WorkerSettings,
    /// Our own metrics.
    pub metrics: IngestMetrics,
    /// Who hears of what is counted.
    pub news: News,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where commits run: best apart from queries, which may keep every thread of theirs busy.
    pub runtime: tokio::runtime::Handle,
}

/// Why a worker could not be started.
#[derive(Debug, Error)]
pub enum PipelineError {
    /// The source cannot be opened.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The tables cannot be opened.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The machine gives no thread.
    #[error("starting a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// A worker that runs.
#[derive(Debug)]
pub struct WorkerThread {
    /// To ask it for views and to stop it.
    pub handle: WorkerHandle,
    ended: oneshot::Receiver<Result<(), WorkerError>>,
}

impl Pipeline {
    /// Starts one worker on a thread of its own.
    pub async fn start(&self, source: Box<dyn Source>) -> Result<WorkerThread, PipelineError> {
        let (metrics, clock) = (self.metrics.clone(), Arc::clone(&self.clock));
        let disorder_us = self.settings.watermark.disorder_us;
        let committer = Committer::open(&self.store, &self.catalog, disorder_us, metrics, clock).await?;
        let committer = committer.with_event_ids(&self.store, self.settings.dedupe).await?;
        let committer = committer.with_series(&self.store, self.settings.series_max).await?;
        self.start_with(source, committer)
    }

    /// The same, with the committer given.
    pub(crate) fn start_with(
        &self,
        source: Box<dyn Source>,
        committer: Committer,
    ) -> Result<WorkerThread, PipelineError> {
        let (requests, inbox) = mpsc::channel(1);
        let (outbox, answers) = sync_channel(1);
        self.runtime.spawn(committer.run(inbox, outbox));
        let link = CommitterLink { requests, answers };
        let (worker, handle) =
            Worker::new(source, &self.catalog, self.settings, link, self.metrics.clone(), Arc::clone(&self.clock));
        let (sender, ended) = oneshot::channel();
        let worker = worker.with_news(self.news.clone());
        std::thread::Builder::new().name("tidewatch-worker".to_owned()).spawn(move || {
            // Nobody waits any more when the receiver is gone.
            let _ = sender.send(worker.run());
        })?;
        Ok(WorkerThread { handle, ended })
    }
}

impl WorkerThread {
    /// Waits until the worker has ended.
    pub async fn ended(&mut self) -> Result<(), WorkerError> {
        match (&mut self.ended).await {
            Ok(result) => result,
            Err(_) => Err(WorkerError::Panicked),
        }
    }
}

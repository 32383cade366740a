//! How others reach a worker: for a view of what is not committed, and to stop it.

use super::heartbeat::{Heartbeat, Pulse};
use crate::piece::WorkerPiece;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;
use thiserror::Error;
use tidewatch_engine::live::LiveProgress;
use tokio::sync::oneshot;

/// How long a reader waits for a worker that is busy.
const VIEW_TIMEOUT: Duration = Duration::from_secs(5);

/// What a worker holds that no commit has covered yet.
#[derive(Debug)]
pub struct View {
    /// Pieces, oldest first.
    pub pieces: Vec<Arc<WorkerPiece>>,
    /// Watermarks.
    pub progress: LiveProgress,
}

/// Why there is no view.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum ViewError {
    /// The worker has stopped.
    #[error("the ingest worker has stopped")]
    Stopped,
    /// Too many readers wait already.
    #[error("too many readers are waiting for the ingest worker")]
    Busy,
    /// It did not answer in time (a rebalance or a slow store holds it).
    #[error("the ingest worker did not answer within 5 s")]
    Timeout,
}

/// A reader that waits for a view.
#[derive(Debug)]
pub(super) struct ViewRequest(pub oneshot::Sender<View>);

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct WorkerHandle {
    views: SyncSender<ViewRequest>,
    /// A flag and not a request: it must reach a worker that is not serving readers.
    stop: Arc<AtomicBool>,
    heartbeat: Arc<Heartbeat>,
}

impl WorkerHandle {
    pub(super) fn new(views: SyncSender<ViewRequest>, stop: Arc<AtomicBool>, heartbeat: Arc<Heartbeat>) -> Self {
        Self { views, stop, heartbeat }
    }

    /// Asks for a view.
    pub async fn view(&self) -> Result<View, ViewError> {
        let (sender, receiver) = oneshot::channel();
        self.views.try_send(ViewRequest(sender)).map_err(|error| match error {
            TrySendError::Full(_) => ViewError::Busy,
            TrySendError::Disconnected(_) => ViewError::Stopped,
        })?;
        match tokio::time::timeout(VIEW_TIMEOUT, receiver).await {
            Ok(Ok(view)) => Ok(view),
            Ok(Err(_)) => Err(ViewError::Stopped),
            Err(_) => Err(ViewError::Timeout),
        }
    }

    /// What its heartbeat says.
    pub fn pulse(&self) -> Pulse {
        self.heartbeat.pulse()
    }

    /// Asks it to commit everything and stop. Returns at once; the worker's thread ends when it is done.
    pub fn drain(&self) {
        self.stop.store(true, Ordering::Release);
    }
}

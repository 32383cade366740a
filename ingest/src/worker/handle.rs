//! How others reach a worker: for a view of what is not committed, and to stop it.

use super::heartbeat::{Heartbeat, Pulse};
use crate::clock::Clock;
use crate::piece::WorkerPiece;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use thiserror::Error;
use tidewatch_engine::live::LiveProgress;
use tokio::sync::oneshot;

/// How long a reader waits for a worker that is busy.
const VIEW_TIMEOUT: Duration = Duration::from_secs(5);

/// What a worker holds that no commit has covered yet.
#[derive(Debug, Clone)]
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

/// The view of the last freeze, for those to whom it is new enough. There is none once something of it was committed
/// or thrown away.
#[derive(Debug, Clone)]
pub(super) struct Recent {
    clock: Arc<dyn Clock>,
    /// With the time of the freeze.
    view: Arc<Mutex<Option<(Duration, View)>>>,
}

impl Recent {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, view: Arc::default() }
    }

    pub fn show(&self, frozen_at: Duration, view: View) {
        *self.view.lock().unwrap_or_else(PoisonError::into_inner) = Some((frozen_at, view));
    }

    pub fn hide(&self) {
        *self.view.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn within(&self, age_max: Duration) -> Option<View> {
        let view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        let (frozen_at, view) = view.as_ref()?;
        (self.clock.monotonic().saturating_sub(*frozen_at) <= age_max).then(|| view.clone())
    }
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct WorkerHandle {
    views: SyncSender<ViewRequest>,
    recent: Recent,
    /// A flag and not a request: it must reach a worker that is not serving readers.
    stop: Arc<AtomicBool>,
    heartbeat: Arc<Heartbeat>,
}

impl WorkerHandle {
    pub(super) fn new(
        views: SyncSender<ViewRequest>,
        recent: Recent,
        stop: Arc<AtomicBool>,
        heartbeat: Arc<Heartbeat>,
    ) -> Self {
        Self { views, recent, stop, heartbeat }
    }

    /// A view that was frozen at most `age_max` ago, without waiting if there is one.
    pub async fn recent_view(&self, age_max: Duration) -> Result<View, ViewError> {
        match self.recent.within(age_max) {
            Some(view) => Ok(view),
            None => self.view().await,
        }
    }

    /// Asks for a view of everything that was counted by now.
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

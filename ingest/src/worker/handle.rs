//! How others reach a worker: for a view of what is not committed, and to stop it.

use crate::piece::WorkerPiece;
use std::sync::Arc;
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

#[derive(Debug)]
pub(super) enum Command {
    View(oneshot::Sender<View>),
    Drain,
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct WorkerHandle {
    commands: SyncSender<Command>,
}

impl WorkerHandle {
    pub(super) fn new(commands: SyncSender<Command>) -> Self {
        Self { commands }
    }

    /// Asks for a view.
    pub async fn view(&self) -> Result<View, ViewError> {
        let (sender, receiver) = oneshot::channel();
        self.commands.try_send(Command::View(sender)).map_err(|error| match error {
            TrySendError::Full(_) => ViewError::Busy,
            TrySendError::Disconnected(_) => ViewError::Stopped,
        })?;
        match tokio::time::timeout(VIEW_TIMEOUT, receiver).await {
            Ok(Ok(view)) => Ok(view),
            Ok(Err(_)) => Err(ViewError::Stopped),
            Err(_) => Err(ViewError::Timeout),
        }
    }

    /// Asks it to commit everything and stop. Returns at once; the worker's thread ends when it is done.
    pub fn drain(&self) {
        // A full queue of views empties within one poll; a stopped worker needs no command.
        while let Err(TrySendError::Full(_)) = self.commands.try_send(Command::Drain) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

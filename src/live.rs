//! Joins the workers of this process to the readers: what the query crate asks, the ingest crate answers.

use futures::future::{BoxFuture, join_all};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tidewatch_engine::live::Piece;
use tidewatch_ingest::worker::{Pulse, ViewError, WorkerHandle};
use tidewatch_query::{LiveError, LiveStates, LiveView};

/// All workers of this process.
#[derive(Debug, Default)]
pub struct Workers(RwLock<Vec<WorkerHandle>>);

impl Workers {
    /// Puts other workers in the place of those that were.
    pub fn set(&self, workers: Vec<WorkerHandle>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = workers;
    }

    /// What their heartbeats say.
    pub fn pulses(&self) -> Vec<Pulse> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).iter().map(WorkerHandle::pulse).collect()
    }
}

impl LiveStates for Workers {
    fn view(&self, age_max: Duration) -> BoxFuture<'_, Result<LiveView, LiveError>> {
        let workers = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(async move {
            let mut all = LiveView::default();
            for view in join_all(workers.iter().map(|worker| worker.recent_view(age_max))).await {
                match view {
                    Ok(view) => {
                        all.pieces.extend(view.pieces.into_iter().map(|p| p as Arc<dyn Piece>));
                        all.progress.push(view.progress);
                    }
                    // It has committed everything, or its states are gone and will be counted again.
                    Err(ViewError::Stopped) => {}
                    Err(error) => return Err(LiveError(error.to_string())),
                }
            }
            Ok(all)
        })
    }
}

//! Joins the workers of this process to the readers: what the query crate asks, the ingest crate answers.

use futures::future::{BoxFuture, join_all};
use std::sync::Arc;
use tidewatch_engine::live::Piece;
use tidewatch_ingest::worker::{ViewError, WorkerHandle};
use tidewatch_query::{LiveError, LiveStates, LiveView};

/// All workers of this process.
#[derive(Debug)]
pub struct Workers(pub Vec<WorkerHandle>);

impl LiveStates for Workers {
    fn view(&self) -> BoxFuture<'_, Result<LiveView, LiveError>> {
        Box::pin(async {
            let mut all = LiveView::default();
            for view in join_all(self.0.iter().map(WorkerHandle::view)).await {
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

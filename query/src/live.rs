//! What readers ask of workers in the same process: the states that no commit covers yet.

use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tidewatch_engine::commit::TopicPartition;
use tidewatch_engine::live::{LiveProgress, Piece};

/// States in memory, of all workers.
#[derive(Debug, Clone, Default)]
pub struct LiveView {
    /// Pieces, oldest first for each partition.
    pub pieces: Vec<Arc<dyn Piece>>,
    /// Watermarks of every worker.
    pub progress: Vec<LiveProgress>,
}

impl LiveView {
    /// Did a table move on to `positions` after this view was taken? Then the view misses what other
    /// tables have not committed yet, and tables would answer for different offsets.
    pub fn is_behind(&self, positions: &BTreeMap<TopicPartition, i64>) -> bool {
        let ends = self.progress.iter().flat_map(|p| &p.positions);
        ends.into_iter().any(|(partition, end)| positions.get(partition).is_some_and(|p| p > end))
    }

    /// Windows that end at or before it are closed: the minimum over all workers that are not idle and
    /// know one; when all are idle, the latest.
    pub fn watermark(&self) -> Option<i64> {
        let active = self.progress.iter().filter(|p| !p.is_idle).filter_map(|p| p.watermark).min();
        active.or_else(|| self.progress.iter().filter_map(|p| p.watermark).max())
    }
}

/// Why the states in memory are not to be had. An answer without them would be wrong, so there is none.
#[derive(Debug, Clone, Error)]
#[error("{0}")]
pub struct LiveError(pub String);

/// Hands out views.
pub trait LiveStates: Debug + Send + Sync {
    /// What was in memory at most `age_max` ago. Taken before the tables are read, so that nothing falls in between.
    fn view(&self, age_max: Duration) -> BoxFuture<'_, Result<LiveView, LiveError>>;
}

/// For readers without workers: committed states are all there is.
#[derive(Debug, Clone, Copy)]
pub struct NoLiveStates;

impl LiveStates for NoLiveStates {
    fn view(&self, _age_max: Duration) -> BoxFuture<'_, Result<LiveView, LiveError>> {
        Box::pin(async { Ok(LiveView::default()) })
    }
}

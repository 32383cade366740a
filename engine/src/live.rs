//! States that are not committed yet, as readers see them.
//!
//! A worker hands out *pieces*: immutable partials together with the offsets they cover. A reader
//! adds to each committed table the pieces whose offsets the table does not have yet, so that each
//! event counts once however the commit and the query race.

use crate::commit::{OffsetRange, TopicPartition};
use arrow::record_batch::RecordBatch;
use std::collections::BTreeMap;
use std::fmt::Debug;

/// Partials of several tables and the offsets they cover. A commit takes whole pieces only.
pub trait Piece: Debug + Send + Sync {
    /// The offsets that this piece's rows of `table` cover, per partition. Empty: it has none.
    fn ranges(&self, table: &str) -> &BTreeMap<TopicPartition, OffsetRange>;

    /// The rows of `table` in the schema of the stored table, or `None` when it adds none.
    fn batch(&self, table: &str) -> Option<RecordBatch>;

    /// Is this piece's part of `table` missing from a table that has reached `positions`?
    ///
    /// Commits take pieces whole, so one partition that lags tells for all.
    fn is_missing_from(&self, table: &str, positions: &BTreeMap<TopicPartition, i64>) -> bool {
        self.ranges(table).iter().any(|(partition, range)| positions.get(partition).is_none_or(|&p| p < range.to))
    }
}

/// How far the event time of a worker's partitions has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LiveProgress {
    /// Watermark per partition, microseconds since the epoch; `None` while nothing was seen.
    pub watermarks: BTreeMap<TopicPartition, Option<i64>>,
    /// Minimum over the partitions that are not idle: windows that end at or before it are closed.
    pub watermark: Option<i64>,
    /// No partition is active: the watermark is the latest that was reached, and holds nobody back.
    pub is_idle: bool,
    /// Per partition the last offset that commits and pieces cover together.
    pub positions: BTreeMap<TopicPartition, i64>,
}

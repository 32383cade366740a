//! Appending rows together with the offsets that they cover.

use super::{Part, Table};
use crate::StorageError;
use crate::transaction::{Recorded, offset_id, watermark_id};
use arrow::record_batch::RecordBatch;
use deltalake::DeltaTableError;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties, FinalizedCommit, TransactionError};
use deltalake::kernel::{Action, Transaction};
use deltalake::protocol::{DeltaOperation, SaveMode};
use std::collections::BTreeMap;
use tidewatch_engine::commit::{AppendDecision, OffsetRange, TopicPartition, decide_append};
use tidewatch_engine::time::width_name;

/// Commits of others that may come in between before an append gives up and is tried again from above.
const CONFLICTS_MAX: usize = 20;

/// What one append brings.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// The rows, without partition columns; `None` when the offsets brought none for this table.
    pub batch: Option<RecordBatch>,
    /// The offsets that they cover.
    pub ranges: BTreeMap<TopicPartition, OffsetRange>,
    /// Watermark of each partition after them, microseconds since the epoch.
    pub watermarks: BTreeMap<TopicPartition, i64>,
}

/// How an append ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendOutcome {
    /// Published as this version.
    Committed {
        /// Version of the table.
        version: u64,
    },
    /// The table had all of it already.
    AlreadyCommitted,
    /// The rows do not continue what the table has; their events must be replayed from its position.
    MustReplay {
        /// The first partition that does not fit.
        partition: TopicPartition,
        /// Where the table stands.
        position: i64,
        /// What was to be appended.
        range: OffsetRange,
    },
}

impl Table {
    /// Appends rows and the offsets they cover in one atomic commit, if they continue what is there.
    ///
    /// Safe to repeat after an error: an attempt that succeeded unheard is found. Rows that cover no offsets
    /// are appended once more instead.
    pub async fn append(&mut self, rows: &Rows) -> Result<AppendOutcome, StorageError> {
        let partitions: Vec<_> = rows.ranges.keys().cloned().collect();
        let mut conflicts = 0;
        loop {
            let positions = self.positions(&partitions).await?;
            match decide_append(&positions, &rows.ranges) {
                AppendDecision::AlreadyCommitted => return Ok(AppendOutcome::AlreadyCommitted),
                AppendDecision::MustReplay { partition, position, range } => {
                    return Ok(AppendOutcome::MustReplay { partition, position, range });
                }
                AppendDecision::Append => {}
            }
            match self.commit(rows).await {
                Ok(finalized) => {
                    let version = finalized.version();
                    self.delta.state = Some(finalized.snapshot());
                    let offsets = rows.ranges.iter().map(|(p, range)| (Recorded::Offset(p.clone()), range.to));
                    let watermarks = rows.watermarks.iter().map(|(p, &w)| (Recorded::Watermark(p.clone()), w));
                    self.note(version, offsets.chain(watermarks)).await?;
                    return Ok(AppendOutcome::Committed { version });
                }
                // Somebody committed one of our partitions meanwhile, or removed files that an append does
                // not care about: look again and decide anew.
                Err(error) if is_conflict(&error) && conflicts < CONFLICTS_MAX => {
                    conflicts += 1;
                    self.refresh().await?;
                }
                Err(error) => {
                    // The commit may have happened all the same; the next attempt must see it.
                    let updated = self.refresh().await;
                    self.forget();
                    updated?;
                    return Err(StorageError::delta(&self.name)(error));
                }
            }
        }
    }

    async fn commit(&self, rows: &Rows) -> Result<FinalizedCommit, DeltaTableError> {
        let mut actions: Vec<Action> = Vec::new();
        if let Some(batch) = rows.batch.as_ref().filter(|b| b.num_rows() > 0) {
            let tier = self.rollup.as_ref().and_then(|r| r.pane_us).map(width_name);
            let part = Part { tier, rolled_up: false, batch: batch.clone() };
            actions.extend(self.write(&[part]).await?.into_iter().map(Action::Add));
        }
        let offsets = rows.ranges.iter().map(|(p, range)| Transaction::new(offset_id(p), range.to));
        let watermarks = rows.watermarks.iter().map(|(p, &w)| Transaction::new(watermark_id(p), w));
        let properties = without_hooks().with_application_transactions(offsets.chain(watermarks).collect());
        let operation = DeltaOperation::Write { mode: SaveMode::Append, partition_by: None, predicate: None };
        CommitBuilder::from(properties)
            .with_actions(actions)
            .build(Some(self.delta.snapshot()?), self.delta.log_store(), operation)
            .await
    }
}

/// Checkpoints and the clean-up of the log are the business of maintenance: a worker must not wait for them.
pub(super) fn without_hooks() -> CommitProperties {
    CommitProperties::default().with_create_checkpoint(false).with_cleanup_expired_logs(Some(false))
}

/// Others have committed: by what they did, by how often, or by so much that their log entries are cleaned
/// away already.
fn is_conflict(error: &DeltaTableError) -> bool {
    use TransactionError::{CommitConflict, MaxCommitAttempts};
    matches!(
        error,
        DeltaTableError::Transaction { source: CommitConflict(_) | MaxCommitAttempts(_) }
            | DeltaTableError::InvalidVersion(_)
    )
}

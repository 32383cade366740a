//! Appending rows together with the offsets that they cover.

use super::{Part, Table};
use crate::StorageError;
use crate::transaction::Recorded;
use arrow::record_batch::RecordBatch;
use deltalake::DeltaTableError;
use deltalake::kernel::Action;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties, FinalizedCommit, TransactionError};
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
    /// The table has a measure that the writer does not know, and that others have counted up to here:
    /// rows without it would be missing from it, and nothing could say so.
    Outdated {
        /// The measure.
        measure: String,
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
            let mut records = match self.moved_beginnings(rows).await? {
                Ok(moved) => moved,
                Err(measure) => return Ok(AppendOutcome::Outdated { measure }),
            };
            for (partition, range) in &rows.ranges {
                records.extend(self.ledger.positions(partition).into_iter().map(|recorded| (recorded, range.to)));
            }
            let watermarks = rows.watermarks.iter();
            records.extend(watermarks.filter_map(|(p, &w)| Some((self.ledger.watermark(p)?, w))));
            match self.commit(rows, &records).await {
                Ok(finalized) => {
                    let version = finalized.version();
                    self.delta.state = Some(finalized.snapshot());
                    self.note(version, records).await?;
                    return Ok(AppendOutcome::Committed { version });
                }
                // Somebody committed one of our partitions meanwhile, added columns, or removed files that an
                // append does not care about: look again and decide anew.
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

    async fn commit(&self, rows: &Rows, records: &[(Recorded, i64)]) -> Result<FinalizedCommit, DeltaTableError> {
        let mut actions: Vec<Action> = Vec::new();
        if let Some(batch) = rows.batch.as_ref().filter(|b| b.num_rows() > 0) {
            let tier = self.rollup.as_ref().and_then(|r| r.pane_us).map(width_name);
            let part = Part { tier, rolled_up: false, batch: batch.clone() };
            actions.extend(self.write(&[part]).await?.into_iter().map(Action::Add));
        }
        let transactions = records.iter().map(|(recorded, value)| recorded.at(*value));
        let properties = without_hooks().with_application_transactions(transactions.collect());
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

//! Replacing files by others that hold the same events: the commit of every maintenance task.
//!
//! It is published only directly after the version whose files it saw, so that a file that somebody else
//! removed meanwhile is noticed. (The conflict check of `deltalake` passes two removals of one file when
//! both say that no data changes, and the rows would be there twice.) Appends in between are no conflict:
//! the new version is loaded, the files are looked at again, and the same commit is tried once more. Nor are
//! columns that were added in between: the files that go hold nothing of them.

use super::Table;
use super::append::without_hooks;
use crate::StorageError;
use crate::transaction::Recorded;
use arrow::record_batch::RecordBatch;
use deltalake::DeltaTableError;
use deltalake::kernel::transaction::{CommitBuilder, FinalizedCommit, TransactionError};
use deltalake::kernel::{Action, Add, Remove};
use deltalake::protocol::DeltaOperation;
use std::collections::HashSet;

/// Commits of others that may come in between before the task is given up.
const ATTEMPTS_MAX: usize = 50;

/// Rows for one new file.
#[derive(Debug, Clone)]
pub struct Part {
    /// Name of the tier; `None` in a table without tiers.
    pub tier: Option<String>,
    /// Are they also part of the next wider tier?
    pub rolled_up: bool,
    /// The rows, without partition columns.
    pub batch: RecordBatch,
}

/// What one maintenance commit does.
#[derive(Debug, Clone, Default)]
pub struct Replacement {
    /// Paths of the files that go.
    pub remove: Vec<String>,
    /// What comes instead; parts without rows make no file.
    pub add: Vec<Part>,
    /// New boundary of a tier, by its name: older rows of it do not count any more.
    pub retained: Option<(String, i64)>,
    /// Do readers see other numbers afterwards? Said to other engines, which follow the log by it.
    pub changes_data: bool,
}

/// How a maintenance commit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplaceOutcome {
    /// Published as this version.
    Committed {
        /// Version of the table.
        version: u64,
    },
    /// Somebody else removed one of the files or moved the boundary: look at the files again. Nothing
    /// was published; files that were written for it are deleted.
    Conflict,
}

impl Table {
    /// Replaces files in one atomic commit. The newest version is loaded afterwards.
    pub async fn replace(&mut self, replacement: &Replacement) -> Result<ReplaceOutcome, StorageError> {
        let adds = self.write(&replacement.add).await.map_err(StorageError::delta(&self.name))?;
        for _ in 0..ATTEMPTS_MAX {
            let Some(removes) = self.removals(replacement)? else { break };
            if let Some((tier, boundary)) = &replacement.retained
                && self.retained(tier).await?.is_some_and(|known| known >= *boundary)
            {
                break;
            }
            match self.commit_replacement(replacement, &adds, removes).await {
                Ok(finalized) => {
                    let version = finalized.version();
                    self.delta.state = Some(finalized.snapshot());
                    let retained = replacement.retained.clone().map(|(tier, b)| (Recorded::Retained(tier), b));
                    self.note(version, retained).await?;
                    return Ok(ReplaceOutcome::Committed { version });
                }
                Err(error) if is_overtaken(&error) => {
                    self.refresh().await?;
                    // By ourselves, perhaps: a client that tries again because the store's answer was an error finds
                    // what its first request has written. The new files are live then, and must stay.
                    if !adds.is_empty() && self.has_all(&adds)? {
                        return Ok(ReplaceOutcome::Committed { version: self.version() });
                    }
                }
                Err(error) => {
                    // The commit may have happened all the same.
                    self.refresh().await?;
                    if self.has_all(&adds)? && self.removals(replacement)?.is_none() {
                        return Ok(ReplaceOutcome::Committed { version: self.version() });
                    }
                    return Err(StorageError::delta(&self.name)(error));
                }
            }
        }
        self.discard(&adds).await;
        Ok(ReplaceOutcome::Conflict)
    }

    async fn commit_replacement(
        &self,
        replacement: &Replacement,
        adds: &[Add],
        removes: Vec<Remove>,
    ) -> Result<FinalizedCommit, DeltaTableError> {
        let changes_data = replacement.changes_data;
        let adds = adds.iter().map(|add| Action::Add(Add { data_change: changes_data, ..add.clone() }));
        let retained = replacement.retained.iter().map(|(tier, b)| Recorded::Retained(tier.clone()).at(*b));
        // No retries inside: they trust a conflict check that does not see everything.
        let properties = without_hooks().with_max_retries(0).with_application_transactions(retained.collect());
        let operation = DeltaOperation::Optimize { predicate: None, target_size: 0 };
        CommitBuilder::from(properties)
            .with_actions(removes.into_iter().map(Action::Remove).chain(adds).collect())
            .build(Some(self.delta.snapshot()?), self.delta.log_store(), operation)
            .await
    }

    /// The removals of a replacement, or `None` when one of its files is not live any more.
    fn removals(&self, replacement: &Replacement) -> Result<Option<Vec<Remove>>, StorageError> {
        let snapshot = self.delta.snapshot().map_err(StorageError::delta(&self.name))?;
        let wanted: HashSet<&str> = replacement.remove.iter().map(String::as_str).collect();
        let removes: Vec<Remove> = snapshot
            .log_data()
            .iter()
            .filter(|file| wanted.contains(file.path().as_ref()))
            .map(|file| file.remove_action(replacement.changes_data))
            .collect();
        Ok((removes.len() == wanted.len()).then_some(removes))
    }

    fn has_all(&self, adds: &[Add]) -> Result<bool, StorageError> {
        let live: HashSet<String> = self.files(None)?.into_iter().map(|f| f.path).collect();
        Ok(adds.iter().all(|add| live.contains(&add.path)))
    }

    /// Deletes files that no commit refers to. What cannot be deleted now, vacuum finds.
    async fn discard(&self, adds: &[Add]) {
        for add in adds {
            self.delete(&add.path).await.unwrap_or_default();
        }
    }
}

/// Somebody else published the version that we wanted.
pub(super) fn is_overtaken(error: &DeltaTableError) -> bool {
    use TransactionError::{CommitConflict, MaxCommitAttempts, VersionAlreadyExists};
    match error {
        DeltaTableError::VersionAlreadyExists(_) | DeltaTableError::InvalidVersion(_) => true,
        DeltaTableError::Transaction { source } => {
            matches!(source, MaxCommitAttempts(_) | CommitConflict(_) | VersionAlreadyExists(_))
        }
        _ => false,
    }
}

//! Keeping the log short and the folder free of files that nobody needs.

use super::Table;
use crate::StorageError;
use deltalake::checkpoints;
use deltalake::operations::vacuum::VacuumMode;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use std::time::Duration;

/// Name of the hint that says which version the newest checkpoint has.
const LAST_CHECKPOINT: &str = "_delta_log/_last_checkpoint";

impl Table {
    /// Writes a checkpoint when the newest one is at least `commits` versions old, and deletes the log
    /// entries behind a checkpoint that are older than `log_retention`. True when it wrote one.
    ///
    /// Offsets, watermarks and boundaries are part of the checkpoint. `now_us` is the time of the store's
    /// file system.
    pub async fn checkpoint(
        &mut self,
        commits: u64,
        log_retention: Duration,
        now_us: i64,
    ) -> Result<bool, StorageError> {
        if self.version() < self.checkpointed().await?.saturating_add(commits.max(1)) {
            return Ok(false);
        }
        let fail = StorageError::delta(&self.name);
        checkpoints::create_checkpoint(&self.delta, None).await.map_err(&fail)?;
        // From here on we read from the new checkpoint: the old one may be deleted next.
        self.delta.update_state().await.map_err(&fail)?;
        let kept_ms = i64::try_from(log_retention.as_millis()).unwrap_or(i64::MAX);
        let cutoff_ms = (now_us / 1000).saturating_sub(kept_ms);
        let log = self.delta.log_store();
        checkpoints::cleanup_expired_logs_for(self.version(), log.as_ref(), cutoff_ms, None).await.map_err(&fail)?;
        Ok(true)
    }

    /// Version of the newest checkpoint; 0 when there is none.
    async fn checkpointed(&self) -> Result<u64, StorageError> {
        let hint = match self.delta.object_store().get(&Path::from(LAST_CHECKPOINT)).await {
            Ok(found) => found.bytes().await?,
            Err(object_store::Error::NotFound { .. }) => return Ok(0),
            Err(error) => return Err(error.into()),
        };
        // A hint that cannot be read is only a hint: a new checkpoint writes a new one.
        let hint: Option<serde_json::Value> = serde_json::from_slice(&hint).ok();
        Ok(hint.and_then(|h| h.get("version")?.as_u64()).unwrap_or(0))
    }

    /// Deletes the files that no live version needs and that were removed, or written by a commit that
    /// never happened, more than `grace` ago. Returns how many.
    ///
    /// A reader that has loaded a version keeps finding its files for that time.
    pub async fn vacuum(&self, grace: Duration) -> Result<usize, StorageError> {
        let fail = StorageError::delta(&self.name);
        let grace = chrono::Duration::from_std(grace).unwrap_or(chrono::Duration::MAX);
        // Only the list is asked for: carried out by `deltalake`, a vacuum would be two commits.
        let (_, found) = self
            .delta
            .clone()
            .vacuum()
            .with_mode(VacuumMode::Full)
            .with_retention_period(grace)
            .with_enforce_retention_duration(false)
            .with_dry_run(true)
            .await
            .map_err(&fail)?;
        let mut deleted = 0;
        for path in &found.files_deleted {
            deleted += usize::from(self.delete(path).await?);
        }
        Ok(deleted)
    }

    /// Deletes a data file. False when it is gone already.
    pub(super) async fn delete(&self, path: &str) -> Result<bool, StorageError> {
        let location = Path::parse(path).unwrap_or_else(|_| Path::from(path));
        match self.delta.object_store().delete(&location).await {
            Ok(()) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

//! Following what others commit.

use super::{Table, read_definition};
use crate::StorageError;
use crate::store::load;
use futures::future::join;
use object_store::ObjectStoreExt;
use object_store::path::Path;

impl Table {
    /// Loads newer versions, if there are any.
    pub async fn refresh(&mut self) -> Result<(), StorageError> {
        if self.is_newest().await {
            return Ok(());
        }
        if let Err(error) = self.delta.update_state().await {
            // What the loaded version was built from may be cleaned away by now: begin anew.
            tracing::debug!(table = self.name, %error, "loading the table anew");
            load(&mut self.delta).await.map_err(StorageError::delta(&self.name))?;
        }
        self.follow_schema()?;
        self.follow().await
    }

    /// Is there certainly no newer version? Versions follow each other without a gap, so a look for the next one's file
    /// says so, where a listing of the log costs several times that. Once the file of the loaded version is cleaned away
    /// the next one's may be, too: then only a listing knows.
    async fn is_newest(&self) -> bool {
        let (log, version) = (self.delta.log_store().object_store(None), self.version());
        let file = |version: u64| Path::from(format!("_delta_log/{version:020}.json"));
        let (next, own) = (file(version + 1), file(version));
        match join(log.head(&next), log.head(&own)).await {
            (Err(object_store::Error::NotFound { .. }), Ok(_)) => self.known.version == version,
            _ => false,
        }
    }

    /// Others may have added columns.
    pub(super) fn follow_schema(&mut self) -> Result<(), StorageError> {
        (self.rollup, self.schema) = read_definition(&self.name, &self.delta)?;
        Ok(())
    }
}

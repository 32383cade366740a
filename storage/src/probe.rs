//! Does a store do what tables need of it? A small object is written, read, listed and deleted, and written again on
//! the condition that it is not there: that is how a commit of Delta Lake takes its number.

use crate::Store;
use futures::TryStreamExt;
use object_store::{Error, ObjectStoreExt, PutMode, PutOptions};
use thiserror::Error;

/// The name of the object begins so; a dot keeps it out of every listing of tables.
const NAME: &str = ".tidewatch-doctor-";

/// What a store that works has told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probed {
    /// When the object was written, by the store's own clock, microseconds since the epoch.
    pub written_us: i64,
}

/// What a store cannot do.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// A step failed.
    #[error("{step}: {source}")]
    Step {
        /// What was tried.
        step: &'static str,
        /// What the store said.
        source: Error,
    },
    /// It answered something that is not true.
    #[error("{0}")]
    Wrong(&'static str),
}

impl Store {
    /// Tries all that tables need, with an object named by `id`, which is removed again.
    ///
    /// Errors: the first thing that does not work.
    pub async fn probe(&self, id: &str) -> Result<Probed, ProbeError> {
        let location = self.prefix().clone().join(format!("{NAME}{id}"));
        let step = |step| move |source| ProbeError::Step { step, source };
        let body = || object_store::PutPayload::from(id.as_bytes().to_vec());
        let create = || PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let root = self.root();
        root.put_opts(&location, body(), create()).await.map_err(step("writing"))?;
        let looked = async {
            let read = root.get(&location).await.map_err(step("reading"))?;
            let read = read.bytes().await.map_err(step("reading"))?;
            if read != id.as_bytes() {
                return Err(ProbeError::Wrong("reading gave something else than what was written"));
            }
            let listed = root.list_with_delimiter(Some(self.prefix())).await.map_err(step("listing"))?;
            let Some(found) = listed.objects.into_iter().find(|object| object.location == location) else {
                return Err(ProbeError::Wrong("listing does not show what was written"));
            };
            match root.put_opts(&location, body(), create()).await {
                Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {}
                Err(source) => return Err(ProbeError::Step { step: "writing on condition", source }),
                Ok(_) => {
                    return Err(ProbeError::Wrong(
                        "writing on condition is not refused: two processes would overwrite each other's commits",
                    ));
                }
            }
            Ok(Probed { written_us: found.last_modified.timestamp_micros() })
        };
        let looked = looked.await;
        let deleted = root.delete(&location).await.map_err(step("deleting"));
        let probed = looked?;
        deleted?;
        let left: Vec<_> = root.list(Some(&location)).try_collect().await.map_err(step("listing"))?;
        match left.is_empty() {
            true => Ok(probed),
            false => Err(ProbeError::Wrong("deleting leaves the object")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[tokio::test]
    async fn a_folder_does_all_that_tables_need() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().to_str().unwrap(), HashMap::new()).unwrap();
        assert!(store.probe("1").await.unwrap().written_us > 1_600_000_000_000_000);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
        let gone = folder.path().join("gone");
        let store = Store::open(gone.to_str().unwrap(), HashMap::new()).unwrap();
        std::fs::remove_dir(&gone).unwrap();
        std::fs::write(&gone, "a file").unwrap();
        let error = store.probe("1").await.unwrap_err().to_string();
        assert!(error.starts_with("writing: "), "{error}");
    }
}

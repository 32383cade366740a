//! What copies of tables need: files as they lie in the store, which of them a version's log consists of, and a
//! checkpoint that makes everything before it superfluous.

use crate::{StorageError, Store};
use bytes::Bytes;
use deltalake::DeltaTable;
use deltalake::checkpoints::create_checkpoint;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt};

/// The folder of a table's log.
const LOG: &str = "_delta_log";
/// Digits of a version in the name of a log's file.
const DIGITS: usize = 20;

/// A file, as its path below the store and its size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    /// Path with slashes.
    pub path: String,
    /// Size.
    pub bytes: u64,
}

/// The files of a table's log that hold one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFiles {
    /// A checkpoint, if there is one, and every commit after it.
    pub needed: Vec<StoredFile>,
}

impl Store {
    /// All files below a folder of the store; `""` is the whole store. Those that are being written are left out.
    pub async fn list_files(&self, folder: &str) -> Result<Vec<StoredFile>, StorageError> {
        let found: Vec<_> = match self.root().list(Some(&self.at(folder)?)).try_collect().await {
            Err(Error::NotFound { .. }) => Vec::new(),
            other => other?,
        };
        let mut files: Vec<StoredFile> = found
            .into_iter()
            .filter(|object| !object.location.filename().is_some_and(|name| name.starts_with('.')))
            .filter_map(|object| {
                let parts: Vec<String> =
                    object.location.prefix_match(self.prefix())?.map(|part| part.as_ref().to_owned()).collect();
                Some(StoredFile { path: parts.join("/"), bytes: object.size })
            })
            .collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    /// A file's content; `None` when there is no such file.
    pub async fn read_file(&self, path: &str) -> Result<Option<Bytes>, StorageError> {
        match self.root().get(&self.at(path)?).await {
            Ok(found) => Ok(Some(found.bytes().await?)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes a file; one that is there is replaced.
    pub async fn write_file(&self, path: &str, content: Bytes) -> Result<(), StorageError> {
        self.root().put(&self.at(path)?, content.into()).await?;
        Ok(())
    }

    /// Removes a file; one that is not there is removed already.
    pub async fn remove_file(&self, path: &str) -> Result<(), StorageError> {
        match self.root().delete(&self.at(path)?).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// What of a table's log holds a version: the newest checkpoint up to it, and every commit since.
    pub async fn log_files(&self, table: &str, version: u64) -> Result<LogFiles, StorageError> {
        let files = self.list_files(&format!("{table}/{LOG}")).await?;
        let of = |file: &StoredFile, ending: &str| {
            let number = file.path.rsplit('/').next()?.strip_suffix(ending)?;
            (number.len() == DIGITS).then(|| number.parse::<u64>().ok())?.filter(|number| *number <= version)
        };
        let checkpoint = files.iter().filter_map(|file| of(file, ".checkpoint.parquet")).max();
        let is_needed = |file: &StoredFile| {
            let is_checkpoint = checkpoint.is_some() && of(file, ".checkpoint.parquet") == checkpoint;
            // The checkpoint's own commit tells readers its time.
            is_checkpoint || of(file, ".json").is_some_and(|number| checkpoint.is_none_or(|at| number >= at))
        };
        Ok(LogFiles { needed: files.into_iter().filter(is_needed).collect() })
    }

    /// Writes a checkpoint of a version into the log of a table, and returns the files that the log can do with from
    /// then on, by their names.
    pub async fn checkpoint_at(&self, table: &str, version: u64) -> Result<Vec<String>, StorageError> {
        let fail = StorageError::delta(table);
        let mut delta = DeltaTable::new(self.log_store(table)?);
        delta.load_version(version).await.map_err(&fail)?;
        create_checkpoint(&delta, None).await.map_err(&fail)?;
        Ok(["checkpoint.parquet", "json"].map(|ending| format!("{table}/{LOG}/{version:0DIGITS$}.{ending}")).to_vec())
    }

    fn at(&self, path: &str) -> Result<Path, StorageError> {
        let below = Path::parse(path).map_err(Error::from)?;
        Ok(self.prefix().parts().chain(below.parts()).collect())
    }
}

#[cfg(test)]
mod tests;

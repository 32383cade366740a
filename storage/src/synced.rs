//! Files of a local folder that survive the death of the machine, not only of the process.
//!
//! `object_store` leaves writing back to the system's leisure: after a power cut a commit could be
//! there by name and empty by content, and the table unreadable. Here content is on the disk before it
//! has its name, and the name before a write is reported done.

use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};
use std::fmt;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Name of what is being written, before it has its own. A leading dot keeps it out of every listing of
/// tables; what a dead process left behind is overwritten or stays a few kilobytes.
const STAGED: &str = ".tidewatch-staged";

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A local file system whose writes are synced.
#[derive(Debug)]
pub(crate) struct SyncedFiles {
    files: Arc<LocalFileSystem>,
}

impl SyncedFiles {
    /// All of the local file system; paths are absolute.
    pub(crate) fn new() -> Self {
        Self { files: Arc::new(LocalFileSystem::new()) }
    }

    /// The file and its folder entry are on the disk when this returns.
    async fn sync(&self, path: &Path) -> Result<()> {
        sync(self.files.path_to_filesystem(path)?, true).await
    }
}

impl fmt::Display for SyncedFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "synced {}", self.files)
    }
}

async fn sync(path: PathBuf, with_folder: bool) -> Result<()> {
    let synced = tokio::task::spawn_blocking(move || {
        File::open(&path)?.sync_all()?;
        match path.parent().filter(|_| with_folder) {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    });
    let result = synced.await.unwrap_or_else(|e| Err(std::io::Error::other(e)));
    result.map_err(|source| Error::Generic { store: "SyncedFiles", source: Box::new(source) })
}

#[async_trait::async_trait]
impl ObjectStore for SyncedFiles {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{STAGED}-{}-{number}", std::process::id());
        let folder: Path = location.parts().take(location.parts_count().saturating_sub(1)).collect();
        let staged = folder.join(name);
        let mode = options.mode.clone();
        let result = self.files.put_opts(&staged, payload, PutOptions { mode: PutMode::Overwrite, ..options }).await?;
        sync(self.files.path_to_filesystem(&staged)?, false).await?;
        let copied = match mode {
            PutMode::Create => {
                let copy = CopyOptions::new().with_mode(object_store::CopyMode::Create);
                let copied = self.files.copy_opts(&staged, location, copy).await;
                // Left behind, it would only take space.
                let _ = self.files.delete(&staged).await;
                copied
            }
            _ => self.files.rename_opts(&staged, location, RenameOptions::default()).await,
        };
        copied?;
        self.sync(location).await?;
        Ok(result)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.files.put_multipart_opts(location, options).await?;
        Ok(Box::new(SyncedUpload { upload, path: self.files.path_to_filesystem(location)? }))
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        sync(self.files.path_to_filesystem(from)?, false).await?;
        self.files.copy_opts(from, to, options).await?;
        self.sync(to).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        sync(self.files.path_to_filesystem(from)?, false).await?;
        self.files.rename_opts(from, to, options).await?;
        self.sync(to).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.files.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.files.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.files.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.files.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.files.list_with_delimiter(prefix).await
    }
}

/// An upload in parts, synced when it is complete: nothing refers to it before that.
#[derive(Debug)]
struct SyncedUpload {
    upload: Box<dyn MultipartUpload>,
    path: PathBuf,
}

#[async_trait::async_trait]
impl MultipartUpload for SyncedUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.upload.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let result = self.upload.complete().await?;
        sync(self.path.clone(), true).await?;
        Ok(result)
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}

#[cfg(test)]
mod tests;

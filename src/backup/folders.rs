//! Folders beside the store: databases that one process at a time may have. They are copied only while nobody has them,
//! and nobody can take them meanwhile.

use super::manifest::{FileEntry, FolderEntry};
use anyhow::{Context, Result};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use tidewatch_storage::Store;

/// Name of the file that a database locks.
const LOCK: &str = "lock";

/// A folder whose databases are locked by us, until it is dropped.
#[derive(Debug)]
pub struct Held {
    folder: PathBuf,
    _locks: Vec<File>,
}

impl Held {
    /// Takes a folder; `Ok(Err(why))` when there is nothing to copy.
    pub fn take(folder: &Path) -> Result<Result<Self, String>> {
        let at = || folder.display().to_string();
        let entries = match std::fs::read_dir(folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Err(format!("there is no folder {}", folder.display())));
            }
            other => other.with_context(at)?,
        };
        let mut locks = Vec::new();
        for entry in entries {
            let path = entry.with_context(at)?.path().join(LOCK);
            if !path.is_file() {
                continue;
            }
            let lock = File::options().read(true).write(true).open(&path).with_context(at)?;
            match lock.try_lock() {
                Ok(()) => locks.push(lock),
                Err(TryLockError::WouldBlock) => {
                    let why = "a process has it open; stop it, and back up again, to have it as well";
                    return Ok(Err(format!("{}: {why}", folder.display())));
                }
                Err(TryLockError::Error(error)) => return Err(error).with_context(at),
            }
        }
        Ok(Ok(Self { folder: folder.to_owned(), _locks: locks }))
    }

    /// Copies everything in it to `root` at the target.
    pub async fn copy(&self, target: &Store, root: &str) -> Result<FolderEntry> {
        let mut entry = FolderEntry { root: root.to_owned(), ..FolderEntry::default() };
        let mut waiting = vec![self.folder.clone()];
        while let Some(folder) = waiting.pop() {
            let mut entries = tokio::fs::read_dir(&folder).await.with_context(|| folder.display().to_string())?;
            while let Some(one) = entries.next_entry().await? {
                let path = one.path();
                let below = path.strip_prefix(&self.folder).unwrap_or(&path).to_string_lossy().into_owned();
                if one.file_type().await?.is_dir() {
                    entry.folders.push(below);
                    waiting.push(path);
                    continue;
                }
                let content = tokio::fs::read(&path).await.with_context(|| path.display().to_string())?;
                entry.files.push(FileEntry::of(&below, &content));
                target.write_file(&format!("{root}/{below}"), content.into()).await?;
            }
        }
        entry.folders.sort();
        entry.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(entry)
    }
}

/// Writes a folder that was copied; returns how many bytes. Nothing of it may be there.
pub async fn put_back(from: &Store, entry: &FolderEntry, to: &Path) -> Result<u64> {
    tokio::fs::create_dir_all(to).await.with_context(|| to.display().to_string())?;
    for folder in &entry.folders {
        tokio::fs::create_dir_all(to.join(folder)).await?;
    }
    let mut bytes = 0;
    for file in &entry.files {
        let content = file.verify(from.read_file(&format!("{}/{}", entry.root, file.path)).await?)?;
        let path = to.join(&file.path);
        bytes += content.len() as u64;
        let written = tokio::task::spawn_blocking(move || {
            std::fs::write(&path, &content)?;
            File::open(&path)?.sync_all()
        });
        written.await?.with_context(|| to.join(&file.path).display().to_string())?;
    }
    Ok(bytes)
}

//! The manifest of a backup: what belongs to it, and how it must look. It is written last, so a backup that was
//! interrupted leaves the one before it whole.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use tidewatch_storage::Store;

/// Its name at the target.
pub const MANIFEST: &str = "manifest.json";
/// A file that says that a folder is ours, from before anything else is written.
pub const MARK: &str = "TIDEWATCH-BACKUP";
/// What the mark says.
pub const MARKED: &str = "A backup of Tidewatch. manifest.json names what belongs to it; `tidewatch restore` puts it back.\n\
                          Whatever else lies under tables/ and state/ is removed by the next backup.\n";
/// Raised when an older program could not restore it.
const FORMAT: u32 = 1;

/// See the module page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    /// Version of the program that wrote it.
    pub program: String,
    /// RFC 3339, when the backup was begun.
    pub created_at: String,
    /// Where the tables were.
    pub source: String,
    pub tables: BTreeMap<String, TableEntry>,
    /// Folders from beside the store: `push`, `alerts`.
    pub folders: BTreeMap<String, FolderEntry>,
    /// What is not in it, and why.
    pub skipped: BTreeMap<String, String>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableEntry {
    /// The version that was copied.
    pub version: u64,
    /// Data first, then the log.
    pub files: Vec<FileEntry>,
}

/// A folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderEntry {
    /// Where its files lie at the target.
    pub root: String,
    /// Folders within it, which may be empty.
    pub folders: Vec<String>,
    /// Paths below `root`.
    pub files: Vec<FileEntry>,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    pub path: String,
    pub bytes: u64,
    pub sha256: String,
}

impl FileEntry {
    pub fn of(path: &str, content: &[u8]) -> Self {
        Self { path: path.to_owned(), bytes: content.len() as u64, sha256: sha256(content) }
    }

    /// Is this what was backed up?
    ///
    /// Errors: it is not, or it is missing.
    pub fn verify(&self, content: Option<Bytes>) -> Result<Bytes> {
        let Some(content) = content else { bail!("{} is missing in the backup", self.path) };
        if content.len() as u64 != self.bytes {
            bail!("{} has {} bytes in the backup, expected {}", self.path, content.len(), self.bytes);
        }
        let found = sha256(&content);
        if found != self.sha256 {
            bail!("{} is damaged in the backup: its SHA-256 is {found}, expected {}", self.path, self.sha256);
        }
        Ok(content)
    }
}

fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl Manifest {
    /// Of a backup that begins now.
    pub fn new(created_at: String, source: String) -> Self {
        let (tables, folders, skipped) = Default::default();
        let program = env!("CARGO_PKG_VERSION").to_owned();
        Self { format: FORMAT, program, created_at, source, tables, folders, skipped }
    }

    /// That of the backup which lies there; `None` when there is none.
    pub async fn read(target: &Store) -> Result<Option<Self>> {
        let Some(text) = target.read_file(MANIFEST).await? else { return Ok(None) };
        let manifest: Self = serde_json::from_slice(&text).context("manifest.json cannot be understood")?;
        if manifest.format > FORMAT {
            let Self { format, program, .. } = manifest;
            bail!(
                "the backup has format {format}, of program {program}; this one knows up to {FORMAT}\n  hint: use that program"
            );
        }
        Ok(Some(manifest))
    }

    /// Puts it into force.
    pub async fn write(&self, target: &Store) -> Result<()> {
        let text = serde_json::to_vec_pretty(self)?;
        Ok(target.write_file(MANIFEST, text.into()).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_size_and_hash() {
        let entry = FileEntry::of("a", b"abc");
        assert_eq!(entry.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        entry.verify(Some(Bytes::from_static(b"abc"))).unwrap();
        let error =
            |content: Option<&'static [u8]>| entry.verify(content.map(Bytes::from_static)).unwrap_err().to_string();
        assert!(error(None).contains("is missing"));
        assert!(error(Some(b"ab")).contains("2 bytes in the backup, expected 3"));
        assert!(error(Some(b"abd")).contains("is damaged"));
    }
}

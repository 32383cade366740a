//! Copies of everything that cannot be counted again, and their way back.
//!
//! ```text
//! target/manifest.json            what belongs to the backup, with sizes and hashes; written last
//! target/tables/<table>/…         a Delta table of one version: its live files, a checkpoint, its last commit
//! target/state/<time>/push/…      the local log, where no process has it open
//! target/state/<time>/alerts/…    states of alerts, likewise
//! ```
//!
//! Each table is consistent in itself: rows and offsets are of one version. Tables may stand at different offsets, as
//! after a crash between two commits, and the next start goes on from there in the same way: each table takes what it
//! misses. What others refer to is copied after them: series before which rows were written, letters that were put back.

mod folders;
mod manifest;
mod restore;
mod tables;

pub use folders::Held;
pub use manifest::Manifest;
pub use restore::restore;
pub use tables::back_up_tables;

use anyhow::{Result, bail};
use manifest::{MARK, MARKED};
use std::collections::BTreeSet;
use tidewatch_storage::Store;

/// Folder of the tables at the target.
pub const TABLES: &str = "tables";
/// Folder of what lay beside the store.
pub const STATE: &str = "state";

/// May a backup be written there? Only into an empty place, or over a backup.
pub async fn claim(target: &Store) -> Result<()> {
    if target.read_file(MARK).await?.is_some() {
        return Ok(());
    }
    if let Some(file) = target.list_files("").await?.first() {
        bail!("the target is neither empty nor a backup: it has {}\n  hint: name an empty folder or prefix", file.path);
    }
    Ok(target.write_file(MARK, MARKED.into()).await?)
}

/// Removes what no manifest names any more; returns how many files.
pub async fn prune(target: &Store, manifest: &Manifest) -> Result<usize> {
    let mut kept = BTreeSet::new();
    for entry in manifest.tables.values() {
        kept.extend(entry.files.iter().map(|file| format!("{TABLES}/{}", file.path)));
    }
    for entry in manifest.folders.values() {
        kept.extend(entry.files.iter().map(|file| format!("{}/{}", entry.root, file.path)));
    }
    // Readers of the table find its checkpoint by it.
    kept.extend(manifest.tables.keys().map(|table| format!("{TABLES}/{table}/_delta_log/_last_checkpoint")));
    let mut removed = 0;
    for folder in [TABLES, STATE] {
        for file in target.list_files(folder).await? {
            if !kept.contains(&file.path) {
                target.remove_file(&file.path).await?;
                removed += 1;
            }
        }
    }
    Ok(removed)
}

/// A size for people.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

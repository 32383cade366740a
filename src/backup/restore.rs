//! The way back: every file is looked at before it is written, and a table's log comes after its data, so that a table
//! that can be opened is whole.

use super::folders::put_back;
use super::manifest::{FileEntry, Manifest};
use super::{TABLES, size};
use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt};
use std::collections::BTreeMap;
use std::path::PathBuf;
use tidewatch_storage::Store;

/// Files that are written at the same time.
const PARALLEL: usize = 4;

/// Restores all tables to `to`, and folders to where `folders` says. Tells of each. What was written is removed again
/// when something is wrong.
///
/// Errors: there is no backup, a target is not empty, a file is missing or damaged.
pub async fn restore(
    from: &Store,
    to: &Store,
    folders: &BTreeMap<String, PathBuf>,
    tell: &mut dyn FnMut(String),
) -> Result<()> {
    let Some(manifest) = Manifest::read(from).await? else {
        bail!("there is no backup at {}: it has no manifest.json", from.url());
    };
    if let Some(file) = to.list_files("").await?.first() {
        bail!("{} is not empty: it has {}\n  hint: restore into an empty folder or prefix", to.url(), file.path);
    }
    let wanted: Vec<_> =
        manifest.folders.iter().filter_map(|(name, entry)| Some((entry, folders.get(name)?))).collect();
    for (_, folder) in &wanted {
        if std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
            bail!("{} is not empty\n  hint: move it away: it does not belong to these tables", folder.display());
        }
    }
    tell(format!("backup of {}, made {} by tidewatch {}", manifest.source, manifest.created_at, manifest.program));
    let restored = async {
        tables(from, to, &manifest, tell).await?;
        for (entry, folder) in &wanted {
            let bytes = put_back(from, entry, folder).await?;
            tell(format!("{}: {} files ({})", folder.display(), entry.files.len(), size(bytes)));
        }
        anyhow::Ok(())
    };
    if let Err(error) = restored.await {
        // They were empty: all that is there now is ours.
        for file in to.list_files("").await.unwrap_or_default() {
            let _ = to.remove_file(&file.path).await;
        }
        for (_, folder) in &wanted {
            let _ = std::fs::remove_dir_all(folder);
        }
        return Err(error.context("nothing was restored"));
    }
    for (name, why) in &manifest.skipped {
        tell(format!("not in the backup: {name}: {why}"));
    }
    for name in manifest.folders.keys().filter(|name| !folders.contains_key(*name)) {
        tell(format!("not restored: {name}: name its folder in the settings, and give them with -c"));
    }
    Ok(())
}

async fn tables(from: &Store, to: &Store, manifest: &Manifest, tell: &mut dyn FnMut(String)) -> Result<()> {
    let count = manifest.tables.len();
    for (number, (name, entry)) in manifest.tables.iter().enumerate() {
        let is_log = |file: &&FileEntry| file.path.starts_with(&format!("{name}/_delta_log/"));
        let (log, data): (Vec<_>, Vec<_>) = entry.files.iter().partition(is_log);
        let copy = |file: &FileEntry| {
            let file = file.clone();
            async move {
                let content = from.read_file(&format!("{TABLES}/{}", file.path)).await?;
                let content = file.verify(content)?;
                let bytes = content.len() as u64;
                to.write_file(&file.path, content).await.with_context(|| file.path.clone())?;
                anyhow::Ok(bytes)
            }
        };
        let copies: Vec<_> = data.into_iter().map(copy).collect();
        let written: Vec<u64> = futures::stream::iter(copies).buffer_unordered(PARALLEL).try_collect().await?;
        for file in log {
            copy(file).await?;
        }
        let (version, files, bytes) = (entry.version, entry.files.len(), size(written.iter().sum()));
        tell(format!("{}/{count} {name}: version {version}, {files} files ({bytes})", number + 1));
    }
    Ok(())
}

//! Copying tables while others commit to them.

use super::manifest::{FileEntry, Manifest, TableEntry};
use super::size;
use anyhow::{Result, bail};
use futures::{StreamExt, TryStreamExt};
use std::collections::BTreeMap;
use tidewatch_ingest::admitted::SERIES;
use tidewatch_ingest::late::LATE_EVENTS;
use tidewatch_ingest::letters::journal::REDRIVEN;
use tidewatch_storage::{Store, Table};

/// Files that are copied at the same time.
const PARALLEL: usize = 4;
/// Versions that may vanish under a copy, one after the other, before it is given up. Files that maintenance has
/// replaced are kept for `maintenance.file_grace`, so one is rare.
const VERSIONS_MAX: usize = 10;

/// What others refer to: copied after them, and in this order.
const LAST: [&str; 3] = [REDRIVEN, LATE_EVENTS, SERIES];

/// A file that a version names is gone: a newer version does without it.
struct Gone(String);

/// Copies the newest version of every table; `before` is the backup that is there. Tells of each table.
pub async fn back_up_tables(
    source: &Store,
    target: &Store,
    before: Option<&Manifest>,
    tell: &mut dyn FnMut(String),
) -> Result<BTreeMap<String, TableEntry>> {
    let mut names = source.table_names().await?;
    names.sort_by_key(|name| (LAST.iter().position(|last| *last == name.as_str()), name.clone()));
    let known = target.list_files("").await?.into_iter().map(|file| (file.path, file.bytes)).collect();
    let (mut entries, count) = (BTreeMap::new(), names.len());
    for (number, name) in names.into_iter().enumerate() {
        let copy = Copying { source, target, known: &known, before: before.and_then(|b| b.tables.get(&name)) };
        let (entry, done) = copy.newest(&name, tell).await?;
        let Done { copied, bytes } = done;
        let (version, files) = (entry.version, entry.files.len());
        tell(format!(
            "{}/{count} {name}: version {version}, {files} files, {copied} copied ({})",
            number + 1,
            size(bytes)
        ));
        entries.insert(name, entry);
    }
    Ok(entries)
}

/// What had to be copied.
#[derive(Debug, Clone, Copy, Default)]
struct Done {
    copied: usize,
    bytes: u64,
}

struct Copying<'a> {
    source: &'a Store,
    target: &'a Store,
    /// Sizes of the files at the target.
    known: &'a BTreeMap<String, u64>,
    before: Option<&'a TableEntry>,
}

impl Copying<'_> {
    async fn newest(&self, name: &str, tell: &mut dyn FnMut(String)) -> Result<(TableEntry, Done)> {
        for _ in 0..VERSIONS_MAX {
            let Some(table) = self.source.table(name).await? else { bail!("table {name} was removed meanwhile") };
            match self.version(&table).await? {
                Ok(done) => return Ok(done),
                Err(Gone(path)) => {
                    tell(format!(
                        "{name}: version {} has lost {path} to maintenance; taking a newer one",
                        table.version()
                    ));
                }
            }
        }
        bail!(
            "table {name}: files of {VERSIONS_MAX} versions vanished while they were copied\n  hint: raise maintenance.file_grace"
        )
    }

    async fn version(&self, table: &Table) -> Result<Result<(TableEntry, Done), Gone>> {
        let (name, version) = (table.name(), table.version());
        if let Some(before) = self.before.filter(|before| before.version == version)
            && before.files.iter().all(|file| self.known.get(&file.path) == Some(&file.bytes))
        {
            return Ok(Ok((before.clone(), Done::default())));
        }
        let data = table.files(None)?.into_iter().map(|file| (format!("{name}/{}", file.path), file.bytes));
        let copies = data.map(|(path, bytes)| self.data(path, bytes));
        let copied: Vec<Result<(FileEntry, Done), Gone>> =
            futures::stream::iter(copies.collect::<Vec<_>>()).buffered(PARALLEL).try_collect().await?;
        let (mut files, mut done) = (Vec::new(), Done::default());
        for copied in copied {
            let (file, more) = match copied {
                Ok(copied) => copied,
                Err(gone) => return Ok(Err(gone)),
            };
            files.push(file);
            done = Done { copied: done.copied + more.copied, bytes: done.bytes + more.bytes };
        }
        for file in self.source.log_files(name, version).await?.needed {
            let Some(content) = self.source.read_file(&file.path).await? else { return Ok(Err(Gone(file.path))) };
            self.target.write_file(&file.path, content).await?;
        }
        for path in self.target.checkpoint_at(name, version).await? {
            // The commit may be cleaned away behind a checkpoint of the same version; the checkpoint has it all.
            let Some(content) = self.target.read_file(&path).await? else { continue };
            files.push(FileEntry::of(&path, &content));
        }
        Ok(Ok((TableEntry { version, files }, done)))
    }

    /// A data file: one that is there with its size is not copied again, for files never change.
    async fn data(&self, path: String, bytes: u64) -> Result<Result<(FileEntry, Done), Gone>> {
        if self.known.get(&path) == Some(&bytes) {
            let entry = self.before.and_then(|before| before.files.iter().find(|file| file.path == path));
            if let Some(entry) = entry.filter(|entry| entry.bytes == bytes) {
                return Ok(Ok((entry.clone(), Done::default())));
            }
            // From a backup that was interrupted.
            if let Some(content) = self.target.read_file(&path).await? {
                return Ok(Ok((FileEntry::of(&path, &content), Done::default())));
            }
        }
        let Some(content) = self.source.read_file(&path).await? else { return Ok(Err(Gone(path))) };
        if content.len() as u64 != bytes {
            bail!(
                "{path} has {} bytes, its table says {bytes}\n  hint: the store is damaged; `tidewatch verify`",
                content.len()
            );
        }
        let entry = FileEntry::of(&path, &content);
        self.target.write_file(&path, content).await?;
        Ok(Ok((entry, Done { copied: 1, bytes })))
    }
}

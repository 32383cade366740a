//! What a restart must find: states of rules, the notifier, the ledger. A fjall database in a folder of its own.
//!
//! | keyspace | key | value |
//! |---|---|---|
//! | `groups` | `file` 0 `name` of a rule group | its state, JSON |
//! | `notifier` | name of a part | that part of the notifier's state, JSON |
//! | `ledger` | time in ms, number (both big-endian) | [`Row`], JSON |
//! | `ledger_alerts` | fingerprint, time, number | nothing |
//! | `ledger_messages` | idempotency key 0, time, number | nothing |
//!
//! What looking back at the past needs is in `store/past.rs`.

mod past;

use crate::amend::Said;
use crate::ledger::Row;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tidewatch_alerting::route::NotifierState;
use tidewatch_alerting::rules::group::GroupState;
use xxhash_rust::xxh3::xxh3_64;

/// Rows that are forgotten in one go.
const SWEEP_ROWS: usize = 10_000;

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed.
    #[error("the rules' store in {folder} failed: {source}: is the disk full or the folder in use?")]
    Database {
        /// Where it is.
        folder: PathBuf,
        /// What happened.
        source: fjall::Error,
    },
    /// The folder cannot be made.
    #[error("cannot make the folder {folder}: {source}")]
    Folder {
        /// Where it should be.
        folder: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
    /// A row cannot be read or written.
    #[error("{what} cannot be read: {source}: was it written by a newer version?")]
    Row {
        /// Which.
        what: String,
        /// What happened.
        source: serde_json::Error,
    },
}

/// What is written together.
#[derive(Debug, Default)]
pub struct Change<'a> {
    /// States of groups.
    pub groups: Vec<(String, &'a GroupState)>,
    /// Groups that are no more.
    pub dropped_groups: Vec<String>,
    /// The notifier's state; only parts that have changed are written.
    pub notifier: Option<&'a NotifierState>,
    /// Rows of the ledger.
    pub rows: &'a [Row],
    /// Verdicts about the past.
    pub said: &'a [Said],
    /// Whether it must be on the disk when the call returns.
    pub durable: bool,
}

#[derive(Debug, Default)]
struct Books {
    /// Number of the next row of the ledger.
    next_row: u64,
    rows: usize,
    /// Hashes of the notifier's parts as they are stored.
    parts: HashMap<&'static str, u64>,
}

/// The store of one process.
pub struct Store {
    folder: PathBuf,
    db: Database,
    groups: Keyspace,
    notifier: Keyspace,
    ledger: Keyspace,
    alerts: Keyspace,
    messages: Keyspace,
    past: past::Past,
    books: Mutex<Books>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store in `folder`, or makes it. Blocks.
    ///
    /// Errors: another process has it open; the disk.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(folder).map_err(|source| StoreError::Folder { folder: folder.to_owned(), source })?;
        let failed = |source| StoreError::Database { folder: folder.to_owned(), source };
        let db = Database::builder(folder).worker_threads(1).cache_size(8 << 20).open().map_err(failed)?;
        let table = |name| db.keyspace(name, KeyspaceCreateOptions::default).map_err(failed);
        let (groups, notifier, ledger) = (table("groups")?, table("notifier")?, table("ledger")?);
        let (alerts, messages) = (table("ledger_alerts")?, table("ledger_messages")?);
        let store = Self {
            past: past::Past::open(&db).map_err(failed)?,
            folder: folder.to_owned(),
            db: db.clone(),
            groups,
            notifier,
            ledger,
            alerts,
            messages,
            books: Mutex::default(),
        };
        {
            let mut books = store.books();
            for row in store.ledger.iter() {
                let (key, _) = store.read(row.into_inner())?;
                books.rows += 1;
                books.next_row = books.next_row.max(row_number(&key) + 1);
            }
        }
        Ok(store)
    }

    /// States of groups by key.
    pub fn group_states(&self) -> Result<HashMap<String, GroupState>, StoreError> {
        let mut states = HashMap::new();
        for row in self.groups.iter() {
            let (key, value) = self.read(row.into_inner())?;
            let key = String::from_utf8_lossy(&key).into_owned();
            let state = serde_json::from_slice(&value)
                .map_err(|source| StoreError::Row { what: format!("the state of group {key:?}"), source })?;
            states.insert(key, state);
        }
        Ok(states)
    }

    /// The notifier's state; empty at first.
    pub fn notifier_state(&self) -> Result<NotifierState, StoreError> {
        let mut parts = serde_json::Map::new();
        for row in self.notifier.iter() {
            let (key, value) = self.read(row.into_inner())?;
            let what = String::from_utf8_lossy(&key).into_owned();
            let part =
                serde_json::from_slice(&value).map_err(|source| StoreError::Row { what: what.clone(), source })?;
            parts.insert(what, part);
        }
        serde_json::from_value(parts.into())
            .map_err(|source| StoreError::Row { what: "the notifier's state".to_owned(), source })
    }

    /// Writes all of it or nothing.
    pub fn write(&self, change: &Change<'_>) -> Result<(), StoreError> {
        let mut batch = self.db.batch();
        if change.durable {
            batch = batch.durability(Some(PersistMode::SyncData));
        }
        for (key, state) in &change.groups {
            batch.insert(&self.groups, key.as_str(), encode("a group's state", state)?);
        }
        for key in &change.dropped_groups {
            batch.remove(&self.groups, key.as_str());
        }
        self.past.say(&mut batch, change.said)?;
        let mut books = self.books();
        let mut parts = Vec::new();
        if let Some(state) = change.notifier {
            for (name, value) in notifier_parts(state)? {
                let hash = xxh3_64(&value);
                if books.parts.get(name) != Some(&hash) {
                    batch.insert(&self.notifier, name, value);
                    parts.push((name, hash));
                }
            }
        }
        let first = books.next_row;
        for (number, row) in (first..).zip(change.rows) {
            let key = row_key(row.time_ms, number);
            batch.insert(&self.ledger, key, encode("a row of the ledger", row)?);
            if let Some(alert) = &row.alert {
                batch.insert(&self.alerts, [alert.as_bytes(), &key].concat(), b"");
            }
            if let Some(message) = &row.message {
                batch.insert(&self.messages, [message.as_bytes(), &[0], &key].concat(), b"");
            }
        }
        self.read(batch.commit())?;
        books.next_row += change.rows.len() as u64;
        books.rows += change.rows.len();
        books.parts.extend(parts);
        Ok(())
    }

    /// Rows of the ledger.
    pub fn ledger_rows(&self) -> usize {
        self.books().rows
    }

    /// The newest rows, oldest first, at most `limit`.
    pub fn newest_rows(&self, limit: usize) -> Result<Vec<Row>, StoreError> {
        let mut rows = Vec::new();
        for row in self.ledger.iter().rev().take(limit) {
            let (_, value) = self.read(row.into_inner())?;
            rows.push(decode(&value)?);
        }
        rows.reverse();
        Ok(rows)
    }

    /// Rows about an alert, oldest first; of more than `limit` the newest.
    pub fn rows_of_alert(&self, fingerprint: &str, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.indexed(&self.alerts, fingerprint.as_bytes(), limit)
    }

    /// Rows about a message, oldest first; of more than `limit` the newest.
    pub fn rows_of_message(&self, key: &str, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.indexed(&self.messages, &[key.as_bytes(), &[0]].concat(), limit)
    }

    fn indexed(&self, index: &Keyspace, prefix: &[u8], limit: usize) -> Result<Vec<Row>, StoreError> {
        let mut rows = Vec::new();
        for entry in index.prefix(prefix).rev().take(limit) {
            let (key, _) = self.read(entry.into_inner())?;
            if let Some(value) = self.read(self.ledger.get(&key[prefix.len()..]))? {
                rows.push(decode(&value)?);
            }
        }
        rows.reverse();
        Ok(rows)
    }

    /// Forgets rows older than `before_ms` and those beyond `rows_max`, the oldest first, some at a time; returns how
    /// many.
    pub fn sweep(&self, before_ms: i64, rows_max: usize) -> Result<usize, StoreError> {
        let surplus = self.books().rows.saturating_sub(rows_max);
        let mut batch = self.db.batch();
        let mut removed = 0;
        for entry in self.ledger.iter().take(SWEEP_ROWS) {
            let (key, value) = self.read(entry.into_inner())?;
            let row: Row = decode(&value)?;
            if row.time_ms >= before_ms && removed >= surplus {
                break;
            }
            if let Some(alert) = &row.alert {
                batch.remove(&self.alerts, [alert.as_bytes(), &key].concat());
            }
            if let Some(message) = &row.message {
                batch.remove(&self.messages, [message.as_bytes(), &[0], &key].concat());
            }
            batch.remove(&self.ledger, key);
            removed += 1;
        }
        if removed > 0 {
            self.read(batch.commit())?;
            let mut books = self.books();
            books.rows = books.rows.saturating_sub(removed);
        }
        Ok(removed)
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, result: fjall::Result<T>) -> Result<T, StoreError> {
        result.map_err(|source| StoreError::Database { folder: self.folder.clone(), source })
    }
}

fn row_key(time_ms: i64, number: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&time_ms.max(0).to_be_bytes());
    key[8..].copy_from_slice(&number.to_be_bytes());
    key
}

fn row_number(key: &[u8]) -> u64 {
    key.get(8..16).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes)
}

fn encode<T: serde::Serialize>(what: &str, value: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|source| StoreError::Row { what: what.to_owned(), source })
}

fn decode(value: &[u8]) -> Result<Row, StoreError> {
    decode_as("a row of the ledger", value)
}

fn decode_as<T: serde::de::DeserializeOwned>(what: &str, value: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(value).map_err(|source| StoreError::Row { what: what.to_owned(), source })
}

/// The parts, under the names that the whole state has them by.
fn notifier_parts(state: &NotifierState) -> Result<[(&'static str, Vec<u8>); 7], StoreError> {
    let NotifierState { store, groups, silences, log, flapping, escalation, digests } = state;
    Ok([
        ("store", encode("alerts", store)?),
        ("groups", encode("groups of alerts", groups)?),
        ("silences", encode("silences", silences)?),
        ("log", encode("the notification log", log)?),
        ("flapping", encode("changes of alerts", flapping)?),
        ("escalation", encode("incidents", escalation)?),
        ("digests", encode("digests", digests)?),
    ])
}

#[cfg(test)]
mod tests;

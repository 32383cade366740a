//! The newest commits of a table, as far back as its log still has them.

use super::Table;
use super::recorded::transactions;
use crate::StorageError;
use crate::transaction::Recorded;
use serde_json::Value;
use std::collections::BTreeSet;

/// One commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Version that it made.
    pub version: u64,
    /// When, microseconds since the epoch, by the clock of whoever committed; `None`: it does not say.
    pub time_us: Option<i64>,
    /// What for: `ingest`, `backfill`, `roll_up`, `compaction`, `retention`, `create`, or the name that Delta
    /// gives the operation.
    pub kind: String,
    /// Rows of the files that it added; `None` when one of them does not say.
    pub rows: Option<u64>,
    /// Files that it added.
    pub files_added: u64,
    /// Files that it removed.
    pub files_removed: u64,
}

impl Table {
    /// At most `count_max` commits up to the loaded version, newest first. Entries that were cleaned away
    /// behind a checkpoint are not known any more.
    pub async fn commits(&self, count_max: usize) -> Result<Vec<Commit>, StorageError> {
        let log = self.delta.log_store();
        let mut commits = Vec::new();
        let mut next = Some(self.version());
        while let Some(version) = next.filter(|_| commits.len() < count_max) {
            let entry = log.read_commit_entry(version).await.map_err(StorageError::delta(&self.name))?;
            let Some(bytes) = entry else { break };
            commits.push(read(version, &bytes));
            next = version.checked_sub(1);
        }
        Ok(commits)
    }
}

fn read(version: u64, bytes: &[u8]) -> Commit {
    let mut commit =
        Commit { version, time_us: None, kind: String::new(), rows: Some(0), files_added: 0, files_removed: 0 };
    let (mut operation, mut tiers) = (String::new(), BTreeSet::new());
    for line in bytes.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
        let Ok(action) = serde_json::from_slice::<Value>(line) else { continue };
        if let Some(add) = action.get("add") {
            commit.files_added += 1;
            commit.rows = commit.rows.zip(rows_of(add)).map(|(sum, rows)| sum + rows);
            tiers.insert(add.pointer("/partitionValues/tier").and_then(Value::as_str).unwrap_or_default().to_owned());
        } else if action.get("remove").is_some() {
            commit.files_removed += 1;
        } else if let Some(info) = action.get("commitInfo") {
            commit.time_us = info.get("timestamp").and_then(Value::as_i64).and_then(|ms| ms.checked_mul(1000));
            operation = info.get("operation").and_then(Value::as_str).unwrap_or_default().to_owned();
        }
    }
    let records = transactions(bytes);
    let has = |of: fn(&Recorded) -> bool| records.iter().any(|(recorded, _)| of(recorded));
    commit.kind = match operation.as_str() {
        "WRITE" if has(|r| matches!(r, Recorded::Filled(..))) => "backfill".to_owned(),
        "WRITE" => "ingest".to_owned(),
        "OPTIMIZE" if has(|r| matches!(r, Recorded::Retained(_))) => "retention".to_owned(),
        "OPTIMIZE" if tiers.len() > 1 => "roll_up".to_owned(),
        "OPTIMIZE" => "compaction".to_owned(),
        "CREATE TABLE" => "create".to_owned(),
        other => other.to_lowercase(),
    };
    commit
}

/// `stats` is JSON within JSON.
fn rows_of(add: &Value) -> Option<u64> {
    let stats: Value = serde_json::from_str(add.get("stats")?.as_str()?).ok()?;
    stats.get("numRecords")?.as_u64()
}

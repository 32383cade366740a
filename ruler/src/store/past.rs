//! What looking back at the past must find after a restart.
//!
//! | keyspace | key | value |
//! |---|---|---|
//! | `amendments` | rule group 0 rule 0 fingerprint 0 when it fired | the last verdict, [`Said`] |
//! | `late` | source 0 from | a stretch that waits, [`Pending`] |
//! | `watches` | hash of a rule's meaning, 16 hexadecimal digits | when it was evaluated, [`Watch`] |
//! | `told` | group key 0 integration 0 key of the first message | what the message shows now, [`ToldMessage`] |

use super::{Store, StoreError, decode_as, encode, row_key};
use crate::amend::{Pending, Said, ToldMessage, Watch};
use crate::ledger::{Row, STAGE_RULE};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// The keyspaces.
pub(super) struct Past {
    said: Keyspace,
    late: Keyspace,
    watches: Keyspace,
    told: Keyspace,
}

impl Past {
    pub fn open(db: &Database) -> fjall::Result<Self> {
        let table = |name| db.keyspace(name, KeyspaceCreateOptions::default);
        Ok(Self { said: table("amendments")?, late: table("late")?, watches: table("watches")?, told: table("told")? })
    }

    /// Adds verdicts to a batch.
    pub fn say(&self, batch: &mut OwnedWriteBatch, said: &[Said]) -> Result<(), StoreError> {
        for one in said {
            let key = format!("{}{}\0{:020}", of_rule(&one.group, &one.rule), one.alert, one.fired_ms);
            batch.insert(&self.said, key, encode("an amendment", one)?);
        }
        Ok(())
    }
}

fn of_rule(group: &str, rule: &str) -> String {
    format!("{group}\0{rule}\0")
}

fn of_series(group_key: &str, integration: &str) -> String {
    format!("{group_key}\0{integration}\0")
}

impl Store {
    fn all<T: DeserializeOwned>(
        &self,
        table: &Keyspace,
        prefix: &str,
        what: &str,
    ) -> Result<Vec<(String, T)>, StoreError> {
        let mut found = Vec::new();
        for entry in table.prefix(prefix) {
            let (key, value) = self.read(entry.into_inner())?;
            found.push((String::from_utf8_lossy(&key).into_owned(), decode_as(what, &value)?));
        }
        Ok(found)
    }

    /// The last verdicts about alerts of a rule; of all rules without one.
    pub fn said(&self, of: Option<(&str, &str)>) -> Result<Vec<Said>, StoreError> {
        let prefix = of.map(|(group, rule)| of_rule(group, rule)).unwrap_or_default();
        Ok(self.all(&self.past.said, &prefix, "an amendment")?.into_iter().map(|(_, said)| said).collect())
    }

    /// Stretches that wait.
    pub fn late(&self) -> Result<Vec<Pending>, StoreError> {
        Ok(self.all(&self.past.late, "", "a late stretch")?.into_iter().map(|(_, pending)| pending).collect())
    }

    /// Writes stretches that wait, and forgets those of these keys before.
    pub fn write_late(&self, gone: &[String], waiting: &[Pending]) -> Result<(), StoreError> {
        let mut batch = self.db.batch();
        for key in gone {
            batch.remove(&self.past.late, key.as_str());
        }
        for pending in waiting {
            batch.insert(&self.past.late, pending.key(), encode("a late stretch", pending)?);
        }
        self.read(batch.commit())
    }

    /// When rules were evaluated, by the hash of their meaning.
    pub fn watches(&self) -> Result<BTreeMap<u64, Watch>, StoreError> {
        let all = self.all(&self.past.watches, "", "a rule's evaluations")?;
        Ok(all.into_iter().filter_map(|(key, watch)| Some((u64::from_str_radix(&key, 16).ok()?, watch))).collect())
    }

    /// Writes when rules were evaluated; `None` forgets.
    pub fn write_watches(&self, changes: &[(u64, Option<Watch>)]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut batch = self.db.batch();
        for (meaning, watch) in changes {
            let key = format!("{meaning:016x}");
            match watch {
                Some(watch) => batch.insert(&self.past.watches, key, encode("a rule's evaluations", watch)?),
                None => batch.remove(&self.past.watches, key),
            }
        }
        self.read(batch.commit())
    }

    /// The messages about a group through an integration that can be corrected.
    pub fn told(&self, group_key: &str, integration: &str) -> Result<Vec<ToldMessage>, StoreError> {
        let all = self.all(&self.past.told, &of_series(group_key, integration), "a message")?;
        Ok(all.into_iter().map(|(_, told)| told).collect())
    }

    /// Keeps what a message shows.
    pub fn keep_told(&self, told: &ToldMessage) -> Result<(), StoreError> {
        let key = format!("{}{}", of_series(&told.group_key, &told.integration.to_string()), told.first);
        self.read(self.past.told.insert(key, encode("a message", told)?))
    }

    /// Decisions of rules from a time on, oldest first; `None` when there are more rows of all stages than `rows_max`.
    pub fn rule_rows(&self, from_ms: i64, rows_max: usize) -> Result<Option<Vec<Row>>, StoreError> {
        let mut rows = Vec::new();
        for (count, entry) in self.ledger.range(row_key(from_ms, 0)..).enumerate() {
            if count >= rows_max {
                return Ok(None);
            }
            let (_, value) = self.read(entry.into_inner())?;
            let row: Row = decode_as("a row of the ledger", &value)?;
            if row.stage == STAGE_RULE {
                rows.push(row);
            }
        }
        Ok(Some(rows))
    }

    /// When the oldest row of the ledger was written, milliseconds since the epoch.
    pub fn ledger_begins(&self) -> Result<Option<i64>, StoreError> {
        let Some(entry) = self.ledger.iter().next() else { return Ok(None) };
        let (_, value) = self.read(entry.into_inner())?;
        Ok(Some(decode_as::<Row>("a row of the ledger", &value)?.time_ms))
    }

    /// Forgets verdicts and messages from before these times, and of the messages all but the newest `told_max`.
    pub fn sweep_past(&self, said_before_ms: i64, told_before_ms: i64, told_max: usize) -> Result<(), StoreError> {
        let mut batch = self.db.batch();
        let said: Vec<(String, Said)> = self.all(&self.past.said, "", "an amendment")?;
        for (key, _) in said.into_iter().filter(|(_, said)| said.at_ms < said_before_ms) {
            batch.remove(&self.past.said, key);
        }
        let mut told: Vec<(i64, String)> = Vec::new();
        for (key, message) in self.all::<ToldMessage>(&self.past.told, "", "a message")? {
            told.push((message.at_ms, key));
        }
        told.sort();
        let surplus = told.len().saturating_sub(told_max);
        let gone = told.into_iter().enumerate().filter(|(at, (at_ms, _))| *at < surplus || *at_ms < told_before_ms);
        for (_, (_, key)) in gone {
            batch.remove(&self.past.told, key);
        }
        self.read(batch.commit())
    }
}

//! Events that were counted already, by another record: their letters must not count as well.
//!
//! A producer that mends its mistake sends the event again, under the same source and id. Workers remember
//! what they have counted, by partition; a letter is held against what is remembered of the partition that
//! its record came from, and of the journal. As everywhere, copies are known within the horizon, or for as
//! long as the table keeps them. What a running worker counts after this look cannot be known here: it
//! commits every flush, and such a copy is one that `tidewatch verify` cannot find either.

use super::LettersError;
use crate::event_ids::{self, EVENT_IDS};
use crate::source::journal_partition;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use tidewatch_engine::commit::TopicPartition;
use tidewatch_engine::dedupe::{DedupeSettings, PANE_US};
use tidewatch_storage::{Store, Table};

/// Everything that is stored counts, however old: the table forgets by itself.
const HORIZON_US: i64 = 400 * 24 * PANE_US;
/// Beyond every offset that there is.
const TO_THE_END: i64 = i64::MAX / 2;

/// See the module page.
#[derive(Debug, Default)]
pub(super) struct CountedEvents {
    /// `None` when no ids are remembered.
    table: Option<Table>,
    is_on: bool,
    read: BTreeSet<TopicPartition>,
    hashes: HashSet<u128>,
}

impl CountedEvents {
    /// What the store remembers; nothing when the settings say so.
    pub async fn open(store: &Store, settings: &DedupeSettings) -> Result<Self, LettersError> {
        let is_on = settings.is_on();
        let table = if is_on { store.table(EVENT_IDS).await? } else { None };
        let mut counted = Self { table, is_on, ..Self::default() };
        counted.read([journal_partition()]).await?;
        Ok(counted)
    }

    /// Reads what is remembered of some partitions, those that were not read yet.
    pub async fn read(&mut self, partitions: impl IntoIterator<Item = TopicPartition>) -> Result<(), LettersError> {
        let Some(table) = &self.table else { return Ok(()) };
        let mut starts = BTreeMap::new();
        for partition in partitions {
            if self.read.insert(partition.clone()) {
                starts.insert(partition, TO_THE_END);
            }
        }
        if starts.is_empty() {
            return Ok(());
        }
        let all = DedupeSettings { horizon_us: HORIZON_US, ids_max: usize::MAX };
        let remembered = event_ids::read(table, &starts, &all).await?;
        self.hashes.extend(remembered.into_values().flatten().flat_map(|ids| ids.hashes));
        Ok(())
    }

    /// Is this the first record of its event? Then it is remembered.
    pub fn first(&mut self, hash: u128) -> bool {
        !self.is_on || self.hashes.insert(hash)
    }
}

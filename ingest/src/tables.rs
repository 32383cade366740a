//! Opens the tables of a catalogue. One that is made now begins where the others stand: going back to
//! the first record for its sake would drag every worker with it. What lies before is a backfill's.

use crate::dead_letter::{DEAD_LETTERS, dead_letter_schema};
use crate::piece::Reads;
use std::collections::{BTreeMap, BTreeSet};
use tidewatch_engine::commit::{BEFORE_FIRST, TopicPartition};
use tidewatch_engine::rollup::{Catalog, TablePlan};
use tidewatch_storage::{StorageError, Store, Table};

/// Positions of a table and what it reads.
type Standing = (Reads, BTreeMap<TopicPartition, i64>);

/// Opens or creates the table of every rollup, in order of name, and that of the dead letters.
pub(crate) async fn open_all<'c>(
    store: &Store,
    catalog: &'c Catalog,
) -> Result<(Vec<(TablePlan<'c>, Table)>, Table), StorageError> {
    let mut standing: Option<Vec<Standing>> = None;
    let mut tables = Vec::new();
    for plan in catalog.tables() {
        let mut begins = BTreeMap::new();
        if store.table(&plan.schema.name).await?.is_none() {
            if standing.is_none() {
                standing = Some(standings(store, catalog).await?);
            }
            begins = beginnings(&Reads::of(&plan), standing.as_deref().unwrap_or_default());
        }
        let table = Table::open_rollup_at(store, plan.schema, &begins).await?;
        if !begins.is_empty() {
            let (table, hint) =
                (table.name(), format!("`tidewatch backfill --rollup {}` fills what lies before", table.name()));
            tracing::info!(table, partitions = begins.len(), hint, "a new rollup begins where the others stand");
        }
        tables.push((plan, table));
    }
    // Bytes of dead letters have no place in the statistics of the log.
    let properties = [("delta.dataSkippingNumIndexedCols", "4".to_owned())];
    let letters = Table::open_or_create(store, DEAD_LETTERS, &dead_letter_schema(), &properties).await?;
    Ok((tables, letters))
}

/// Where the tables stand that exist.
async fn standings(store: &Store, catalog: &Catalog) -> Result<Vec<Standing>, StorageError> {
    let rollups = catalog.tables().into_iter().map(|plan| (plan.schema.name.clone(), Reads::of(&plan)));
    let mut standings = Vec::new();
    for (name, reads) in rollups.chain([(DEAD_LETTERS.to_owned(), Reads::All)]) {
        if let Some(table) = store.table(&name).await? {
            standings.push((reads, table.records().await?.offsets));
        }
    }
    Ok(standings)
}

/// Where a new table begins: the smallest position of the tables that read the same partitions. One that
/// has not counted a partition yet, as after a crash between two first commits, has it read from its
/// first record anyway: then there is nothing to begin after.
fn beginnings(reads: &Reads, standings: &[Standing]) -> BTreeMap<TopicPartition, i64> {
    let partitions: BTreeSet<&TopicPartition> =
        standings.iter().flat_map(|(_, positions)| positions.keys()).filter(|p| reads.covers(p)).collect();
    let smallest = |partition: &TopicPartition| {
        let readers = standings.iter().filter(|(reads, _)| reads.covers(partition));
        readers.map(|(_, positions)| positions.get(partition).copied().unwrap_or(BEFORE_FIRST)).min()
    };
    let begins = partitions.into_iter().filter_map(|p| Some((p.clone(), smallest(p)?)));
    begins.filter(|(_, position)| *position > BEFORE_FIRST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(names: &[&str]) -> Reads {
        Reads::Topics(names.iter().map(|&n| n.to_owned()).collect())
    }

    fn positions(of: &[(&str, i32, i64)]) -> BTreeMap<TopicPartition, i64> {
        of.iter().map(|&(topic, number, position)| (TopicPartition::new(topic, number), position)).collect()
    }

    #[test]
    fn a_new_table_begins_at_the_smallest_position_of_those_that_read_the_same() {
        let standings = [
            (topics(&["orders"]), positions(&[("orders", 0, 90), ("orders", 1, 40)])),
            (topics(&["orders", "calls"]), positions(&[("orders", 0, 70), ("orders", 1, 40), ("calls", 0, 5)])),
            (Reads::All, positions(&[("orders", 0, 95), ("orders", 1, 40), ("calls", 0, 5), ("file:a", 0, 9)])),
        ];
        assert_eq!(
            beginnings(&topics(&["orders"]), &standings[..2]),
            positions(&[("orders", 0, 70), ("orders", 1, 40)])
        );
        assert_eq!(beginnings(&topics(&["calls"]), &standings[1..2]), positions(&[("calls", 0, 5)]));
        assert!(beginnings(&topics(&["returns"]), &standings[..2]).is_empty());
        assert!(beginnings(&topics(&["orders"]), &[]).is_empty());
    }

    #[test]
    fn partitions_that_are_read_from_the_first_record_anyway_have_no_beginning() {
        // A file is read by all of them, and one table has not counted it.
        let standings = [
            (topics(&["orders"]), positions(&[("orders", 0, 90)])),
            (Reads::All, positions(&[("orders", 0, 95), ("file:a", 0, 9)])),
        ];
        assert_eq!(beginnings(&topics(&["orders"]), &standings), positions(&[("orders", 0, 90)]));
    }
}

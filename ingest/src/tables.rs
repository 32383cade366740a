//! Opens the tables of a catalogue. One that is made now begins where the others stand: going back to
//! the first record for its sake would drag every worker with it. What lies before is a backfill's.

use crate::dead_letter::{DEAD_LETTERS, dead_letter_schema};
use crate::piece::Reads;
use std::collections::{BTreeMap, BTreeSet};
use tidewatch_engine::backfill::{Records, Start};
use tidewatch_engine::commit::{BEFORE_FIRST, TopicPartition};
use tidewatch_engine::rollup::{Catalog, TablePlan};
use tidewatch_storage::{StorageError, Store, Table};

/// How far a table has come, and what it reads.
struct Standing {
    reads: Reads,
    positions: BTreeMap<TopicPartition, i64>,
    /// Microseconds since the epoch.
    watermarks: BTreeMap<TopicPartition, i64>,
}

/// Makes the tables of a catalogue that are missing, and adds the measures that they lack. `disorder_us`: how
/// far events may lie beyond a watermark, microseconds.
pub async fn prepare(store: &Store, catalog: &Catalog, disorder_us: i64) -> Result<(), StorageError> {
    open_all(store, catalog, disorder_us).await.map(|_| ())
}

/// Opens or creates the table of every rollup, in order of name, and that of the dead letters.
pub(crate) async fn open_all<'c>(
    store: &Store,
    catalog: &'c Catalog,
    disorder_us: i64,
) -> Result<(Vec<(TablePlan<'c>, Table)>, Table), StorageError> {
    let mut standing: Option<Vec<Standing>> = None;
    let mut tables = Vec::new();
    for plan in catalog.tables() {
        let mut start = Start { disorder_us, ..Start::default() };
        if store.table(&plan.schema.name).await?.is_none() {
            if standing.is_none() {
                standing = Some(standings(store, catalog).await?);
            }
            begin(&mut start, &Reads::of(&plan), standing.as_deref().unwrap_or_default());
        }
        let table = Table::open_rollup_at(store, plan.schema, &start).await?;
        if !start.positions.is_empty() {
            let (table, hint) =
                (table.name(), format!("`tidewatch backfill --rollup {}` fills what lies before", table.name()));
            tracing::info!(
                table,
                partitions = start.positions.len(),
                hint,
                "a new rollup begins where the others stand"
            );
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
            let Records { offsets: positions, watermarks, .. } = table.records().await?;
            standings.push(Standing { reads, positions, watermarks });
        }
    }
    Ok(standings)
}

/// Where a new table begins: the smallest position of the tables that read the same partitions. One that
/// has not counted a partition yet, as after a crash between two first commits, has it read from its
/// first record anyway: then there is nothing to begin after.
fn begin(start: &mut Start, reads: &Reads, standings: &[Standing]) {
    let partitions: BTreeSet<&TopicPartition> =
        standings.iter().flat_map(|s| s.positions.keys()).filter(|p| reads.covers(p)).collect();
    let smallest = |partition: &TopicPartition| {
        let readers = standings.iter().filter(|s| s.reads.covers(partition));
        readers.map(|s| s.positions.get(partition).copied().unwrap_or(BEFORE_FIRST)).min()
    };
    let begins = partitions.into_iter().filter_map(|p| Some((p.clone(), smallest(p)?)));
    start.positions = begins.filter(|(_, position)| *position > BEFORE_FIRST).collect();
    // Of the table that has come farthest: what lies before the beginning has not come farther.
    let watermarks = standings.iter().flat_map(|s| &s.watermarks);
    start.watermark_us = watermarks.filter(|(p, _)| start.positions.contains_key(p)).map(|(_, &w)| w).max();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(reads: Reads, positions: BTreeMap<TopicPartition, i64>) -> Standing {
        let watermarks = positions.iter().map(|(p, position)| (p.clone(), position * 10)).collect();
        Standing { reads, positions, watermarks }
    }

    fn beginnings(reads: &Reads, standings: &[Standing]) -> BTreeMap<TopicPartition, i64> {
        let mut start = Start { disorder_us: 5, ..Start::default() };
        begin(&mut start, reads, standings);
        assert_eq!(start.event_time_us().is_some(), !start.positions.is_empty());
        start.positions
    }

    fn topics(names: &[&str]) -> Reads {
        Reads::Topics(names.iter().map(|&n| n.to_owned()).collect())
    }

    fn positions(of: &[(&str, i32, i64)]) -> BTreeMap<TopicPartition, i64> {
        of.iter().map(|&(topic, number, position)| (TopicPartition::new(topic, number), position)).collect()
    }

    #[test]
    fn a_new_table_begins_at_the_smallest_position_of_those_that_read_the_same() {
        let standings = [
            standing(topics(&["orders"]), positions(&[("orders", 0, 90), ("orders", 1, 40)])),
            standing(topics(&["orders", "calls"]), positions(&[("orders", 0, 70), ("orders", 1, 40), ("calls", 0, 5)])),
            standing(Reads::All, positions(&[("orders", 0, 95), ("orders", 1, 40), ("calls", 0, 5), ("file:a", 0, 9)])),
        ];
        assert_eq!(
            beginnings(&topics(&["orders"]), &standings[..2]),
            positions(&[("orders", 0, 70), ("orders", 1, 40)])
        );
        assert_eq!(beginnings(&topics(&["calls"]), &standings[1..2]), positions(&[("calls", 0, 5)]));
        assert!(beginnings(&topics(&["returns"]), &standings[..2]).is_empty());
        assert!(beginnings(&topics(&["orders"]), &[]).is_empty());
        let mut start = Start { disorder_us: 5, ..Start::default() };
        begin(&mut start, &topics(&["orders"]), &standings);
        assert_eq!(start.event_time_us(), Some(950 + 5 + 1), "no event of before happened then or later");
    }

    #[test]
    fn partitions_that_are_read_from_the_first_record_anyway_have_no_beginning() {
        // A file is read by all of them, and one table has not counted it.
        let standings = [
            standing(topics(&["orders"]), positions(&[("orders", 0, 90)])),
            standing(Reads::All, positions(&[("orders", 0, 95), ("file:a", 0, 9)])),
        ];
        assert_eq!(beginnings(&topics(&["orders"]), &standings), positions(&[("orders", 0, 90)]));
    }
}

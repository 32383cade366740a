use super::*;
use arrow::array::AsArray;
use tidewatch_engine::commit::OffsetRange;
use tidewatch_engine::dedupe::{DedupeSettings, PANE_US};
use tidewatch_storage::{Rows, Store, Table};

const SETTINGS: DedupeSettings = DedupeSettings { horizon_us: 2 * PANE_US, ids_max: 1000 };

fn partition(number: i32) -> TopicPartition {
    TopicPartition::new("t", number)
}

fn new_ids(number: i32, pane: i64, ids: &[(u128, i64)]) -> NewIds {
    let ids = ids.iter().map(|&(hash, offset)| NewId { hash, offset }).collect();
    NewIds { partition: partition(number), pane_start_us: pane * PANE_US, ids }
}

#[test]
fn rows_are_canonical_and_of_bounded_span() {
    let pieces = [
        new_ids(1, 7, &[(5, 12), (3, 10)]),
        new_ids(0, 7, &[(9, 1)]),
        new_ids(1, 7, &[(4, 15)]),
        new_ids(1, 8, &[(1, 16), (2, 16 + i64::from(u32::MAX))]),
    ];
    let batch = batch(&pieces).unwrap().unwrap();
    let cells = |name: &str| {
        let column = batch.column_by_name(name).unwrap();
        (0..batch.num_rows())
            .map(|row| arrow::util::display::array_value_to_string(column, row).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(cells("partition"), ["0", "1", "1", "1"]);
    assert_eq!(cells("offset_from"), ["0", "9", "15", "4294967310"]);
    assert_eq!(cells("offset_to"), ["1", "15", "16", "4294967311"]);
    let ids = batch.column_by_name("ids").unwrap().as_binary::<i32>().value(1).to_vec();
    assert_eq!(ids, [3u128, 4, 5].map(u128::to_be_bytes).concat());
    let offsets = batch.column_by_name("offsets").unwrap().as_binary::<i32>().value(1).to_vec();
    assert_eq!(offsets, [1u32, 6, 3].map(u32::to_be_bytes).concat());
    assert_eq!(super::batch([]).unwrap(), None);
}

#[tokio::test]
async fn ids_come_back_up_to_the_offset_and_as_far_as_the_horizon() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().to_str().unwrap(), Default::default()).unwrap();
    let mut table = Table::open_or_create(&store, EVENT_IDS, &event_ids_schema(), &[]).await.unwrap();
    let mut at = -1;
    for (to, ids) in [
        (10, vec![new_ids(0, 1, &[(1, 5)]), new_ids(0, 3, &[(3, 10)])]),
        (20, vec![new_ids(0, 3, &[(4, 12), (6, 18)]), new_ids(0, 4, &[(5, 15), (7, 20)]), new_ids(1, 9, &[(8, 3)])]),
        (30, vec![new_ids(0, 9, &[(9, 30)])]),
    ] {
        let ranges = [(partition(0), OffsetRange { from: at, to })].into();
        table.append(&Rows { batch: batch(&ids).unwrap(), ranges, ..Rows::default() }).await.unwrap();
        at = to;
    }
    let mut found = Vec::new();
    for start in [-1, 10, 15, 18, 20, 30] {
        let starts = [(partition(0), start), (partition(7), 100)].into();
        let mut remembered = read(&table, &starts, &SETTINGS).await.unwrap();
        assert!(remembered.len() <= 1, "nobody asked for partition 1");
        let mut ids: Vec<_> = remembered.remove(&partition(0)).unwrap_or_default();
        ids.sort_by_key(|ids| (ids.pane_start_us, ids.hashes.clone()));
        let ids = ids.iter().flat_map(|r| r.hashes.iter().map(move |h| format!("{}@{}", h, r.pane_start_us / PANE_US)));
        found.push(format!("{start}: {}", ids.collect::<Vec<_>>().join(" ")));
    }
    // Pane 1 is out of the horizon once pane 4 is there as a whole, and all but pane 9 at the end.
    assert_eq!(
        found,
        ["-1: ", "10: 1@1 3@3", "15: 1@1 3@3 4@3 5@4", "18: 1@1 3@3 4@3 6@3 5@4", "20: 3@3 4@3 6@3 5@4 7@4", "30: 9@9"]
    );
}

use super::*;
use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::record_batch::RecordBatch;
use std::collections::HashMap;
use tidewatch_engine::commit::{BEFORE_FIRST, OffsetRange, TopicPartition};
use tidewatch_engine::rollup::{Dimension, DimensionType, Measure, MeasureKind};

mod evolve;
mod maintenance;
mod retried;

fn rollup() -> RollupSchema {
    RollupSchema {
        name: "calls".into(),
        sources: vec!["call".into()],
        pane_us: Some(10_000_000),
        dimensions: vec![Dimension { name: "api".into(), value: DimensionType::Utf8 }],
        measures: vec![Measure { name: "requests".into(), kind: MeasureKind::Count }],
        definition: "from call".into(),
        tiers: Vec::new(),
        retain_us: None,
    }
}

fn batch(start_us: i64, requests: i64) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMicrosecondArray::from(vec![start_us]).with_timezone("UTC")),
        Arc::new(StringArray::from(vec!["orders"])),
        Arc::new(Int64Array::from(vec![requests])),
    ];
    RecordBatch::try_new(rollup().arrow_schema(), columns).unwrap()
}

fn rows(from: i64, to: i64) -> Rows {
    let partition = TopicPartition::new("t", 0);
    Rows {
        batch: Some(batch(0, to - from)),
        ranges: [(partition.clone(), OffsetRange { from, to })].into(),
        watermarks: [(partition, to * 10)].into(),
    }
}

fn store(dir: &tempfile::TempDir) -> Store {
    Store::open(dir.path().to_str().unwrap(), HashMap::new()).unwrap()
}

#[tokio::test]
async fn rows_and_offsets_change_together_and_survive_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    assert!(store.table_names().await.unwrap().is_empty());
    assert!(store.table("calls").await.unwrap().is_none());
    let mut table = Table::open_rollup(&store, &rollup()).await.unwrap();
    assert!(matches!(table.append(&rows(BEFORE_FIRST, 4)).await.unwrap(), AppendOutcome::Committed { .. }));
    assert!(matches!(table.append(&rows(4, 9)).await.unwrap(), AppendOutcome::Committed { .. }));
    assert_eq!(table.append(&rows(4, 9)).await.unwrap(), AppendOutcome::AlreadyCommitted);
    assert!(matches!(table.append(&rows(5, 11)).await.unwrap(), AppendOutcome::MustReplay { position: 9, .. }));

    let partition = TopicPartition::new("t", 0);
    let mut reopened = store.table("calls").await.unwrap().unwrap();
    assert_eq!(reopened.rollup(), Some(&rollup()));
    assert_eq!(reopened.file_count(), 2);
    assert_eq!(reopened.positions(std::slice::from_ref(&partition)).await.unwrap()[&partition], 9);
    assert_eq!(reopened.watermark(&partition).await.unwrap(), Some(90));
    assert_eq!(store.table_names().await.unwrap(), ["calls"]);
}

#[tokio::test]
async fn a_second_writer_is_fenced_and_a_reader_follows() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let mut first = Table::open_rollup(&store, &rollup()).await.unwrap();
    let mut zombie = Table::open_rollup(&store, &rollup()).await.unwrap();
    let partition = TopicPartition::new("t", 0);
    assert_eq!(zombie.positions(std::slice::from_ref(&partition)).await.unwrap()[&partition], BEFORE_FIRST);
    first.append(&rows(BEFORE_FIRST, 4)).await.unwrap();
    // The zombie still believes that the table is empty: the commit itself must refuse it.
    assert!(matches!(
        zombie.append(&rows(BEFORE_FIRST, 7)).await.unwrap(),
        AppendOutcome::MustReplay { position: 4, .. }
    ));
    // Another partition of the same table is no conflict.
    let mut other = rows(BEFORE_FIRST, 3);
    other.ranges = [(TopicPartition::new("t", 1), OffsetRange { from: BEFORE_FIRST, to: 3 })].into();
    other.watermarks.clear();
    assert!(matches!(zombie.append(&other).await.unwrap(), AppendOutcome::Committed { .. }));
    first.refresh().await.unwrap();
    assert_eq!(first.version(), zombie.version());
    assert_eq!(first.positions(&[TopicPartition::new("t", 1)]).await.unwrap()[&TopicPartition::new("t", 1)], 3);
}

#[tokio::test]
async fn a_changed_definition_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    Table::open_rollup(&store, &rollup()).await.unwrap();
    let changed = RollupSchema { definition: "from call where true".into(), ..rollup() };
    assert!(matches!(Table::open_rollup(&store, &changed).await, Err(StorageError::DefinitionChanged { .. })));
}

#[tokio::test]
async fn how_long_rows_are_kept_may_change() {
    use tidewatch_engine::rollup::Tier;
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let tiers = |retain_us| RollupSchema { tiers: vec![Tier { pane_us: 10_000_000, retain_us }], ..rollup() };
    Table::open_rollup(&store, &tiers(None)).await.unwrap();
    Table::open_rollup(&store, &tiers(Some(1))).await.unwrap();
}

//! Beginnings, more measures, and backfills beside the live path.

use super::*;
use tidewatch_engine::backfill::{Gap, Unfilled};
use tidewatch_engine::rollup::ValueType;

const DEFINITION: &str = "from call where \napi = call.api\nrequests = Count() filter ";

fn narrow() -> RollupSchema {
    RollupSchema { definition: DEFINITION.to_owned(), ..rollup() }
}

/// With a count and a maximum more, the count first.
fn wide() -> RollupSchema {
    let mut schema = narrow();
    let kind = MeasureKind::Max { value: ValueType::Int64 };
    schema.measures.insert(0, Measure { name: "errors".into(), kind: MeasureKind::Count });
    schema.measures.push(Measure { name: "slowest".into(), kind });
    schema.definition = format!("{DEFINITION}\nerrors = Count() filter e\nslowest = Max(call.ms) filter ");
    schema
}

fn wide_rows(from: i64, to: i64) -> Rows {
    let mut rows = rows(from, to);
    let narrow = rows.batch.take().unwrap();
    let mut columns = narrow.columns().to_vec();
    columns.insert(2, Arc::new(Int64Array::from(vec![1])));
    columns.push(Arc::new(Int64Array::from(vec![7])));
    rows.batch = Some(RecordBatch::try_new(wide().arrow_schema(), columns).unwrap());
    rows
}

fn partition() -> TopicPartition {
    TopicPartition::new("t", 0)
}

/// After offset 41, when event time had come to 400 µs and 10 µs more.
fn start() -> Start {
    Start { positions: [(partition(), 41)].into(), watermark_us: Some(400), disorder_us: 10 }
}

fn measure(name: &str) -> Scope {
    Scope::Measure(name.to_owned())
}

async fn scanned(table: &Table, column: &str) -> Vec<Option<i64>> {
    let context = datafusion::prelude::SessionContext::new();
    context.register_table("t", table.provider().unwrap()).unwrap();
    let query = format!("SELECT {column} FROM t ORDER BY requests");
    let batches = context.sql(&query).await.unwrap().collect().await.unwrap();
    let cells = |b: &RecordBatch| {
        arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(b.column(0)).iter().collect::<Vec<_>>()
    };
    batches.iter().flat_map(cells).collect()
}

async fn gaps(table: &Table, scope: &Scope) -> Vec<(i64, i64)> {
    table.records().await.unwrap().gaps(scope).iter().map(|Gap { from, to, .. }| (*from, *to)).collect()
}

#[tokio::test]
async fn a_table_may_begin_later_and_a_slower_creator_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let start = start();
    let mut table = Table::open_rollup_at(&store, &rollup(), &start).await.unwrap();
    assert_eq!(table.version(), 0, "the creation itself says where it begins");
    assert_eq!(table.positions(&[partition()]).await.unwrap()[&partition()], 41);
    assert_eq!(gaps(&table, &Scope::Rollup).await, [(BEFORE_FIRST, 41)]);
    table.append(&rows(41, 45)).await.unwrap();
    let mut late = Table::open_rollup_at(&store, &rollup(), &start).await.unwrap();
    assert_eq!(late.positions(&[partition()]).await.unwrap()[&partition()], 45);
    // What a creator does that has seen no table yet.
    let lost = CreateBuilder::new()
        .with_log_store(store.log_store("calls").unwrap())
        .with_columns(table.delta.snapshot().unwrap().schema().fields().cloned())
        .with_save_mode(SaveMode::ErrorIfExists)
        .with_commit_properties(CommitProperties::default().with_max_retries(0))
        .await;
    assert!(lost.is_err());
}

#[tokio::test]
async fn more_measures_are_columns_that_are_null_in_old_rows_and_begin_where_the_table_stands() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let mut old = Table::open_rollup(&store, &narrow()).await.unwrap();
    old.append(&rows(BEFORE_FIRST, 4)).await.unwrap();
    let mut new = Table::open_rollup(&store, &wide()).await.unwrap();
    let names: Vec<String> = new.schema().fields().iter().map(|f| f.name().clone()).collect();
    assert_eq!(names, ["window_start", "api", "requests", TIER, ROLLED_UP, "errors", "slowest"]);
    assert_eq!(
        *new.rollup().unwrap().arrow_schema().fields()[3].name(),
        "errors",
        "measures are in the order of the columns"
    );
    assert_eq!(gaps(&new, &measure("errors")).await, [(BEFORE_FIRST, 4)]);
    new.append(&wide_rows(4, 13)).await.unwrap();
    assert_eq!(scanned(&new, "errors").await, [None, Some(1)]);
    assert_eq!(scanned(&new, "slowest").await, [None, Some(7)]);
    assert_eq!(new.positions(&[partition()]).await.unwrap()[&partition()], 13);
    // Opened again, it is as it is.
    let again = Table::open_rollup(&store, &wide()).await.unwrap();
    assert_eq!(again.version(), new.version());
    assert!(matches!(
        Table::open_rollup(&store, &narrow()).await,
        Err(StorageError::DefinitionChanged { reason, .. }) if reason == "measure errors is gone"
    ));
}

#[tokio::test]
async fn a_writer_of_the_old_definition_moves_the_beginnings_along_until_a_new_one_has_counted() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let mut old = Table::open_rollup(&store, &narrow()).await.unwrap();
    old.append(&rows(BEFORE_FIRST, 4)).await.unwrap();
    let mut new = Table::open_rollup(&store, &wide()).await.unwrap();
    // It does not know of the columns yet, and its commit meets them.
    assert!(matches!(old.append(&rows(4, 6)).await.unwrap(), AppendOutcome::Committed { .. }));
    assert_eq!(gaps(&old, &measure("slowest")).await, [(BEFORE_FIRST, 6)]);
    // A partition that nobody has counted begins with it.
    let mut other = rows(BEFORE_FIRST, 2);
    other.ranges = [(TopicPartition::new("t", 1), OffsetRange { from: BEFORE_FIRST, to: 2 })].into();
    assert!(matches!(old.append(&other).await.unwrap(), AppendOutcome::Committed { .. }));
    assert_eq!(gaps(&old, &measure("slowest")).await, [(BEFORE_FIRST, 6), (BEFORE_FIRST, 2)]);
    new.refresh().await.unwrap();
    assert!(matches!(new.append(&wide_rows(6, 9)).await.unwrap(), AppendOutcome::Committed { .. }));
    old.refresh().await.unwrap();
    assert_eq!(old.append(&rows(9, 11)).await.unwrap(), AppendOutcome::Outdated { measure: "errors".to_owned() });
    assert!(matches!(new.append(&wide_rows(9, 11)).await.unwrap(), AppendOutcome::Committed { .. }));
}

#[tokio::test]
async fn a_backfill_has_positions_of_its_own_and_only_one_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    Table::open_rollup(&store, &narrow()).await.unwrap().append(&rows(BEFORE_FIRST, 40)).await.unwrap();
    let mut live = Table::open_rollup(&store, &wide()).await.unwrap();
    let scopes = vec![measure("errors"), measure("slowest")];
    let filling = || async { store.table("calls").await.unwrap().unwrap().filling(&wide(), scopes.clone()).unwrap() };
    let (mut first, mut second) = (filling().await, filling().await);
    assert_eq!(first.positions(&[partition()]).await.unwrap()[&partition()], BEFORE_FIRST);
    assert!(matches!(first.append(&wide_rows(BEFORE_FIRST, 9)).await.unwrap(), AppendOutcome::Committed { .. }));
    assert!(matches!(live.append(&wide_rows(40, 50)).await.unwrap(), AppendOutcome::Committed { .. }));
    assert!(matches!(first.append(&wide_rows(9, 20)).await.unwrap(), AppendOutcome::Committed { .. }));
    assert!(matches!(second.append(&wide_rows(BEFORE_FIRST, 5)).await.unwrap(), AppendOutcome::AlreadyCommitted));
    assert!(matches!(second.append(&wide_rows(5, 30)).await.unwrap(), AppendOutcome::MustReplay { position: 20, .. }));
    assert_eq!(gaps(&first, &measure("slowest")).await, [(20, 40)]);
    live.refresh().await.unwrap();
    assert_eq!(live.positions(&[partition()]).await.unwrap()[&partition()], 50);
    assert_eq!(live.watermark(&partition()).await.unwrap(), Some(500), "the past says nothing about event time");
    first.append(&wide_rows(20, 40)).await.unwrap();
    assert_eq!(gaps(&live, &measure("slowest")).await, [(20, 40)], "as of its version");
    live.refresh().await.unwrap();
    assert_eq!((gaps(&live, &measure("errors")).await, gaps(&live, &measure("slowest")).await), (vec![], vec![]));
}

#[tokio::test]
async fn records_are_found_behind_a_checkpoint_and_given_files_are_gaps() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let start = start();
    let mut table = Table::open_rollup_at(&store, &rollup(), &start).await.unwrap();
    table.append(&rows(41, 45)).await.unwrap();
    deltalake::checkpoints::create_checkpoint(&table.delta, None).await.unwrap();
    table.append(&rows(45, 46)).await.unwrap();
    let log = dir.path().join("calls/_delta_log");
    std::fs::remove_file(log.join(format!("{:020}.json", 0))).unwrap();
    let records = store.table("calls").await.unwrap().unwrap().records().await.unwrap();
    assert_eq!((records.offsets[&partition()], records.gaps(&Scope::Rollup).len()), (46, 1));
    let file = TopicPartition::new("file:old", 0);
    table.declare(&[Scope::Rollup], &[(file.clone(), 9)].into()).await.unwrap();
    let records = table.records().await.unwrap();
    assert_eq!(records.gaps(&Scope::Rollup).len(), 2);
    assert_eq!(records.offsets[&file], 9, "the live path counts it as read");
}

#[tokio::test]
async fn readers_know_what_is_not_filled_and_follow_the_backfill() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let mut live = Table::open_rollup_at(&store, &narrow(), &start()).await.unwrap();
    let mut reader = store.table("calls").await.unwrap().unwrap();
    let until = |unfilled: Option<Unfilled>| unfilled.map(|u| u.until_us);
    assert_eq!(until(reader.unfilled().await.unwrap()), Some(411));
    let mut filling = store.table("calls").await.unwrap().unwrap().filling(&narrow(), vec![Scope::Rollup]).unwrap();
    filling.append(&rows(BEFORE_FIRST, 20)).await.unwrap();
    reader.refresh().await.unwrap();
    assert!(reader.unfilled().await.unwrap().unwrap().reason.ends_with("fills 21 offsets"));
    filling.append(&rows(20, 41)).await.unwrap();
    reader.refresh().await.unwrap();
    assert_eq!(reader.unfilled().await.unwrap(), None);
    // Another measure begins later, and a process that does not know it moves its beginning along.
    live.append(&rows(41, 50)).await.unwrap();
    Table::open_rollup_at(&store, &wide(), &Start { disorder_us: 10, ..Start::default() }).await.unwrap();
    reader.refresh().await.unwrap();
    let unfilled = reader.unfilled().await.unwrap().unwrap();
    assert_eq!(unfilled.until_us, 511);
    assert!(unfilled.reason.starts_with("errors, slowest of calls began later"), "{}", unfilled.reason);
    live.append(&rows(50, 60)).await.unwrap();
    reader.refresh().await.unwrap();
    assert_eq!(until(reader.unfilled().await.unwrap()), Some(611));
    // A table that nothing was added to has nothing to fill.
    let other = RollupSchema { name: "others".into(), ..narrow() };
    assert_eq!(Table::open_rollup(&store, &other).await.unwrap().unfilled().await.unwrap(), None);
}

#[tokio::test]
async fn files_from_before_and_after_more_measures_are_read_and_replaced_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let mut old = Table::open_rollup(&store, &narrow()).await.unwrap();
    old.append(&rows(BEFORE_FIRST, 4)).await.unwrap();
    let mut keeper = store.table("calls").await.unwrap().unwrap();
    let before = keeper.files(None).unwrap();
    let part = Part { tier: Some("10s".into()), rolled_up: true, batch: batch(0, 5) };
    let replacement = |remove: &[DataFile]| Replacement {
        remove: remove.iter().map(|f| f.path.clone()).collect(),
        add: vec![part.clone()],
        ..Replacement::default()
    };
    let mut new = Table::open_rollup(&store, &wide()).await.unwrap();
    new.append(&wide_rows(4, 13)).await.unwrap();
    // The keeper has not seen the columns, and its rows have none of them.
    assert!(matches!(keeper.replace(&replacement(&before)).await.unwrap(), ReplaceOutcome::Committed { .. }));
    new.refresh().await.unwrap();
    assert_eq!(scanned(&new, "slowest").await, [None, Some(7)]);
    let schema = new.rollup().unwrap().arrow_schema();
    let mut read = Vec::new();
    for file in new.files(None).unwrap() {
        let batches = new.read(&file.path, Arc::clone(&schema)).await.unwrap();
        let errors = arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(batches[0].column(3)).value(0);
        read.push((errors, batches[0].column(4).null_count()));
    }
    read.sort();
    assert_eq!(read, [(0, 1), (1, 0)], "a count is 0, everything else null");
    // Rows of the widened rollup, in the order of its measures, go where the table has the columns.
    let all = new.files(None).unwrap();
    let narrow_rows = batch(0, 14);
    let mut columns = narrow_rows.columns().to_vec();
    columns.push(Arc::new(Int64Array::from(vec![1])));
    columns.push(Arc::new(Int64Array::from(vec![7])));
    let merged = Part { batch: RecordBatch::try_new(schema, columns).unwrap(), ..part.clone() };
    let replacement = Replacement { add: vec![merged], ..replacement(&all) };
    assert!(matches!(new.replace(&replacement).await.unwrap(), ReplaceOutcome::Committed { .. }));
    assert_eq!((scanned(&new, "errors").await, scanned(&new, "slowest").await), (vec![Some(1)], vec![Some(7)]));
}

use crate::testing::{FakePiece, FakeWorkers, Partial, batch, commit, csv, engine, rollup, store};
use arrow::record_batch::RecordBatch;
use std::sync::Arc;
use tidewatch_engine::rollup::merge_batches;

const FIRST: [Partial; 3] = [
    Partial(0, Some("orders"), &[5, 7, 900], &["a", "b"]),
    Partial(0, None, &[1], &[]),
    Partial(10, Some("auth"), &[], &["c"]),
];
const SECOND: [Partial; 2] = [Partial(0, Some("orders"), &[11, 12], &["b", "c"]), Partial(0, None, &[3], &["z"])];

#[tokio::test]
async fn a_query_sees_what_the_engine_merges() {
    let (_folder, store) = store();
    commit(&store, -1, 9, &FIRST).await;
    commit(&store, 9, 12, &SECOND).await;
    let workers = Arc::new(FakeWorkers::default());
    let third = [Partial(10, Some("auth"), &[4], &["c", "d"]), Partial(20, Some("new"), &[8], &["d"])];
    *workers.pieces.lock().unwrap() = vec![FakePiece::of(12, 20, &third)];
    let engine = engine(&store, workers);

    let merged = merge_batches(&rollup(), &[batch(&FIRST), batch(&SECOND), batch(&third)]).unwrap();
    let states = "window_start, api, requests, cost, slowest, mean_sum, mean_count, duration_ms, users";
    let answer =
        engine.query(&format!("SELECT {states} FROM calls ORDER BY window_start, api NULLS FIRST")).await.unwrap();
    let found = arrow::compute::concat_batches(&answer.schema, &answer.batches).unwrap();
    assert_eq!(found.columns(), merged.columns());
    // The names and types are those of the table on disk, but for averages, which also have their value.
    let found = RecordBatch::try_new(rollup().arrow_schema(), found.columns().to_vec()).unwrap();
    assert_eq!(found, merged);
}

#[tokio::test]
async fn an_average_is_the_sum_over_the_count_and_nothing_over_nothing() {
    let (_folder, store) = store();
    commit(&store, -1, 9, &FIRST).await;
    commit(&store, 9, 12, &SECOND).await;
    let engine = engine(&store, Arc::new(FakeWorkers::default()));
    assert_eq!(csv(&engine, "SELECT api, mean FROM calls ORDER BY api").await, "auth,\norders,187.0\n,2.0\n");
}

#[tokio::test]
async fn filters_on_the_key_reach_the_files_and_unused_measures_do_not() {
    let (_folder, store) = store();
    commit(&store, -1, 9, &FIRST).await;
    let engine = engine(&store, Arc::new(FakeWorkers::default()));
    let plan = csv(&engine, "EXPLAIN SELECT sum(requests) FROM calls WHERE api = 'orders' AND window_start >= TIMESTAMP '1970-01-01T00:00:00Z'").await;
    assert!(plan.contains("where=") && plan.contains("api@0 = orders"), "{plan}");
    let scan = plan.lines().filter(|l| l.contains("FilesExec")).collect::<String>();
    assert!(scan.contains("columns=[requests]") && !scan.contains("duration_ms") && !scan.contains("users"), "{plan}");
}

#[tokio::test]
async fn windows_say_where_they_end_and_whether_they_are_all_there() {
    let (_folder, store) = store();
    commit(&store, -1, 9, &FIRST).await;
    let workers = Arc::new(FakeWorkers::default());
    *workers.pieces.lock().unwrap() = vec![FakePiece::of(9, 12, &SECOND)];
    let engine = engine(&store, workers);
    let sql = "SELECT DISTINCT window_start, window_end, completeness, completeness_reason FROM calls ORDER BY 1";
    assert_eq!(
        csv(&engine, sql).await,
        "1970-01-01T00:00:00.000000Z,1970-01-01T00:00:10.000000Z,unknown,nothing was read yet\n\
         1970-01-01T00:00:10.000000Z,1970-01-01T00:00:20.000000Z,unknown,nothing was read yet\n"
    );
    // What merges by them reads nothing else.
    let ends = "SELECT window_end, sum(requests) FROM calls GROUP BY 1 ORDER BY 1";
    assert_eq!(csv(&engine, ends).await, "1970-01-01T00:00:10.000000Z,7\n1970-01-01T00:00:20.000000Z,0\n");
    let filtered = "SELECT sum(requests) FROM calls WHERE window_end > '1970-01-01T00:00:10Z' OR completeness = 'none'";
    assert_eq!(csv(&engine, filtered).await, "0\n");
    assert_eq!(csv(&engine, "SELECT count(*) FROM calls WHERE completeness = 'unknown'").await, "3\n");
}

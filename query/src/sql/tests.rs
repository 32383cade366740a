use crate::testing::{FakeWorkers, Partial, commit, csv, engine, store};
use std::sync::Arc;

#[tokio::test]
async fn only_reading_is_allowed() {
    let (_folder, store) = store();
    commit(&store, -1, 4, &[Partial(0, Some("orders"), &[10], &["a"])]).await;
    let engine = engine(&store, Arc::new(FakeWorkers::default()));
    for sql in [
        "CREATE TABLE t (a INT)",
        "DROP TABLE calls",
        "INSERT INTO calls SELECT * FROM calls",
        "SET datafusion.execution.batch_size = 1",
        "COPY calls TO 'out.csv'",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
    ] {
        let error = engine.query(sql).await.unwrap_err();
        assert_eq!(error.code(), "bad_query", "{sql}: {error}");
    }
    // A path is not a table either.
    assert_eq!(engine.query("SELECT * FROM '/etc/passwd'").await.unwrap_err().code(), "bad_query");
    assert_eq!(csv(&engine, "SELECT requests FROM calls").await, "1\n");
}

#[tokio::test]
async fn messages_are_for_people() {
    let (_folder, store) = store();
    commit(&store, -1, 4, &[Partial(0, Some("orders"), &[10], &["a"])]).await;
    let engine = engine(&store, Arc::new(FakeWorkers::default()));
    let error = engine.query("SELECT * FROM cals").await.unwrap_err();
    assert_eq!(error.to_string(), "table 'cals' not found");
    assert_eq!(error.hint(), Some("the tables and views are: calls"));
    let error = engine.query("SELECT apu FROM calls").await.unwrap_err();
    assert!(error.to_string().contains("apu"), "{error}");
    assert!(!error.to_string().contains("datafusion"), "{error}");
    let error = engine.query("SELECT 1; SELECT 2").await.unwrap_err();
    assert_eq!(error.code(), "bad_query", "{error}");
}

#[tokio::test]
async fn too_many_rows_are_an_error_and_never_a_part() {
    let (_folder, store) = store();
    let engine = engine(&store, Arc::new(FakeWorkers::default()));
    assert_eq!(engine.query("SELECT * FROM generate_series(1, 1000)").await.unwrap().row_count(), 1000);
    let error = engine.query("SELECT * FROM generate_series(1, 1001)").await.unwrap_err();
    assert_eq!((error.code(), error.hint().is_some()), ("row_limit", true));
}

#[tokio::test]
async fn names_of_tables_may_be_quoted_and_joined() {
    let (_folder, store) = store();
    commit(&store, -1, 4, &[Partial(0, Some("orders"), &[10], &["a"])]).await;
    let engine = engine(&store, Arc::new(FakeWorkers::default()));
    let sql = "WITH c AS (SELECT * FROM \"calls\") SELECT count(*) FROM c JOIN calls ON c.api = calls.api WHERE c.api IN (SELECT api FROM calls)";
    assert_eq!(csv(&engine, sql).await, "1\n");
}

#[tokio::test]
async fn now_is_the_moment_that_the_engine_is_told() {
    let (_folder, store) = store();
    let engine = engine(&store, Arc::new(FakeWorkers::default()));
    let sql = "SELECT now() = TIMESTAMP '2026-03-14T12:00:00Z' AND (SELECT now()) = now() AND current_date = DATE '2026-03-14'";
    assert_eq!(csv(&engine, sql).await, "true\n");
}

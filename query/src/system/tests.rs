use super::{NamedLimit, Surroundings};
use crate::testing::{FakePiece, FakeWorkers, Partial, commit, csv, declared, engine, partition, store};
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};
use std::sync::Arc;
use tidewatch_engine::metrics as catalogue;

#[tokio::test]
async fn the_tables_tell_what_they_consist_of() {
    let (_folder, store) = store();
    commit(&store, -1, 4, &[Partial(0, Some("orders"), &[10], &["a"]), Partial(10, Some("auth"), &[1], &[])]).await;
    commit(&store, 4, 9, &[Partial(20, Some("orders"), &[10], &["a"])]).await;
    let engine = engine(&store, Arc::new(FakeWorkers::default()));
    let commits = "SELECT table_name, version, kind, rows, files_added, files_removed, time IS NOT NULL FROM system.commits ORDER BY version";
    assert_eq!(
        csv(&engine, commits).await,
        "calls,0,create,0,0,0,true\ncalls,1,ingest,2,1,0,true\ncalls,2,ingest,1,1,0,true\n"
    );
    let files =
        "SELECT table_name, tier, rolled_up, bytes > 0, rows, min_time, max_time FROM system.files ORDER BY min_time";
    assert_eq!(
        csv(&engine, files).await,
        "calls,10s,false,true,2,1970-01-01T00:00:00.000000Z,1970-01-01T00:00:10.000000Z\n\
         calls,10s,false,true,1,1970-01-01T00:00:20.000000Z,1970-01-01T00:00:20.000000Z\n"
    );
    let offsets = "SELECT table_name, topic, partition, \"offset\" FROM system.offsets";
    assert_eq!(csv(&engine, offsets).await, "calls,t,0,9\n");
    let rollups = "SELECT rollup, sources, window_ms, tiers, dimensions, version FROM system.rollups";
    assert_eq!(csv(&engine, rollups).await, "calls,call,10000,10s,api,2\n");
    let measures = "SELECT measure, kind FROM system.measures WHERE rollup = 'calls' ORDER BY measure";
    assert_eq!(
        csv(&engine, measures).await,
        "cost,\"sum, 2 decimals\"\nduration_ms,\"hdr, 3 digits\"\nmean,\"avg, 0 decimals\"\nrequests,count\nslowest,max\nusers,approx_distinct\n"
    );
    assert_eq!(csv(&engine, "SELECT count(*), max(letters) FROM system.dead_letters").await, "0,\n");
}

#[tokio::test]
async fn what_a_process_does_not_know_is_null_and_no_error() {
    let (_folder, store) = store();
    commit(&store, -1, 4, &[Partial(0, Some("orders"), &[10], &["a"])]).await;
    let engine = engine(&store, Arc::new(FakeWorkers::default()));
    engine.snapshots().define(declared());
    let lag = "SELECT topic, partition, committed, read, log_end, records_behind, watermark FROM system.lag";
    assert_eq!(csv(&engine, lag).await, "t,0,4,,,,\n");
    assert_eq!(csv(&engine, "SELECT rollup, source, late_events FROM system.late").await, "calls,call,\n");
    assert_eq!(csv(&engine, "SELECT count(*) FROM system.limits").await, "0\n");
}

#[tokio::test]
async fn a_process_that_counts_knows_how_far_it_is_and_which_limits_it_has_reached() {
    let (_folder, store) = store();
    commit(&store, -1, 4, &[Partial(0, Some("orders"), &[10], &["a"])]).await;
    let workers = Arc::new(FakeWorkers::default());
    *workers.pieces.lock().unwrap() = vec![FakePiece::of(4, 7, &[Partial(0, Some("orders"), &[9], &["b"])])];
    workers.positions.lock().unwrap().extend(std::iter::repeat_n([(partition(), 7)].into(), 10));
    let registry = Registry::new();
    let counter = |def: &catalogue::MetricDef| IntCounterVec::new(Opts::new(def.name, def.help), def.labels).unwrap();
    let late = counter(&catalogue::LATE_EVENTS);
    late.with_label_values(&["call"]).inc_by(3);
    let queries = counter(&catalogue::SQL_QUERIES);
    queries.with_label_values(&["row_limit"]).inc_by(2);
    queries.with_label_values(&["ok"]).inc_by(100);
    let lag = IntGaugeVec::new(Opts::new(catalogue::LAG.name, "lag"), catalogue::LAG.labels).unwrap();
    lag.with_label_values(&["t", "0"]).set(5);
    registry.register(Box::new(late)).unwrap();
    registry.register(Box::new(queries)).unwrap();
    registry.register(Box::new(lag)).unwrap();
    let limit = NamedLimit {
        name: "rows of an answer",
        setting: Some("sql.rows_max"),
        value: 1000,
        unit: "rows",
        counter: Some((catalogue::SQL_QUERIES.name, Some(("outcome", "row_limit")))),
    };
    let engine = engine(&store, workers).with_surroundings(Surroundings {
        registry: Some(registry),
        limits: vec![limit],
        ledger: None,
    });
    engine.snapshots().define(declared());
    let lag = "SELECT topic, partition, committed, read, log_end, records_behind FROM system.lag";
    assert_eq!(csv(&engine, lag).await, "t,0,4,7,12,5\n");
    assert_eq!(csv(&engine, "SELECT late_events FROM system.late").await, "3\n");
    assert_eq!(csv(&engine, "SELECT * FROM system.limits").await, "rows of an answer,sql.rows_max,1000,rows,2\n");
}

#[tokio::test]
async fn the_catalogue_shows_them_and_a_wrong_name_is_not_found() {
    let (_folder, store) = store();
    let engine = engine(&store, Arc::new(FakeWorkers::default()));
    let tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'system' ORDER BY 1";
    assert_eq!(
        csv(&engine, tables).await,
        "alert_ledger\ncommits\ndead_letters\nfiles\nlag\nlate\nlimits\nmeasures\noffsets\nrollups\n"
    );
    let columns = "SELECT column_name FROM information_schema.columns WHERE table_schema = 'system' AND table_name = 'late' ORDER BY ordinal_position";
    assert_eq!(csv(&engine, columns).await, "rollup\nsource\nlate_events\n");
    assert_eq!(csv(&engine, "SELECT c.rows FROM system.commits c JOIN system.files f USING (table_name)").await, "");
    assert_eq!(engine.query("SELECT * FROM system.comits").await.unwrap_err().code(), "bad_query");
}

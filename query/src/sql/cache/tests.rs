use crate::SqlEngine;
use crate::metrics::QueryMetrics;
use crate::testing::{FakePiece, FakeWorkers, Partial, commit, csv, declared, engine, store};
use crate::views::Checking;
use prometheus::Registry;
use std::sync::Arc;

fn counting(engine: SqlEngine) -> (SqlEngine, Registry) {
    let registry = Registry::new();
    let metrics = QueryMetrics::register(&registry).unwrap();
    (engine.with_metrics(&metrics), registry)
}

/// Hits, misses, queries that are not kept, answers that were thrown out.
fn counts(registry: &Registry) -> [u64; 4] {
    let families = registry.gather();
    let of = |name: &str, outcome: Option<&str>| {
        let metrics = families.iter().filter(|f| f.name() == name).flat_map(|f| f.get_metric());
        let of_outcome = metrics.filter(|m| outcome.is_none_or(|o| m.get_label().iter().any(|l| l.value() == o)));
        of_outcome.map(|m| m.get_counter().get_value() as u64).sum()
    };
    let cache = |outcome| of("tidewatch_sql_cache_total", Some(outcome));
    [cache("hit"), cache("miss"), cache("not_kept"), of("tidewatch_sql_cache_evicted_total", None)]
}

const FIRST: &str =
    "SELECT api, sum(requests) AS n FROM calls WHERE window_start < TIMESTAMP '1970-01-01T00:00:10Z' GROUP BY api";

#[tokio::test]
async fn an_answer_is_kept_until_something_of_its_time_changes_and_a_late_event_shows_at_once() {
    let (_folder, store) = store();
    commit(&store, -1, 4, &[Partial(0, Some("orders"), &[10, 20], &["a"])]).await;
    let workers = Arc::new(FakeWorkers::default());
    let (engine, registry) = counting(engine(&store, workers.clone()));
    assert_eq!(csv(&engine, FIRST).await, "orders,2\n");
    assert_eq!(csv(&engine, FIRST).await, "orders,2\n");
    assert_eq!(csv(&engine, &format!("{FIRST} -- again\n")).await, "orders,2\n");
    assert_eq!(counts(&registry), [2, 1, 0, 0]);
    // Newer windows, in memory and committed, do not matter to it.
    *workers.pieces.lock().unwrap() = vec![FakePiece::of(4, 9, &[Partial(100, Some("orders"), &[1], &[])])];
    assert_eq!(csv(&engine, FIRST).await, "orders,2\n");
    commit(&store, 4, 9, &[Partial(100, Some("orders"), &[1], &[])]).await;
    assert_eq!(csv(&engine, FIRST).await, "orders,2\n");
    assert_eq!(counts(&registry), [4, 1, 0, 0]);
    // A late event shows while it is in memory, and after its commit.
    *workers.pieces.lock().unwrap() = vec![FakePiece::of(9, 10, &[Partial(0, Some("orders"), &[7], &[])])];
    assert_eq!(csv(&engine, FIRST).await, "orders,3\n");
    assert_eq!(csv(&engine, FIRST).await, "orders,3\n");
    assert_eq!(counts(&registry), [4, 1, 2, 0]);
    commit(&store, 9, 10, &[Partial(0, Some("orders"), &[7], &[])]).await;
    workers.pieces.lock().unwrap().clear();
    assert_eq!(csv(&engine, FIRST).await, "orders,3\n");
    assert_eq!(csv(&engine, FIRST).await, "orders,3\n");
    assert_eq!(counts(&registry), [5, 2, 2, 0]);
}

#[tokio::test]
async fn the_whole_of_a_table_is_asked_for_anew_with_every_commit() {
    let (_folder, store) = store();
    commit(&store, -1, 4, &[Partial(0, Some("orders"), &[10], &["a"])]).await;
    let (engine, registry) = counting(engine(&store, Arc::new(FakeWorkers::default())));
    let sql = "SELECT count(*) FROM calls a JOIN calls b ON a.api = b.api WHERE a.api IN (SELECT api FROM calls)";
    assert_eq!(csv(&engine, sql).await, "1\n");
    assert_eq!(csv(&engine, sql).await, "1\n");
    commit(&store, 4, 9, &[Partial(100, Some("orders"), &[1], &[])]).await;
    assert_eq!(csv(&engine, sql).await, "4\n");
    assert_eq!(counts(&registry), [1, 2, 0, 0]);
}

#[tokio::test]
async fn what_is_not_the_same_twice_is_not_kept() {
    let (_folder, store) = store();
    commit(&store, -1, 4, &[Partial(0, Some("orders"), &[10], &["a"])]).await;
    let (engine, registry) = counting(engine(&store, Arc::new(FakeWorkers::default())));
    for sql in [
        "SELECT count(*) FROM calls WHERE window_start < now()",
        "SELECT random() > 2, api FROM calls",
        "SELECT 1",
        "SELECT count(*) > 0 FROM information_schema.tables",
        "SELECT count(*) > 0 FROM system.files",
        "SELECT count(*) FROM generate_series(1, 3), calls",
    ] {
        let first = csv(&engine, sql).await;
        assert_eq!(csv(&engine, sql).await, first, "{sql}");
    }
    let [hits, misses, not_kept, _] = counts(&registry);
    assert_eq!((hits, misses, not_kept), (0, 0, 12));
}

#[tokio::test]
async fn other_definitions_give_other_answers() {
    let (_folder, store) = store();
    commit(&store, -1, 4, &[Partial(0, Some("orders"), &[10, 20], &["a"])]).await;
    let (engine, registry) = counting(engine(&store, Arc::new(FakeWorkers::default())));
    for (expression, expected) in [("sum(requests)", "2\n"), ("max(slowest)", "20\n")] {
        let view = format!("CREATE VIEW v AS SELECT {expression} AS x FROM calls");
        let views = [("v.sql".to_owned(), view)];
        engine.snapshots().define(declared().with_views(&views, Checking::Plans).await.unwrap());
        assert_eq!(csv(&engine, "SELECT x FROM v").await, expected);
        assert_eq!(csv(&engine, "SELECT x FROM v").await, expected);
    }
    assert_eq!(counts(&registry), [2, 2, 0, 0]);
}

#[tokio::test]
async fn the_bound_is_kept_and_what_is_thrown_out_is_counted() {
    let (_folder, store) = store();
    commit(&store, -1, 4, &[Partial(0, Some("orders"), &[10, 20], &["a"])]).await;
    let plain = engine(&store, Arc::new(FakeWorkers::default()));
    let limits = crate::SqlLimits { cache_bytes_max: 4_000, ..plain.limits() };
    let snapshots = crate::Snapshots::new(store.clone(), Arc::new(FakeWorkers::default()));
    let (engine, registry) = counting(SqlEngine::new(snapshots, limits, crate::Now::fixed(0)));
    for n in 0..200 {
        assert_eq!(csv(&engine, &format!("SELECT requests + {n} FROM calls")).await, format!("{}\n", 2 + n));
    }
    let [hits, misses, _, evicted] = counts(&registry);
    assert_eq!((hits, misses), (0, 200));
    assert!(evicted > 150, "{evicted}");
}

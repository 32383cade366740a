use super::{SqlEngine, SqlLimits};
use crate::passes;
use crate::session::Now;
use crate::snapshot::Snapshots;
use crate::testing::{FakePiece, FakeWorkers, Partial, commit, csv, engine, store};
use datafusion::logical_expr::LogicalPlan;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::time::Duration;

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

#[tokio::test]
async fn an_explanation_says_which_files_are_read() {
    let (_folder, store) = store();
    commit(&store, -1, 4, &[Partial(0, Some("orders"), &[10], &["a"])]).await;
    commit(&store, 4, 9, &[Partial(10, Some("orders"), &[10], &["a"]), Partial(10, Some("auth"), &[10], &["a"])]).await;
    let workers = Arc::new(FakeWorkers::default());
    *workers.pieces.lock().unwrap() = vec![FakePiece::of(9, 12, &[Partial(20, Some("new"), &[1], &[])])];
    let engine = engine(&store, workers);
    let select = "SELECT sum(requests) FROM calls WHERE window_start >= TIMESTAMP '1970-01-01T00:00:10Z'";
    let text = csv(&engine, &format!("EXPLAIN {select}")).await;
    assert!(text.starts_with("reads,\"calls in windows of 10s: 1 of 2 files, "), "{text}");
    assert!(text.contains(" bytes, 2 rows\ncalls: 1 rows in memory, not committed yet\""), "{text}");
    assert!(text.contains("logical_plan") && text.contains("physical_plan"), "{text}");
    let text = csv(&engine, &format!("EXPLAIN ANALYZE {select}")).await;
    assert!(text.contains("reads,") && text.contains("output_rows=1"), "{text}");
    let text = csv(&engine, "EXPLAIN SELECT 1").await;
    assert!(text.starts_with("reads,no table\n"), "{text}");
}

#[tokio::test]
async fn files_are_written_by_the_command_line_only() {
    let (_folder, store) = store();
    let engine = engine(&store, Arc::new(FakeWorkers::default()));
    let error = engine.query("COPY (SELECT 1) TO 'x.csv'").await.unwrap_err();
    assert!(error.code() == "bad_query" && error.hint().unwrap().contains("format=xlsx"), "{error}");
}

fn limited(store: &tidewatch_storage::Store, limits: SqlLimits) -> SqlEngine {
    let snapshots = Snapshots::new(store.clone(), Arc::new(FakeWorkers::default()));
    SqlEngine::new(snapshots, limits, Now::fixed(0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_into_memory_goes_to_disk_and_no_further_than_allowed() {
    let (folder, store) = store();
    let limits = engine(&store, Arc::new(FakeWorkers::default())).limits();
    let small = SqlLimits { memory_bytes_max: 8 << 20, timeout: Duration::from_secs(120), ..limits };
    let sort = "SELECT max(length(pad) + r) FROM (SELECT pad, row_number() OVER (ORDER BY x) AS r FROM (SELECT (v * 7919) % 1000003 AS x, repeat('y', 100) AS pad FROM generate_series(1, 200000) AS g(v)))";
    let groups = "SELECT count(*), sum(n) FROM (SELECT concat(repeat('k', 100), v % 60000) AS k, count(*) AS n FROM generate_series(1, 120000) AS g(v) GROUP BY 1)";
    let spill = folder.path().join("spill");
    let spilling = limited(&store, small).with_spill_folder(Some(spill.clone()));
    assert_eq!(csv(&spilling, sort).await, "200100\n");
    assert_eq!(csv(&spilling, groups).await, "60000,120000\n");
    assert!(spill.is_dir(), "the folder of the settings was used");
    assert_eq!(std::fs::read_dir(&spill).unwrap().count(), 0, "and is left empty");
    for spill_bytes_max in [0, 1 << 20] {
        let engine = limited(&store, SqlLimits { spill_bytes_max, ..small });
        let error = engine.query(sort).await.unwrap_err();
        assert_eq!(error.code(), "memory_limit", "{spill_bytes_max}: {error}");
        assert!(error.hint().unwrap().contains("sql.spill_bytes_max"));
    }
}

/// Whatever its operators do: many batches out of one, pairs of rows that a condition refuses, rows that never end.
#[test]
fn a_query_that_takes_too_long_is_stopped() {
    let endless = [
        "SELECT count(*) FROM generate_series(1, 300000) a(x), generate_series(1, 100000000) b(y) WHERE x + y < 0",
        "SELECT count(*) FROM generate_series(1, 300000) a(x) JOIN generate_series(1, 100000000) b(y) \
         ON x % 2 = y % 2 AND x + y < 0",
        "SELECT count(*) FROM generate_series(1, 300000) a(x) LEFT JOIN generate_series(1, 100000000) b(y) ON x > y",
        "SELECT count(*) FROM generate_series(1, 100000) a(x), generate_series(1, 100000) b(y), generate_series(1, 9) c(z)",
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
        "SELECT max(r) FROM (SELECT row_number() OVER () AS r FROM generate_series(1, 100000000000) a(x))",
    ];
    let operators = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // Where this test fails nobody waits for what goes on.
    let operators = ManuallyDrop::new(operators);
    let callers = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    callers.block_on(async {
        let (_folder, store) = store();
        let limits = engine(&store, Arc::new(FakeWorkers::default())).limits();
        // Long enough for the smaller side of a join to be read.
        let timeout = Duration::from_millis(1500);
        let limits = SqlLimits { timeout, memory_bytes_max: 1 << 30, ..limits };
        let engine = limited(&store, limits).with_runtime(operators.handle().clone());
        for sql in endless {
            let started = tokio::time::Instant::now();
            assert_eq!(engine.query(sql).await.unwrap_err().code(), "timeout", "{sql}");
            assert!(started.elapsed() < timeout * 3, "{sql}: {:?}", started.elapsed());
        }
        // Two threads, six queries: those of the first ones are free again.
        assert_eq!(csv(&engine, "SELECT 1").await, "1\n");
    });
    let ended = std::thread::spawn(move || drop(ManuallyDrop::into_inner(operators)));
    for _ in 0..100 {
        std::thread::sleep(Duration::from_millis(100));
        if ended.is_finished() {
            return;
        }
    }
    panic!("an operator goes on for nobody");
}

/// What is asked of one table is planned in one pass with some of the rules: more of them find nothing.
#[tokio::test]
async fn the_fewest_rules_plan_what_all_of_them_plan() {
    let (_folder, store) = store();
    commit(&store, -1, 4, &[Partial(0, Some("orders"), &[10], &["a"]), Partial(60, None, &[20], &["b"])]).await;
    let engine = engine(&store, Arc::new(FakeWorkers::default()));
    for sql in [
        "SELECT api, quantile(duration_ms, 0.95) FROM calls WHERE window_start >= '1970-01-01T00:00:00Z' GROUP BY api",
        "SELECT date_trunc('hour', window_start) AS t, sum(requests) FROM calls \
         WHERE window_start >= '1970-01-01T00:00:00Z' AND api = 'orders' GROUP BY 1 ORDER BY 1",
        "SELECT api, sum(cost)::DOUBLE / sum(requests) AS ratio FROM calls \
         WHERE window_start BETWEEN '1970-01-01T00:00:00Z' AND '1970-01-02T00:00:00Z' GROUP BY api ORDER BY ratio DESC LIMIT 10",
        "SELECT time_bucket(INTERVAL '5 minutes', window_start) AS t, api, max(slowest) FROM calls \
         WHERE api IN ('orders', 'stock') OR api IS NULL GROUP BY 1, 2 HAVING max(slowest) > 1 ORDER BY 1, 2",
        "SELECT extract(hour FROM date_trunc('hour', window_start)) AS h, sum(requests) FROM calls GROUP BY 1 ORDER BY 1",
        "SELECT t, max(n) FROM (SELECT date_trunc('minute', window_start) AS t, api, sum(requests) AS n FROM calls \
         WHERE window_start < '1970-01-02T00:00:00Z' GROUP BY 1, 2) WHERE api = 'orders' AND n > 1 + 1 GROUP BY t",
        "SELECT * FROM calls WHERE completeness = 'complete' ORDER BY window_start LIMIT 5",
        "SELECT sum(requests) FILTER (WHERE api = 'orders') AS a, sum(requests) AS b FROM calls WHERE now() > window_start",
        "SELECT count(*) FROM calls WHERE true AND 1 = 1",
    ] {
        let reading = engine.read(engine.context().unwrap(), sql, engine.now_us()).await.unwrap();
        let snapshot = engine.snapshots.take(&reading.needs.tables).await.unwrap();
        let (state, plan) = engine.plan(reading, &snapshot).await.unwrap().into_parts();
        let mut lean = state.clone();
        let few = passes::optimized(&mut lean, &plan).unwrap();
        assert_eq!(lean.config().options().optimizer.max_passes, 1, "{sql}");
        let planned = |plan: &LogicalPlan| {
            let plan = plan.display_indent().to_string();
            // A limit that a sort has taken over costs nothing, and numbers are only names.
            let of_name = |part: &str| part.trim_start_matches(|c: char| c.is_ascii_digit()).to_owned();
            let unnumbered =
                |line: &str| line.split("__common_expr_").map(of_name).collect::<Vec<_>>().join("__common_expr_");
            let lines = plan.lines().map(|line| unnumbered(line.trim_start()));
            lines.filter(|line| !line.starts_with("Limit: skip=0")).collect::<Vec<_>>()
        };
        assert_eq!(planned(&few), planned(&state.optimize(&plan).unwrap()), "{sql}");
    }
    for sql in ["SELECT 1", "SELECT count(*) FROM calls a JOIN calls b ON a.api = b.api"] {
        let reading = engine.read(engine.context().unwrap(), sql, engine.now_us()).await.unwrap();
        let snapshot = engine.snapshots.take(&reading.needs.tables).await.unwrap();
        let (mut state, plan) = engine.plan(reading, &snapshot).await.unwrap().into_parts();
        let named = |name: &str| state.optimizers().iter().any(|rule| rule.name() == name);
        assert!(passes::OF_SEVERAL_TABLES.iter().all(|name| named(name)), "rules have other names");
        passes::optimized(&mut state, &plan).unwrap();
        assert_eq!(state.config().options().optimizer.max_passes, 3, "{sql}");
    }
}

/// Rows of one row group take no operators that divide them and bring them together again.
#[tokio::test]
async fn few_rows_are_worth_one_processor() {
    let (_folder, store) = store();
    commit(&store, -1, 4, &[Partial(0, Some("orders"), &[10], &["a"]), Partial(60, None, &[20], &["b"])]).await;
    let limits = engine(&store, Arc::new(FakeWorkers::default())).limits();
    let engine = limited(&store, SqlLimits { memory_bytes_max: 1 << 30, ..limits });
    let context = engine.context().unwrap();
    if context.state().config().target_partitions() == 1 {
        eprintln!("SKIPPED: this machine has one processor");
        return;
    }
    for (sql, divides) in [
        ("SELECT api, sum(requests) FROM calls GROUP BY api ORDER BY api", false),
        ("SELECT a.api, count(*) FROM calls a JOIN calls b ON a.api = b.api GROUP BY a.api", false),
        ("SELECT value % 7, count(*) FROM generate_series(1, 1000000) GROUP BY 1", true),
    ] {
        let explained = csv(&engine, &format!("EXPLAIN {sql}")).await;
        assert_eq!(explained.contains("RepartitionExec"), divides, "{explained}");
    }
}

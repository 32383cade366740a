use super::Checking;
use crate::definitions::{DeclaredTable, Definitions};
use crate::testing::{FakePiece, FakeWorkers, Partial, commit, csv, engine, rollup, store};
use std::collections::BTreeMap;
use std::sync::Arc;
use tidewatch_engine::rollup::{Measure, MeasureKind};
use tidewatch_storage::Table;

fn declared() -> BTreeMap<String, DeclaredTable> {
    let table = |name: &str| {
        let rollup = tidewatch_engine::rollup::RollupSchema { name: name.to_owned(), ..rollup() };
        (name.to_owned(), DeclaredTable { schema: rollup.arrow_schema(), rollup: Some(rollup) })
    };
    [table("calls"), table("calls_later")].into()
}

async fn define(sql: &str) -> Result<Definitions, String> {
    let files = [("p/views.sql".to_owned(), sql.to_owned())];
    Definitions::of_tables(declared())
        .with_views(&files, Checking::Plans)
        .await
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

const VIEWS: &str = "
-- Worst first; defined before what it reads.
CREATE VIEW worst AS
SELECT api, p50_ms, per_call FROM by_api ORDER BY p50_ms DESC LIMIT 1;

CREATE VIEW by_api AS
WITH recent AS (SELECT * FROM calls WHERE window_start >= now() - INTERVAL '1 hour')
SELECT api, sum(requests) AS requests, quantile(duration_ms, 0.5) AS p50_ms,
       CASE WHEN sum(requests) > 0 THEN sum(cost) / sum(requests) END AS per_call
FROM recent GROUP BY api;

CREATE VIEW both AS SELECT 'now' AS era, requests FROM calls UNION ALL SELECT 'later', requests FROM calls_later;
";

#[tokio::test]
async fn a_view_is_a_table_to_queries_and_other_views() {
    let (_folder, store) = store();
    // Seconds of 2026-03-14, an hour and ten minutes before now().
    let (long_ago, lately) = (1_773_489_600 - 4200, 1_773_489_600 - 60);
    commit(&store, -1, 4, &[Partial(long_ago, Some("old"), &[900], &[]), Partial(lately, Some("a"), &[10, 20], &[])])
        .await;
    let workers = Arc::new(FakeWorkers::default());
    *workers.pieces.lock().unwrap() = vec![FakePiece::of(4, 9, &[Partial(lately, Some("b"), &[30], &[])])];
    let engine = engine(&store, workers);
    engine.snapshots().define(define(VIEWS).await.unwrap());
    assert_eq!(csv(&engine, "SELECT api, requests, p50_ms FROM by_api ORDER BY api").await, "a,2,10.0\nb,1,30.0\n");
    assert_eq!(csv(&engine, "SELECT api, p50_ms FROM worst").await, "b,30.0\n");
    assert_eq!(
        csv(&engine, "SELECT w.api, c.requests FROM \"worst\" w JOIN calls c ON c.api = w.api WHERE w.api IN (SELECT api FROM by_api)").await,
        "b,1\n"
    );
    assert_eq!(
        csv(&engine, "SELECT era, sum(requests) FROM both GROUP BY era").await,
        "now,4\n",
        "a rollup without a table yet is an empty one"
    );
    assert_eq!(csv(&engine, "SELECT count(*) FROM calls_later").await, "0\n");
    let tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1";
    assert_eq!(csv(&engine, tables).await, "both\nby_api\ncalls\ncalls_later\nworst\n");
    let error = engine.query("SELECT * FROM wurst").await.unwrap_err();
    assert_eq!(error.hint(), Some("the tables and views are: both, by_api, calls, calls_later, worst"));
    let error = engine.query("SELECT apu FROM worst").await.unwrap_err();
    assert_eq!(error.code(), "bad_query");
}

#[tokio::test]
async fn a_view_that_was_planned_before_reads_what_is_there_now() {
    let (_folder, store) = store();
    let workers = Arc::new(FakeWorkers::default());
    let engine = engine(&store, Arc::clone(&workers) as Arc<_>);
    engine.snapshots().define(define(VIEWS).await.unwrap());
    let lately = 1_773_489_600 - 60;
    let worst = "SELECT w.api, w.p50_ms, b.requests FROM worst w JOIN by_api b ON b.api = w.api";
    assert_eq!(csv(&engine, worst).await, "");
    commit(&store, -1, 4, &[Partial(lately, Some("a"), &[10, 20], &[])]).await;
    assert_eq!(csv(&engine, worst).await, "a,10.0,2\n");
    *workers.pieces.lock().unwrap() = vec![FakePiece::of(4, 9, &[Partial(lately, Some("b"), &[30], &[])])];
    tokio::time::sleep(std::time::Duration::from_millis(120)).await;
    assert_eq!(csv(&engine, worst).await, "b,30.0,1\n");
    assert_eq!(csv(&engine, "SELECT api FROM by_api ORDER BY 1").await, "a\nb\n");
    // Another worker has a newer definition.
    let mut wide = rollup();
    wide.measures.push(Measure { name: "retries".to_owned(), kind: MeasureKind::Count });
    Table::open_rollup(&store, &wide).await.unwrap();
    assert_eq!(csv(&engine, worst).await, "b,30.0,1\n");
    assert_eq!(csv(&engine, "SELECT sum(retries) FROM calls, (SELECT count(*) FROM worst) AS w").await, "0\n");
}

#[tokio::test]
async fn columns_of_a_view_are_known_without_asking() {
    let definitions = define(VIEWS).await.unwrap();
    let view = definitions.views().find(|v| v.name == "worst").unwrap();
    let columns: Vec<_> = view.schema.as_ref().unwrap().fields().iter().map(|f| f.name().as_str()).collect();
    assert_eq!((columns, view.reads.as_slice()), (vec!["api", "p50_ms", "per_call"], &["by_api".to_owned()][..]));
    let needs = definitions.needs(&["worst".to_owned(), "calls_later".to_owned()]);
    assert_eq!(needs.tables, ["calls", "calls_later"]);
    assert_eq!(needs.views.iter().map(|v| v.name.as_str()).collect::<Vec<_>>(), ["by_api", "worst"]);
    let existing = definitions.over_existing(&["calls".to_owned()]);
    assert_eq!(existing.names().into_iter().collect::<Vec<_>>(), ["by_api", "worst"]);
}

#[tokio::test]
async fn mistakes_have_a_place_and_a_hint() {
    let cases = [
        (
            "CREATE VIEW a AS\nSELECT x FROM calls;",
            "p/views.sql:2:8: view a: no column named x\n  hint: there are api, completeness, completeness_reason, cost",
        ),
        (
            "CREATE VIEW a AS\nSELECT 1 FROM\n  nowhere;",
            "p/views.sql:3:3: view a: no rollup or view named nowhere\n  hint: there are a, calls, calls_later",
        ),
        (
            "CREATE VIEW a AS\nSELECT medium(requests) FROM calls",
            "p/views.sql:2:8: view a: Invalid function 'medium'\n  hint: Did you mean",
        ),
        (
            "CREATE VIEW a AS SELECT quantile(requests, 0.5) FROM calls",
            "p/views.sql:1:25: view a: quantile takes a histogram column, found Int64",
        ),
        (
            "CREATE VIEW a AS SELECT\n quantile(duration_ms, 95) FROM calls",
            "p/views.sql:2:2: view a: quantile: q lies between 0 and 1",
        ),
        ("CREATE VIEW a AS SELECT api, sum(requests) AS n FROM calls", "p/views.sql:1:25: view a: "),
        ("CREATE VIEW a AS SELECT api, api FROM calls", "view a: "),
        (
            "CREATE VIEW a AS SELECT api FROM calls JOIN calls_later ON true",
            "p/views.sql:1:25: view a: api could be a column of several tables",
        ),
        ("CREATE VIEW a AS SELECT FROM WHERE", "p/views.sql:1:"),
        ("CREATE VIEW a AS SELECT 1 AS x; CREATE VIEW a AS SELECT 2 AS x", "p/views.sql:1:45: view a is defined twice"),
        ("CREATE VIEW calls AS SELECT 1 AS x", "p/views.sql:1:13: view calls has the name of a rollup\n  hint: "),
        ("CREATE VIEW \"A b\" AS SELECT 1 AS x", "p/views.sql:1:13: a view cannot be named `A b`"),
        ("CREATE VIEW a AS DELETE FROM calls", "p/views.sql:1:18: view a: a view is a SELECT"),
        ("CREATE VIEW a AS\n  ;", "view a: a view is a SELECT"),
        ("CREATE OR REPLACE VIEW a AS SELECT 1", "p/views.sql:1:8: expected CREATE VIEW name AS SELECT"),
        (
            "CREATE VIEW a (x) AS SELECT 1",
            "p/views.sql:1:15: expected CREATE VIEW name AS SELECT …\n  hint: columns are named in the SELECT",
        ),
        (
            "CREATE ROLLUP a AS SELECT 1",
            "p/views.sql:1:8: expected CREATE VIEW name AS SELECT …\n  hint: rollups stand in rollups.sql",
        ),
        ("SELECT 1", "p/views.sql:1:1: expected CREATE VIEW"),
        ("CREATE VIEW a AS SELECT 'open", "p/views.sql:1:25: Unterminated string literal"),
        ("CREATE VIEW a AS SELECT * FROM a", "p/views.sql:1:32: view a: reads itself\n"),
        (
            "CREATE VIEW a AS SELECT * FROM b;\nCREATE VIEW b AS SELECT * FROM c;\nCREATE VIEW c AS SELECT * FROM a",
            "p/views.sql:1:32: view a: reads itself, through b, then c\n  hint: ",
        ),
        (
            "CREATE VIEW a AS SELECT * FROM information_schema.tables",
            "no rollup or view named information_schema.tables",
        ),
    ];
    let mut failures = Vec::new();
    for (sql, expected) in cases {
        let found = define(sql).await.map(|_| "no mistake".to_owned()).unwrap_or_else(|e| e);
        // One mistake, one message.
        if !found.contains(expected) || found.matches("p/views.sql").count() != 1 {
            failures.push(format!("{sql}\n  expected {expected}\n  found    {found}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test]
async fn every_mistake_is_named_and_what_stands_on_one_is_not_blamed() {
    let found = define(
        "CREATE VIEW bad AS SELECT x FROM calls;\nCREATE VIEW above AS SELECT y FROM bad;\nCREATE VIEW other AS SELECT z FROM calls;",
    )
    .await
    .unwrap_err();
    assert!(found.contains("view bad: ") && found.contains("view other: ") && !found.contains("view above"), "{found}");
}

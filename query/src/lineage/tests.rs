use crate::definitions::Definitions;
use crate::testing::{FakeWorkers, Partial, commit, csv, declared, engine, store};
use crate::views::Checking;
use crate::{SqlEngine, SqlError};
use std::sync::Arc;

const VIEWS: &str = "
CREATE VIEW by_api AS
SELECT window_start, api, quantile(duration_ms, 0.95) AS p95, approx_distinct(users) AS users, sum(requests) AS n
FROM calls GROUP BY 1, 2;
CREATE VIEW means AS SELECT window_start, api, round(mean / 1000, 3) AS mean_s FROM calls;
CREATE VIEW seconds AS SELECT window_start, api, round(p95 / 1000, 3) AS p95_s, users AS people FROM by_api;
";

async fn filled() -> (tempfile::TempDir, SqlEngine) {
    let (folder, store) = store();
    let rows = [Partial(0, Some("orders"), &[10, 20, 30], &["a", "b"]), Partial(10, Some("orders"), &[1000], &["b"])];
    commit(&store, -1, 4, &rows).await;
    let engine = engine(&store, Arc::new(FakeWorkers::default()));
    let views = [("p/views.sql".to_owned(), VIEWS.to_owned())];
    let definitions = declared().with_views(&views, Checking::Plans).await;
    engine.snapshots().define(definitions.unwrap());
    (folder, engine)
}

#[tokio::test]
async fn what_is_made_of_percentiles_averages_and_distinct_counts_is_refused_however_it_is_reached() {
    let (_folder, engine) = filled().await;
    let sub = "(SELECT api, quantile(duration_ms, 0.95) AS p95, approx_distinct(users) AS u FROM calls GROUP BY api)";
    for (sql, expected) in [
        (
            format!("SELECT avg(p95) FROM {sub}"),
            "avg(p95) would be a percentile of percentiles: p95 comes from quantile(duration_ms, 0.95)",
        ),
        (format!("SELECT api, sum(p95 * 2) FROM {sub} GROUP BY api"), "percentile of percentiles"),
        (format!("WITH x AS {sub} SELECT avg(y.q) FROM (SELECT x.p95 AS q FROM x) AS y"), "avg(q) would be"),
        (format!("SELECT median(CAST(p95 AS BIGINT)) FROM {sub}"), "median(p95) would be"),
        (format!("SELECT avg(p95) OVER (ORDER BY api) FROM {sub}"), "avg(p95) would be"),
        (format!("SELECT api FROM {sub} GROUP BY api HAVING avg(p95) > 3"), "avg(p95) would be"),
        (format!("SELECT 1 WHERE EXISTS (SELECT avg(p95) FROM {sub})"), "avg(p95) would be"),
        (format!("SELECT avg(p) FROM (SELECT p95 AS p FROM {sub} UNION ALL SELECT 1.0)"), "avg(p) would be"),
        (format!("EXPLAIN SELECT avg(p95) FROM {sub}"), "avg(p95) would be"),
        ("SELECT avg(p95) FROM by_api".to_owned(), "avg(p95) would be"),
        ("SELECT api, avg(p95_s) FROM seconds GROUP BY api".to_owned(), "avg(p95_s) would be"),
        (
            "SELECT avg(q[1]) FROM (SELECT api, quantiles(duration_ms, [0.5, 0.9]) AS q FROM calls GROUP BY api)"
                .to_owned(),
            "percentile of percentiles",
        ),
        ("SELECT avg(hdr_quantile(duration_ms, 0.5)) FROM calls".to_owned(), "percentile of percentiles"),
        (
            format!("SELECT sum(u) FROM {sub}"),
            "sum(u) would count the same value again in every row: u comes from approx_distinct(users)",
        ),
        ("SELECT sum(people) FROM seconds".to_owned(), "sum(people) would count"),
        (
            "SELECT avg(mean) FROM calls".to_owned(),
            "avg(mean) would be an average of averages: mean comes from mean, the average of a window",
        ),
        ("SELECT api, avg(m * 1000) FROM (SELECT api, mean AS m FROM calls) GROUP BY api".to_owned(), "of averages"),
        ("SELECT api, avg(coalesce(mean, 0)) FROM calls GROUP BY api".to_owned(), "of averages"),
        ("SELECT avg(mean) OVER (ORDER BY window_start) FROM calls".to_owned(), "avg(mean) would be an average of"),
        ("SELECT avg(mean_s) FROM means".to_owned(), "mean_s comes from mean, the average of a window"),
        ("SELECT sum(mean_s) FROM means GROUP BY api".to_owned(), "sum(mean_s) would be a sum of averages"),
        ("SELECT distinct(users) FROM calls".to_owned(), "SELECT DISTINCT of users would list its bytes"),
    ] {
        match engine.query(&sql).await {
            Err(SqlError::Query { message, hint }) => {
                assert!(message.contains(expected), "{sql}\n  expected {expected}\n  found    {message}");
                assert!(hint.is_some_and(|h| h.contains("approx_distinct(users)") || h.contains("max(")), "{sql}");
            }
            other => panic!("{sql}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn what_has_a_meaning_is_answered() {
    let (_folder, engine) = filled().await;
    for (sql, expected) in [
        ("SELECT max(p95), min(p95), count(p95) FROM by_api", "1000.0,30.0,2\n"),
        ("SELECT max(users) FROM by_api", "2\n"),
        ("SELECT avg(users) FROM by_api", "1.5\n"),
        ("SELECT sum(n) FROM by_api", "4\n"),
        ("SELECT sum(CASE WHEN p95 > 500 THEN 1 ELSE 0 END) FROM by_api", "1\n"),
        ("SELECT sum(n) FILTER (WHERE p95 > 500) FROM by_api", "1\n"),
        ("SELECT avg(p95 - 30) FROM by_api", "485.0\n"),
        ("SELECT p95, avg(n) FROM by_api GROUP BY p95 ORDER BY p95", "30.0,3.0\n1000.0,1.0\n"),
        ("SELECT api, distinct(users) FROM calls GROUP BY api", "orders,2\n"),
        ("SELECT max(mean), min(mean), count(mean) FROM calls", "1000.0,20.0,2\n"),
        ("SELECT mean FROM calls WHERE mean > 10 ORDER BY mean DESC LIMIT 1", "1000.0\n"),
        ("SELECT max(mean_s) FROM means", "1.0\n"),
        ("SELECT CAST(sum(mean_sum) AS DOUBLE) / sum(mean_count) FROM calls", "265.0\n"),
        ("SELECT sum(mean * mean_count) / sum(mean_count) FROM calls", "265.0\n"),
        ("SELECT avg(m) FROM (SELECT api, avg(requests) AS m FROM calls GROUP BY api)", "2.0\n"),
    ] {
        assert_eq!(csv(&engine, sql).await, expected, "{sql}");
    }
}

#[tokio::test]
async fn a_view_without_a_meaning_is_a_mistake_with_a_place_and_a_hint() {
    let text = "CREATE VIEW worst AS\nSELECT avg(p) AS p FROM (SELECT quantile(duration_ms, 0.95) AS p FROM calls GROUP BY api)";
    let files = [("p/views.sql".to_owned(), text.to_owned())];
    let errors = Definitions::with_views(declared(), &files, Checking::Plans).await.unwrap_err();
    let found = errors.iter().map(ToString::to_string).collect::<String>();
    assert!(found.starts_with("p/views.sql:2:8: view worst: avg(p) would be a percentile of percentiles"), "{found}");
    assert!(found.contains("\n  hint: quantile(duration_ms, 0.95) over the rollup's own rows"), "{found}");
}

#[tokio::test]
async fn the_views_of_the_built_in_pack_all_have_a_meaning() {
    let pack = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../packs/creatorflow");
    let read = |name: &str| (name.to_owned(), std::fs::read_to_string(pack.join(name)).unwrap());
    let catalog = tidewatch_engine::rollup::Catalog::parse(&[read("sources.yaml")], &[read("rollups.sql")]).unwrap();
    let views = Definitions::from(&catalog).with_views(&[read("views.sql")], Checking::Plans).await;
    let mistakes = views.err().unwrap_or_default();
    assert!(mistakes.is_empty(), "{}", mistakes.iter().map(|m| format!("{m}\n")).collect::<String>());
}

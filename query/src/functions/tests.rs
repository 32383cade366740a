use crate::testing::{FakeWorkers, Partial, commit, csv, engine, store};
use crate::{SqlEngine, SqlError};
use std::sync::Arc;

async fn filled() -> (tempfile::TempDir, SqlEngine) {
    let (folder, store) = store();
    commit(
        &store,
        -1,
        4,
        &[Partial(0, Some("orders"), &[10, 20, 30], &["a", "b"]), Partial(0, Some("auth"), &[7], &["a"])],
    )
    .await;
    commit(&store, 4, 9, &[Partial(10, Some("orders"), &[40, 1000], &["b", "c"]), Partial(10, Some("none"), &[], &[])])
        .await;
    let engine = engine(&store, Arc::new(FakeWorkers::default()));
    (folder, engine)
}

#[tokio::test]
async fn quantiles_merge_histograms_over_any_grouping() {
    let (_folder, engine) = filled().await;
    let by_api = "SELECT api, quantile(duration_ms, 0.5) AS p50, quantile(duration_ms, 1) AS max FROM calls GROUP BY api ORDER BY api";
    assert_eq!(csv(&engine, by_api).await, "auth,7.0,7.0\nnone,,\norders,30.0,1000.0\n");
    assert_eq!(
        csv(&engine, "SELECT quantile(duration_ms, 0.5), quantile(duration_ms, 0) FROM calls").await,
        "20.0,7.0\n"
    );
    let filtered = "SELECT quantile(duration_ms, 0.5) FILTER (WHERE api = 'auth') FROM calls WHERE window_start < TIMESTAMP '1970-01-01T00:00:10Z'";
    assert_eq!(csv(&engine, filtered).await, "7.0\n");
    assert_eq!(csv(&engine, "SELECT quantile(duration_ms, 0.5) FROM calls WHERE api = 'nowhere'").await, "\"\"\n");
}

#[tokio::test]
async fn one_row_at_a_time() {
    let (_folder, engine) = filled().await;
    let rows = "SELECT api, hdr_count(duration_ms), hdr_quantile(duration_ms, 0.5), distinct_count(users) FROM calls ORDER BY window_start, api";
    assert_eq!(csv(&engine, rows).await, "auth,1,7.0,1\norders,3,20.0,2\nnone,,,\norders,2,40.0,2\n");
    let merged = "SELECT hdr_quantile(hdr_merge(duration_ms), 0.5), distinct_count(distinct_merge(users)) FROM calls";
    assert_eq!(csv(&engine, merged).await, "20.0,3\n");
}

#[tokio::test]
async fn distinct_counts_merge_sketches_and_stay_usual_elsewhere() {
    let (_folder, engine) = filled().await;
    assert_eq!(csv(&engine, "SELECT approx_distinct(users), approx_distinct(api) FROM calls").await, "3,3\n");
    assert_eq!(csv(&engine, "SELECT approx_distinct(users) FROM calls WHERE api = 'nowhere'").await, "0\n");
    assert_eq!(
        csv(&engine, "SELECT api, approx_distinct(users) FROM calls GROUP BY api ORDER BY api").await,
        "auth,1\nnone,0\norders,3\n"
    );
}

#[tokio::test]
async fn a_percentile_of_percentiles_is_refused_with_the_reason() {
    let (_folder, engine) = filled().await;
    for (sql, expected) in [
        ("SELECT quantile(requests, 0.5) FROM calls", "takes a histogram column, found Int64"),
        (
            "SELECT quantile(p, 0.5) FROM (SELECT quantile(duration_ms, 0.9) AS p FROM calls GROUP BY api)",
            "never averaged or taken of percentiles",
        ),
        ("SELECT quantile(duration_ms, 95) FROM calls", "the 95th percentile is 0.95"),
        ("SELECT quantile(duration_ms, requests) FROM calls GROUP BY requests", "constant between 0 and 1"),
        ("SELECT quantile(duration_ms) FROM calls", "as in quantile(duration_ms, 0.95)"),
        ("SELECT hdr_merge(requests) FROM calls", "hdr_merge takes one histogram column"),
        ("SELECT hdr(duration_ms) FROM calls", "merged by hdr_merge(column)"),
        ("SELECT hdr(mean) FROM calls", "round and cast it"),
        ("SELECT hdr(requests, 4) FROM calls", "a constant from 1 to 3"),
        ("SELECT fraction_below(requests, 4) FROM calls", "as in fraction_below(duration_ms, 250)"),
        ("SELECT growth(api, 4) FROM calls", "growth takes two numbers"),
    ] {
        match engine.query(sql).await {
            Err(SqlError::Query { message, .. }) => {
                assert!(message.contains(expected), "{sql}\n  expected {expected}\n  found    {message}")
            }
            other => panic!("{sql}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn plain_integers_become_a_histogram() {
    let (_folder, engine) = filled().await;
    let of = |rest: &str| {
        format!("FROM (VALUES ('a', 10), ('a', 20), ('a', -5), ('a', NULL), ('b', 1000), ('c', -1)) AS t(k, x) {rest}")
    };
    let quantiles = format!("SELECT hdr_quantile(hdr(x), 0.5), hdr_count(hdr(x, 3)) {}", of(""));
    assert_eq!(csv(&engine, &quantiles).await, "20.0,3\n");
    let grouped = format!("SELECT k, hdr_quantile(hdr(x), 1) {}", of("GROUP BY k ORDER BY k"));
    assert_eq!(csv(&engine, &grouped).await, "a,20.0\nb,1003.0\nc,\n");
    let above = format!("SELECT quantile(h, 0.5) FROM (SELECT k, hdr(x) AS h {})", of("GROUP BY k"));
    assert_eq!(csv(&engine, &above).await, "20.0\n");
    let filtered = format!("SELECT hdr_count(hdr(x) FILTER (WHERE k = 'b')) {}", of(""));
    assert_eq!(csv(&engine, &filtered).await, "1\n");
    let many = "SELECT hdr_count(hdr_merge(h)), quantile(h, 0.5) FROM (SELECT v % 1000 AS k, hdr(v, 3) AS h FROM generate_series(1, 100000) AS g(v) GROUP BY 1)";
    assert_eq!(csv(&engine, many).await, "100000,50015.0\n", "over partitions and partial aggregates");
}

#[tokio::test]
async fn the_share_of_values_up_to_a_bound() {
    let (_folder, engine) = filled().await;
    let shares = "SELECT api, fraction_below(duration_ms, 20), fraction_below(duration_ms, 9.9), fraction_below(duration_ms, -1), fraction_below(duration_ms, 1e30) FROM calls GROUP BY api ORDER BY api";
    assert_eq!(csv(&engine, shares).await, "auth,1.0,1.0,0.0,1.0\nnone,,,,\norders,0.4,0.0,0.0,1.0\n");
    assert_eq!(csv(&engine, "SELECT fraction_below(duration_ms, 1) FROM calls WHERE api = 'nowhere'").await, "\"\"\n");
}

#[tokio::test]
async fn growth_has_no_number_for_what_is_new() {
    let (_folder, engine) = filled().await;
    let sql = "SELECT growth(cur, prev) FROM (VALUES (3, 2.0), (1, -2.0), (0, 0.0), (5, 0.0), (NULL, 1.0), (0, 4.0)) AS t(cur, prev)";
    assert_eq!(csv(&engine, sql).await, "0.5\n1.5\n0.0\n\"\"\n\"\"\n-1.0\n");
}

#[tokio::test]
async fn bytes_that_are_no_sketch_are_an_error_and_not_a_number() {
    let (_folder, engine) = filled().await;
    let error = engine.query("SELECT quantile(users, 0.5) FROM calls").await.unwrap_err();
    assert_eq!(error.code(), "execution");
    assert!(error.to_string().contains("not a sketch"), "{error}");
}

#[tokio::test]
async fn several_quantiles_at_once_are_those_of_the_sorted_values() {
    let (_folder, engine) = filled().await;
    let many = "SELECT quantiles(h, [0.5, 0.99, 0.9, 0, 1]) FROM (SELECT v % 7 AS k, hdr(v, 3) AS h FROM generate_series(1, 2000) AS g(v) GROUP BY 1)";
    assert_eq!(csv(&engine, many).await, "\"[1000.0,1980.0,1800.0,1.0,2000.0]\"\n");
    let by_api = "SELECT api, quantiles(duration_ms, [0.5, 1]) FROM calls GROUP BY api ORDER BY api";
    assert_eq!(csv(&engine, by_api).await, "auth,\"[7.0,7.0]\"\nnone,\norders,\"[30.0,1000.0]\"\n");
    assert_eq!(
        csv(&engine, "SELECT q[2] FROM (SELECT quantiles(duration_ms, [0.1, 0.5]) AS q FROM calls)").await,
        "20.0\n"
    );
    for (sql, expected) in [
        ("SELECT quantiles(requests, [0.5]) FROM calls", "takes a histogram column, found Int64"),
        ("SELECT quantiles(duration_ms, [0.5, 95]) FROM calls", "numbers between 0 and 1"),
        ("SELECT quantiles(duration_ms, 0.5) FROM calls", "a list of numbers"),
    ] {
        let error = engine.query(sql).await.unwrap_err();
        assert!(error.code() == "bad_query" && error.to_string().contains(expected), "{sql}: {error}");
    }
}

#[tokio::test]
async fn the_top_k_are_exact_and_ties_go_by_label() {
    let (_folder, engine) = filled().await;
    let tied =
        "SELECT top_k(l, w, 2) FROM (VALUES ('b', 3), ('a', 2), ('c', 1), ('a', 1), ('d', NULL), (NULL, 2)) AS t(l, w)";
    assert_eq!(
        csv(&engine, tied).await,
        "\"[{\"\"value\"\":\"\"a\"\",\"\"weight\"\":3},{\"\"value\"\":\"\"b\"\",\"\"weight\"\":3}]\"\n"
    );
    let sums = "SELECT t[1]['value'], t[1]['weight'], t[3]['value'], t[3]['weight'], array_length(t) FROM (SELECT top_k(v % 10, v, 3) AS t FROM generate_series(1, 10000) AS g(v))";
    assert_eq!(csv(&engine, sums).await, "0,5005000,8,5003000,3\n", "over partitions and partial aggregates");
    let money = "SELECT t[1]['value'], t[1]['weight'] FROM (SELECT top_k(api, cost, 1) AS t FROM calls)";
    assert_eq!(csv(&engine, money).await, "orders,11.00\n");
    let none = "SELECT top_k(api, requests, 3) FROM calls WHERE api = 'nowhere'";
    assert_eq!(csv(&engine, none).await, "[]\n");
    for (sql, expected) in [
        ("SELECT top_k(api, requests, 0) FROM calls", "how many is a constant from 1"),
        ("SELECT top_k(api, api, 3) FROM calls", "as in top_k(provider, requests, 5)"),
    ] {
        let error = engine.query(sql).await.unwrap_err();
        assert!(error.code() == "bad_query" && error.to_string().contains(expected), "{sql}: {error}");
    }
}

#[tokio::test]
async fn a_rate_is_per_second_of_the_bucket_or_of_the_windows() {
    let (_folder, engine) = filled().await;
    let sql = "SELECT api, rate(requests, INTERVAL '20 seconds'), rate(requests, window_start, window_end) FROM calls GROUP BY api ORDER BY api";
    assert_eq!(csv(&engine, sql).await, "auth,0.05,0.1\nnone,0.0,0.0\norders,0.25,0.25\n");
    let filtered = "SELECT rate(requests, INTERVAL '10 seconds') FILTER (WHERE api = 'auth') AS r FROM calls HAVING rate(requests, INTERVAL '1 minute') > 0";
    assert_eq!(csv(&engine, filtered).await, "0.1\n");
    for (sql, expected) in [
        ("SELECT rate(requests, INTERVAL '1 month') FROM calls", "a month has no fixed length"),
        ("SELECT rate(requests) FROM calls", "rate takes a counter"),
    ] {
        let error = engine.query(sql).await.unwrap_err();
        assert!(error.code() == "bad_query" && error.to_string().contains(expected), "{sql}: {error}");
    }
}

#[tokio::test]
async fn change_is_said_in_its_own_unit_and_in_words() {
    let (_folder, engine) = filled().await;
    let numbers = "SELECT change(3, 2), growth_points(0.15, 0.1), growth_points(NULL, 0.1) ";
    assert_eq!(csv(&engine, numbers).await, "1.0,4.999999999999999,\n");
    let labels = "SELECT trend_label(cur, prev, 'month') FROM (VALUES (112.5, 100.0), (90.0, 100.0), (100.4, 100.0), (5.0, 0.0), (0.0, 0.0), (NULL, 1.0)) AS t(cur, prev)";
    assert_eq!(
        csv(&engine, labels).await,
        "+12.5 % from last month\n-10 % from last month\nflat from last month\nnew since last month\nflat from last month\nno comparison\n"
    );
}

#[tokio::test]
async fn months_grow_against_the_one_before_and_over_years() {
    let (_folder, engine) = filled().await;
    let of = |rows: &str| {
        format!(
            "SELECT g['growth'], g['cagr'], g['months'] FROM (SELECT monthly_growth(x, CAST(t AS TIMESTAMP)) AS g FROM (VALUES {rows}) AS v(x, t))"
        )
    };
    let year =
        of("(60, '2025-03-01'), (40, '2025-03-31'), (100, '2026-02-10'), (150, '2026-03-31'), (50, '2026-03-01')");
    assert_eq!(csv(&engine, &year).await, "1.0,1.0,13\n");
    let gap = of("(100, '2026-01-01'), (100, '2026-03-01')");
    assert_eq!(csv(&engine, &gap).await, ",0.0,3\n", "no rows of February: no comparison");
    assert_eq!(csv(&engine, &of("(1, '2026-01-01')")).await, ",,1\n");
}

#[tokio::test]
async fn a_slope_is_a_trend_only_when_chance_does_not_explain_it() {
    let (_folder, engine) = filled().await;
    let of = |values: &str| {
        format!(
            "SELECT round(s['per_day'], 9), round(s['r2'], 9), s['p'] < 0.05, abs(s['p'] - {values}, s['n'], s['direction'] FROM (SELECT slope(y, to_timestamp(x * 86400)) AS s FROM v)"
        )
    };
    // Slopes, r² and two-sided p as integrated numerically from Student's t density.
    let rising = format!(
        "WITH v(x, y) AS (VALUES (0,1),(1,3),(2,2),(3,5),(4,4),(5,6),(6,5),(7,8),(8,7),(9,9)) {}",
        of("5.9644994777507954e-05) < 1e-9")
    );
    assert_eq!(csv(&engine, &rising).await, "0.8,0.88,true,true,10,up\n");
    let noise =
        format!("WITH v(x, y) AS (VALUES (0,5),(1,1),(2,4),(3,2),(4,6),(5,3)) {}", of("0.8717434402332345) < 1e-9"));
    assert_eq!(csv(&engine, &noise).await, "0.085714286,0.007346939,false,true,6,steady\n");
    let few = format!("WITH v(x, y) AS (VALUES (0,1),(1,2),(2,3)) {}", of("0.0) < 1e-9"));
    assert_eq!(csv(&engine, &few).await, "1.0,1.0,true,true,3,\n", "too few to tell a trend");
}

#[tokio::test]
async fn hours_and_days_of_utc_are_cut_as_datafusion_cuts_them() {
    let (_folder, engine) = filled().await;
    let of = |unit: &str| {
        format!(
            "SELECT count(*) FROM (SELECT date_trunc('{unit}', t) AS ours, date_trunc('{unit}', t::TIMESTAMP) AS plain FROM \
             (VALUES (TIMESTAMPTZ '1969-12-31T23:59:59.5Z'), (TIMESTAMPTZ '2026-03-15T12:34:56Z'), (NULL)) AS v(t)) \
             WHERE ours = plain::TIMESTAMPTZ OR (ours IS NULL AND plain IS NULL)"
        )
    };
    for unit in ["second", "minute", "hour", "day", "week", "month", "year"] {
        assert_eq!(csv(&engine, &of(unit)).await, "3\n", "{unit}");
    }
}

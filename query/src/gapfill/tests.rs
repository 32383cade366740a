use crate::SqlEngine;
use crate::testing::{FakeWorkers, Partial, commit, csv, engine, store};
use std::sync::Arc;

/// Three windows of `orders`, one of `auth`, in the first minute of 1970.
async fn filled() -> (tempfile::TempDir, SqlEngine) {
    let (folder, store) = store();
    let rows = [
        Partial(0, Some("orders"), &[10], &[]),
        Partial(30, Some("orders"), &[40], &[]),
        Partial(40, Some("orders"), &[7, 7], &[]),
        Partial(20, Some("auth"), &[5], &[]),
    ];
    commit(&store, -1, 4, &rows).await;
    let engine = engine(&store, Arc::new(FakeWorkers::default()));
    (folder, engine)
}

fn range(from: &str, to: &str) -> String {
    format!("window_start >= TIMESTAMP '{from}' AND window_start < TIMESTAMP '{to}'")
}

fn minute() -> String {
    range("1970-01-01T00:00:00Z", "1970-01-01T00:00:50Z")
}

#[tokio::test]
async fn every_group_has_every_bucket_and_nothing_is_null_and_not_zero() {
    let (_folder, engine) = filled().await;
    let sql = format!(
        "SELECT extract(second FROM t) AS s, api, n, last, line FROM (
             SELECT time_bucket_gapfill(INTERVAL '10 seconds', window_start) AS t, api, sum(requests) AS n,
                    locf(max(slowest)) AS last, interpolate(max(slowest)) AS line
             FROM calls WHERE {} GROUP BY 1, 2) ORDER BY api, t",
        minute()
    );
    let expected = "0.0,auth,,,\n10.0,auth,,,\n20.0,auth,1,5,5.0\n30.0,auth,,5,\n40.0,auth,,5,\n\
                    0.0,orders,1,10,10.0\n10.0,orders,,10,20.0\n20.0,orders,,10,30.0\n30.0,orders,1,40,40.0\n40.0,orders,2,7,7.0\n";
    let answer = csv(&engine, &sql).await;
    let plain = |text: &str| text.lines().map(|l| l.replacen(".0,", ",", 1) + "\n").collect::<String>();
    assert_eq!(plain(&answer), plain(expected));
}

#[tokio::test]
async fn zero_is_said_where_it_is_meant_and_a_group_of_nothing_has_buckets() {
    let (_folder, engine) = filled().await;
    let zero = format!(
        "SELECT coalesce(sum(requests), 0) AS n FROM calls WHERE {} AND api = 'auth'
         GROUP BY time_bucket_gapfill(INTERVAL '10 seconds', window_start)
         ORDER BY time_bucket_gapfill(INTERVAL '10 seconds', window_start)",
        minute()
    );
    assert_eq!(csv(&engine, &zero).await, "0\n0\n1\n0\n0\n");
    let nothing = zero.replace("'auth'", "'nowhere'");
    assert_eq!(csv(&engine, &nothing).await, "0\n0\n0\n0\n0\n");
    let having = format!(
        "SELECT count(*) FROM (SELECT time_bucket_gapfill(INTERVAL '10 seconds', window_start) AS t, locf(sum(requests)) AS n
         FROM calls WHERE {} GROUP BY 1 HAVING sum(requests) IS NULL)",
        minute()
    );
    assert_eq!(csv(&engine, &having).await, "1\n", "the bucket of second 10 alone has no row of either");
}

#[tokio::test]
async fn now_and_between_and_aliases_bound_the_time() {
    let (_folder, engine) = filled().await;
    for bounds in [
        "w >= now() - INTERVAL '1 hour' AND w < now()",
        "w BETWEEN now() - INTERVAL '1 hour' AND now() - INTERVAL '1 second'",
        "now() > w AND TIMESTAMP '2026-03-14T11:00:00Z' <= w",
    ] {
        let sql = format!(
            "SELECT count(*), min(t), max(t) FROM (SELECT time_bucket_gapfill(INTERVAL '15 minutes', w) AS t
             FROM (SELECT window_start AS w, requests FROM calls) AS c WHERE {bounds} GROUP BY 1)"
        );
        let expected = "4,2026-03-14T11:00:00.000000Z,2026-03-14T11:45:00.000000Z\n";
        assert_eq!(csv(&engine, &sql).await, expected, "{bounds}");
    }
}

#[tokio::test]
async fn days_are_those_of_the_zone_even_when_clocks_change() {
    let (_folder, engine) = filled().await;
    let of = |from: &str, to: &str, zone: &str| {
        format!(
            "SELECT t FROM (SELECT time_bucket_gapfill(INTERVAL '1 day', window_start, '{zone}') AS t FROM calls
             WHERE {} GROUP BY 1) ORDER BY t",
            range(from, to)
        )
    };
    // 29 March 2026 has 23 hours in Berlin, 25 October 25.
    assert_eq!(
        csv(&engine, &of("2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z", "Europe/Berlin")).await,
        "2026-03-27T23:00:00.000000Z\n2026-03-28T23:00:00.000000Z\n2026-03-29T22:00:00.000000Z\n"
    );
    assert_eq!(
        csv(&engine, &of("2026-10-25T00:00:00Z", "2026-10-26T00:00:00Z", "Europe/Berlin")).await,
        "2026-10-24T22:00:00.000000Z\n2026-10-25T23:00:00.000000Z\n"
    );
    let by_row = format!(
        "SELECT count(*), count(DISTINCT t) FROM (SELECT time_bucket_gapfill(INTERVAL '1 day', window_start, zone) AS t, zone
         FROM (SELECT window_start, CASE api WHEN 'auth' THEN 'Asia/Tokyo' ELSE 'UTC' END AS zone FROM calls) AS c
         WHERE {} GROUP BY 1, 2)",
        range("1970-01-01T00:00:00Z", "1970-01-03T00:00:00Z")
    );
    assert_eq!(csv(&engine, &by_row).await, "5,5\n", "two days of UTC, three that touch them in Tokyo");
}

#[tokio::test]
async fn what_cannot_be_filled_says_so_and_what_to_do() {
    let (_folder, engine) = filled().await;
    let bucket = "time_bucket_gapfill(INTERVAL '10 seconds', window_start)";
    for (sql, expected) in [
        (format!("SELECT {bucket} AS t, sum(requests) FROM calls GROUP BY 1"), "needs to know from when to when"),
        (
            format!("SELECT {bucket}, sum(requests) FROM calls WHERE window_start > now() GROUP BY 1"),
            "needs to know from when to when",
        ),
        (format!("SELECT {bucket} FROM calls"), "stands in GROUP BY"),
        (
            "SELECT api, locf(sum(requests)) FROM calls GROUP BY api".to_owned(),
            "locf stands in the SELECT list of a query",
        ),
        (
            format!(
                "SELECT time_bucket_gapfill(INTERVAL '1 day', window_start, api) FROM calls WHERE {} GROUP BY 1",
                minute()
            ),
            "every group has one time zone",
        ),
        (
            format!(
                "SELECT time_bucket_gapfill(INTERVAL '1 second', window_start) FROM calls WHERE {} GROUP BY 1",
                range("1970-01-01T00:00:00Z", "1971-01-01T00:00:00Z")
            ),
            "more than 1000000 rows",
        ),
        (
            format!(
                "SELECT time_bucket_gapfill(INTERVAL '1 day', window_start, 'Mars/Olympus') FROM calls WHERE {} GROUP BY 1",
                minute()
            ),
            "there is no time zone Mars/Olympus",
        ),
    ] {
        let error = engine.query(&sql).await.unwrap_err();
        assert!(error.to_string().contains(expected) && error.hint().is_some(), "{sql}\n  {error:?}");
        assert_eq!(error.code(), "bad_query", "{sql}");
    }
}

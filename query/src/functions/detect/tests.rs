use crate::testing::{FakeWorkers, csv, engine, store};
use crate::{SqlEngine, SqlError};
use std::sync::Arc;

fn empty() -> (tempfile::TempDir, SqlEngine) {
    let (folder, store) = store();
    let engine = engine(&store, Arc::new(FakeWorkers::default()));
    (folder, engine)
}

/// Windows of 5 minutes by number; window 864 begins on 1970-01-04. `extra` is what is counted of shop a.
fn windows(last: i64, extra: &str) -> String {
    format!(
        "WITH w AS (
            SELECT 'a' AS shop, v, to_timestamp(v * 300) AS t, {extra} AS n FROM generate_series(0, {last}) AS g(v)
            UNION ALL
            SELECT 'b', v, to_timestamp(v * 300), 20 FROM generate_series(0, {last}) AS g(v)
        )"
    )
}

#[tokio::test]
async fn a_spike_has_start_peak_end_and_lift() {
    let (_folder, engine) = empty();
    let windows = windows(900, "CASE WHEN v = 866 THEN 300 WHEN v BETWEEN 864 AND 869 THEN 200 ELSE 20 END");
    let asked = format!(
        "{windows} SELECT v, round(s['expected'], 6), round(s['lift'], 6), round(s['excess'], 6), s['score'] > 8, s['is_open'],
                date_part('epoch', s['started']), date_part('epoch', s['peak']), date_part('epoch', s['ended'])
         FROM (SELECT *, spike(t, n) OVER (PARTITION BY shop) AS s FROM w)
         WHERE shop = 'a' AND v IN (0, 863, 864, 866, 870, 871, 872, 873) ORDER BY v"
    );
    assert_eq!(
        csv(&engine, &asked).await,
        "0,,,,,false,,,\n\
         863,20.0,,,false,false,,,\n\
         864,20.0,10.0,180.0,true,true,259200.0,259200.0,\n\
         866,20.0,11.666667,640.0,true,true,259200.0,259800.0,\n\
         870,20.0,10.833333,1180.0,true,true,259200.0,259800.0,\n\
         871,20.0,10.833333,1180.0,true,true,259200.0,259800.0,\n\
         872,20.0,10.833333,1180.0,true,false,259200.0,259800.0,261000.0\n\
         873,20.0,,,false,false,,,\n"
    );
    let others = format!(
        "{windows} SELECT count(*) FROM (SELECT *, spike(t, n, 'Europe/Berlin') OVER (PARTITION BY shop ORDER BY t DESC) AS s FROM w)
         WHERE s['is_open']"
    );
    assert_eq!(csv(&engine, &others).await, "8\n", "only of shop a, whatever the order");
}

#[tokio::test]
async fn silence_knows_opening_hours_and_how_many_events_were_usual() {
    let (_folder, engine) = empty();
    // Silent from Friday, 1970-01-09, on.
    let windows = windows(2450, "CASE WHEN v >= 2304 THEN 0 ELSE 20 END");
    let asked = |arguments: &str| {
        format!(
            "{windows} SELECT shop, s['is_silent'], s['open_seconds'], round(s['expected'], 6), date_part('epoch', s['since'])
             FROM (SELECT *, silence(t, n{arguments}) OVER (PARTITION BY shop) AS s FROM w) WHERE v = 2417 ORDER BY shop"
        )
    };
    assert_eq!(csv(&engine, &asked("")).await, "a,true,34200.0,2280.0,691200.0\nb,false,0.0,0.0,725400.0\n");
    let open = ", 'UTC', 'Mo-Fr 09:00-17:00'";
    assert_eq!(csv(&engine, &asked(open)).await, "a,true,1800.0,120.0,691200.0\nb,false,0.0,0.0,725400.0\n");
    let closed = ", 'UTC', 'Mo-Fr 09:00-17:00', '1970-01-09'";
    assert_eq!(csv(&engine, &asked(closed)).await, "a,false,,,\nb,false,,,\n");
    // What is declared is not learned.
    let declared = ", 'UTC', 'Mo-Fr 09:00-17:00', '', '240 per 1h'";
    assert_eq!(csv(&engine, &asked(declared)).await, "a,true,1800.0,120.0,691200.0\nb,false,0.0,0.0,725400.0\n");
    let declared = ", 'UTC', 'Mo-Fr 09:00-17:00', '', 'every 1h'";
    assert_eq!(csv(&engine, &asked(declared)).await, "a,false,1800.0,,691200.0\nb,false,0.0,,725400.0\n");
}

#[tokio::test]
async fn a_declared_source_that_never_spoke_is_silent_from_the_first_window_on() {
    let (_folder, engine) = empty();
    let windows = windows(36, "0");
    let asked = |rhythm: &str| {
        format!(
            "{windows} SELECT v, s['is_silent'], s['open_seconds'], date_part('epoch', s['since'])
             FROM (SELECT *, silence(t, n, '', '', '', {rhythm}) OVER (PARTITION BY shop) AS s FROM w)
             WHERE shop = 'a' AND v IN (35, 36) ORDER BY v"
        )
    };
    assert_eq!(csv(&engine, &asked("'every 3h'")).await, "35,false,10800.0,0.0\n36,true,11100.0,0.0\n");
    assert_eq!(csv(&engine, &asked("NULL")).await, "35,,,\n36,,,\n", "nothing is known of it");
}

#[tokio::test]
async fn what_is_wrong_is_said_with_a_hint() {
    let (_folder, engine) = empty();
    let windows = windows(10, "20");
    for (call, expected) in [
        ("spike(n, t)", "as in spike(window_start, orders, 'Europe/Berlin') OVER (PARTITION BY shop_id)"),
        ("spike(t, n, 'UTC', '24/7')", "spike takes the start of a window, its count and perhaps a zone"),
        ("spike(t, n, 'Mars/Base')", "found 'Mars/Base'"),
        ("silence(t, n, 'UTC', 'nine to five')", "expected opening hours such as"),
        ("silence(t, n, 'UTC', '', '25.12.')", "expected holidays as dates"),
        ("silence(t, n, 'UTC', '', '', '3h')", "expected a rhythm such as 'every 3h' or '40 per 1h'"),
        ("spike(t, -n)", "expected a count of events, found -20"),
        ("spike(to_timestamp_millis(v * 300001), n)", "common divisor of 1 ms"),
    ] {
        let sql = format!("{windows} SELECT {call} OVER (PARTITION BY shop) FROM w");
        match engine.query(&sql).await {
            Err(SqlError::Query { message, .. }) => {
                assert!(message.contains(expected), "{call}\n  expected {expected}\n  found    {message}")
            }
            other => panic!("{call}: {other:?}"),
        }
    }
    let sql = format!("{windows} SELECT spike(t, n) OVER () FROM w");
    assert!(matches!(engine.query(&sql).await, Err(SqlError::Query { message, .. }) if message.contains("two rows")));
}

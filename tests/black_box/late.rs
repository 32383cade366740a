//! `increase` over a window of hours ago is the sum that SQL gives of the same rows: before and after events that come
//! late, of series that were there and of new ones, through a stop and a kill.

use crate::prometheus_api::numbers;
use crate::support::{Csv, Tidewatch, post, wait_until, write_settings};
use std::collections::BTreeMap;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

type ByProvider = BTreeMap<String, f64>;

/// Sends calls of these times, in seconds since the epoch, and returns how many; the name tells their ids from others.
fn send(address: &str, name: &str, provider: &str, outcome: &str, times: impl Iterator<Item = i64>) -> usize {
    let event = |(at, seconds): (usize, i64)| {
        let time = chrono::DateTime::from_timestamp(seconds, 0).unwrap().to_rfc3339();
        let duration = at * 7 % 400;
        format!(
            r#"{{"specversion":"1.0","id":"{name}-{at}","source":"/calls","type":"apihealth.api_call.completed.v1","time":"{time}","tenantkind":"creator","tenantid":"c1","data":{{"provider":"{provider}","api":"rates","outcome":"{outcome}","duration_ms":{duration},"status_code":200}}}}"#
        )
    };
    let events: Vec<String> = times.enumerate().map(event).collect();
    let body = format!("[{}]", events.join(","));
    let kind = ["Content-Type: application/cloudevents-batch+json"];
    let answer = post(address, "/api/v1/events", &kind, body.as_bytes()).unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
    events.len()
}

fn wait_for(server: &mut Tidewatch, calls: usize) {
    let expected = calls.to_string();
    wait_until(&format!("{calls} calls in an answer"), SOON, || {
        let answer = server.sql("SELECT coalesce(sum(requests), 0) AS n FROM api_calls");
        answer.lines().nth(1) == Some(expected.as_str())
    });
}

/// Zero is said of a series that counts, and of one without rows nothing.
fn without_zeros(mut numbers: ByProvider) -> ByProvider {
    numbers.retain(|_, number| *number != 0.0);
    numbers
}

fn by_sql(server: &mut Tidewatch, column: &str, start: i64, end: i64) -> ByProvider {
    let csv = server.sql(&format!(
        "SELECT provider, sum({column}) AS n FROM api_calls \
         WHERE window_start >= to_timestamp({start}) AND window_start < to_timestamp({end}) GROUP BY provider"
    ));
    let csv = Csv::parse(&csv);
    without_zeros(csv.rows(["provider", "n"]).into_iter().map(|[p, n]| (p.to_owned(), n.parse().unwrap())).collect())
}

/// Compares spans of whole windows from `start` on; the calls of the first ten minutes.
fn compare(server: &mut Tidewatch, start: i64) -> ByProvider {
    let address = server.address();
    let ask = |query: &str, time: &str| without_zeros(numbers(&address, query, time, "provider"));
    for (from, to) in [(0, 600), (120, 300), (180, 190), (0, 3600)] {
        let (end, range) = (start + to, to - from);
        for (metric, column) in [("api_calls_requests_total", "requests"), ("api_calls_errors_total", "errors")] {
            let expected = by_sql(server, column, start + from, end);
            let query = format!("sum by (provider) (increase({metric}[{range}s]))");
            assert_eq!(ask(&query, &end.to_string()), expected, "{query} at {from} to {to}");
            let query = format!("sum by (provider) (increase({metric}[{range}s] @ {end}))");
            assert_eq!(ask(&query, ""), expected, "{query}");
        }
        let query = format!("histogram_count(sum by (provider) (increase(api_calls_duration_seconds[{range}s])))");
        assert_eq!(ask(&query, &end.to_string()), by_sql(server, "requests", start + from, end), "{query}");
    }
    let calls = by_sql(server, "requests", start, start + 600);
    let minutes = "sum_over_time(sum by (provider) (increase(api_calls_requests_total[1m]))[10m:1m])";
    assert_eq!(ask(minutes, &(start + 600).to_string()), calls, "minutes add up to the whole");
    calls
}

#[test]
fn increase_of_an_old_window_is_the_sum_of_sql() {
    let folder = tempfile::tempdir().unwrap();
    let settings = write_settings(
        folder.path(),
        "[storage]\nlocation = \"data\"\n[http]\nlisten = \"127.0.0.1:0\"\n[ingest]\nflush_interval = \"1s\"\n",
    );
    let start = chrono::Utc::now().timestamp() / 600 * 600 - 7200;
    let mut server = Tidewatch::run(&settings);
    let address = server.address();
    let mut sent = send(&address, "fine", "ups", "success", (0..300).map(|at| start + at * 2));
    sent += send(&address, "wrong", "usps", "server_error", (0..100).map(|at| start + at * 5));
    // An hour and a half on, the first windows are closed.
    sent += send(&address, "later", "dhl", "success", std::iter::once(start + 5400));
    wait_for(&mut server, sent);
    wait_until("a commit", SOON, || server.metric("tidewatch_commit_total") > 0.0);
    let before = compare(&mut server, start);
    assert_eq!(before, BTreeMap::from([("ups".to_owned(), 300.0), ("usps".to_owned(), 100.0)]));

    sent += send(&address, "late", "ups", "success", (0..40).map(|at| start + 130 + at));
    sent += send(&address, "late-error", "ups", "server_error", (0..5).map(|_| start + 185));
    sent += send(&address, "late-new", "fedex", "success", (0..7).map(|at| start + 181 + at));
    wait_for(&mut server, sent);
    let after = compare(&mut server, start);
    let expected = [("fedex", 7.0), ("ups", 345.0), ("usps", 100.0)].map(|(name, calls)| (name.to_owned(), calls));
    assert_eq!(after, BTreeMap::from(expected));
    let late = server.sql("SELECT coalesce(sum(late_events), 0) AS n FROM system.late");
    assert_ne!(late.lines().nth(1), Some("0"), "they were late");
    server.stop();

    let mut server = Tidewatch::run(&settings);
    let address = server.address();
    wait_for(&mut server, sent);
    assert_eq!(compare(&mut server, start), after, "as before the stop");
    sent += send(&address, "last", "fedex", "timeout", (0..3).map(|at| start + 500 + at));
    server.kill();

    let mut server = Tidewatch::run(&settings);
    wait_for(&mut server, sent);
    assert_eq!(compare(&mut server, start)["fedex"], 10.0, "after the kill");
    server.stop();
}

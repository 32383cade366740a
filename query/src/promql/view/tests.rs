use super::*;
use crate::promql::PromEngine;
use crate::sql::SqlEngine as Sql;
use crate::testing::{FakeWorkers, NOW_US, Partial, commit, csv, declared, engine, prom_limits, store};
use crate::views::Checking;
use tidewatch_promql::{Grammar, Options, Query, Sample, SelectHints, Value};

const NOW_S: i64 = NOW_US / 1_000_000;

const VIEWS: &str = "
CREATE VIEW call_seconds AS
SELECT date_bin(INTERVAL '1 minute', window_start) AS window_start, api,
       quantile(duration_ms, 0.5) / 1000 AS p50, quantile(duration_ms, 0.95) / 1000 AS p95,
       sum(requests) AS count, CASE WHEN sum(requests) > 2 THEN sum(cost) / sum(requests) END AS dear
FROM calls GROUP BY 1, 2;
CREATE VIEW calls_hourly_total AS
SELECT date_bin(INTERVAL '1 hour', window_start) AS window_start, api, sum(requests) AS value FROM calls GROUP BY 1, 2;
CREATE VIEW api_now AS
SELECT api, max(window_start) AS seen, sum(requests) > 2 AS is_busy, date_part('epoch', now()) AS at, sum(requests) AS value
FROM calls WHERE window_start <= now() GROUP BY 1;
CREATE VIEW every_call AS SELECT window_start, 'all' AS what, requests AS value FROM calls;
CREATE VIEW later AS SELECT c.api, c.value FROM api_now c;
";

/// Calls of two APIs one and a half hours, an hour and a minute ago.
async fn world() -> (tempfile::TempDir, Arc<Sql>, PromEngine) {
    let (folder, store) = store();
    let committed = [
        Partial(NOW_S - 5400, Some("orders"), &[10, 30, 50], &[]),
        Partial(NOW_S - 3600, Some("orders"), &[20], &[]),
        Partial(NOW_S - 3600, Some("rates"), &[5], &[]),
        Partial(NOW_S - 60, Some("orders"), &[40, 80, 60, 70], &[]),
        Partial(NOW_S - 50, Some("orders"), &[90], &[]),
    ];
    commit(&store, -1, 9, &committed).await;
    let engine = engine(&store, Arc::new(FakeWorkers::default()));
    let files = [("views.sql".to_owned(), VIEWS.to_owned())];
    engine.snapshots().define(declared().with_views(&files, Checking::Names).await.unwrap());
    let engine = Arc::new(engine);
    (folder, Arc::clone(&engine), PromEngine::new(engine, prom_limits()))
}

/// `name{label="value"}`
fn text(labels: &tidewatch_promql::Labels) -> String {
    let others = labels.iter().filter(|l| &*l.name != "__name__").map(|l| format!("{}={:?}", l.name, l.value));
    format!("{}{{{}}}", labels.metric_name(), others.collect::<Vec<_>>().join(", "))
}

async fn vector(engine: &PromEngine, query: &str, second: i64) -> Result<Vec<String>, String> {
    let query = Query::parse(query, Grammar::default()).unwrap();
    let answer = engine.answer(query.instant(second * 1000, &Options::default()), None).await;
    let Value::Vector(samples) = answer.map_err(|e| e.to_string())?.value else { panic!("no vector") };
    let shown = |labels: &tidewatch_promql::Labels, value: &Sample| match value {
        Sample::Float(value) => format!("{} {value}", text(labels)),
        Sample::Histogram(_) => panic!("no histogram is in a view"),
    };
    let mut shown: Vec<String> = samples.iter().map(|sample| shown(&sample.labels, &sample.value)).collect();
    shown.sort();
    Ok(shown)
}

#[tokio::test]
async fn windows_are_samples_at_their_ends_with_the_numbers_of_sql() {
    let (_folder, sql, engine) = world().await;
    let at = |second: i64| vector(&engine, "call_seconds{api=\"orders\"}", second);
    assert_eq!(at(NOW_S - 1).await.unwrap(), [""; 0], "the window is open");
    let minute = csv(&sql, "SELECT p50, p95, count FROM call_seconds WHERE window_start = now() - INTERVAL '1 minute'");
    assert_eq!(minute.await, "0.07,0.09,5\n");
    let both = |name: &str| {
        format!("{name}{{api=\"orders\", quantile=\"0.5\"}} 0.07, {name}{{api=\"orders\", quantile=\"0.95\"}} 0.09")
    };
    assert_eq!(at(NOW_S).await.unwrap().join(", "), both("call_seconds"));
    assert_eq!(at(NOW_S + 299).await.unwrap().len(), 2, "for as long as the lookback");
    assert_eq!(at(NOW_S + 301).await.unwrap().len(), 0);
    let one = vector(&engine, "call_seconds{quantile=~\"0.9.*\"}", NOW_S).await.unwrap();
    assert_eq!(one, ["call_seconds{api=\"orders\", quantile=\"0.95\"} 0.09"]);
    assert_eq!(vector(&engine, "call_seconds_count", NOW_S).await.unwrap(), ["call_seconds_count{api=\"orders\"} 5"]);
    let past = vector(&engine, "call_seconds_count offset 1h", NOW_S + 60).await.unwrap();
    assert_eq!(past, ["call_seconds_count{api=\"orders\"} 1", "call_seconds_count{api=\"rates\"} 1"]);
    // Selectors that differ in the name alone are read together, and each has its own.
    let share =
        "call_seconds{quantile=\"0.5\", api=\"orders\"} / ignoring(quantile) call_seconds_count{api=\"orders\"}";
    assert_eq!(vector(&engine, share, NOW_S).await.unwrap(), ["{api=\"orders\"} 0.014000000000000002"]);
    let both =
        "call_seconds_count{api=\"orders\"} + (call_seconds_dear{api=\"orders\"} - call_seconds_dear{api=\"orders\"})";
    assert_eq!(vector(&engine, both, NOW_S).await.unwrap(), ["{api=\"orders\"} 5"]);
    let all = "sum(sum_over_time(call_seconds_count[2h]))";
    assert_eq!(vector(&engine, all, NOW_S).await.unwrap(), ["{} 10"]);
    assert_eq!(vector(&engine, "call_seconds_dear", NOW_S + 60 - 3600).await.unwrap(), [""; 0], "NULL is no sample");
    assert_eq!(vector(&engine, "call_seconds{api=\"nothing\"}", NOW_S).await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_wide_window_holds_until_the_next_one_ends() {
    let (_folder, _sql, engine) = world().await;
    let of = |query: &'static str, second: i64| vector(&engine, query, second);
    // 12:00 is now; the hour from 11:00 has the calls of 11:00 and of 11:59.
    assert_eq!(of("calls_hourly_total", NOW_S - 1).await.unwrap(), ["calls_hourly_total{api=\"orders\"} 3"]);
    let hour = ["calls_hourly_total{api=\"orders\"} 6", "calls_hourly_total{api=\"rates\"} 1"];
    assert_eq!(of("calls_hourly_total", NOW_S).await.unwrap(), hour);
    assert_eq!(of("calls_hourly_total", NOW_S + 3599).await.unwrap(), hour);
    assert_eq!(of("calls_hourly_total", NOW_S + 3600).await.unwrap(), [""; 0]);
    assert_eq!(of("increase(calls_hourly_total[2h])", NOW_S).await.unwrap()[0], "{api=\"orders\"} 9");
    assert_eq!(of("max_over_time(calls_hourly_total[2h])", NOW_S).await.unwrap()[0], "{api=\"orders\"} 6");
    assert_eq!(of("count_over_time(calls_hourly_total[2h])", NOW_S).await.unwrap()[0], "{api=\"orders\"} 2");
    let query = Query::parse("calls_hourly_total{api=\"orders\"}", Grammar::default()).unwrap();
    let plan = query.range((NOW_S - 1800) * 1000, (NOW_S + 5400) * 1000, 1_800_000, &Options::default()).unwrap();
    let Value::Matrix(series) = engine.answer(plan, None).await.unwrap().value else { panic!("no matrix") };
    let values: Vec<(i64, f64)> = series[0].floats.iter().map(|(ms, value)| (ms / 1000 - NOW_S, *value)).collect();
    assert_eq!(values, [(-1800, 3.0), (0, 6.0), (1800, 6.0)]);
}

#[tokio::test]
async fn views_of_now_have_no_past() {
    let (_folder, sql, engine) = world().await;
    let at = |query: &'static str, second: i64| vector(&engine, query, second);
    assert_eq!(csv(&sql, "SELECT value FROM api_now ORDER BY api").await, "9\n1\n");
    let now = ["api_now{api=\"orders\"} 9", "api_now{api=\"rates\"} 1"];
    assert_eq!(at("api_now", NOW_S).await.unwrap(), now);
    assert_eq!(at("api_now", NOW_S + 200).await.unwrap(), now, "by lookback");
    assert_eq!(at("api_now", NOW_S - 61).await.unwrap(), [""; 0]);
    assert_eq!(at("api_now offset 5m", NOW_S).await.unwrap(), [""; 0]);
    let then = at("api_now_at{api=\"orders\"}", NOW_S - 55).await.unwrap();
    assert_eq!(then, [format!("api_now_at{{api=\"orders\"}} {}", NOW_S - 55)], "now() is the moment that is asked for");
    assert_eq!(at("api_now{api=\"orders\"}", NOW_S - 55).await.unwrap(), ["api_now{api=\"orders\"} 8"]);
    assert_eq!(
        at("api_now_is_busy", NOW_S).await.unwrap(),
        ["api_now_is_busy{api=\"orders\"} 1", "api_now_is_busy{api=\"rates\"} 0"]
    );
    let seen = at("time() - api_now_seen_timestamp_seconds", NOW_S).await.unwrap();
    assert_eq!(seen, ["{api=\"orders\"} 50", "{api=\"rates\"} 3600"]);
    assert_eq!(at("later", NOW_S).await.unwrap().len(), 2, "a view over a view");
}

#[tokio::test]
async fn two_rows_of_one_series_are_refused() {
    let (_folder, _sql, engine) = world().await;
    let error = vector(&engine, "every_call", NOW_S - 3590).await.unwrap_err();
    assert!(
        error.contains("the view every_call has several rows of {__name__=\"every_call\", what=\"all\"} at "),
        "{error}"
    );
    assert!(error.contains("hint: ask for it in SQL"), "{error}");
}

#[tokio::test]
async fn views_are_found() {
    let (_folder, _sql, engine) = world().await;
    let (from, to) = ((NOW_S - 90) * 1000, NOW_S * 1000);
    let names = engine.label_values("__name__", &[], from, to).await.unwrap();
    for name in ["call_seconds", "call_seconds_count", "api_now_seen_timestamp_seconds", "calls_requests_total"] {
        assert!(names.contains(name), "{name}");
    }
    let of = |name: &str| vec![vec![Matcher::equal("__name__", name)]];
    let found = engine.series(&of("call_seconds"), from, to).await.unwrap();
    let shown: Vec<String> = found.iter().map(text).collect();
    let expected = ["0.5", "0.95"].map(|q| format!("call_seconds{{api=\"orders\", quantile=\"{q}\"}}"));
    assert_eq!(shown, expected, "rates had no call");
    assert_eq!(engine.series(&of("api_now"), from, to).await.unwrap().len(), 2);
    assert_eq!(engine.series(&of("api_now"), from - 900_000, to - 600_000).await.unwrap(), []);
    let apis = engine.label_values("api", &of("api_now"), from, to).await.unwrap();
    assert_eq!(apis.into_iter().collect::<Vec<_>>(), ["orders", "rates"]);
    assert!(engine.label_names(&[], from, to).await.unwrap().contains("quantile"));
    let described = engine.described().await.unwrap();
    assert_eq!((described["call_seconds"].kind.name(), described["call_seconds"].unit), ("gauge", "seconds"));
}

#[test]
fn what_is_held_is_what_no_sample_says_by_lookback() {
    let selection = |start_ms, end_ms, step_ms| Selection {
        matchers: Vec::new(),
        start_ms,
        end_ms,
        hints: SelectHints { step_ms, ..SelectHints::default() },
    };
    let ends = vec![(1000, 1.0), (2000, 2.0), (4000, 4.0)];
    let of = |start, end, step| held(ends.clone(), 1000, 100, &selection(start, end, step));
    assert_eq!(of(1951, 2050, 0), [(2000, 2.0)], "within the lookback");
    assert_eq!(of(2401, 2500, 0), [(2500, 2.0)]);
    assert_eq!(of(2901, 3000, 0), [], "the next window has ended, and has no value");
    assert_eq!(of(901, 4000, 500), [(1000, 1.0), (1500, 1.0), (2000, 2.0), (2500, 2.0), (4000, 4.0)]);
    assert_eq!(held(ends.clone(), 100, 100, &selection(2401, 2500, 0)), [], "narrow windows are as they are");
}

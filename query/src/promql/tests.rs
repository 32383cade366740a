//! PromQL over a small store.

use super::*;
use crate::sql::SqlError;
use crate::testing::{FakePiece, FakeWorkers, Partial, commit, declared, engine, engine_within, prom_limits, store};
use tidewatch_promql::{Grammar, Query, Sample, Value};

/// Counted: two windows committed, one in memory.
async fn world() -> (tempfile::TempDir, PromEngine) {
    let (folder, store) = store();
    let committed = [
        Partial(0, Some("orders"), &[10, 30], &["a", "b"]),
        Partial(10, Some("orders"), &[20], &["a"]),
        Partial(10, Some("rates"), &[5], &["c"]),
    ];
    commit(&store, -1, 4, &committed).await;
    let workers = FakeWorkers::default();
    workers.pieces.lock().unwrap().push(FakePiece::of(4, 6, &[Partial(60, Some("orders"), &[40, 50], &["d"])]));
    let engine = engine(&store, Arc::new(workers));
    engine.snapshots().define(declared());
    (folder, PromEngine::new(Arc::new(engine), prom_limits()))
}

/// `labels value` of each series at a second.
async fn at(engine: &PromEngine, query: &str, second: i64) -> Vec<String> {
    let query = Query::parse(query, Grammar::default()).unwrap();
    let answer = engine.answer(query.instant(second * 1000, &Options::default()), None).await.unwrap();
    let Value::Vector(samples) = answer.value else { panic!("{answer:?}") };
    let shown = samples.iter().map(|sample| match &sample.value {
        Sample::Float(value) => format!("{} {value}", sample.labels.get("api")),
        Sample::Histogram(histogram) => format!("{} {} observations", sample.labels.get("api"), histogram.count),
    });
    let mut shown: Vec<String> = shown.collect();
    shown.sort();
    shown
}

#[tokio::test]
async fn counters_run_on_and_increases_are_what_was_counted() {
    let (_folder, engine) = world().await;
    assert_eq!(at(&engine, "calls_requests_total", 9).await, [""; 0], "the first window is open yet");
    assert_eq!(at(&engine, "calls_requests_total", 10).await, ["orders 2"]);
    assert_eq!(at(&engine, "calls_requests_total", 59).await, ["orders 3", "rates 1"]);
    assert_eq!(at(&engine, "calls_requests_total", 3600).await, ["orders 5", "rates 1"], "counters stand still");
    assert_eq!(at(&engine, "increase(calls_requests_total[1m])", 70).await, ["orders 3", "rates 1"]);
    assert_eq!(at(&engine, "increase(calls_requests_total[50s])", 70).await, ["orders 2", "rates 0"]);
    assert_eq!(at(&engine, "rate(calls_requests_total{api=\"orders\"}[10s])", 20).await, ["orders 0.1"]);
    assert_eq!(at(&engine, "increase(calls_cost_total[70s])", 70).await, ["orders 1.5", "rates 0.05"]);
    assert_eq!(at(&engine, "sum(increase(calls_requests_total{api=~\"o.*\"}[70s]))", 70).await, [" 5"]);
    assert_eq!(at(&engine, "increase(calls_requests_total[20s] offset 50s)", 70).await, ["orders 3", "rates 1"]);
    assert_eq!(at(&engine, "calls_requests_total{nothing=\"here\"}", 70).await, [""; 0]);
    assert_eq!(at(&engine, "irate(calls_requests_total{api=\"orders\"}[1m])", 70).await, ["orders 0.2"]);
}

#[tokio::test]
async fn gauges_are_those_of_the_newest_closed_window() {
    let (_folder, engine) = world().await;
    assert_eq!(at(&engine, "calls_slowest", 20).await, ["orders 20", "rates 5"]);
    assert_eq!(at(&engine, "calls_users", 70).await, ["orders 1", "rates 1"]);
    assert_eq!(at(&engine, "max_over_time(calls_slowest[70s])", 70).await, ["orders 50", "rates 5"]);
    assert_eq!(at(&engine, "calls_mean", 10).await, ["orders 20"]);
}

#[tokio::test]
async fn histograms_are_native() {
    let (_folder, engine) = world().await;
    assert_eq!(at(&engine, "calls_duration_seconds", 20).await, ["orders 3 observations", "rates 1 observations"]);
    assert_eq!(at(&engine, "histogram_count(increase(calls_duration_seconds[1m]))", 60).await, ["orders 3", "rates 1"]);
    let quantile =
        at(&engine, "histogram_quantile(1, sum by (api) (rate(calls_duration_seconds{api=\"orders\"}[70s])))", 70)
            .await;
    let value: f64 = quantile[0].strip_prefix("orders ").unwrap().parse().unwrap();
    assert!((value / 0.050 - 1.0).abs() < 0.004, "{value}");
}

#[tokio::test]
async fn series_and_labels_are_found() {
    let (_folder, engine) = world().await;
    let matchers = [vec![Matcher::equal("__name__", "calls_requests_total")]];
    let found = engine.series(&matchers, 0, 30_000).await.unwrap();
    assert_eq!(found.iter().map(|l| l.get("api").to_owned()).collect::<Vec<_>>(), ["orders", "rates"]);
    assert_eq!(engine.series(&matchers, 30_000, 50_000).await.unwrap(), []);
    let values = engine.label_values("api", &[], 0, 100_000).await.unwrap();
    assert_eq!(values.into_iter().collect::<Vec<_>>(), ["orders", "rates"]);
    assert!(engine.label_values("__name__", &[], 0, 1).await.unwrap().contains("calls_duration_seconds"));
    assert_eq!(engine.label_names(&[], 0, 1).await.unwrap().into_iter().collect::<Vec<_>>(), ["__name__", "api"]);
}

#[tokio::test]
async fn queries_have_the_time_of_promql_and_not_that_of_sql() {
    let (_folder, store) = store();
    commit(&store, -1, 4, &[Partial(0, Some("orders"), &[10], &["a"])]).await;
    let engine = Arc::new(engine_within(&store, Arc::new(FakeWorkers::default()), Duration::ZERO));
    engine.snapshots().define(declared());
    assert!(matches!(engine.query("SELECT requests FROM calls").await, Err(SqlError::Timeout(_))));
    let promql = PromEngine::new(Arc::clone(&engine), prom_limits());
    assert_eq!(at(&promql, "calls_requests_total", 10).await, ["orders 1"]);
    assert_eq!(at(&promql, "calls_slowest", 10).await, ["orders 10"]);
    let matchers = [vec![Matcher::equal("__name__", "calls_requests_total")]];
    assert_eq!(promql.series(&matchers, 0, 30_000).await.unwrap().len(), 1);

    let hurried = PromEngine::new(engine, PromLimits { timeout: Duration::ZERO, ..prom_limits() });
    let query = Query::parse("calls_requests_total", Grammar::default()).unwrap();
    let hour = Some(Duration::from_secs(3600));
    let answer = hurried.answer(query.instant(10_000, &Options::default()), hour).await;
    assert!(matches!(answer, Err(PromError::Timeout)), "{answer:?}");
}

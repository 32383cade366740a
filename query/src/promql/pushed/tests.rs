//! Pushed samples, committed in two widths and in memory, as PromQL sees them.

use crate::definitions::{DeclaredTable, Definitions};
use crate::promql::PromEngine;
use crate::testing::{FakeWorkers, csv, engine, partition, prom_limits, store};
use arrow::array::{ArrayRef, BinaryArray, Float64Array, StringArray, TimestampMicrosecondArray};
use arrow::record_batch::RecordBatch;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidewatch_engine::commit::OffsetRange;
use tidewatch_engine::rollup::{Dimension, DimensionType, Measure, MeasureKind, RollupSchema, Tier, ValueType};
use tidewatch_engine::samples::{NativeHistogram, STALE_BITS, SampleSet};
use tidewatch_engine::time::MINUTE_US;
use tidewatch_promql::{Grammar, MatchOp, Matcher, Options, Query, Sample, Value};
use tidewatch_storage::{Rows, Store, Table};

fn rollup() -> RollupSchema {
    let text = |name: &str| Dimension { name: name.to_owned(), value: DimensionType::Utf8 };
    let measure = |name: &str, kind| Measure { name: name.to_owned(), kind };
    RollupSchema {
        name: "samples".to_owned(),
        sources: vec!["pushed_sample".to_owned()],
        pane_us: Some(15 * MINUTE_US),
        dimensions: vec![text("tenant"), text("metric"), text("labels")],
        measures: vec![
            measure("samples", MeasureKind::Samples),
            measure("value_max", MeasureKind::Max { value: ValueType::Float64 }),
        ],
        definition: "from pushed_sample".to_owned(),
        tiers: vec![
            Tier { pane_us: 15 * MINUTE_US, retain_us: None },
            Tier { pane_us: 60 * MINUTE_US, retain_us: None },
        ],
        retain_us: None,
    }
}

/// One row: tenant, metric, labels, samples of seconds and values.
struct Row<'a>(&'a str, &'a str, &'a str, &'a [(i64, f64)]);

async fn commit(store: &Store, offset: i64, rows: &[Row<'_>], histograms: &[(i64, NativeHistogram)]) {
    let window = |row: &Row<'_>| {
        let second = row.3.first().map(|s| s.0).or(histograms.first().map(|h| h.0)).unwrap();
        second * 1_000_000 / (15 * MINUTE_US) * (15 * MINUTE_US)
    };
    let set = |row: &Row<'_>| {
        let mut set = SampleSet::new();
        row.3.iter().for_each(|&(second, value)| set.insert(second * 1000, value));
        if row.3.is_empty() {
            histograms.iter().for_each(|(second, h)| set.insert_histogram(second * 1000, &h.to_bytes()));
        }
        set.to_bytes()
    };
    let text = |of: fn(&Row<'_>) -> String| Arc::new(StringArray::from_iter_values(rows.iter().map(of))) as ArrayRef;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(window)).with_timezone("UTC")),
        text(|r| r.0.to_owned()),
        text(|r| r.1.to_owned()),
        text(|r| r.2.to_owned()),
        Arc::new(BinaryArray::from_iter_values(rows.iter().map(set))),
        Arc::new(Float64Array::from_iter(rows.iter().map(|r| r.3.iter().map(|s| s.1).reduce(f64::max)))),
    ];
    let batch = RecordBatch::try_new(rollup().arrow_schema(), columns).unwrap();
    let mut table = Table::open_rollup(store, &rollup()).await.unwrap();
    let ranges = [(partition(), OffsetRange { from: offset - 1, to: offset })].into();
    table.append(&Rows { batch: Some(batch), ranges, watermarks: BTreeMap::new() }).await.unwrap();
}

async fn world() -> (tempfile::TempDir, PromEngine, Arc<crate::sql::SqlEngine>) {
    let (folder, store) = store();
    let up = |labels, samples| Row("anonymous", "up", labels, samples);
    let a = r#"{"instance":"a","job":"x"}"#;
    commit(&store, 0, &[up(a, &[(0, 1.0), (15, 1.0)]), up(r#"{"instance":"b","job":"x"}"#, &[(0, 0.0)])], &[]).await;
    // The same sample twice, one late, one in the next window, a mark that the series ended.
    commit(&store, 1, &[up(a, &[(15, 1.0), (30, 0.0)]), up(a, &[(900, 1.0), (915, f64::from_bits(STALE_BITS))])], &[])
        .await;
    let counter: Vec<(i64, f64)> = (0..=20).map(|at| (at * 15, (at * 3) as f64)).collect();
    commit(&store, 2, &[Row("shop", "http_requests_total", r#"{"path":"/a\"b","tenant":"inner"}"#, &counter)], &[])
        .await;
    let histogram = |count: f64| NativeHistogram {
        count,
        sum: count * 2.0,
        zero_threshold: 1e-128,
        positive: vec![(1, count)],
        ..NativeHistogram::default()
    };
    commit(&store, 3, &[Row("anonymous", "latency", "{}", &[])], &[(0, histogram(4.0)), (60, histogram(10.0))]).await;
    let engine = Arc::new(engine(&store, Arc::new(FakeWorkers::default())));
    let declared = DeclaredTable { schema: rollup().arrow_schema(), rollup: Some(rollup()) };
    engine.snapshots().define(Definitions::default().with_table("samples", declared));
    (folder, PromEngine::new(Arc::clone(&engine), prom_limits()), engine)
}

async fn at(engine: &PromEngine, query: &str, second: i64) -> Vec<String> {
    let query = Query::parse(query, Grammar::default()).unwrap();
    let answer = engine.answer(query.instant(second * 1000, &Options::default()), None).await.unwrap();
    let Value::Vector(samples) = answer.value else { panic!("{answer:?}") };
    let mut shown: Vec<String> = samples
        .iter()
        .map(|sample| match &sample.value {
            Sample::Float(value) => format!("{} {value}", sample.labels),
            Sample::Histogram(histogram) => format!("{} {histogram}", sample.labels),
        })
        .collect();
    shown.sort();
    shown
}

#[tokio::test]
async fn samples_answer_with_lookback_marks_and_extrapolation() {
    let (_folder, engine, _) = world().await;
    let a = r#"{__name__="up", instance="a", job="x"}"#;
    assert_eq!(at(&engine, r#"up{instance="a"}"#, 29).await, [format!("{a} 1")]);
    assert_eq!(at(&engine, r#"up{job=~"x|y"}"#, 31).await, [format!("{a} 0"), a.replace("\"a\"", "\"b\"") + " 0"]);
    assert_eq!(at(&engine, "up", 600).await, [""; 0], "five minutes later nothing stands for them");
    assert_eq!(at(&engine, "up", 914).await, [format!("{a} 1")]);
    assert_eq!(at(&engine, "up", 916).await, [""; 0], "the series has ended");
    assert_eq!(
        at(&engine, r#"sum(count_over_time(up{instance="a"}[20m]))"#, 920).await,
        ["{} 4"],
        "each once, without the mark"
    );
    // 57 seen between 15 s and 300 s, extrapolated to the range of 300 s.
    assert_eq!(at(&engine, "sum(increase(http_requests_total[5m]))", 300).await, ["{} 60"]);
    assert_eq!(at(&engine, r#"{__name__=~"up|nothing",instance!="b"}"#, 40).await, [format!("{a} 0")]);
    let latency = at(&engine, "increase(latency[1m1ms])", 60).await;
    assert!(latency[0].contains("count:6"), "{latency:?}");
    assert_eq!(at(&engine, "histogram_count(latency)", 61).await, ["{} 10"]);
}

#[tokio::test]
async fn tenants_and_labels_are_found() {
    let (_folder, engine, _) = world().await;
    let requests = r#"{__name__="http_requests_total", exported_tenant="inner", path="/a\"b", tenant="shop"}"#;
    assert_eq!(at(&engine, r#"http_requests_total{tenant="shop",path="/a\"b"}"#, 30).await, [format!("{requests} 6")]);
    assert_eq!(at(&engine, r#"http_requests_total{tenant="inner"}"#, 30).await, [""; 0]);
    assert_eq!(at(&engine, r#"http_requests_total{exported_tenant="inner"}"#, 30).await.len(), 1);
    let names = engine.label_values("__name__", &[], 0, 10_000).await.unwrap();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["http_requests_total", "latency", "up"]);
    let labels = engine.label_names(&[], 0, 10_000).await.unwrap();
    assert_eq!(
        labels.into_iter().collect::<Vec<_>>(),
        ["__name__", "exported_tenant", "instance", "job", "path", "tenant"]
    );
    let matcher = Matcher::new("job", MatchOp::Equal, "x").unwrap();
    let series = engine.series(&[vec![matcher.clone()]], 0, 10_000).await.unwrap();
    assert_eq!(series.len(), 2);
    assert!(engine.series(&[vec![matcher]], 3_600_000, 3_700_000).await.unwrap().is_empty());
}

#[tokio::test]
async fn sql_reads_the_plain_columns_beside_the_samples() {
    let (_folder, _, sql) = world().await;
    let counted = csv(&sql, "SELECT metric, sum(samples_count(samples)) AS n, max(value_max) FILTER (WHERE metric <> 'up') AS most FROM samples GROUP BY metric ORDER BY metric").await;
    assert_eq!(counted, "http_requests_total,21,60.0\nlatency,2,\nup,6,\n");
}

#[tokio::test]
async fn too_many_samples_are_refused() {
    let (_folder, _, sql) = world().await;
    let limits = crate::promql::PromLimits { samples_max: 10, ..prom_limits() };
    let engine = PromEngine::new(sql, limits);
    let query = Query::parse("rate(http_requests_total[5m])", Grammar::default()).unwrap();
    assert!(engine.answer(query.instant(300_000, &Options::default()), None).await.is_err());
}

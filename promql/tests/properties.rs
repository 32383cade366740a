//! What must hold for any samples: a range query is the same as an instant query at each of its steps, and
//! sliding windows give what looking at each window alone gives.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests say what went wrong by panicking")]

use std::sync::Arc;

use proptest::prelude::*;
use tidewatch_promql::{
    Grammar, Histogram, Labels, Limits, MatchOp, Matcher, MatrixSeries, Options, Query, STALE, Sample, Selection,
    Series, Storage, StorageError, Value, VectorSample,
};

struct Memory(Vec<Series>);

impl Storage for Memory {
    fn select(&self, selection: &Selection) -> Result<Vec<Series>, StorageError> {
        let fits = |one: &&Series| selection.matchers.iter().all(|matcher| matcher.matches_labels(&one.labels));
        Ok(self.0.iter().filter(fits).cloned().collect())
    }
}

/// Gaps between samples and what stands after each: mostly counting up, at times anew, missing or stale.
fn samples() -> impl Strategy<Value = Vec<(i64, f64)>> {
    let value = prop_oneof![
        20 => (0..50_i32).prop_map(f64::from),
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        2 => Just(STALE),
    ];
    proptest::collection::vec((1..40_000_i64, value), 0..120)
}

fn float_series(name: &str, instance: &str, samples: &[(i64, f64)], counter: bool) -> Series {
    let (mut time, mut total) = (0, 0.0);
    let mut times = Vec::new();
    let mut values = Vec::new();
    for (gap, value) in samples {
        time += gap;
        times.push(time);
        let adds = counter && value.is_finite() && *value < 48.0;
        total = if adds { total + value } else { 0.0 };
        values.push(if adds { total } else { *value });
    }
    Series::floats(labels(name, instance), times, values)
}

fn histogram_series(name: &str, instance: &str, samples: &[(i64, f64)]) -> Series {
    let (mut time, mut seen) = (0, Vec::new());
    let mut times = Vec::new();
    let mut values = Vec::new();
    for (gap, value) in samples {
        time += gap;
        times.push(time);
        if value.is_finite() && *value < 45.0 {
            seen.push((*value, 1.0));
        } else {
            seen.clear();
        }
        let sum = seen.iter().map(|one| one.0).sum();
        values.push(Arc::new(Histogram::exponential(if *value == 7.0 { 1 } else { 2 }, seen.iter().copied(), sum)));
    }
    Series::histograms(labels(name, instance), times, values)
}

fn labels(name: &str, instance: &str) -> Labels {
    Labels::new([("__name__", name), ("i", instance), ("x", if instance == "a" { "1" } else { "2" })])
}

const QUERIES: [&str; 42] = [
    "m",
    "m offset 1m",
    "m offset -1m",
    "m @ 300",
    "m @ end() - m @ start()",
    "rate(m[2m])",
    "increase(m[90s] offset 30s)",
    "delta(m[2m])",
    "irate(m[2m])",
    "idelta(m[2m])",
    "deriv(m[3m])",
    "predict_linear(m[3m], 60)",
    "changes(m[5m]) + resets(m[5m])",
    "min_over_time(m[20m])",
    "max_over_time(m[20m])",
    "sum_over_time(m[2m])",
    "avg_over_time(m[2m])",
    "count_over_time(m[2m])",
    "quantile_over_time(0.3, m[2m])",
    "stddev_over_time(m[2m])",
    "last_over_time(m[2m])",
    "absent_over_time(m[20s])",
    "absent(m)",
    "sum by (x) (m)",
    "avg(m) / count(m)",
    "max without (i) (m) - min without (i) (m)",
    "stdvar(m)",
    "topk(1, m)",
    "quantile(0.5, m)",
    "count_values(\"v\", m)",
    "m > 20 or on (x) n",
    "m and n",
    "m unless n",
    "m * on (x, i) group_left () n",
    "m > bool n",
    "max_over_time(rate(m[2m])[5m:20s])",
    "sum_over_time(m[3m:17s] @ 600)",
    "timestamp(m)",
    "rate(h[2m])",
    "histogram_quantile(0.9, sum(rate(h[3m])))",
    "histogram_count(increase(h[3m])) + histogram_fraction(0, 10, delta(h[3m]))",
    "sum_over_time(h[2m])",
];

fn run(query: &str, memory: &Memory, times: Option<(i64, i64, i64)>, time: i64) -> Value {
    let query = Query::parse(query, Grammar { experimental: true, ..Grammar::default() }).unwrap();
    let plan = match times {
        Some((start, end, step)) => query.range(start, end, step, &Options::default()).unwrap(),
        None => query.instant(time, &Options::default()),
    };
    plan.run(memory, &Limits::none()).unwrap().value
}

fn at(matrix: &[MatrixSeries], time: i64) -> Vec<VectorSample> {
    let mut samples = Vec::new();
    for series in matrix {
        let float = series.floats.iter().find(|point| point.0 == time).map(|point| Sample::Float(point.1));
        let histogram = series.histograms.iter().find(|point| point.0 == time);
        let value = float.or_else(|| histogram.map(|point| Sample::Histogram(point.1.clone())));
        samples.extend(value.map(|value| VectorSample { labels: series.labels.clone(), time_ms: time, value }));
    }
    samples
}

/// Exactly the same numbers, NaN and all.
fn same(left: &[VectorSample], right: &[VectorSample]) -> bool {
    let sorted = |samples: &[VectorSample]| {
        let mut lines: Vec<String> = samples.iter().map(|one| format!("{} {:?}", one.labels, one.value)).collect();
        lines.sort();
        lines
    };
    sorted(left) == sorted(right)
}

/// What a function gives for the values of one window.
type Naive = fn(&[f64]) -> f64;

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_range_query_is_an_instant_query_at_each_step(
        a in samples(), b in samples(), c in samples(), step in 1_000..100_000_i64,
    ) {
        let memory = Memory(vec![
            float_series("m", "a", &a, true),
            float_series("m", "b", &b, false),
            float_series("n", "a", &c, false),
            histogram_series("h", "a", &a),
            histogram_series("h", "b", &c),
        ]);
        let (start, end) = (100_000, 100_000 + 20 * step);
        for query in QUERIES {
            let Value::Matrix(matrix) = run(query, &memory, Some((start, end, step)), 0) else { panic!("{query}") };
            // `@ start()` and `@ end()` mean the ends of the query, so an instant query differs.
            if query.contains("end()") {
                continue;
            }
            for number in 0..=20 {
                let time = start + number * step;
                let Value::Vector(instant) = run(query, &memory, None, time) else { panic!("{query}") };
                let ranged = at(&matrix, time);
                prop_assert!(same(&ranged, &instant), "{query} at {time}: range {ranged:?}, instant {instant:?}");
            }
        }
    }

    #[test]
    fn sliding_windows_give_what_each_window_alone_gives(a in samples(), range in 10_000..2_000_000_i64) {
        let series = float_series("m", "a", &a, true);
        let (times, values) = (series.float_times_ms.as_slice().to_vec(), series.floats.as_slice().to_vec());
        let memory = Memory(vec![series]);
        let checks: [(&str, Naive); 5] = [
            ("count_over_time", |window| window.len() as f64),
            ("max_over_time", |window| window.iter().copied().fold(f64::NAN, f64::max)),
            ("min_over_time", |window| window.iter().copied().fold(f64::NAN, f64::min)),
            ("changes", |window| {
                window.windows(2).filter(|p| p[0] != p[1] && !(p[0].is_nan() && p[1].is_nan())).count() as f64
            }),
            ("resets", |window| window.windows(2).filter(|pair| pair[1] < pair[0]).count() as f64),
        ];
        for (function, naive) in checks {
            let query = format!("{function}(m[{range}ms])");
            let Value::Matrix(found) = run(&query, &memory, Some((0, 3_000_000, 7_000)), 0) else { panic!() };
            for step in 0..=3_000_000 / 7_000 {
                let end = step * 7_000;
                let window: Vec<f64> = times
                    .iter()
                    .zip(&values)
                    .filter(|(time, value)| **time > end - range && **time <= end && value.to_bits() != STALE.to_bits())
                    .map(|(_, value)| *value)
                    .collect();
                let found = at(&found, end).first().map(|sample| sample.value.clone());
                let expected = (!window.is_empty()).then(|| Sample::Float(naive(&window)));
                prop_assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{} at {}", query, end);
            }
        }
    }
}

/// Texts made of pieces of PromQL, sensible or not.
fn nonsense() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "foo",
        "sum",
        "by",
        "rate",
        "(",
        ")",
        "{",
        "}",
        "[",
        "]",
        "5m",
        "1",
        "-",
        "+",
        "*",
        "^",
        "==",
        "=~",
        "!=",
        ",",
        "\"a\"",
        "'",
        "`",
        "on",
        "ignoring",
        "group_left",
        "bool",
        "offset",
        "@",
        "start()",
        "and",
        "or",
        ":",
        "a=\"b\"",
        "#",
        "\n",
        " ",
        "topk",
        "0x",
        "1e",
        "é",
        "\\",
        "unless",
        "[5m]",
        "[1h:5m]",
        "max_over_time",
        "label_replace",
    ];
    proptest::collection::vec(proptest::sample::select(PIECES), 0..24).prop_map(|pieces| pieces.concat())
}

/// Queries that parse.
fn query() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("foo".to_string()),
        Just("{\"a.b\", c=\"d\", e!~\"f|g\"}".to_string()),
        Just("foo{x=\"y\"} offset -90s".to_string()),
        Just("rate(foo[5m] @ 12.345)".to_string()),
        Just("vector(1e-3)".to_string()),
        Just("absent_over_time(foo[1h30m] @ end() offset 1w)".to_string()),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            (pair.clone(), prop::sample::select(&["+", "-", "*", "/", "%", "^", "atan2", "==", ">= bool"][..]))
                .prop_map(|((left, right), op)| format!("{left} {op} {right}")),
            (pair.clone(), prop::sample::select(&["and", "or", "unless"][..]))
                .prop_map(|((left, right), op)| format!("{left} {op} on (a, \"b.c\") {right}")),
            pair.prop_map(|(left, right)| format!("{left} * ignoring (a) group_left (b) {right}")),
            inner.clone().prop_map(|one| format!("-{one}")),
            inner.clone().prop_map(|one| format!("({one})")),
            inner.clone().prop_map(|one| format!("sum without (a) ({one})")),
            inner.clone().prop_map(|one| format!("topk by (a) (3, {one})")),
            inner.clone().prop_map(|one| format!("max_over_time(({one})[1h:5m] offset 3m)")),
            inner.prop_map(|one| format!("clamp({one}, -1, Inf)")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_upsets_the_parser(text in nonsense()) {
        let _ = Query::parse(&text, Grammar { experimental: true, ..Grammar::default() });
    }

    #[test]
    fn no_text_upsets_a_matcher(text in "[a\\\\dQE\\[\\]^&~:()*+?{}|.é-]{0,12}", value in ".{0,4}") {
        if let Ok(matcher) = Matcher::new("a", MatchOp::Regex, text) {
            let _ = matcher.matches(&value);
        }
    }

    #[test]
    fn a_query_and_its_format_mean_the_same(text in query()) {
        let parsed = Query::parse(&text, Grammar::default()).unwrap();
        let line = parsed.expr().to_string();
        let formatted = parsed.format();
        prop_assert_eq!(Query::parse(&line, Grammar::default()).unwrap().expr().to_string(), line.clone());
        prop_assert_eq!(Query::parse(&formatted, Grammar::default()).unwrap().expr().to_string(), line);
    }
}

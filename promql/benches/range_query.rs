//! Time of range queries over 24 hours at a step of 15 seconds, on 500 series scraped every 15 seconds.
//!
//! ```text
//! cargo bench -p tidewatch-promql --bench range_query
//! cargo bench -p tidewatch-promql --bench range_query -- --tiny     one hour, once, to see that it runs
//! ```
//!
//! Prints the least time of five rounds for each query. A Prometheus 2.42 beside it on the same samples took
//! 2.2 s for `sum by (x) (rate(m[5m]))`, with reading them from its blocks.

#![allow(clippy::disallowed_methods, reason = "a bench reads the wall clock")]
#![allow(clippy::unwrap_used, reason = "a bench says what went wrong by panicking")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use tidewatch_promql::{Grammar, Histogram, Labels, Limits, Options, Query, Series};

const STEP_MS: i64 = 15_000;
const SERIES: usize = 500;

const QUERIES: [&str; 16] = [
    "m",
    "rate(m[5m])",
    "sum by (x) (rate(m[5m]))",
    "sum(m)",
    "avg by (x) (m)",
    "max_over_time(m[1h])",
    "sum_over_time(m[5m])",
    "avg_over_time(m[1h])",
    "quantile_over_time(0.95, m[5m])",
    "stddev_over_time(m[5m])",
    "topk(5, m)",
    "m / on (x, i) n",
    "m > 1000",
    "quantile(0.9, m)",
    "max_over_time(rate(m[5m])[1h:1m])",
    "histogram_quantile(0.9, sum by (x) (rate(h[5m])))",
];

fn floats(name: &str, samples: i64) -> Vec<Series> {
    let series = (0..SERIES).map(|at| {
        let labels = Labels::new([
            ("__name__", name.to_string()),
            ("x", format!("group-{}", at % 10)),
            ("i", format!("instance-{at}")),
        ]);
        let times: Vec<i64> = (0..samples).map(|sample| sample * STEP_MS + (at as i64 * 37) % STEP_MS).collect();
        // A counter with a reset every 2,000 samples.
        let values: Vec<f64> = (0..samples).map(|sample| (sample % 2_000) as f64 * (1 + at % 7) as f64).collect();
        Series::floats(labels, times, values)
    });
    series.collect()
}

/// 50 series of histograms with up to 40 buckets each.
fn histograms(samples: i64) -> Vec<Series> {
    let series = (0..SERIES / 10).map(|at| {
        let labels = Labels::new([("__name__", "h".to_string()), ("x", format!("group-{}", at % 10))]);
        let times: Vec<i64> = (0..samples).map(|sample| sample * STEP_MS).collect();
        let values: Vec<Arc<Histogram>> = (0..samples)
            .map(|sample| {
                let observations = (1..40).map(|value| (f64::from(value) * 10.0, (sample + 1) as f64));
                Arc::new(Histogram::exponential(3, observations, sample as f64))
            })
            .collect();
        Series::histograms(labels.with("i", &at.to_string()), times, values)
    });
    series.collect()
}

fn main() {
    let tiny = std::env::args().any(|argument| argument == "--tiny");
    let (hours, rounds) = if tiny { (1, 1) } else { (24, 5) };
    let (start, end) = (3_600_000, (hours + 1) * 3_600_000);
    let samples = end / STEP_MS + 1;
    let stored = [floats("m", samples), floats("n", samples), histograms(samples)];
    for text in QUERIES {
        let query = Query::parse(text, Grammar::default()).unwrap();
        let plan = query.range(start, end, STEP_MS, &Options::default()).unwrap();
        let selected: Vec<Vec<Series>> = plan
            .selections()
            .iter()
            .map(|selection| {
                let found = stored.iter().flatten();
                found.filter(|one| selection.matchers.iter().all(|m| m.matches_labels(&one.labels))).cloned().collect()
            })
            .collect();
        let mut best_ms = f64::INFINITY;
        for _ in 0..rounds {
            let begin = Instant::now();
            black_box(plan.evaluate(&selected, &Limits::none()).unwrap());
            best_ms = best_ms.min(begin.elapsed().as_secs_f64() * 1000.0);
        }
        println!("{best_ms:9.1} ms  {text}");
    }
}

//! Time of a backtest over 90 days at one-minute steps of 20 rules on 100 series each.
//!
//! ```text
//! cargo bench -p tidewatch-alerting --bench backtest             3, 15 and 90 days: the slope
//! cargo bench -p tidewatch-alerting --bench backtest -- --tiny   three hours, to see that it runs
//! ```

#![allow(clippy::disallowed_methods, reason = "a bench reads the wall clock")]
#![allow(clippy::unwrap_used, reason = "a bench says what went wrong by panicking")]

use std::sync::Arc;
use std::time::Instant;

use tidewatch_alerting::backtest::{BacktestOptions, run};
use tidewatch_alerting::rules::{LoadOptions, load};
use tidewatch_promql::{Column, Labels, Selection, Series, Storage, StorageError};

const STEP_MS: i64 = 60_000;
const SERIES: usize = 100;

/// A stretch of a shared column.
struct Stretch<T>(Arc<Vec<T>>, std::ops::Range<usize>);

impl<T> AsRef<[T]> for Stretch<T> {
    fn as_ref(&self) -> &[T] {
        &self.0[self.1.clone()]
    }
}

struct History {
    times_ms: Arc<Vec<i64>>,
    series: Vec<(Labels, Arc<Vec<f64>>)>,
}

impl History {
    /// A sample per minute and series: a daily wave with noise, so that a threshold is crossed now and then; and a
    /// counter.
    fn new(minutes: i64) -> History {
        let times_ms = Arc::new((0..minutes).map(|minute| minute * STEP_MS).collect());
        let mut seed = 7_u64;
        let mut series = Vec::new();
        for at in 0..SERIES {
            let mut gauge = Vec::with_capacity(minutes as usize);
            let mut counter = Vec::with_capacity(minutes as usize);
            let mut total = 0.0;
            for minute in 0..minutes {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let noise = (seed >> 40) as f64 / f64::from(1 << 24);
                let wave = ((minute % 1440) as f64 / 1440.0 * std::f64::consts::TAU).sin();
                gauge.push(50.0 + 30.0 * wave + 20.0 * noise);
                total += (noise * 10.0).floor();
                counter.push(total);
            }
            for (name, values) in [("g", gauge), ("c_total", counter)] {
                let labels =
                    [("__name__", name.to_string()), ("seller", format!("s{at}")), ("zone", format!("z{}", at % 5))];
                series.push((Labels::new(labels), Arc::new(values)));
            }
        }
        History { times_ms, series }
    }
}

impl Storage for History {
    fn select(&self, selection: &Selection) -> Result<Vec<Series>, StorageError> {
        let from = self.times_ms.partition_point(|time_ms| *time_ms < selection.start_ms);
        let to = self.times_ms.partition_point(|time_ms| *time_ms <= selection.end_ms);
        let fits = |labels: &Labels| selection.matchers.iter().all(|matcher| matcher.matches_labels(labels));
        let found = self.series.iter().filter(|(labels, _)| fits(labels)).map(|(labels, values)| {
            let times = Column::new(Stretch(self.times_ms.clone(), from..to));
            Series::floats(labels.clone(), times, Column::new(Stretch(values.clone(), from..to)))
        });
        Ok(found.collect())
    }
}

/// Twenty rules of the kinds that are met: plain thresholds, with `for`, hysteresis, tables, rates, recorded series.
fn rules() -> String {
    let mut text =
        "groups:\n  - name: bench\n    rules:\n      - {record: 'zone:g:avg', expr: 'avg by (zone) (g)'}\n".to_string();
    for at in 0..6 {
        text += &format!("      - {{alert: Above{at}, expr: 'g > {}', for: {at}m}}\n", 90 + at);
    }
    for at in 0..4 {
        text += &format!(
            "      - {{alert: Band{at}, expr: 'g > {}', for: 2m, tidewatch: {{resolve_below: 80}}}}\n",
            94 + at
        );
    }
    for at in 0..4 {
        text += &format!("      - {{alert: Rate{at}, expr: 'rate(c_total[{}m]) > 0.1{at}', for: 5m}}\n", 5 + at * 5);
    }
    for at in 0..3 {
        text += &format!(
            "      - {{alert: Table{at}, expr: g, tidewatch: {{thresholds: {{default: 9{at}, table: [{{match: '{{seller=\"s1\"}}', value: 99}}]}}}}}}\n"
        );
    }
    text += "      - {alert: Zone, expr: 'zone:g:avg > 85', keep_firing_for: 10m}\n";
    text += "      - {alert: Low, expr: 'avg_over_time(g[30m]) < 35'}\n";
    text
}

fn main() {
    let given = |flag: &str| std::env::args().any(|argument| argument == flag);
    // `cargo test` runs benches, too, and then without optimisation.
    let tiny = given("--tiny") || cfg!(debug_assertions) && !given("--full");
    let days: &[f64] = if tiny { &[0.125] } else { &[3.0, 15.0, 90.0] };
    let file = load("bench.yaml", &rules(), LoadOptions::default()).unwrap();
    assert_eq!(file.groups[0].rules.len(), 20);
    for days in days {
        let minutes = (days * 1440.0) as i64;
        let history = History::new(minutes);
        let options = BacktestOptions::new(0, (minutes - 1) * STEP_MS, STEP_MS);
        let begin = Instant::now();
        let backtest = run(&file.groups, &history, &options);
        let seconds = begin.elapsed().as_secs_f64();
        let fired: usize = backtest.rules.iter().map(|report| report.noise.fired).sum();
        let cells = minutes as f64 * SERIES as f64 * 20.0;
        let nanoseconds = seconds * 1e9 / cells;
        println!(
            "{days:6} days {seconds:8.3} s {nanoseconds:6.1} ns per rule, series and instant; {fired} alerts fired"
        );
    }
}

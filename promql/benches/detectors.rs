//! Time per series of the detectors: at one instant over 29 days of 5-minute counts, and over a day of such instants.
//!
//! ```text
//! cargo bench -p tidewatch-promql --bench detectors
//! cargo bench -p tidewatch-promql --bench detectors -- --tiny     one series, once, to see that it runs
//! ```
//!
//! Prints the least time of three rounds, in ms per series. `alone` is what replaying each step's range from its left
//! end would cost, times the steps.

#![allow(clippy::disallowed_methods, reason = "a bench reads the wall clock")]
#![allow(clippy::unwrap_used, reason = "a bench says what went wrong by panicking")]

use std::hint::black_box;
use std::time::Instant;

use tidewatch_detect::spike::{Detector, Settings};
use tidewatch_promql::{Grammar, Labels, Limits, Options, Query, Series};

const STEP_MS: i64 = 300_000;
const DAY_MS: i64 = 86_400_000;
const DAYS: i64 = 31;

const QUERIES: [&str; 6] = [
    "spike_lift(orders[29d:5m])",
    "spike_expected(orders[29d:5m], \"Europe/Berlin\")",
    "silence_seconds(orders[29d:5m])",
    "silence_seconds(orders[29d:5m], \"Europe/Berlin\", \"Mo-Sa 08:00-20:00\")",
    "silence_seconds(rare[29d:5m])",
    "max_over_time(orders[29d:5m])",
];

fn count(step: i64) -> u64 {
    let hour = (step % 288) as f64 / 12.0;
    let noise = 0.9 + 0.2 * ((step * 7919 % 97) as f64 / 97.0);
    ((100.0 - 80.0 * (std::f64::consts::TAU * hour / 24.0).cos()) * noise) as u64
}

fn stored(name: &str, series: usize, count: impl Fn(i64) -> u64) -> Vec<Series> {
    let times: Vec<i64> = (1..=DAYS * DAY_MS / STEP_MS).map(|step| step * STEP_MS).collect();
    let values: Vec<f64> = (0..DAYS * DAY_MS / STEP_MS).map(|step| count(step) as f64).collect();
    let labels = |at: usize| Labels::new([("__name__", name.to_string()), ("i", at.to_string())]);
    (0..series).map(|at| Series::floats(labels(at), times.clone(), values.clone())).collect()
}

/// Least time in ms per series.
fn least_ms(rounds: usize, series: usize, mut run: impl FnMut()) -> f64 {
    let round = |_| {
        let begin = Instant::now();
        run();
        begin.elapsed().as_secs_f64() * 1000.0 / series as f64
    };
    (0..rounds).map(round).fold(f64::INFINITY, f64::min)
}

fn main() {
    let tiny = std::env::args().any(|argument| argument == "--tiny");
    let (rounds, series) = if tiny { (1, 1) } else { (3, 20) };
    let stored = [stored("orders", series, count), stored("rare", series, |step| u64::from(step % 97 == 0))];
    let end_ms = (DAYS - 1) * DAY_MS + 12 * 3_600_000;
    let windows = (0..29 * 288).map(|step| (step * STEP_MS, count(step)));
    let replay_ms = least_ms(rounds, 1, || {
        black_box(Detector::replay(Settings::of_windows(STEP_MS), windows.clone()).unwrap());
    });
    println!("{replay_ms:9.2} ms             Detector::replay of 29 days; alone: {:.0} ms a day", replay_ms * 289.0);
    for text in QUERIES {
        let query = Query::parse(text, Grammar::default()).unwrap();
        let options = Options::default();
        let day = query.range(end_ms - DAY_MS, end_ms, STEP_MS, &options).unwrap();
        let times = [query.instant(end_ms, &options), day].map(|plan| {
            let selected: Vec<Vec<Series>> = plan
                .selections()
                .iter()
                .map(|selection| {
                    let fits = |one: &&Series| selection.matchers.iter().all(|m| m.matches_labels(&one.labels));
                    stored.iter().flatten().filter(fits).cloned().collect()
                })
                .collect();
            least_ms(rounds, series, || {
                black_box(plan.evaluate(&selected, &Limits::none()).unwrap());
            })
        });
        println!("{:9.2} ms {:9.2} ms  {text}", times[0], times[1]);
    }
}

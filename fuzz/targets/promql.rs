//! Any text as a query: what is parsed is written and parsed again as the same query, and evaluates without a panic
//! within its bounds.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::cell::Cell;
use tidewatch_promql::{Grammar, Interrupt, Labels, Limits, Options, Query, Series};

/// Cells of all vectors at one time.
const SAMPLES_MAX: usize = 100_000;
/// Looks at the clock that an evaluation may take, by number.
const LOOKS_MAX: u32 = 2_000;

fuzz_target!(|text: &str| {
    for grammar in [Grammar::default(), Grammar { experimental: true, prometheus_only: true }] {
        let Ok(query) = Query::parse(text, grammar) else { continue };
        let written = query.format();
        let again = Query::parse(&written, grammar).unwrap_or_else(|error| panic!("{written}: {error}"));
        assert_eq!(again.format(), written);
        let options = Options::default();
        let plans = [Some(query.instant(600_000, &options)), query.range(0, 900_000, 30_000, &options).ok()];
        for plan in plans.into_iter().flatten() {
            let series: Vec<Vec<Series>> = plan.selections().iter().map(|_| series()).collect();
            let looks = Cell::new(0);
            let interrupt = || {
                looks.set(looks.get() + 1);
                (looks.get() > LOOKS_MAX).then_some(Interrupt::Timeout)
            };
            let _ = plan.evaluate(&series, &Limits { samples_max: SAMPLES_MAX, interrupt: &interrupt });
        }
    }
});

fn series() -> Vec<Series> {
    let values = [0.0, 1.5, f64::NAN, f64::INFINITY, -3.0, 1e300];
    let of = |at: usize| {
        let name = ["requests_total", "latency_bucket"][at % 2].to_owned();
        let le = ["0.1", "+Inf", "x"][at % 3].to_owned();
        let labels = Labels::new([("__name__", name), ("job", format!("j{at}")), ("le", le)]);
        let times: Vec<i64> = (0..20).map(|sample| sample * 30_000 + at as i64).collect();
        let floats: Vec<f64> = (0..20).map(|sample| values[(sample + at) % values.len()]).collect();
        Series::floats(labels, times, floats)
    };
    (0..4).map(of).collect()
}

//! What a window costs a detector, and what a key costs in memory.
//!
//! ```text
//! cargo bench -p tidewatch-detect --bench spikes
//! cargo bench -p tidewatch-detect --bench spikes -- --tiny        a few windows, to see that it runs
//! ```

#![allow(
    missing_docs,
    dead_code,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench measures, and fails by panicking"
)]

mod support;

use std::hint::black_box;
use support::counts::Quiet;
use tidewatch_detect::silence::{self, Reporter};
use tidewatch_detect::spike::{Detector, Settings};

const START_MS: i64 = 1_772_409_600_000;

/// Processor time of this thread so far, from Linux; wall time does not tell on a shared machine.
fn spent_ns() -> f64 {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    schedstat.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(f64::NAN)
}

fn main() {
    // `cargo test` runs benches without an argument; `cargo bench` says --bench.
    let tiny = !std::env::args().any(|a| a == "--bench") || std::env::args().any(|a| a == "--tiny");
    let days = if tiny { 2 } else { 42 };
    println!("{:<40}{:>14}{:>14}{:>14}", "", "ns / window", "bytes", "bytes, JSON");
    for (rate, window_ms) in [(2.0, 60_000), (50.0, 60_000), (2000.0, 60_000), (50.0, 10_000)] {
        let source = Quiet { rate, overdispersion: 0.1, memory_windows: 1, window_ms };
        let windows = (days * 86_400_000 / window_ms) as usize;
        let counts = source.counts(START_MS, windows, 1);
        let mut detector = Detector::new(Settings::of_windows(window_ms)).unwrap();
        let began = spent_ns();
        for (at, count) in (START_MS..).step_by(window_ms as usize).zip(&counts) {
            let _ = black_box(detector.observe(at, *count).unwrap());
        }
        let spent = (spent_ns() - began) / windows as f64;
        let json = serde_json::to_vec(&detector).unwrap().len();
        let name = format!("spike, {rate} per {} s", window_ms / 1000);
        println!("{name:<40}{spent:>14.0}{:>14}{json:>14}", detector.bytes());
    }
    let source = Quiet { rate: 2.0, overdispersion: 0.1, memory_windows: 1, window_ms: 60_000 };
    let windows = (days * 1440) as usize;
    let counts = source.counts(START_MS, windows, 1);
    let mut reporter = Reporter::new(silence::Settings::default()).unwrap();
    let began = spent_ns();
    for (at, count) in (START_MS..).step_by(60_000).zip(&counts) {
        reporter.observe(at, *count).unwrap();
    }
    let spent = (spent_ns() - began) / windows as f64;
    let json = serde_json::to_vec(&reporter).unwrap().len();
    println!("{:<40}{spent:>14.0}{:>14}{json:>14}", "silence, 2 per 60 s", reporter.bytes());
}

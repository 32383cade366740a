//! Scores on the Numenta Anomaly Benchmark's tweet volumes.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, reason = "a test")]

#[path = "../benches/support/mod.rs"]
mod support;

use support::nab::{self, PROFILES, Series};
use support::baselines;
use tidewatch_detect::spike::{Detector, Settings, State};

fn detect(series: &Series) -> Vec<f64> {
    let settings = Settings::of_windows(nab::WINDOW_MS);
    let windows = series.values.iter().zip(0..).map(|(v, i)| (series.start_ms + i * nab::WINDOW_MS, *v));
    let (_, verdicts) = Detector::replay(settings, windows).unwrap();
    verdicts.iter().map(|v| if matches!(v.state, State::Opened(_)) { v.score } else { 0.0 }).collect()
}

#[test]
fn table() {
    let Some(folder) = nab::folder() else { panic!() };
    let series = nab::read(&folder);
    let windows: usize = series.iter().map(|s| s.windows.len()).sum();
    let g: Vec<_> = series.iter().map(|s| baselines::windowed_gaussian(&s.values)).collect();
    let z: Vec<_> = series.iter().map(|s| baselines::z_score(&s.values)).collect();
    let d: Vec<_> = series.iter().map(detect).collect();
    for p in PROFILES {
        for (name, scores, t) in [("gauss pub", &g, 1.0), ("gauss", &g, nab::optimise(&series, &g, p)), ("z", &z, nab::optimise(&series, &z, p)), ("tidewatch", &d, 8.0), ("tw opt", &d, nab::optimise(&series, &d, p))] {
            let ts: Vec<_> = series.iter().zip(scores).map(|(s, x)| nab::tally(s, x, t, p)).collect();
            println!("{} {name} t={t:.4} {:.1}", p.name, nab::normalised(ts.iter().map(|t| t.score).sum(), windows, p));
            for (s, t) in series.iter().zip(&ts) { println!("   {} {}/{} fp {} tp {} score {}", s.name, t.windows_found, s.windows.len(), t.rows_false, t.rows_true, t.score); }
        }
    }
}

//! Scores on the Numenta Anomaly Benchmark's tweet volumes.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, reason = "a test")]

#[path = "../benches/support/mod.rs"]
mod support;

use support::nab::{self, PROFILES, Series};
use support::baselines;
use tidewatch_detect::spike::{Detector, Settings, State};

fn detect(series: &Series, settings: Settings) -> Vec<f64> {
    let windows = series.values.iter().zip(0..).map(|(v, i)| (series.start_ms + i * nab::WINDOW_MS, *v));
    let (_, verdicts) = Detector::replay(settings, windows).unwrap();
    verdicts.iter().map(|v| if matches!(v.state, State::Opened(_)) { v.score } else { 0.0 }).collect()
}

#[test]
fn table() {
    let Some(folder) = nab::folder() else { panic!() };
    let series = nab::read(&folder);
    let windows: usize = series.iter().map(|s| s.windows.len()).sum();
    for score_open in [5.0, 6.0, 7.0, 8.0, 10.0] { for lift_open in [2.0, 3.0, 4.0] { for k in [3.0, 4.0, 5.0] { let (trail, hold) = (true, 15);
        let settings = Settings { k, trail, score_open, lift_open, hold_ms: hold * 60_000, ..Settings::of_windows(nab::WINDOW_MS) };
        let d: Vec<_> = series.iter().map(|s| detect(s, settings)).collect();
        print!("score {score_open} lift {lift_open} k {k}:");
        for p in PROFILES {
            let ts: Vec<_> = series.iter().zip(&d).map(|(s, x)| nab::tally(s, x, 1.0, p)).collect();
            print!(" {} {:.1}", p.name, nab::normalised(ts.iter().map(|t| t.score).sum(), windows, p));
            if p.name == "standard" { for (s, t) in series.iter().zip(&ts) { print!(" {} {}/{} fp{}", s.name, t.windows_found, s.windows.len(), t.rows_false); } }
        }
        println!();
    }}}
}

#[test]
fn look() {
    let Some(folder) = nab::folder() else { panic!() };
    for s in nab::read(&folder) {
        let settings = Settings::of_windows(nab::WINDOW_MS);
        let mut d = Detector::new(settings).unwrap();
        println!("{} windows {:?}", s.name, s.windows);
        for (i, &v) in s.values.iter().enumerate() {
            let at = s.start_ms + i as i64 * nab::WINDOW_MS;
            let e = d.baseline().expect(at, settings.zone);
            let x = d.observe(at, v).unwrap();
            if i % 3000 == 0 { println!("{} row {i} {:?}", s.name, e); }
            if let State::Opened(_) = x.state { if i >= 750 {
                let w = s.windows.iter().position(|w| w.0 <= i && i <= w.1);
                println!("   row {i} x {v} exp {:.1} lift {:.1} s {:.1} rarity {:.1} alpha {:.2} {}", x.expected.unwrap(), x.lift().unwrap(), x.score, x.rarity, e.unwrap().overdispersion, w.map_or("-".into(), |w| format!("window {w}")));
            }}
        }
    }
}

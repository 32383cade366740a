//! False alarms of quiet months, and how soon a tenfold burst is told.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, reason = "a test")]

#[path = "../benches/support/mod.rs"]
mod support;

use support::counts::{Quiet, Random};
use tidewatch_detect::spike::{Detector, Settings, State};

const DAY_MS: i64 = 86_400_000;
/// A Monday.
const START_MS: i64 = 1_772_409_600_000;
const MONTH_MS: i64 = 30 * DAY_MS;

fn sources(window_ms: i64) -> Vec<Quiet> {
    let hour = (3_600_000 / window_ms) as usize;
    [2.0, 50.0, 2000.0]
        .into_iter()
        .flat_map(|rate| {
            [(0.0, 1), (0.1, 1), (0.1, hour)].map(|(overdispersion, memory_windows)| Quiet {
                rate,
                overdispersion,
                memory_windows,
                window_ms,
            })
        })
        .collect()
}

fn alarms(source: &Quiet, settings: Settings, seed: u64) -> usize {
    let counts = source.counts(START_MS, (MONTH_MS / source.window_ms) as usize, seed);
    let windows = counts.into_iter().zip(0..).map(|(count, i)| (START_MS + i * source.window_ms, count));
    let (_, verdicts) = Detector::replay(settings, windows).unwrap();
    verdicts.iter().filter(|v| matches!(v.state, State::Opened(_))).count()
}

/// Seeds per source: a few by default, `TIDEWATCH_SEEDS` says otherwise.
fn seeds(default: u64) -> u64 {
    std::env::var("TIDEWATCH_SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(default)
}

#[test]
fn quiet_months_have_no_spikes() {
    let seeds = seeds(10);
    let mut total = 0;
    for (window_ms, seeds) in [(300_000, seeds), (60_000, seeds.div_ceil(5))] {
        for source in sources(window_ms) {
            let settings = Settings::of_windows(window_ms);
            let found: usize = (0..seeds).map(|seed| alarms(&source, settings, seed)).sum();
            println!("{source:?}: {found} spikes in {seeds} months");
            total += found;
        }
    }
    assert_eq!(total, 0, "spikes in {} quiet months", 9 * (seeds + seeds.div_ceil(5)));
}

/// That the months above could have alarmed: they do with thresholds that promise less, or when they are not quiet.
#[test]
fn months_that_are_less_quiet_or_thresholds_that_are_lower_do_alarm() {
    let source = Quiet { rate: 50.0, overdispersion: 0.1, memory_windows: 12, window_ms: 300_000 };
    let low = Settings { score_open: 2.0, lift_open: 1.5, as_large_max: 100, ..Settings::of_windows(300_000) };
    assert!(alarms(&source, low, 1) > 3);
    for memory_windows in [1, 12] {
        let wild = Quiet { overdispersion: 1.0, memory_windows, ..source };
        let months = 5;
        let found: usize = (0..months).map(|seed| alarms(&wild, Settings::of_windows(300_000), seed)).sum();
        println!("{wild:?}: {found} spikes in {months} months");
    }
}

#[test]
fn a_tenfold_burst_is_open_within_two_windows() {
    let seeds = seeds(20);
    for window_ms in [300_000, 60_000] {
        for source in sources(window_ms) {
            let mut late = 0;
            for seed in 0..seeds {
                let mut random = Random::seeded(seed);
                // Some time of the fourth to the fifteenth day.
                let windows = ((3.0 + 12.0 * random.uniform()) * (DAY_MS / window_ms) as f64) as i64;
                let counts = source.counts(START_MS, windows as usize, seed);
                let usual = counts.into_iter().zip(0..).map(|(count, i)| (START_MS + i * window_ms, count));
                let (mut detector, _) = Detector::replay(Settings::of_windows(window_ms), usual).unwrap();
                let soon = (windows..windows + 2).any(|i| {
                    let at = START_MS + i * window_ms;
                    let count = random.poisson(10.0 * source.mean(at).max(2.0));
                    detector.observe(at, count).unwrap().is_open()
                });
                late += u64::from(!soon);
            }
            println!("{source:?}: {late} of {seeds} bursts told later than in two windows");
            // At two per window, chance alone takes one burst in twenty below the threshold.
            let allowed = if source.rate <= 2.0 { seeds.div_ceil(20) } else { 0 };
            assert!(late <= allowed, "{late} of {seeds}: {source:?}");
        }
    }
}

#[test]
fn the_smallest_rate_of_which_tenfold_is_told() {
    let seeds = seeds(20);
    let share = |mean: f64| {
        let source = Quiet { rate: mean, overdispersion: 0.1, memory_windows: 1, window_ms: 60_000 };
        let mut soon = 0;
        for seed in 0..seeds {
            let mut random = Random::seeded(seed);
            let windows = 3 * DAY_MS / 60_000;
            let flat: Vec<_> = (0..windows).map(|i| (START_MS + i * 60_000, random.poisson(mean))).collect();
            let (mut detector, _) = Detector::replay(Settings::of_windows(60_000), flat).unwrap();
            let burst = (windows..windows + 2).any(|i| {
                detector.observe(START_MS + i * 60_000, random.poisson(10.0 * source.rate)).unwrap().is_open()
            });
            soon += u64::from(burst);
        }
        100.0 * soon as f64 / seeds as f64
    };
    for mean in [0.5, 1.0, 1.5, 2.0, 3.0] {
        println!("tenfold of {mean} per window is told within two windows in {:.0} %", share(mean));
    }
    assert!(share(1.5) >= 90.0);
    assert!(share(3.0) >= 100.0);
}

//! The scoring rules of the Numenta Anomaly Benchmark, after Lavin and Ahmad, "Evaluating Real-time Anomaly Detection
//! Algorithms" (2015), and the scorer that its repository has now.
//!
//! A detection in a labelled window earns by how early it is: scaled sigmoid S(x) = 2/(1 + e^(5x)) − 1 of its place
//! x (−1 at the first row of the window, towards 0 at the last), over S(−1). Of a window only the best counts; none
//! costs the weight of a false negative. A detection elsewhere costs the weight of a false positive × |S(x)|, x its
//! distance to the end of the last window in lengths of that window, and the whole weight beyond 3 and before
//! the first. The first 15 % of rows, at most 750, do not count. A score is normalised: 0 finds nothing, 100 is perfect.

use serde_json::Value;
use std::path::{Path, PathBuf};
use tidewatch_detect::spike::{Detector, Settings, State};

/// The five series of the repository's data.
pub const FILES: [&str; 5] = ["AAPL", "CRM", "GOOG", "KO", "UPS"];
/// Rows are five minutes apart.
pub const WINDOW_MS: i64 = 300_000;

/// What errors cost.
#[derive(Debug, Clone, Copy)]
pub struct Profile {
    pub name: &'static str,
    pub true_positive: f64,
    pub false_positive: f64,
    pub false_negative: f64,
}

pub const PROFILES: [Profile; 3] = [
    Profile { name: "standard", true_positive: 1.0, false_positive: 0.11, false_negative: 1.0 },
    Profile { name: "low FP", true_positive: 1.0, false_positive: 0.22, false_negative: 1.0 },
    Profile { name: "low FN", true_positive: 1.0, false_positive: 0.11, false_negative: 2.0 },
];

/// A series with the first and last rows of its labelled windows.
#[derive(Debug, Clone)]
pub struct Series {
    pub name: String,
    pub start_ms: i64,
    pub values: Vec<u64>,
    pub windows: Vec<(usize, usize)>,
}

/// Result of one series at one threshold.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Tally {
    pub score: f64,
    pub windows_found: usize,
    pub rows_true: usize,
    pub rows_false: usize,
}

/// Folder of the data, where there is one.
pub fn folder() -> Option<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let near = ["../../shared/data/NAB", "../../../shared/data/NAB"].map(|relative| manifest.join(relative));
    let named = std::env::var("TIDEWATCH_NAB").map(PathBuf::from).ok();
    named.into_iter().chain(near).find(|folder| folder.join("combined_windows.json").exists())
}

/// Reads the five series.
pub fn read(folder: &Path) -> Vec<Series> {
    let labels = std::fs::read_to_string(folder.join("combined_windows.json")).unwrap();
    let labels: Value = serde_json::from_str(&labels).unwrap();
    FILES.map(|name| read_one(folder, name, &labels)).to_vec()
}

fn read_one(folder: &Path, name: &str, labels: &Value) -> Series {
    let path = format!("realTweets/Twitter_volume_{name}.csv");
    let text = std::fs::read_to_string(folder.join(&path)).unwrap();
    let rows: Vec<(i64, u64)> = text
        .lines()
        .skip(1)
        .map(|line| line.split_once(',').unwrap())
        .map(|(time, value)| (seconds(time), value.parse().unwrap()))
        .collect();
    let row = |time: &Value| rows.iter().position(|r| r.0 == seconds(time.as_str().unwrap())).unwrap();
    let windows = labels[&path].as_array().unwrap().iter().map(|w| (row(&w[0]), row(&w[1]))).collect();
    let start_ms = rows[0].0 * 1000;
    assert!(rows.iter().zip(0..).all(|(r, i)| r.0 * 1000 == start_ms + i * WINDOW_MS), "{name} has gaps");
    let start_ms = start_ms - start_ms.rem_euclid(WINDOW_MS);
    Series { name: name.to_owned(), start_ms, values: rows.iter().map(|r| r.1).collect(), windows }
}

fn seconds(time: &str) -> i64 {
    let time = time.split('.').next().unwrap();
    chrono::NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M:%S").unwrap().and_utc().timestamp()
}

fn sigmoid(x: f64) -> f64 {
    if x >= 3.0 { -1.0 } else { 2.0 / (1.0 + (5.0 * x).exp()) - 1.0 }
}

/// Rows that do not count.
pub fn probation(rows: usize) -> usize {
    (rows * 15 / 100).min(750)
}

/// What a detection at each row brings, and the window it is in. Windows do not overlap.
pub fn worths(rows: usize, windows: &[(usize, usize)], profile: Profile) -> Vec<(f64, Option<usize>)> {
    (0..rows)
        .map(|row| {
            if let Some(at) = windows.iter().position(|w| w.0 <= row && row <= w.1) {
                let (first, last) = windows[at];
                let place = -((last - row + 1) as f64) / (last - first + 1) as f64;
                return (profile.true_positive * sigmoid(place) / sigmoid(-1.0), Some(at));
            }
            let before = windows.iter().filter(|w| w.1 < row).max_by_key(|w| w.1);
            let place = before.map_or(3.0, |w| (row - w.1) as f64 / (w.1 - w.0) as f64);
            (profile.false_positive * sigmoid(place), None)
        })
        .collect()
}

/// Scores one series: rows whose score reaches the threshold are detections.
pub fn tally(series: &Series, scores: &[f64], threshold: f64, profile: Profile) -> Tally {
    assert_eq!(series.values.len(), scores.len());
    let from = probation(scores.len());
    let counted: Vec<usize> = (0..series.windows.len()).filter(|w| series.windows[*w].1 >= from).collect();
    let mut best = vec![-profile.false_negative; series.windows.len()];
    let mut tally = Tally::default();
    let worths = worths(scores.len(), &series.windows, profile);
    for row in (from..scores.len()).filter(|row| scores[*row] >= threshold) {
        match worths[row] {
            (worth, Some(window)) => {
                best[window] = best[window].max(worth);
                tally.rows_true += 1;
            }
            (worth, None) => {
                tally.score += worth;
                tally.rows_false += 1;
            }
        }
    }
    tally.score += counted.iter().map(|w| best[*w]).sum::<f64>();
    tally.windows_found = counted.iter().filter(|w| best[**w] > -profile.false_negative).count();
    tally
}

/// 0 is to find nothing, 100 to find every window at its first row and nothing else.
pub fn normalised(score: f64, windows: usize, profile: Profile) -> f64 {
    let nothing = -profile.false_negative * windows as f64;
    let perfect = profile.true_positive * windows as f64;
    100.0 * (score - nothing) / (perfect - nothing)
}

/// The threshold, one for all series, with the highest sum of scores.
pub fn optimise(series: &[Series], scores: &[Vec<f64>], profile: Profile) -> f64 {
    struct Row {
        score: f64,
        worth: f64,
        window: Option<(usize, usize)>,
    }
    let mut rows = Vec::new();
    let mut best: Vec<Vec<f64>> = Vec::new();
    for (at, (one, scores)) in series.iter().zip(scores).enumerate() {
        let from = probation(scores.len());
        best.push(vec![-profile.false_negative; one.windows.len()]);
        let worths = worths(scores.len(), &one.windows, profile).into_iter().zip(scores).skip(from);
        rows.extend(worths.map(|((worth, window), &score)| Row { score, worth, window: window.map(|w| (at, w)) }));
    }
    rows.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut sum: f64 = best.iter().flatten().sum();
    let (mut best_sum, mut best_threshold) = (sum, f64::INFINITY);
    for (at, row) in rows.iter().enumerate() {
        match row.window {
            Some((file, window)) => {
                let now = &mut best[file][window];
                sum += (row.worth - *now).max(0.0);
                *now = now.max(row.worth);
            }
            None => sum += row.worth,
        }
        let last_of_its_score = rows.get(at + 1).is_none_or(|next| next.score != row.score);
        if last_of_its_score && sum > best_sum {
            (best_sum, best_threshold) = (sum, row.score);
        }
    }
    best_threshold
}

/// Score of the window in which a spike opens, 0 elsewhere: one detection per spike, as people are told of it.
pub fn spikes(series: &Series, settings: Settings) -> Vec<f64> {
    let windows = series.values.iter().zip(0..).map(|(count, i)| (series.start_ms + i * WINDOW_MS, *count));
    let (_, verdicts) = Detector::replay(settings, windows).unwrap();
    verdicts.iter().map(|v| if matches!(v.state, State::Opened(_)) { v.score } else { 0.0 }).collect()
}

//! Samples in memory, with the counter reset hints that Prometheus' storage would give.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidewatch_promql::histogram::{CounterReset, Histogram, Indexed, Layout};
use tidewatch_promql::labels::BUCKET;
use tidewatch_promql::notation::Notated;
use tidewatch_promql::{Labels, STALE, Selection, Series, Storage, StorageError};

#[derive(Default)]
pub struct Store {
    series: BTreeMap<Labels, Samples>,
}

#[derive(Default, Clone)]
struct Samples {
    floats: BTreeMap<i64, f64>,
    histograms: BTreeMap<i64, Histogram>,
}

impl Store {
    /// Adds series with one entry per interval from time 0 on.
    pub fn load(&mut self, interval_ms: i64, lines: Vec<(Labels, Vec<Notated>)>, with_custom: bool) {
        // Of two lines for one series the later one counts, as in Prometheus' runner.
        let lines: BTreeMap<Labels, Vec<Notated>> = lines.into_iter().collect();
        if with_custom {
            for (labels, samples) in custom_histograms(&lines, interval_ms) {
                self.series.insert(labels, samples);
            }
        }
        for (labels, values) in lines {
            let samples = self.series.entry(labels).or_default();
            for (at, value) in (0..).zip(values) {
                let time = at * interval_ms;
                match value {
                    Notated::Nothing => {}
                    Notated::Float(value) => drop(samples.floats.insert(time, value)),
                    Notated::Histogram { histogram, .. } => drop(samples.histograms.insert(time, histogram)),
                }
            }
        }
    }
}

impl Storage for Store {
    fn select(&self, selection: &Selection) -> Result<Vec<Series>, StorageError> {
        let found = self.series.iter().filter(|(labels, samples)| {
            let inside = selection.start_ms..=selection.end_ms;
            selection.matchers.iter().all(|matcher| matcher.matches_labels(labels))
                && (samples.floats.range(inside.clone()).next().is_some()
                    || samples.histograms.range(inside).next().is_some())
        });
        Ok(found.map(|(labels, samples)| samples.series(labels, selection)).collect())
    }
}

impl Samples {
    fn series(&self, labels: &Labels, selection: &Selection) -> Series {
        let inside = selection.start_ms..=selection.end_ms;
        let (times, values): (Vec<i64>, Vec<f64>) = self.floats.range(inside.clone()).unzip();
        let mut series = Series::floats(labels.clone(), times, values);
        let (times, histograms): (Vec<i64>, Vec<Arc<Histogram>>) = self
            .with_hints()
            .into_iter()
            .filter(|(time, _)| inside.contains(time))
            .map(|(time, histogram)| (time, Arc::new(histogram)))
            .unzip();
        series.histogram_times_ms = times.into();
        series.histograms = histograms.into();
        series
    }

    /// Histograms of one chunk go on without a reset; about a chunk's first one nothing is known. A chunk ends
    /// where the layout changes, at a reset and at a float.
    fn with_hints(&self) -> Vec<(i64, Histogram)> {
        let mut hinted: Vec<(i64, Histogram)> = Vec::new();
        for (time, histogram) in &self.histograms {
            let mut histogram = histogram.clone();
            let previous = hinted.last().filter(|(before, _)| self.floats.range(before..time).next().is_none());
            histogram.counter_reset = match (histogram.counter_reset, previous) {
                (CounterReset::Gauge, _) => CounterReset::Gauge,
                (CounterReset::Reset, _) => CounterReset::Reset,
                (_, None) => CounterReset::Unknown,
                (_, Some((_, previous))) if previous.counter_reset == CounterReset::Gauge => CounterReset::Unknown,
                (hint, Some((_, previous))) => {
                    histogram.counter_reset = CounterReset::Unknown;
                    let same_layout =
                        histogram.layout == previous.layout && histogram.zero_threshold == previous.zero_threshold;
                    let goes_on = same_layout && !histogram.is_reset_after(previous);
                    if goes_on { CounterReset::NotReset } else { hint }
                }
            };
            hinted.push((*time, histogram));
        }
        hinted
    }
}

/// For each classic histogram among the lines the same as native histograms with custom bounds.
fn custom_histograms(lines: &BTreeMap<Labels, Vec<Notated>>, interval_ms: i64) -> Vec<(Labels, Samples)> {
    let mut buckets: BTreeMap<Labels, Vec<(f64, &Vec<Notated>)>> = BTreeMap::new();
    for (labels, values) in lines {
        let Some(name) = labels.metric_name().strip_suffix("_bucket") else { continue };
        let upper = tidewatch_promql::number::parse(labels.get(BUCKET)).unwrap();
        let name = name.to_string();
        let labels = labels.filter(|label| label != BUCKET).with("__name__", &name);
        buckets.entry(labels).or_default().push((upper, values));
    }
    let mut all = Vec::new();
    for (labels, mut buckets) in buckets {
        buckets.sort_by(|left, right| left.0.total_cmp(&right.0));
        let name = labels.metric_name().to_string();
        let beside = |suffix: &str| lines.get(&labels.with("__name__", &format!("{name}{suffix}")));
        let (sums, counts) = (beside("_sum"), beside("_count"));
        let bounds: Arc<[f64]> = buckets.iter().map(|bucket| bucket.0).filter(|upper| upper.is_finite()).collect();
        let intervals = buckets.iter().map(|bucket| bucket.1.len()).max().unwrap_or(0);
        let mut samples = Samples::default();
        for at in 0..intervals {
            let float = |values: Option<&Vec<Notated>>| match values.and_then(|values| values.get(at)) {
                Some(Notated::Float(value)) => Some(*value),
                _ => None,
            };
            let mut histogram = Histogram::empty(Layout::Custom { bounds: bounds.clone() });
            let mut below = 0.0;
            let mut found = false;
            for (index, (_, values)) in (0..).zip(&buckets) {
                let Some(cumulative) = float(Some(values)) else { continue };
                found = true;
                histogram.positive.push(Indexed { index, count: cumulative - below });
                below = cumulative;
            }
            histogram.count = float(counts).unwrap_or(below);
            histogram.sum = float(sums).unwrap_or(0.0);
            if histogram.count == STALE {
                continue;
            }
            histogram.compact();
            if found {
                samples.histograms.insert(at as i64 * interval_ms, histogram);
            }
        }
        all.push((labels, samples));
    }
    all
}

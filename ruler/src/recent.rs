//! What rules wrote a moment ago, until it can be read like everything else.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};
use tidewatch_promql::{Labels, Matcher, Sample, Selection, Series, Storage, StorageError, VectorSample};

/// Samples that are kept in all; beyond that the oldest half goes.
const SAMPLES_MAX: usize = 1_000_000;

/// Samples of the last minutes. Histograms are left out: they are read once they are counted.
#[derive(Debug)]
pub struct Recent {
    /// How long they are kept, in milliseconds.
    keep_ms: i64,
    samples: RwLock<Samples>,
}

#[derive(Debug, Default)]
struct Samples {
    /// By the name of the metric.
    metrics: BTreeMap<String, BTreeMap<Labels, BTreeMap<i64, f64>>>,
    count: usize,
    pruned_ms: i64,
}

impl Recent {
    /// Keeps samples for `keep_ms` milliseconds.
    pub fn new(keep_ms: i64) -> Self {
        Self { keep_ms, samples: RwLock::default() }
    }

    /// Takes samples in; `now_ms` says which older ones go.
    pub fn write(&self, written: &[VectorSample], now_ms: i64) {
        let mut samples = self.samples.write().unwrap_or_else(PoisonError::into_inner);
        for sample in written {
            let Sample::Float(value) = sample.value else { continue };
            let name = sample.labels.metric_name();
            if !samples.metrics.contains_key(name) {
                samples.metrics.insert(name.to_owned(), BTreeMap::new());
            }
            let Some(series) = samples.metrics.get_mut(name) else { continue };
            let known = series.entry(sample.labels.clone()).or_default().insert(sample.time_ms, value);
            samples.count += usize::from(known.is_none());
        }
        let is_full = samples.count > SAMPLES_MAX;
        if is_full || now_ms >= samples.pruned_ms.saturating_add(self.keep_ms / 4) {
            let keep_ms = if is_full { self.keep_ms / 2 } else { self.keep_ms };
            samples.prune(now_ms.saturating_sub(keep_ms));
            samples.pruned_ms = now_ms;
        }
    }
}

impl Samples {
    fn prune(&mut self, before_ms: i64) {
        for series in self.metrics.values_mut() {
            series.values_mut().for_each(|times| *times = times.split_off(&before_ms));
            series.retain(|_, times| !times.is_empty());
        }
        self.metrics.retain(|_, series| !series.is_empty());
        self.count = self.metrics.values().flat_map(BTreeMap::values).map(BTreeMap::len).sum();
    }
}

impl Storage for Recent {
    fn select(&self, selection: &Selection) -> Result<Vec<Series>, StorageError> {
        let samples = self.samples.read().unwrap_or_else(PoisonError::into_inner);
        let (of_name, others): (Vec<&Matcher>, Vec<&Matcher>) =
            selection.matchers.iter().partition(|matcher| matcher.name == "__name__");
        let named = samples.metrics.iter().filter(|(name, _)| of_name.iter().all(|matcher| matcher.matches(name)));
        let fits = |labels: &Labels| others.iter().all(|matcher| matcher.matches_labels(labels));
        let fitting = named.flat_map(|(_, series)| series).filter(|(labels, _)| fits(labels));
        let found = fitting.filter_map(|(labels, times)| {
            let within = times.range(selection.start_ms..=selection.end_ms);
            let (times, values): (Vec<i64>, Vec<f64>) = within.map(|(time, value)| (*time, *value)).unzip();
            (!times.is_empty()).then(|| Series::floats(labels.clone(), times, values))
        });
        Ok(found.collect())
    }
}

//! Series in memory: what tests of rules are run on, and what backtests lay over a storage.

use std::collections::HashMap;
use std::sync::Arc;

use tidewatch_promql::{
    Grammar, Histogram, Labels, Limits, MatchOp, Options, Query, Sample, Selection, Series, Storage, StorageError,
    Value, VectorSample,
};

use crate::rules::group::{Answered, Source};
use crate::state::Completeness;

/// Series that grow at their ends.
#[derive(Debug, Default)]
pub struct Memory {
    series: Vec<Growing>,
    place: HashMap<Labels, usize>,
    /// Places by the metric's name.
    by_name: HashMap<Arc<str>, Vec<usize>>,
    options: Options,
    refused: u64,
}

#[derive(Debug)]
struct Growing {
    labels: Labels,
    times_ms: Vec<i64>,
    floats: Vec<f64>,
    histogram_times_ms: Vec<i64>,
    histograms: Vec<Arc<Histogram>>,
}

impl Memory {
    /// No series; queries are evaluated with `options`.
    pub fn new(options: Options) -> Memory {
        Memory { options, ..Memory::default() }
    }

    /// Adds a sample at the end of its series. One that is not after the last is refused and counted.
    pub fn push(&mut self, labels: &Labels, time_ms: i64, value: &Sample) {
        let place = *self.place.entry(labels.clone()).or_insert_with(|| {
            let place = self.series.len();
            self.by_name.entry(labels.metric_name().into()).or_default().push(place);
            self.series.push(Growing {
                labels: labels.clone(),
                times_ms: Vec::new(),
                floats: Vec::new(),
                histogram_times_ms: Vec::new(),
                histograms: Vec::new(),
            });
            place
        });
        let series = &mut self.series[place];
        let last = series.times_ms.last().max(series.histogram_times_ms.last());
        if last.is_some_and(|last| *last >= time_ms) {
            self.refused += 1;
            return;
        }
        match value {
            Sample::Float(value) => {
                series.times_ms.push(time_ms);
                series.floats.push(*value);
            }
            Sample::Histogram(histogram) => {
                series.histogram_times_ms.push(time_ms);
                series.histograms.push(histogram.clone());
            }
        }
    }

    /// Adds a run of ascending samples at the end of a series; if the first of them is not after its last, the
    /// whole run is refused and counted.
    pub fn extend(&mut self, labels: &Labels, samples: &[(i64, f64)]) {
        let Some(((first_ms, first), rest)) = samples.split_first() else { return };
        let refused = self.refused;
        self.push(labels, *first_ms, &Sample::Float(*first));
        if self.refused > refused {
            self.refused += rest.len() as u64;
            return;
        }
        if let Some(place) = self.place.get(labels) {
            let series = &mut self.series[*place];
            series.times_ms.extend(rest.iter().map(|(time_ms, _)| *time_ms));
            series.floats.extend(rest.iter().map(|(_, value)| *value));
        }
    }

    /// Samples that were refused because their series had one at that time or later.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Forgets samples before `time_ms`.
    pub fn forget_before(&mut self, time_ms: i64) {
        for series in &mut self.series {
            let floats = series.times_ms.partition_point(|time| *time < time_ms);
            series.times_ms.drain(..floats);
            series.floats.drain(..floats);
            let histograms = series.histogram_times_ms.partition_point(|time| *time < time_ms);
            series.histogram_times_ms.drain(..histograms);
            series.histograms.drain(..histograms);
        }
    }

    /// The value of a query at an instant, whatever its type.
    ///
    /// # Errors
    /// The evaluation's complaint.
    pub fn value(&self, text: &str, grammar: Grammar, time_ms: i64) -> Result<Value, String> {
        let query = Query::parse(text, grammar).map_err(|error| error.to_string())?;
        let answer = query.instant(time_ms, &self.options).run(self, &Limits::none());
        answer.map(|answer| answer.value).map_err(|error| error.to_string())
    }
}

/// The stretch of a column of times that a selection reads.
fn inside(times: &[i64], selection: &Selection) -> std::ops::Range<usize> {
    let start = times.partition_point(|time| *time < selection.start_ms);
    start..times.partition_point(|time| *time <= selection.end_ms).max(start)
}

impl Storage for Memory {
    fn select(&self, selection: &Selection) -> Result<Vec<Series>, StorageError> {
        let name = selection.matchers.iter().find(|one| one.name == "__name__" && one.op == MatchOp::Equal);
        let all: Vec<usize>;
        let places: &[usize] = match name {
            Some(name) => self.by_name.get(name.value.as_str()).map_or(&[], Vec::as_slice),
            None => {
                all = (0..self.series.len()).collect();
                &all
            }
        };
        let fits = |series: &&Growing| selection.matchers.iter().all(|matcher| matcher.matches_labels(&series.labels));
        let found = places.iter().map(|place| &self.series[*place]).filter(fits).filter_map(|series| {
            let floats = inside(&series.times_ms, selection);
            let histograms = inside(&series.histogram_times_ms, selection);
            if floats.is_empty() && histograms.is_empty() {
                return None;
            }
            let mut copy = Series::floats(
                series.labels.clone(),
                series.times_ms[floats.clone()].to_vec(),
                series.floats[floats].to_vec(),
            );
            copy.histogram_times_ms = series.histogram_times_ms[histograms.clone()].to_vec().into();
            copy.histograms = series.histograms[histograms].to_vec().into();
            Some(copy)
        });
        Ok(found.collect())
    }
}

impl Source for Memory {
    fn ask(&self, query: &Query, time_ms: i64) -> Result<Answered, String> {
        let answer = query.instant(time_ms, &self.options).run(self, &Limits::none());
        vector(answer.map_err(|error| error.to_string())?.value)
    }

    fn write(&mut self, samples: &[VectorSample]) {
        for sample in samples {
            self.push(&sample.labels, sample.time_ms, &sample.value);
        }
    }
}

/// A rule's result: a vector, or a scalar as a vector of one sample.
///
/// # Errors
/// A sentence when the value is neither.
pub fn vector(value: Value) -> Result<Answered, String> {
    let samples = match value {
        Value::Vector(samples) => samples,
        Value::Scalar { time_ms, value } => {
            vec![VectorSample { labels: Labels::empty(), time_ms, value: Sample::Float(value) }]
        }
        Value::String { .. } | Value::Matrix(_) => return Err("rule result is not a vector or scalar".to_string()),
    };
    Ok(Answered { samples, completeness: Completeness::Complete })
}

//! The series of one request, checked one by one.

use super::SampleLimits;
use super::admit::Admitted;
use super::record::{Record, RecordSeries};
use super::response::{Answer, Failure};
use prost::Message;
use std::collections::BTreeMap;
use tidewatch_engine::samples::metadata::MetricMetadata;
use tidewatch_engine::samples::{NativeHistogram, SampleSet};
use xxhash_rust::xxh3::xxh3_64;

/// Series that are named in an answer, however many are refused.
const NAMED_MAX: usize = 3;
/// Bytes of a series' name in an answer.
const NAMED_BYTES_MAX: usize = 200;
const NAME: &str = "__name__";

/// Why samples are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// A series without `__name__`.
    NoName,
    /// A label without a name, or one that comes twice.
    Labels,
    /// Too many labels, or too long ones.
    LabelsMax,
    /// The tenant has as many series as it may.
    SeriesMax,
    /// Too far in the future, or before 1970.
    Time,
    /// A native histogram that contradicts itself.
    Histogram,
    /// Deltas, which would need the sum of everything before.
    Delta,
}

impl Refusal {
    /// As the label `reason` of the counter has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoName => "no_name",
            Self::Labels => "labels",
            Self::LabelsMax => "labels_max",
            Self::SeriesMax => "series_max",
            Self::Time => "time",
            Self::Histogram => "histogram",
            Self::Delta => "delta",
        }
    }

    /// All of them, so that each has its counter from the start.
    pub const ALL: [Self; 7] =
        [Self::NoName, Self::Labels, Self::LabelsMax, Self::SeriesMax, Self::Time, Self::Histogram, Self::Delta];
}

/// See the module page.
#[derive(Debug)]
pub(super) struct Batch {
    tenant: String,
    limits: SampleLimits,
    now_ms: i64,
    series: Vec<Checked>,
    samples: usize,
    exemplars: u64,
    metadata: Vec<(String, MetricMetadata)>,
    refused: BTreeMap<Refusal, u64>,
    named: Vec<String>,
}

/// A series that may be kept.
#[derive(Debug)]
struct Checked {
    metric: String,
    labels: String,
    set: SampleSet,
}

/// What came for one series.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    /// All labels, `__name__` among them, in any order.
    pub labels: Vec<(String, String)>,
    /// Milliseconds and values.
    pub floats: Vec<(i64, f64)>,
    /// Milliseconds and histograms; `None` for one that cannot be.
    pub histograms: Vec<(i64, Option<NativeHistogram>)>,
}

impl Batch {
    pub fn new(tenant: String, limits: SampleLimits, now_ms: i64) -> Self {
        Self {
            tenant,
            limits,
            now_ms,
            series: Vec::new(),
            samples: 0,
            exemplars: 0,
            metadata: Vec::new(),
            refused: BTreeMap::new(),
            named: Vec::new(),
        }
    }

    /// Takes a series, or refuses it and goes on.
    ///
    /// # Errors
    /// The request has more samples than one may have: nothing of it is kept.
    pub fn add(&mut self, incoming: Incoming) -> Result<(), Failure> {
        let count = incoming.floats.len() + incoming.histograms.len();
        self.samples += count;
        if self.samples > self.limits.samples_max {
            let limit = self.limits.samples_max;
            return Err(Failure::too_large(format!("more than {limit} samples in one request (samples.samples_max)")));
        }
        if count == 0 {
            return Ok(());
        }
        let (metric, labels) = match self.named_series(incoming.labels) {
            Ok(named) => named,
            Err((refusal, what)) => {
                self.refuse(refusal, count as u64, what);
                return Ok(());
            }
        };
        let mut set = SampleSet::new();
        let times = 0..=self.now_ms.saturating_add(self.limits.future_max_ms);
        let (mut late, mut unfit) = (0, 0);
        for (time_ms, value) in incoming.floats {
            match times.contains(&time_ms) {
                true => set.insert(time_ms, value),
                false => late += 1,
            }
        }
        for (time_ms, histogram) in incoming.histograms {
            match histogram {
                Some(histogram) if times.contains(&time_ms) => set.insert_histogram(time_ms, &histogram.to_bytes()),
                Some(_) => late += 1,
                None => unfit += 1,
            }
        }
        let shown = || format!("{metric}{labels}");
        let (at_time, of_histogram) = (
            (late > 0).then(|| {
                format!("{}: more than {} s ahead, or before 1970", shown(), self.limits.future_max_ms / 1000)
            }),
            (unfit > 0).then(|| format!("{}: buckets of a histogram do not fit together", shown())),
        );
        at_time.into_iter().for_each(|what| self.refuse(Refusal::Time, late, what));
        of_histogram.into_iter().for_each(|what| self.refuse(Refusal::Histogram, unfit, what));
        if !set.is_empty() {
            set.normalize();
            self.series.push(Checked { metric, labels, set });
        }
        Ok(())
    }

    /// The name of the metric, and the other labels as canonical JSON.
    fn named_series(&self, labels: Vec<(String, String)>) -> Result<(String, String), (Refusal, String)> {
        let limits = &self.limits;
        let bytes: usize = labels.iter().map(|(name, value)| name.len() + value.len()).sum();
        let count = labels.len();
        let mut metric = None;
        let mut sorted: BTreeMap<String, String> = BTreeMap::new();
        // An empty value is a label that is not there.
        for (name, value) in labels.into_iter().filter(|(_, value)| !value.is_empty()) {
            if name.is_empty() {
                return Err((Refusal::Labels, format!("a label without a name has the value {}", shortened(&value))));
            }
            let taken = match name.as_str() {
                NAME => metric.replace(value).is_some(),
                _ if sorted.contains_key(&name) => true,
                _ => sorted.insert(name.clone(), value).is_some(),
            };
            if taken {
                return Err((Refusal::Labels, format!("label {} comes twice", shortened(&name))));
            }
        }
        let Some(metric) = metric else {
            return Err((Refusal::NoName, format!("a series without {NAME}: {}", shortened(&json(&sorted)))));
        };
        if count > limits.labels_max || bytes > limits.label_bytes_max {
            let (labels_max, bytes_max) = (limits.labels_max, limits.label_bytes_max);
            let what = format!(
                "{} has {count} labels of {bytes} bytes, the limits are {labels_max} and {bytes_max} (samples.labels_max, samples.label_bytes_max)",
                shortened(&metric)
            );
            return Err((Refusal::LabelsMax, what));
        }
        Ok((metric, json(&sorted)))
    }

    /// Counts samples that are not kept.
    pub fn refuse(&mut self, refusal: Refusal, count: u64, what: String) {
        *self.refused.entry(refusal).or_default() += count;
        if self.named.len() < NAMED_MAX {
            self.named.push(shortened(&what));
        }
    }

    /// Counts exemplars, which have no place here.
    pub fn drop_exemplars(&mut self, count: usize) {
        self.exemplars += count as u64;
    }

    /// Notes what the sender says about a metric.
    pub fn describe(&mut self, metric: String, metadata: MetricMetadata) {
        self.metadata.push((metric, metadata));
    }

    /// What the sender says about its metrics.
    pub fn take_metadata(&mut self) -> Vec<(String, MetricMetadata)> {
        std::mem::take(&mut self.metadata)
    }

    /// Refuses the series that the tenant has no room for.
    pub fn admit(&mut self, admitted: &mut Admitted, day: i64) {
        let hash = |s: &Checked| {
            let mut key = Vec::with_capacity(s.metric.len() + s.labels.len() + 1);
            key.extend_from_slice(s.metric.as_bytes());
            key.push(0);
            key.extend_from_slice(s.labels.as_bytes());
            xxh3_64(&key)
        };
        let fits = admitted.admit(&self.tenant, day, self.series.iter().map(hash));
        if fits.iter().all(|fits| *fits) {
            return;
        }
        let limit = self.limits.series_max;
        let series = std::mem::take(&mut self.series);
        for (checked, fits) in series.into_iter().zip(fits) {
            if fits {
                self.series.push(checked);
                continue;
            }
            let count = checked.set.floats().len() + checked.set.histograms().len();
            let what = format!(
                "{}{}: the tenant has {limit} series today (samples.series_max_per_tenant)",
                checked.metric, checked.labels
            );
            self.refuse(Refusal::SeriesMax, count as u64, what);
        }
    }

    /// What to tell the sender once the rest is durable.
    pub fn answer(&self) -> Answer {
        Answer {
            samples: self.series.iter().map(|s| s.set.floats().len() as u64).sum(),
            histograms: self.series.iter().map(|s| s.set.histograms().len() as u64).sum(),
            exemplars_dropped: self.exemplars,
            refused: self.refused.clone(),
            named: self.named.clone(),
        }
    }

    /// The record for the log; `None` when there is nothing to keep.
    pub fn record(self) -> Option<Vec<u8>> {
        if self.series.is_empty() {
            return None;
        }
        let series = self.series.into_iter().map(|s| RecordSeries {
            metric: s.metric,
            labels: s.labels,
            samples: s.set.to_bytes(),
        });
        Some(Record { tenant: self.tenant, series: series.collect() }.encode_to_vec())
    }
}

/// Keys ascend, and nothing stands between them.
fn json(labels: &BTreeMap<String, String>) -> String {
    // Maps of texts have no value that JSON cannot say.
    serde_json::to_string(labels).unwrap_or_default()
}

fn shortened(text: &str) -> String {
    if text.len() <= NAMED_BYTES_MAX {
        return text.to_owned();
    }
    let end = (0..=NAMED_BYTES_MAX).rev().find(|&at| text.is_char_boundary(at)).unwrap_or_default();
    format!("{}…", &text[..end])
}

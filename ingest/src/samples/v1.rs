//! Remote write 1.0: `prometheus.WriteRequest`.

use super::batch::{Batch, Incoming};
use super::response::Failure;
use prost::Message;
use tidewatch_engine::samples::metadata::MetricMetadata;
use tidewatch_engine::samples::{NativeHistogram, ResetHint, SCHEMA_CUSTOM};

#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<Metadata>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
    /// Only counted.
    #[prost(bytes = "vec", repeated, tag = "3")]
    exemplars: Vec<Vec<u8>>,
    #[prost(message, repeated, tag = "4")]
    histograms: Vec<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// Both versions have it.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Sample {
    #[prost(double, tag = "1")]
    pub value: f64,
    /// Milliseconds since the epoch.
    #[prost(int64, tag = "2")]
    pub timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(string, tag = "2")]
    metric_family_name: String,
    #[prost(string, tag = "4")]
    help: String,
    #[prost(string, tag = "5")]
    unit: String,
}

/// Both versions have it.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Histogram {
    #[prost(uint64, optional, tag = "1")]
    count_int: Option<u64>,
    #[prost(double, optional, tag = "2")]
    count_float: Option<f64>,
    #[prost(double, tag = "3")]
    sum: f64,
    #[prost(sint32, tag = "4")]
    schema: i32,
    #[prost(double, tag = "5")]
    zero_threshold: f64,
    #[prost(uint64, optional, tag = "6")]
    zero_count_int: Option<u64>,
    #[prost(double, optional, tag = "7")]
    zero_count_float: Option<f64>,
    #[prost(message, repeated, tag = "8")]
    negative_spans: Vec<Span>,
    #[prost(sint64, repeated, tag = "9")]
    negative_deltas: Vec<i64>,
    #[prost(double, repeated, tag = "10")]
    negative_counts: Vec<f64>,
    #[prost(message, repeated, tag = "11")]
    positive_spans: Vec<Span>,
    #[prost(sint64, repeated, tag = "12")]
    positive_deltas: Vec<i64>,
    #[prost(double, repeated, tag = "13")]
    positive_counts: Vec<f64>,
    #[prost(int32, tag = "14")]
    reset_hint: i32,
    #[prost(int64, tag = "15")]
    pub timestamp: i64,
    #[prost(double, repeated, tag = "16")]
    custom_values: Vec<f64>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Span {
    /// From the end of the span before; of the first one, from 0.
    #[prost(sint32, tag = "1")]
    offset: i32,
    #[prost(uint32, tag = "2")]
    length: u32,
}

/// Adds the series of a message to the batch.
pub(super) fn read(bytes: &[u8], batch: &mut Batch) -> Result<(), Failure> {
    let request = WriteRequest::decode(bytes)
        .map_err(|error| Failure::bad(format!("the message is not a prometheus.WriteRequest: {error}")))?;
    for m in request.metadata {
        let metadata = MetricMetadata { kind: kind_name(m.kind), help: m.help, unit: m.unit };
        batch.describe(m.metric_family_name, metadata);
    }
    for series in request.timeseries {
        batch.drop_exemplars(series.exemplars.len());
        batch.add(Incoming {
            labels: series.labels.into_iter().map(|l| (l.name, l.value)).collect(),
            floats: series.samples.iter().map(|s| (s.timestamp, s.value)).collect(),
            histograms: series.histograms.iter().map(|h| (h.timestamp, h.native())).collect(),
        })?;
    }
    Ok(())
}

/// The kinds of both versions.
pub(super) fn kind_name(kind: i32) -> &'static str {
    match kind {
        1 => "counter",
        2 => "gauge",
        3 => "histogram",
        4 => "gaugehistogram",
        5 => "summary",
        6 => "info",
        7 => "stateset",
        _ => "unknown",
    }
}

impl Histogram {
    /// `None` when spans and counts do not fit together.
    pub fn native(&self) -> Option<NativeHistogram> {
        let is_custom = self.schema == SCHEMA_CUSTOM;
        if !is_custom && !(-4..=8).contains(&self.schema) {
            return None;
        }
        let is_float = self.count_float.is_some();
        let side = |spans: &[Span], deltas: &[i64], counts: &[f64]| {
            let mut count = 0i64;
            let whole = deltas.iter().map(|delta| {
                count = count.saturating_add(*delta);
                count as f64
            });
            let counts: Vec<f64> = if is_float { counts.to_vec() } else { whole.collect() };
            buckets(spans, &counts)
        };
        let positive = side(&self.positive_spans, &self.positive_deltas, &self.positive_counts)?;
        let negative = side(&self.negative_spans, &self.negative_deltas, &self.negative_counts)?;
        let bounds = if is_custom { self.custom_values.clone() } else { Vec::new() };
        let ascend = bounds.windows(2).all(|pair| pair[0] < pair[1]);
        let beyond = |index: i32| index < 0 || index as usize > bounds.len();
        if !ascend || (is_custom && (!negative.is_empty() || positive.iter().any(|b| beyond(b.0)))) {
            return None;
        }
        Some(NativeHistogram {
            schema: self.schema,
            reset: match self.reset_hint {
                1 => ResetHint::Reset,
                2 => ResetHint::NotReset,
                3 => ResetHint::Gauge,
                _ => ResetHint::Unknown,
            },
            count: self.count_float.or(self.count_int.map(|n| n as f64)).unwrap_or_default(),
            sum: self.sum,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero_count_float.or(self.zero_count_int.map(|n| n as f64)).unwrap_or_default(),
            positive,
            negative,
            bounds,
        })
    }
}

/// Index and count of every bucket; `None` when there are more or fewer counts than the spans say.
fn buckets(spans: &[Span], counts: &[f64]) -> Option<Vec<(i32, f64)>> {
    let total: u64 = spans.iter().map(|s| u64::from(s.length)).sum();
    if total != counts.len() as u64 {
        return None;
    }
    let (mut list, mut index, mut counts) = (Vec::with_capacity(counts.len()), 0i32, counts.iter());
    for (at, span) in spans.iter().enumerate() {
        if at > 0 && span.offset < 0 {
            return None;
        }
        index = index.checked_add(span.offset)?;
        for &count in counts.by_ref().take(span.length as usize) {
            // The sign of a negative count would never come back out of a cumulative one.
            (count >= 0.0).then(|| list.push((index, count)))?;
            index = index.checked_add(1)?;
        }
    }
    // An empty bucket says nothing.
    list.retain(|bucket| bucket.1 != 0.0);
    Some(list)
}

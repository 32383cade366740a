//! Remote write 2.0: `io.prometheus.write.v2.Request`, whose texts stand once in a table of symbols.

use super::batch::{Batch, Incoming};
use super::response::Failure;
use super::v1::{Histogram, Sample, kind_name};
use prost::Message;
use tidewatch_engine::samples::metadata::MetricMetadata;

#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(string, repeated, tag = "4")]
    symbols: Vec<String>,
    #[prost(message, repeated, tag = "5")]
    timeseries: Vec<TimeSeries>,
}

/// When a series was created, or a sample's counter began, is accepted and not kept.
#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    /// Name, value, name, value …
    #[prost(uint32, repeated, tag = "1")]
    labels_refs: Vec<u32>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    histograms: Vec<Histogram>,
    /// Only counted.
    #[prost(bytes = "vec", repeated, tag = "4")]
    exemplars: Vec<Vec<u8>>,
    #[prost(message, optional, tag = "5")]
    metadata: Option<Metadata>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Metadata {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(uint32, tag = "3")]
    help_ref: u32,
    #[prost(uint32, tag = "4")]
    unit_ref: u32,
}

/// Adds the series of a message to the batch.
pub(super) fn read(bytes: &[u8], batch: &mut Batch) -> Result<(), Failure> {
    let request = Request::decode(bytes)
        .map_err(|error| Failure::bad(format!("the message is not an io.prometheus.write.v2.Request: {error}")))?;
    if request.symbols.first().is_some_and(|first| !first.is_empty()) {
        return Err(Failure::bad(format!("symbols: expected the first to be empty, found {:?}", request.symbols[0])));
    }
    let symbol = |at: u32| {
        let found = request.symbols.get(at as usize);
        found.ok_or_else(|| Failure::bad(format!("symbols: {at} is not there, there are {}", request.symbols.len())))
    };
    for series in &request.timeseries {
        if series.labels_refs.len() % 2 != 0 {
            return Err(Failure::bad("labels_refs: expected pairs of name and value, found an odd number".to_owned()));
        }
        let pair = |refs: &[u32]| Ok((symbol(refs[0])?.clone(), symbol(refs[1])?.clone()));
        let labels = series.labels_refs.chunks_exact(2).map(pair).collect::<Result<Vec<_>, Failure>>()?;
        let metric = labels.iter().find(|(name, _)| name == "__name__").map(|(_, metric)| metric);
        if let (Some(m), Some(metric)) = (&series.metadata, metric) {
            let (help, unit) = (symbol(m.help_ref)?.clone(), symbol(m.unit_ref)?.clone());
            if m.kind != 0 || !help.is_empty() || !unit.is_empty() {
                batch.describe(metric.clone(), MetricMetadata { kind: kind_name(m.kind), help, unit });
            }
        }
        batch.drop_exemplars(series.exemplars.len());
        batch.add(Incoming {
            labels,
            floats: series.samples.iter().map(|s| (s.timestamp, s.value)).collect(),
            histograms: series.histograms.iter().map(|h| (h.timestamp, h.native())).collect(),
        })?;
    }
    Ok(())
}

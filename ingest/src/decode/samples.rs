//! Pushed samples to columns: one row per sample. What their records hold was checked before it was appended.

use super::reject::{Reason, Reject};
use super::rows::SourceDecoder;
use super::{Decoded, Decoder, RawRecord, SourceRows};
use crate::personal::PersonalCounts;
use crate::samples::{Record, SAMPLES_TOPIC};
use prost::Message;
use tidewatch_engine::rollup::Catalog;
use tidewatch_engine::samples::SampleSet;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// Does a record of this topic hold samples?
pub(super) fn is_samples(topic: &str) -> bool {
    topic == SAMPLES_TOPIC
}

/// The source whose rows are samples: index into [`Catalog::sources`].
pub(super) fn source_of(catalog: &Catalog) -> Option<usize> {
    catalog.sources.iter().position(|source| source.def.topic == SAMPLES_TOPIC)
}

impl Decoder {
    pub(super) fn decode_samples(&mut self, record: &RawRecord<'_>) -> Result<Decoded<'_>, Box<Reject>> {
        let Some(source) = self.samples else { return Ok(Decoded::Ignored { declared: false }) };
        let broken = |detail: String| Reject::new(Reason::UnsupportedFormat, detail);
        let samples =
            Record::decode(record.payload).map_err(|error| broken(format!("a record of samples: {error}")))?;
        let hash = xxh3_64(record.payload) as i64;
        let decoder = &mut self.sources[source];
        match decoder.add_samples(&samples, hash) {
            Ok((rows, event_time_us)) => {
                self.last.push(SourceRows { source, rows, event_time_us, time_fallback: false, notices: Vec::new() });
                let event_hash = xxh3_128(record.payload);
                Ok(Decoded::Rows { sources: &self.last, event_hash, personal: PersonalCounts::default() })
            }
            Err(error) => {
                decoder.truncate();
                Err(broken(format!("samples of a series: {error}")))
            }
        }
    }
}

/// What a column of a sample's row holds.
#[derive(Debug, Clone, Copy)]
enum Cell {
    Time,
    Tenant,
    Metric,
    Labels,
    /// Encoded: a float or a histogram.
    Sample,
    /// The float, if it is a finite one.
    Value,
    Hash,
    /// An attribute that samples do not have.
    Empty,
}

impl Cell {
    fn of(column: &str) -> Self {
        match column {
            "event_time" => Self::Time,
            "tenant" | "tenant_id" => Self::Tenant,
            "metric" => Self::Metric,
            "labels" => Self::Labels,
            "sample" => Self::Sample,
            "value" => Self::Value,
            "event_hash" => Self::Hash,
            _ => Self::Empty,
        }
    }
}

impl SourceDecoder {
    /// Adds a row per sample; says how many, and the newest time in microseconds since the epoch.
    fn add_samples(
        &mut self,
        record: &Record,
        hash: i64,
    ) -> Result<(usize, i64), tidewatch_engine::sketch::SketchError> {
        let cells: Vec<Cell> = self.plan.columns.fields().iter().map(|f| Cell::of(f.name())).collect();
        let (first, mut newest_us) = (self.event_time_us.len(), i64::MIN);
        for series in &record.series {
            let mut set = SampleSet::from_bytes(&series.samples)?;
            set.normalize();
            let floats = set.floats().iter().map(|&(time_ms, value)| (time_ms, Some(value), &[][..]));
            let histograms = set.histograms().iter().map(|(time_ms, bytes)| (*time_ms, None, &bytes[..]));
            for (time_ms, value, histogram) in floats.chain(histograms) {
                let time_us = time_ms.saturating_mul(1000);
                let row = self.event_time_us.len();
                for (cell, column) in cells.iter().zip(&mut self.columns) {
                    match cell {
                        Cell::Time => column.set_int(time_us),
                        Cell::Tenant => column.set_text(&record.tenant),
                        Cell::Metric => column.set_text(&series.metric),
                        Cell::Labels => column.set_text(&series.labels),
                        Cell::Sample => match value {
                            Some(value) => column.set_bytes(&value.to_le_bytes()),
                            None => column.set_bytes(histogram),
                        },
                        Cell::Value => value.filter(|v| v.is_finite()).into_iter().for_each(|v| column.set_float(v)),
                        Cell::Hash => column.set_int(hash),
                        Cell::Empty => column.set_text(""),
                    }
                    column.pad_to(row + 1);
                }
                self.event_time_us.push(time_us);
                newest_us = newest_us.max(time_us);
            }
        }
        Ok((self.event_time_us.len() - first, newest_us))
    }
}

//! Records to columns: CloudEvents in JSON, decoded straight into Arrow, only the fields some rollup uses.
//!
//! A record that cannot be used becomes a value (a [`Reject`]), never an error of the batch: nothing
//! of it stays in the columns, and the worker turns it into a dead letter.

mod columns;
mod data;
mod envelope;
mod reject;

pub use envelope::{Headers, NoHeaders};
pub use reject::{Notice, Reason, Reject};

use columns::Column;
use data::FieldTree;
use envelope::Envelope;
use std::collections::HashMap;
use std::sync::Arc;
use tidewatch_engine::open::EventBatch;
use tidewatch_engine::rollup::{Catalog, SourcePlan};
use tidewatch_engine::source::{ENVELOPE, EnvelopeColumn};
use tidewatch_engine::time::{SECOND_US, parse_rfc3339};

/// Events from before 2000-01-01 are clocks that were never set, not history.
const EVENT_TIME_MIN_US: i64 = 946_684_800 * SECOND_US;

/// Bounds of what is accepted as an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Larger records are dead letters, unread.
    pub record_bytes_max: usize,
    /// Longer strings in a field that a rollup uses make the event a dead letter.
    pub string_bytes_max: usize,
    /// How far an event may lie in the future of its record, in microseconds.
    pub future_max_us: i64,
}

/// One record as a source hands it out.
#[derive(Debug, Clone, Copy)]
pub struct RawRecord<'a> {
    /// Topic, or `None` for a file, whose events are told apart by type alone.
    pub topic: Option<&'a str>,
    /// Body.
    pub payload: &'a [u8],
    /// Timestamp of the record, microseconds since the epoch.
    pub timestamp_us: Option<i64>,
    /// Kafka headers.
    pub headers: &'a dyn Headers,
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Decoded {
    /// It is a row of this source now.
    Row {
        /// Index into [`Catalog::sources`].
        source: usize,
        /// Its event time.
        event_time_us: i64,
        /// The time of the record or of another field stood in for a missing `time`.
        time_fallback: bool,
        /// Values that were counted as something else.
        notices: Vec<Notice>,
    },
    /// No rollup reads events of its type.
    Ignored {
        /// Was the type declared at all?
        declared: bool,
    },
}

/// Decodes records into one set of columns per source.
#[derive(Debug)]
pub struct Decoder {
    limits: DecodeLimits,
    sources: Vec<SourceDecoder>,
    /// Event type to source, and whether the type is declared but unused (`None`).
    types: HashMap<String, (String, Option<usize>)>,
    tenant: String,
}

#[derive(Debug)]
struct SourceDecoder {
    plan: Arc<SourcePlan>,
    tree: FieldTree,
    envelope: Vec<(EnvelopeColumn, usize)>,
    columns: Vec<Column>,
    fallbacks: usize,
    event_time_us: Vec<i64>,
}

impl Decoder {
    /// A decoder for every source of the catalogue.
    pub fn new(catalog: &Catalog, limits: DecodeLimits) -> Self {
        let used = catalog.sources.iter().enumerate().map(|(i, s)| (&s.def, Some(i)));
        let types = used.chain(catalog.unused.iter().map(|def| (def, None)));
        Self {
            limits,
            types: types.map(|(def, i)| (def.event_type.clone(), (def.topic.clone(), i))).collect(),
            sources: catalog.sources.iter().map(|plan| SourceDecoder::new(Arc::clone(plan))).collect(),
            tenant: String::new(),
        }
    }

    /// Decodes one record. `now_us` bounds the future for records without a timestamp of their own.
    pub fn decode(&mut self, record: &RawRecord<'_>, now_us: i64) -> Result<Decoded, Box<Reject>> {
        if record.payload.len() > self.limits.record_bytes_max {
            let limit = self.limits.record_bytes_max;
            return Err(Reject::new(
                Reason::RecordTooLarge,
                format!("{} bytes, the limit is {limit} (record_bytes_max)", record.payload.len()),
            ));
        }
        let envelope = Envelope::read(record.payload, record.headers)?;
        let Some(index) = self.source_of(&envelope, record.topic)? else {
            let declared = self.lookup(envelope.event_type.as_deref().unwrap_or_default(), record.topic).is_some();
            return Ok(Decoded::Ignored { declared });
        };
        let source = &mut self.sources[index];
        let result = source.decode(&envelope, record, now_us, &self.limits, &mut self.tenant);
        if result.is_err() {
            source.roll_back();
        }
        let identify = |reject: Box<Reject>| reject.of(envelope.id.as_deref(), envelope.event_type.as_deref());
        let (event_time_us, time_fallback, notices) = result.map_err(identify)?;
        Ok(Decoded::Row { source: index, event_time_us, time_fallback, notices })
    }

    fn source_of(&self, envelope: &Envelope<'_>, topic: Option<&str>) -> Result<Option<usize>, Box<Reject>> {
        let Some(event_type) = envelope.event_type.as_deref().filter(|t| !t.is_empty()) else {
            return Err(Reject::missing("type").of(envelope.id.as_deref(), None));
        };
        Ok(self.lookup(event_type, topic).flatten())
    }

    /// `None`: unknown type; `Some(None)`: declared, but no rollup reads it.
    fn lookup(&self, event_type: &str, topic: Option<&str>) -> Option<Option<usize>> {
        let mut rest = event_type;
        loop {
            match self.types.get(rest) {
                Some((declared, source)) if topic.is_none_or(|t| t == declared) => return Some(*source),
                // A reverse-DNS prefix is stripped segment by segment.
                _ => rest = rest.split_once('.')?.1,
            }
        }
    }

    /// Rows decoded since the last [`Self::take`], of all sources.
    pub fn row_count(&self) -> usize {
        self.sources.iter().map(|s| s.event_time_us.len()).sum()
    }

    /// Takes the rows of a source, or `None` when it has none.
    pub fn take(&mut self, source: usize) -> Result<Option<EventBatch>, arrow::error::ArrowError> {
        self.sources.get_mut(source).map_or(Ok(None), SourceDecoder::take)
    }
}

impl SourceDecoder {
    fn new(plan: Arc<SourcePlan>) -> Self {
        let mut envelope = Vec::new();
        let mut tree = FieldTree::default();
        let mut columns = Vec::new();
        for field in plan.columns.fields() {
            let index = columns.len();
            columns.push(Column::new(field.data_type()));
            match ENVELOPE.iter().find(|(_, name)| name == field.name()) {
                Some(&(column, _)) => envelope.push((column, index)),
                None => {
                    let def = plan.def.fields.iter().find(|(name, _)| name.replace('.', "_") == *field.name());
                    if let Some((name, def)) = def {
                        tree.insert(plan.def.path(name), index, def.clone());
                    }
                }
            }
        }
        let fallbacks = plan.def.time_fallback.len();
        for (priority, name) in plan.def.time_fallback.iter().enumerate() {
            tree.insert_time_fallback(plan.def.path(name), priority);
        }
        Self { tree, envelope, columns, fallbacks, event_time_us: Vec::new(), plan }
    }

    fn decode(
        &mut self,
        envelope: &Envelope<'_>,
        record: &RawRecord<'_>,
        now_us: i64,
        limits: &DecodeLimits,
        tenant: &mut String,
    ) -> Result<(i64, bool, Vec<Notice>), Box<Reject>> {
        let required = |value: &Option<std::borrow::Cow<'_, str>>, name| match value.as_deref() {
            None | Some("") => Err(Reject::missing(name)),
            Some(_) => Ok(()),
        };
        required(&envelope.id, "id")?;
        required(&envelope.source, "source")?;
        let (Some(kind), Some(id)) = (
            envelope.tenant_kind.as_deref().filter(|t| !t.is_empty()),
            envelope.tenant_id.as_deref().filter(|t| !t.is_empty()),
        ) else {
            return Err(Reject::new(
                Reason::MissingTenant,
                "tenantkind and tenantid are required; there is no default tenant",
            ));
        };
        let row = self.event_time_us.len();
        let found = self.tree.read(envelope.data(), &mut self.columns, row, limits.string_bytes_max, self.fallbacks)?;
        let (event_time_us, time_fallback) = match envelope.time.as_deref() {
            Some(text) => match parse_rfc3339(text) {
                Some(time) => (time, false),
                None => {
                    return Err(Reject::new(Reason::BadTimestamp, format!("time: expected RFC 3339, found {text:?}")));
                }
            },
            None => match found.time_fallback.or(record.timestamp_us) {
                Some(time) => (time, true),
                None => return Err(Reject::missing("time")),
            },
        };
        // The record's own timestamp makes the answer the same on replay; `now` bounds a wrong one.
        let reference = record.timestamp_us.map_or(now_us, |t| t.min(now_us));
        if event_time_us > reference.saturating_add(limits.future_max_us) {
            return Err(Reject::new(
                Reason::FutureTimestamp,
                format!(
                    "{} s ahead of its record, the limit is {} s (future_max)",
                    (event_time_us - reference) / SECOND_US,
                    limits.future_max_us / SECOND_US
                ),
            ));
        }
        if event_time_us < EVENT_TIME_MIN_US {
            return Err(Reject::new(Reason::BadTimestamp, "before the year 2000: a clock that was never set"));
        }
        for &(column, index) in &self.envelope {
            let target = &mut self.columns[index];
            let text = match column {
                EnvelopeColumn::EventTime => {
                    target.set_int(event_time_us);
                    continue;
                }
                EnvelopeColumn::Sequence => {
                    if let Some(sequence) = envelope.sequence {
                        target.set_int(sequence);
                    }
                    continue;
                }
                EnvelopeColumn::Tenant => {
                    tenant.clear();
                    tenant.extend([kind, ":", id]);
                    Some(tenant.as_str())
                }
                EnvelopeColumn::TenantKind => Some(kind),
                EnvelopeColumn::TenantId => Some(id),
                EnvelopeColumn::EventId => envelope.id.as_deref(),
                EnvelopeColumn::EventSource => envelope.source.as_deref(),
                EnvelopeColumn::Subject => envelope.subject.as_deref(),
            };
            if let Some(text) = text {
                if text.len() > limits.string_bytes_max {
                    return Err(Reject::new(
                        Reason::StringTooLong,
                        format!(
                            "{}: {} bytes, the limit is {} (string_bytes_max)",
                            ENVELOPE.iter().find(|e| e.0 == column).map_or("", |e| e.1),
                            text.len(),
                            limits.string_bytes_max
                        ),
                    ));
                }
                target.set_text(text);
            }
        }
        self.event_time_us.push(event_time_us);
        let rows = self.event_time_us.len();
        self.columns.iter_mut().for_each(|c| c.pad_to(rows));
        Ok((event_time_us, time_fallback, found.notices))
    }

    fn roll_back(&mut self) {
        let rows = self.event_time_us.len();
        self.columns.iter_mut().for_each(|c| c.truncate(rows));
    }

    fn take(&mut self) -> Result<Option<EventBatch>, arrow::error::ArrowError> {
        if self.event_time_us.is_empty() {
            return Ok(None);
        }
        let event_time_us = std::mem::take(&mut self.event_time_us);
        let columns = self.columns.iter_mut().map(Column::take).collect::<Result<Vec<_>, _>>()?;
        let options = arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(event_time_us.len()));
        let columns =
            arrow::record_batch::RecordBatch::try_new_with_options(Arc::clone(&self.plan.columns), columns, &options)?;
        Ok(Some(EventBatch { columns, event_time_us }))
    }
}

#[cfg(test)]
mod tests;

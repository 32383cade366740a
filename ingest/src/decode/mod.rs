//! Records to columns: CloudEvents in JSON, decoded straight into Arrow, only the fields some rollup uses.
//!
//! A record that cannot be used becomes a value (a [`Reject`]), never an error of the batch: nothing
//! of it stays in the columns, and the worker turns it into a dead letter.

mod columns;
mod envelope;
mod plain;
mod reject;
mod rows;
mod samples;
mod tree;
mod value;

pub(crate) use envelope::is_too_deep;
pub use envelope::{Headers, NoHeaders};
pub use reject::{Notice, Reason, Reject};

use crate::personal::{HashKey, Personal, PersonalCounts};
use envelope::Envelope;
use hashbrown::HashMap;
use plain::Members;
use rows::{Event, SourceDecoder};
use std::sync::Arc;
use tidewatch_engine::dedupe::event_hash;
use tidewatch_engine::open::EventBatch;
use tidewatch_engine::rollup::Catalog;
use tidewatch_engine::source::PersonalKeys;
use tidewatch_engine::time::parse_rfc3339;

/// Bounds of what is accepted as an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Larger records are dead letters, unread.
    pub record_bytes_max: usize,
    /// Longer strings in a field that a rollup uses make the event a dead letter.
    pub string_bytes_max: usize,
    /// Longer arrays make an event of a source that explodes them a dead letter.
    pub explode_max: usize,
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
#[derive(Debug, PartialEq)]
pub enum Decoded<'d> {
    /// It is rows of every source of its type now, until [`Decoder::take_back`].
    Rows {
        /// One entry per source.
        sources: &'d [SourceRows],
        /// The hash that stands for its source and id.
        event_hash: u128,
        /// Personal values in it, kept as a hash or not at all.
        personal: PersonalCounts,
    },
    /// No rollup reads events of its type.
    Ignored {
        /// Was the type declared at all?
        declared: bool,
    },
}

/// The rows that one event is of one source.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceRows {
    /// Index into [`Catalog::sources`].
    pub source: usize,
    /// One, or the number of elements of the array that the source explodes.
    pub rows: usize,
    /// Its event time.
    pub event_time_us: i64,
    /// The time of the record or of another field stood in for a missing `time`.
    pub time_fallback: bool,
    /// Values that were counted as something else.
    pub notices: Vec<Notice>,
}

/// The time that an event says it happened, if it can be read: for questions about a single record.
pub(crate) fn event_time_us(record: &RawRecord<'_>) -> Option<i64> {
    // Only the time is kept, so that no value needs to be cleaned.
    let personal = Personal::new(&PersonalKeys::default(), HashKey::default());
    let mut members = Members::default();
    let envelope = Envelope::read(record.payload, record.headers, &personal, &mut members).ok()?;
    envelope.time.as_deref().and_then(parse_rfc3339).or(record.timestamp_us)
}

/// Decodes records into one set of columns per source.
#[derive(Debug)]
pub struct Decoder {
    limits: DecodeLimits,
    sources: Vec<SourceDecoder>,
    types: HashMap<String, Route>,
    /// Rows of the last event.
    last: Vec<SourceRows>,
    tenant: String,
    scratch: Vec<u8>,
    members: Members,
    personal: Arc<Personal>,
    /// The source of pushed samples.
    samples: Option<usize>,
}

/// Who reads a declared event type.
#[derive(Debug)]
struct Route {
    topic: String,
    /// Sources that some rollup reads.
    sources: Vec<usize>,
}

impl Decoder {
    /// A decoder for every source of the catalogue.
    pub fn new(catalog: &Catalog, limits: DecodeLimits) -> Self {
        let mut types: HashMap<String, Route> = HashMap::new();
        let used = catalog.sources.iter().enumerate().map(|(i, s)| (&s.def, Some(i)));
        let all = used.chain(catalog.unused.iter().map(|def| (def, None)));
        // Samples are no events: none can pass for one by its type.
        for (def, source) in all.filter(|(def, _)| !samples::is_samples(&def.topic)) {
            let route = types.entry(def.event_type.clone());
            let route = route.or_insert_with(|| Route { topic: def.topic.clone(), sources: Vec::new() });
            route.sources.extend(source);
        }
        Self {
            limits,
            types,
            samples: samples::source_of(catalog),
            sources: catalog.sources.iter().map(|plan| SourceDecoder::new(Arc::clone(plan))).collect(),
            last: Vec::new(),
            tenant: String::new(),
            scratch: Vec::new(),
            members: Members::default(),
            personal: Arc::new(Personal::new(&catalog.personal, HashKey::default())),
        }
    }

    /// Hashes personal values with the salt of this installation. Without, they are hashed all the same.
    pub fn with_personal(self, personal: Arc<Personal>) -> Self {
        Self { personal, ..self }
    }

    /// Decodes one record into rows of every source of its type; when one of them refuses it, it is rows
    /// of none. `now_us` bounds the future for records without a timestamp of their own.
    pub fn decode(&mut self, record: &RawRecord<'_>, now_us: i64) -> Result<Decoded<'_>, Box<Reject>> {
        self.last.clear();
        if record.topic.is_some_and(samples::is_samples) {
            return self.decode_samples(record);
        }
        if record.payload.len() > self.limits.record_bytes_max {
            let limit = self.limits.record_bytes_max;
            return Err(Reject::new(
                Reason::RecordTooLarge,
                format!("{} bytes, the limit is {limit} (record_bytes_max)", record.payload.len()),
            ));
        }
        let envelope = Envelope::read(record.payload, record.headers, &self.personal, &mut self.members)?;
        let Some(event_type) = envelope.event_type.as_deref().filter(|t| !t.is_empty()) else {
            return Err(Reject::missing("type").of(envelope.id.as_deref(), None));
        };
        let route = match lookup(&self.types, event_type, record.topic) {
            Some(route) if !route.sources.is_empty() => route,
            other => return Ok(Decoded::Ignored { declared: other.is_some() }),
        };
        let identify = |reject: Box<Reject>| reject.of(envelope.id.as_deref(), Some(event_type));
        let identity = envelope.identity().map_err(identify)?;
        let personal = &*self.personal;
        let event = Event { envelope: &envelope, identity, record, now_us, limits: &self.limits, personal };
        let mut found = envelope.personal;
        for &source in &route.sources {
            // Every source reads the same event.
            let counts = self.last.is_empty().then_some(&mut found);
            match self.sources[source].decode(&event, &mut self.tenant, counts) {
                Ok(rows) => self.last.push(SourceRows { source, ..rows }),
                Err(reject) => {
                    take_back(&mut self.sources, &mut self.last);
                    return Err(identify(reject));
                }
            }
        }
        let event_hash = event_hash(identity.source, identity.id, &mut self.scratch);
        Ok(Decoded::Rows { sources: &self.last, event_hash, personal: found })
    }

    /// Forgets the rows of the last event, if they were not taken yet.
    pub fn take_back(&mut self) {
        take_back(&mut self.sources, &mut self.last);
    }

    /// Rows decoded since the last [`Self::take`], of all sources.
    pub fn row_count(&self) -> usize {
        self.sources.iter().map(SourceDecoder::row_count).sum()
    }

    /// Takes the rows of a source, or `None` when it has none.
    pub fn take(&mut self, source: usize) -> Result<Option<EventBatch>, arrow::error::ArrowError> {
        self.last.clear();
        self.sources.get_mut(source).map_or(Ok(None), SourceDecoder::take)
    }
}

fn take_back(sources: &mut [SourceDecoder], last: &mut Vec<SourceRows>) {
    for rows in last.drain(..) {
        sources[rows.source].take_back(rows.rows);
    }
}

/// The route of a type, if it is declared for the topic.
fn lookup<'t>(types: &'t HashMap<String, Route>, event_type: &str, topic: Option<&str>) -> Option<&'t Route> {
    let mut rest = event_type;
    loop {
        match types.get(rest) {
            Some(route) if topic.is_none_or(|t| t == route.topic) => return Some(route),
            // A reverse-DNS prefix is stripped segment by segment.
            _ => rest = rest.split_once('.')?.1,
        }
    }
}

#[cfg(test)]
mod tests;

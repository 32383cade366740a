//! The rows of one source: attributes and fields into columns, event by event.

use super::columns::Column;
use super::envelope::{Envelope, Identity};
use super::reject::{Reason, Reject};
use super::tree::{Data, FieldTree, Rules};
use super::{DecodeLimits, RawRecord, SourceRows};
use crate::personal::{Personal, PersonalCounts};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use std::sync::Arc;
use tidewatch_engine::open::EventBatch;
use tidewatch_engine::rollup::SourcePlan;
use tidewatch_engine::source::{ENVELOPE, EnvelopeColumn};
use tidewatch_engine::time::{SECOND_US, parse_rfc3339};
use xxhash_rust::xxh3::Xxh3;

/// Events from before 2000-01-01 are clocks that were never set, not history.
const EVENT_TIME_MIN_US: i64 = 946_684_800 * SECOND_US;

const DAY_S: i64 = 86_400;

/// Decodes events into the columns that the rollups of one source read.
#[derive(Debug)]
pub(super) struct SourceDecoder {
    pub(super) plan: Arc<SourcePlan>,
    tree: FieldTree,
    envelope: Vec<(EnvelopeColumn, usize)>,
    pub(super) columns: Vec<Column>,
    /// Columns that are the same in every row of an event.
    shared: Vec<usize>,
    pub(super) event_time_us: Vec<i64>,
}

impl SourceDecoder {
    pub fn new(plan: Arc<SourcePlan>) -> Self {
        let mut envelope = Vec::new();
        let mut tree = FieldTree::new(plan.def.explode.as_deref());
        let (mut columns, mut shared) = (Vec::new(), Vec::new());
        for field in plan.columns.fields() {
            let index = columns.len();
            columns.push(Column::new(field.data_type()));
            if let Some(&(column, _)) = ENVELOPE.iter().find(|(_, name)| name == field.name()) {
                envelope.push((column, index));
                shared.push(index);
                continue;
            }
            let def = plan.def.fields.iter().find(|(name, _)| name.replace('.', "_") == *field.name());
            let Some((name, def)) = def else { continue };
            let of_element = plan.def.is_of_element(name);
            tree.insert(plan.def.path(name), index, def.clone(), of_element);
            if !of_element {
                shared.push(index);
            }
        }
        for (priority, name) in plan.def.time_fallback.iter().enumerate() {
            tree.insert_time_fallback(plan.def.path(name), priority);
        }
        Self { tree, envelope, columns, shared, event_time_us: Vec::new(), plan }
    }

    /// Rows since the last [`Self::take`].
    pub fn row_count(&self) -> usize {
        self.event_time_us.len()
    }

    /// Adds the rows of an event; a refused one leaves nothing behind.
    pub fn decode(
        &mut self,
        event: &Event<'_>,
        tenant: &mut String,
        personal: Option<&mut PersonalCounts>,
    ) -> Result<SourceRows, Box<Reject>> {
        let decoded = self.read(event, tenant, personal);
        if decoded.is_err() {
            self.truncate();
        }
        decoded
    }

    fn read(
        &mut self,
        event: &Event<'_>,
        tenant: &mut String,
        personal: Option<&mut PersonalCounts>,
    ) -> Result<SourceRows, Box<Reject>> {
        let row = self.event_time_us.len();
        let data = Data { json: event.envelope.data(), members: event.envelope.data_members() };
        let rules = Rules { limits: event.limits, personal: event.personal, is_first: personal.is_some() };
        let found = self.tree.read(data, &mut self.columns, row, rules)?;
        personal.into_iter().for_each(|counts| *counts += found.personal);
        let (event_time_us, time_fallback) = event.time(found.time_fallback)?;
        for &(column, index) in &self.envelope {
            event.set(column, &mut self.columns[index], event_time_us, tenant)?;
        }
        self.shared.iter().for_each(|&column| self.columns[column].spread(row, found.rows));
        self.event_time_us.resize(row + found.rows, event_time_us);
        Ok(SourceRows { source: 0, rows: found.rows, event_time_us, time_fallback, notices: found.notices })
    }

    /// Forgets the last rows.
    pub fn take_back(&mut self, rows: usize) {
        self.event_time_us.truncate(self.event_time_us.len().saturating_sub(rows));
        self.truncate();
    }

    /// Forgets the row in progress.
    pub fn truncate(&mut self) {
        let rows = self.event_time_us.len();
        self.columns.iter_mut().for_each(|c| c.truncate(rows));
    }

    pub fn take(&mut self) -> Result<Option<EventBatch>, ArrowError> {
        if self.event_time_us.is_empty() {
            return Ok(None);
        }
        let event_time_us = std::mem::take(&mut self.event_time_us);
        let columns = self.columns.iter_mut().map(Column::take).collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(event_time_us.len()));
        let columns = RecordBatch::try_new_with_options(Arc::clone(&self.plan.columns), columns, &options)?;
        Ok(Some(EventBatch { columns, event_time_us }))
    }
}

/// A record with its attributes, on its way into the columns of its sources.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event<'e> {
    pub envelope: &'e Envelope<'e>,
    pub identity: Identity<'e>,
    pub record: &'e RawRecord<'e>,
    pub now_us: i64,
    pub limits: &'e DecodeLimits,
    pub personal: &'e Personal,
}

impl Event<'_> {
    /// When it happened, and whether `fallback` or the record had to say it.
    fn time(&self, fallback: Option<i64>) -> Result<(i64, bool), Box<Reject>> {
        let (event_time_us, is_fallback) = match self.envelope.time.as_deref() {
            Some(text) => match parse_rfc3339(text) {
                Some(time) => (time, false),
                None => {
                    return Err(Reject::new(Reason::BadTimestamp, format!("time: expected RFC 3339, found {text:?}")));
                }
            },
            None => match fallback.or(self.record.timestamp_us) {
                Some(time) => (time, true),
                None => return Err(Reject::missing("time")),
            },
        };
        // The record's own timestamp makes the answer the same on replay; `now` bounds a wrong one.
        let reference = self.record.timestamp_us.map_or(self.now_us, |t| t.min(self.now_us));
        if event_time_us > reference.saturating_add(self.limits.future_max_us) {
            let ahead_s = (event_time_us - reference) / SECOND_US;
            let ahead = if ahead_s < DAY_S { format!("{ahead_s} s") } else { format!("{} days", ahead_s / DAY_S) };
            let limit_s = self.limits.future_max_us / SECOND_US;
            let detail = format!("{ahead} ahead of its record, the limit is {limit_s} s (future_max)");
            return Err(Reject::new(Reason::FutureTimestamp, detail));
        }
        if event_time_us < EVENT_TIME_MIN_US {
            return Err(Reject::new(Reason::BadTimestamp, "before the year 2000: a clock that was never set"));
        }
        Ok((event_time_us, is_fallback))
    }

    /// Sets the row in progress of an envelope column.
    fn set(
        &self,
        column: EnvelopeColumn,
        target: &mut Column,
        event_time_us: i64,
        tenant: &mut String,
    ) -> Result<(), Box<Reject>> {
        let text = match column {
            EnvelopeColumn::EventTime => {
                target.set_int(event_time_us);
                return Ok(());
            }
            EnvelopeColumn::Sequence => {
                self.envelope.sequence.into_iter().for_each(|sequence| target.set_int(sequence));
                return Ok(());
            }
            EnvelopeColumn::EventHash => {
                target.set_int(event_hash(self.identity.source, self.identity.id));
                return Ok(());
            }
            EnvelopeColumn::Tenant => {
                tenant.clear();
                tenant.extend([self.identity.tenant_kind, ":", self.identity.tenant_id]);
                Some(tenant.as_str())
            }
            EnvelopeColumn::TenantKind => Some(self.identity.tenant_kind),
            EnvelopeColumn::TenantId => Some(self.identity.tenant_id),
            EnvelopeColumn::EventId => Some(self.identity.id),
            EnvelopeColumn::EventSource => Some(self.identity.source),
            EnvelopeColumn::Subject => self.envelope.subject.as_deref(),
        };
        let Some(text) = text else { return Ok(()) };
        let limit = self.limits.string_bytes_max;
        if text.len() > limit {
            let name = ENVELOPE.iter().find(|e| e.0 == column).map_or("", |e| e.1);
            let detail = format!("{name}: {} bytes, the limit is {limit} (string_bytes_max)", text.len());
            return Err(Reject::new(Reason::StringTooLong, detail));
        }
        target.set_text(text);
        Ok(())
    }
}

/// The column `event_hash`: XXH3 of `source`, a zero byte and `id`, as a signed number.
fn event_hash(source: &str, id: &str) -> i64 {
    let mut hasher = Xxh3::new();
    hasher.update(source.as_bytes());
    hasher.update(&[0]);
    hasher.update(id.as_bytes());
    hasher.digest() as i64
}

//! What an event source looks like: its topic, its event type, its typed fields (`sources.yaml`).

mod field;
mod parse;
mod personal;

pub use field::{EnumValues, FieldDef, FieldType, OnUnknown};
pub(crate) use parse::{Sources, is_plain, parse_sources};
pub use personal::{PersonalAction, PersonalKeys, PersonalSection};

use crate::rollup::timestamp_type;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A named text: file name for messages, content.
pub type NamedText = (String, String);

/// Columns that every event has, whatever its source: name, type, may it be null.
pub const ENVELOPE: [(EnvelopeColumn, &str); 9] = [
    (EnvelopeColumn::EventTime, "event_time"),
    (EnvelopeColumn::Tenant, "tenant"),
    (EnvelopeColumn::TenantKind, "tenant_kind"),
    (EnvelopeColumn::TenantId, "tenant_id"),
    (EnvelopeColumn::EventId, "event_id"),
    (EnvelopeColumn::EventSource, "event_source"),
    (EnvelopeColumn::Subject, "subject"),
    (EnvelopeColumn::Sequence, "sequence"),
    (EnvelopeColumn::EventHash, "event_hash"),
];

/// A column that comes from the CloudEvents envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnvelopeColumn {
    /// When it happened.
    EventTime,
    /// `<tenantkind>:<tenantid>`.
    Tenant,
    /// `tenantkind`.
    TenantKind,
    /// `tenantid`.
    TenantId,
    /// `id`.
    EventId,
    /// `source`.
    EventSource,
    /// `subject`; it may be null.
    Subject,
    /// `sequence` as a number; null when it is missing or no number.
    Sequence,
    /// A hash of `source` and `id`, the same for every copy of an event.
    EventHash,
}

/// The content of a `sources.yaml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourcesFile {
    /// Keys whose values are personal data.
    #[serde(default)]
    pub personal: PersonalSection,
    /// All sources of the pack.
    pub sources: Vec<SourceDef>,
}

/// One event type of one topic.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceDef {
    /// Table name in rollup definitions.
    pub name: String,
    /// Kafka topic that carries it.
    pub topic: String,
    /// CloudEvents `type`; a reverse-DNS prefix on the event's own type is ignored. Several sources of one
    /// topic may share it: an event is rows of all of them, or of none.
    #[serde(rename = "type")]
    pub event_type: String,
    /// An array in `data` (a dot reaches into an object): the event is one row per element. Fields whose
    /// path lies below it are read from the element, the others are the same in each row.
    #[serde(default)]
    pub explode: Option<String>,
    /// Fields of `data` that stand in for a missing `time`, first one present wins.
    #[serde(default)]
    pub time_fallback: Vec<String>,
    /// Typed fields of `data`; a dot reaches into an object (`customer.tier`).
    #[serde(default)]
    pub fields: BTreeMap<String, FieldDef>,
}

impl SourceDef {
    /// Where a field lies in `data`; a dot reaches into an object.
    pub fn path<'a>(&'a self, field: &'a str) -> &'a str {
        self.fields.get(field).and_then(|def| def.path.as_deref()).unwrap_or(field)
    }

    /// Is a field read from each element of the exploded array?
    pub fn is_of_element(&self, field: &str) -> bool {
        self.explode.as_deref().is_some_and(|array| parse::is_below(self.path(field), array))
    }

    /// Every column a definition may name: the envelope's, then the fields by name.
    pub fn full_schema(&self) -> SchemaRef {
        let envelope = ENVELOPE.iter().map(|&(column, name)| match column {
            EnvelopeColumn::EventTime => Field::new(name, timestamp_type(), false),
            EnvelopeColumn::Subject => Field::new(name, DataType::Utf8, true),
            EnvelopeColumn::Sequence => Field::new(name, DataType::Int64, true),
            EnvelopeColumn::EventHash => Field::new(name, DataType::Int64, false),
            _ => Field::new(name, DataType::Utf8, false),
        });
        let fields = self
            .fields
            .iter()
            .map(|(name, def)| Field::new(name.replace('.', "_"), def.field_type.data_type(), !def.required));
        Arc::new(Schema::new(envelope.chain(fields).collect::<Vec<_>>()))
    }
}

//! Why a record could not be used, or was used with a change.

use std::fmt;

/// Longer texts of a reject are cut off: what a record says about itself may be as large as a record.
const TEXT_BYTES_MAX: usize = 1024;

/// The reasons, as they stand in the dead-letter table and in the metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Not JSON, or not UTF-8.
    BrokenJson,
    /// A required CloudEvents attribute or field is missing.
    MissingAttribute,
    /// No `tenantkind` or `tenantid`.
    MissingTenant,
    /// A value has another type than declared.
    WrongType,
    /// A value is not in the declared list.
    UnknownEnum,
    /// `time` cannot be read, or is from before the year 2000.
    BadTimestamp,
    /// `time` lies too far in the future.
    FutureTimestamp,
    /// The record is larger than `record_bytes_max`.
    RecordTooLarge,
    /// A string is longer than `string_bytes_max`.
    StringTooLong,
    /// An exploded array has more than `explode_max` elements.
    TooManyElements,
    /// A CloudEvents version or content type that is not supported.
    UnsupportedFormat,
}

impl Reason {
    /// All of them, for metrics that show zeros.
    pub const ALL: [Self; 11] = [
        Self::BrokenJson,
        Self::MissingAttribute,
        Self::MissingTenant,
        Self::WrongType,
        Self::UnknownEnum,
        Self::BadTimestamp,
        Self::FutureTimestamp,
        Self::RecordTooLarge,
        Self::StringTooLong,
        Self::TooManyElements,
        Self::UnsupportedFormat,
    ];

    /// Stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BrokenJson => "broken_json",
            Self::MissingAttribute => "missing_attribute",
            Self::MissingTenant => "missing_tenant",
            Self::WrongType => "wrong_type",
            Self::UnknownEnum => "unknown_enum",
            Self::BadTimestamp => "bad_timestamp",
            Self::FutureTimestamp => "future_timestamp",
            Self::RecordTooLarge => "record_too_large",
            Self::StringTooLong => "string_too_long",
            Self::TooManyElements => "too_many_elements",
            Self::UnsupportedFormat => "unsupported_format",
        }
    }
}

/// A record that does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Kind of mistake.
    pub reason: Reason,
    /// What was expected and what was found.
    pub detail: String,
    /// CloudEvents `id`, when it could be read.
    pub event_id: Option<String>,
    /// CloudEvents `type`, when it could be read.
    pub event_type: Option<String>,
    /// So many bytes of the detail are words of ours, whatever the event said.
    own_bytes: usize,
}

/// A record that counts, although a value of one of its fields had to be read as something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The field.
    pub field: String,
    /// What it said; the first value when elements of an array say several.
    pub found: String,
    /// Rows that it stands for.
    pub rows: u64,
}

impl Notice {
    /// Notes a value; a field is noted once for each event.
    pub(super) fn add(notices: &mut Vec<Self>, field: &str, found: &str) {
        match notices.iter_mut().find(|n| n.field == field) {
            Some(known) => known.rows += 1,
            None => notices.push(Self { field: field.to_owned(), found: found.to_owned(), rows: 1 }),
        }
    }
}

impl Reject {
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Box<Self> {
        let mut detail = detail.into();
        detail.truncate(detail.floor_char_boundary(TEXT_BYTES_MAX));
        Box::new(Self { reason, detail, event_id: None, event_type: None, own_bytes: 0 })
    }

    /// At a place that the pack names.
    pub(crate) fn at(reason: Reason, place: &str, detail: &str) -> Box<Self> {
        let mut reject = Self::new(reason, format!("{place}: {detail}"));
        reject.own_bytes = (place.len() + 2).min(reject.detail.len());
        reject
    }

    /// The detail in two parts: where it is, and what may hold words of the event.
    pub(crate) fn place_and_finding(&self) -> (&str, &str) {
        self.detail.split_at_checked(self.own_bytes).unwrap_or(("", &self.detail))
    }

    pub(crate) fn missing(attribute: &str) -> Box<Self> {
        Self::new(Reason::MissingAttribute, format!("{attribute} is required"))
    }

    pub(crate) fn of(mut self: Box<Self>, id: Option<&str>, event_type: Option<&str>) -> Box<Self> {
        let cut = |text: &str| text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_owned();
        self.event_id = id.map(cut);
        self.event_type = event_type.map(cut);
        self
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.as_str(), self.detail)
    }
}

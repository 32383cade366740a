//! Where records go that could not be used: a table with their reason, origin and bytes.

use crate::decode::{Notice, Reject};
use crate::personal::{Personal, PersonalCounts};
use arrow::array::{ArrayRef, BinaryBuilder, Int32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use std::sync::Arc;
use tidewatch_engine::commit::TopicPartition;
use tidewatch_engine::rollup::timestamp_type;

/// Table name.
pub const DEAD_LETTERS: &str = "dead_letters";

/// The record does not count.
pub const REJECTED: &str = "rejected";
/// The record counts, with one of its values read as `other`; kept here as a notice.
pub const KEPT_AS_OTHER: &str = "kept_as_other";

/// Columns of the table.
pub fn dead_letter_schema() -> SchemaRef {
    let text = |name, nullable| Field::new(name, DataType::Utf8, nullable);
    Arc::new(Schema::new(vec![
        Field::new("arrival_time", timestamp_type(), false),
        text("topic", false),
        Field::new("partition", DataType::Int32, false),
        Field::new("offset", DataType::Int64, false),
        Field::new("record_time", timestamp_type(), true),
        text("reason", false),
        text("detail", false),
        text("disposition", false),
        text("event_id", true),
        text("event_type", true),
        Field::new("payload", DataType::Binary, false),
        Field::new("payload_bytes", DataType::Int64, false),
    ]))
}

/// Dead letters since the last freeze.
#[derive(Debug)]
pub struct DeadLetters {
    /// Longer payloads are cut off here; `payload_bytes` keeps the true length.
    payload_bytes_max: usize,
    personal: Arc<Personal>,
    rows: usize,
    bytes: usize,
    arrival_time: TimestampMicrosecondBuilder,
    topic: StringBuilder,
    partition: Int32Builder,
    offset: Int64Builder,
    record_time: TimestampMicrosecondBuilder,
    reason: StringBuilder,
    detail: StringBuilder,
    disposition: StringBuilder,
    event_id: StringBuilder,
    event_type: StringBuilder,
    payload: BinaryBuilder,
    payload_bytes: Int64Builder,
}

/// The record a dead letter is about.
#[derive(Debug, Clone, Copy)]
pub struct Letter<'a> {
    /// Where it came from.
    pub partition: &'a TopicPartition,
    /// Its offset.
    pub offset: i64,
    /// Its own timestamp, microseconds since the epoch.
    pub record_time_us: Option<i64>,
    /// When we read it, microseconds since the epoch.
    pub arrival_time_us: i64,
    /// Its bytes.
    pub payload: &'a [u8],
}

impl DeadLetters {
    /// None yet. What is kept of a letter is made free of personal data first.
    pub fn new(payload_bytes_max: usize, personal: Arc<Personal>) -> Self {
        Self {
            payload_bytes_max,
            personal,
            rows: 0,
            bytes: 0,
            arrival_time: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            topic: StringBuilder::new(),
            partition: Int32Builder::new(),
            offset: Int64Builder::new(),
            record_time: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            reason: StringBuilder::new(),
            detail: StringBuilder::new(),
            disposition: StringBuilder::new(),
            event_id: StringBuilder::new(),
            event_type: StringBuilder::new(),
            payload: BinaryBuilder::new(),
            payload_bytes: Int64Builder::new(),
        }
    }

    /// Number of letters.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Bytes of their payloads.
    pub fn size_bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a record that does not count; tells which personal values were in it.
    pub fn reject(&mut self, letter: &Letter<'_>, reject: &Reject) -> PersonalCounts {
        let clean = |text: &Option<String>| text.as_deref().map(|text| self.personal.clean_attribute(text));
        let (event_id, event_type) = (clean(&reject.event_id), clean(&reject.event_type));
        self.event_id.append_option(event_id);
        self.event_type.append_option(event_type);
        let (place, finding) = reject.place_and_finding();
        let detail = format!("{place}{}", self.personal.clean_message(finding));
        self.add(letter, reject.reason.as_str(), &detail, REJECTED)
    }

    /// Adds a record that counts, but not as it stands.
    pub fn notice(&mut self, letter: &Letter<'_>, notice: &Notice) {
        self.event_id.append_null();
        self.event_type.append_null();
        let others = match notice.rows {
            0 | 1 => String::new(),
            rows => format!(", nor are those of {} other elements", rows - 1),
        };
        let found = self.personal.clean_message(&format!("{:?}", notice.found));
        let detail =
            format!("data.{}: {found} is not one of the listed values{others}; counted as other", notice.field);
        self.add(letter, crate::decode::Reason::UnknownEnum.as_str(), &detail, KEPT_AS_OTHER);
    }

    fn add(&mut self, letter: &Letter<'_>, reason: &str, detail: &str, disposition: &str) -> PersonalCounts {
        let (kept, personal) = self.personal.clean_payload(letter.payload, self.payload_bytes_max);
        self.rows += 1;
        self.bytes += kept.len();
        self.arrival_time.append_value(letter.arrival_time_us);
        self.topic.append_value(&letter.partition.topic);
        self.partition.append_value(letter.partition.partition);
        self.offset.append_value(letter.offset);
        self.record_time.append_option(letter.record_time_us);
        self.reason.append_value(reason);
        self.detail.append_value(detail);
        self.disposition.append_value(disposition);
        self.payload.append_value(&kept);
        self.payload_bytes.append_value(letter.payload.len() as i64);
        personal
    }

    /// The letters as a batch, or `None` when there are none.
    pub fn take(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        if self.rows == 0 {
            return Ok(None);
        }
        (self.rows, self.bytes) = (0, 0);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.arrival_time.finish()),
            Arc::new(self.topic.finish()),
            Arc::new(self.partition.finish()),
            Arc::new(self.offset.finish()),
            Arc::new(self.record_time.finish()),
            Arc::new(self.reason.finish()),
            Arc::new(self.detail.finish()),
            Arc::new(self.disposition.finish()),
            Arc::new(self.event_id.finish()),
            Arc::new(self.event_type.finish()),
            Arc::new(self.payload.finish()),
            Arc::new(self.payload_bytes.finish()),
        ];
        RecordBatch::try_new(dead_letter_schema(), columns).map(Some)
    }
}

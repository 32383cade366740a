//! The table of remembered event ids: which events were counted, so that their copies are not.
//!
//! Ids are committed with the offsets that brought them, like everything else. A worker that gets a
//! partition restores the ids of the events up to the offset it starts after, and no others: those
//! beyond are decided again, as they were the first time.

mod read;

pub use read::read;

use arrow::array::{ArrayRef, BinaryBuilder, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidewatch_engine::commit::TopicPartition;
use tidewatch_engine::dedupe::NewId;
use tidewatch_engine::rollup::timestamp_type;

/// Table name.
pub const EVENT_IDS: &str = "event_ids";

/// Bytes of a hash in the table.
const HASH_BYTES: usize = 16;
/// Bytes of an offset in the table.
const OFFSET_BYTES: usize = 4;

/// Columns of the table.
pub fn event_ids_schema() -> SchemaRef {
    let column = |name, data_type| Field::new(name, data_type, false);
    Arc::new(Schema::new(vec![
        column("topic", DataType::Utf8),
        column("partition", DataType::Int32),
        column("pane_start", timestamp_type()),
        column("offset_from", DataType::Int64),
        column("offset_to", DataType::Int64),
        column("ids", DataType::Binary),
        column("offsets", DataType::Binary),
    ]))
}

/// New ids of one partition and pane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewIds {
    /// Where their records lie.
    pub partition: TopicPartition,
    /// Start of the pane of arrival time, microseconds since the epoch.
    pub pane_start_us: i64,
    /// The ids, in any order.
    pub ids: Vec<NewId>,
}

/// Ids as they are restored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RememberedIds {
    /// Start of the pane of arrival time, microseconds since the epoch.
    pub pane_start_us: i64,
    /// Their hashes.
    pub hashes: Vec<u128>,
}

/// The rows for new ids: one for each partition and pane, unless its offsets lie too far apart.
pub fn batch<'i>(new: impl IntoIterator<Item = &'i NewIds>) -> Result<Option<RecordBatch>, ArrowError> {
    let mut by_pane: BTreeMap<(&TopicPartition, i64), Vec<NewId>> = BTreeMap::new();
    for new in new {
        by_pane.entry((&new.partition, new.pane_start_us)).or_default().extend(&new.ids);
    }
    let mut rows = Rows::default();
    for ((partition, pane_start_us), mut ids) in by_pane {
        ids.sort_unstable_by_key(|id| id.offset);
        let mut rest = ids.as_mut_slice();
        while let Some(first) = rest.first() {
            let from = first.offset - 1;
            let count = rest.partition_point(|id| id.offset - from <= i64::from(u32::MAX));
            let (row, others) = rest.split_at_mut(count);
            rows.add(partition, pane_start_us, from, row);
            rest = others;
        }
    }
    rows.batch()
}

#[derive(Default)]
struct Rows<'p> {
    topics: Vec<&'p str>,
    partitions: Vec<i32>,
    panes: Vec<i64>,
    from: Vec<i64>,
    to: Vec<i64>,
    ids: BinaryBuilder,
    offsets: BinaryBuilder,
}

impl<'p> Rows<'p> {
    /// Adds a row of ids that are ordered by offset, the first of them right after `from`.
    fn add(&mut self, partition: &'p TopicPartition, pane_start_us: i64, from: i64, ids: &mut [NewId]) {
        self.topics.push(&partition.topic);
        self.partitions.push(partition.partition);
        self.panes.push(pane_start_us);
        self.from.push(from);
        self.to.push(ids.last().map_or(from, |id| id.offset));
        // Equal content, equal bytes.
        ids.sort_unstable();
        let mut hashes = Vec::with_capacity(ids.len() * HASH_BYTES);
        let mut offsets = Vec::with_capacity(ids.len() * OFFSET_BYTES);
        for id in ids {
            hashes.extend(id.hash.to_be_bytes());
            offsets.extend(((id.offset - from) as u32).to_be_bytes());
        }
        self.ids.append_value(hashes);
        self.offsets.append_value(offsets);
    }

    fn batch(mut self) -> Result<Option<RecordBatch>, ArrowError> {
        if self.topics.is_empty() {
            return Ok(None);
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(self.topics)),
            Arc::new(Int32Array::from(self.partitions)),
            Arc::new(TimestampMicrosecondArray::from(self.panes).with_timezone("UTC")),
            Arc::new(Int64Array::from(self.from)),
            Arc::new(Int64Array::from(self.to)),
            Arc::new(self.ids.finish()),
            Arc::new(self.offsets.finish()),
        ];
        RecordBatch::try_new(event_ids_schema(), columns).map(Some)
    }
}

#[cfg(test)]
mod tests;

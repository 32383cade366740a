//! Forgetting the ids of events that are too old for a copy of them to come.
//!
//! How old an id is counts from the newest one of its partition: a partition that is read from long ago,
//! beside others that are up to date, must not lose what it has just remembered.

use super::MaintenanceError;
use arrow::array::{AsArray, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int32Type, Schema, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tidewatch_engine::commit::TopicPartition;
use tidewatch_storage::{Part, ReplaceOutcome, Replacement, Table};

/// Table of remembered event ids.
pub(super) const EVENT_IDS: &str = "event_ids";
/// Its column of arrival time.
pub(super) const PANE_START: &str = "pane_start";
/// The columns that say what a row is about, in this order.
const PLACE: [&str; 3] = ["topic", "partition", PANE_START];

type Newest = HashMap<TopicPartition, i64>;

/// Removes rows that are older than `retention` before the newest row of their partition. Returns the
/// number of files it replaced.
pub(super) async fn forget(table: &mut Table, retention: Duration) -> Result<usize, MaintenanceError> {
    let retain_us = i64::try_from(retention.as_micros()).unwrap_or(i64::MAX);
    let files = table.files(Some(PANE_START))?;
    let newest = files.iter().filter_map(|f| f.times).map(|t| t.1).max();
    let is_old = |times: Option<(i64, i64)>| times.zip(newest).is_some_and(|(t, n)| t.1 < n.saturating_sub(retain_us));
    if !files.iter().any(|f| is_old(f.times)) {
        return Ok(0);
    }
    let schema = table.schema();
    let Some(place) = place_of(&schema) else { return Ok(0) };
    let mut newest = Newest::new();
    for file in &files {
        for batch in table.read(&file.path, Arc::clone(&place)).await? {
            for (partition, pane) in places(&batch) {
                let known = newest.entry(partition).or_insert(pane);
                *known = pane.max(*known);
            }
        }
    }
    let mut replaced = 0;
    for file in files.iter().filter(|f| is_old(f.times)) {
        let (mut kept, mut rows) = (Vec::new(), 0);
        for batch in table.read(&file.path, Arc::clone(&schema)).await? {
            rows += batch.num_rows();
            kept.push(young(&batch, &newest, retain_us)?);
        }
        if kept.iter().map(RecordBatch::num_rows).sum::<usize>() == rows {
            continue;
        }
        let batch = arrow::compute::concat_batches(&schema, &kept).map_err(|e| failed(table, e))?;
        let add = vec![Part { tier: None, rolled_up: false, batch }];
        let replacement = Replacement { remove: vec![file.path.clone()], add, retained: None, changes_data: true };
        // Somebody else may do the same: then it is done.
        replaced += usize::from(matches!(table.replace(&replacement).await?, ReplaceOutcome::Committed { .. }));
    }
    Ok(replaced)
}

fn place_of(schema: &Schema) -> Option<Arc<Schema>> {
    let fields = PLACE.iter().map(|name| schema.field_with_name(name).ok().cloned());
    Some(Arc::new(Schema::new(fields.collect::<Option<Vec<_>>>()?)))
}

/// Partition and pane of every row; nothing when the columns are not what they should be.
fn places(batch: &RecordBatch) -> Vec<(TopicPartition, i64)> {
    let columns = PLACE.map(|name| batch.column_by_name(name));
    let [Some(topics), Some(numbers), Some(panes)] = columns else { return Vec::new() };
    let topics = topics.as_string_opt::<i32>();
    let numbers = numbers.as_primitive_opt::<Int32Type>();
    let panes = panes.as_primitive_opt::<TimestampMicrosecondType>();
    let (Some(topics), Some(numbers), Some(panes)) = (topics, numbers, panes) else { return Vec::new() };
    (0..batch.num_rows())
        .map(|row| (TopicPartition::new(topics.value(row), numbers.value(row)), panes.value(row)))
        .collect()
}

fn young(batch: &RecordBatch, newest: &Newest, retain_us: i64) -> Result<RecordBatch, MaintenanceError> {
    let is_young = |(partition, pane): &(TopicPartition, i64)| {
        newest.get(partition).is_none_or(|n| *pane >= n.saturating_sub(retain_us))
    };
    let places = places(batch);
    if places.is_empty() {
        return Ok(batch.clone());
    }
    let keep: BooleanArray = places.iter().map(|place| Some(is_young(place))).collect();
    filter_record_batch(batch, &keep)
        .map_err(|e| MaintenanceError::Merge { table: EVENT_IDS.to_owned(), source: e.into() })
}

fn failed(table: &Table, error: arrow::error::ArrowError) -> MaintenanceError {
    MaintenanceError::Merge { table: table.name().to_owned(), source: error.into() }
}

//! Reading ids back: those of the events up to an offset, as far as their panes can still matter.

use super::{EVENT_IDS, HASH_BYTES, OFFSET_BYTES, RememberedIds};
use arrow::array::{ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::prelude::{Expr, col, lit};
use futures::StreamExt;
use std::collections::BTreeMap;
use tidewatch_engine::commit::{BEFORE_FIRST, TopicPartition};
use tidewatch_engine::dedupe::{DedupeSettings, PANE_US};
use tidewatch_engine::rollup::timestamp_type;
use tidewatch_storage::{StorageError, Table};

/// Rows read at once; each may hold the ids of a whole flush, or of an hour once rows were merged.
const BATCH_ROWS: usize = 64;
/// Rows read at once when only their places are asked for.
const PLACES_ROWS: usize = 8192;

/// The ids of the events of some partitions up to an offset each, inclusive.
pub async fn read(
    table: &Table,
    starts: &BTreeMap<TopicPartition, i64>,
    settings: &DedupeSettings,
) -> Result<BTreeMap<TopicPartition, Vec<RememberedIds>>, StorageError> {
    let starts: BTreeMap<&TopicPartition, i64> =
        starts.iter().filter(|(_, start)| **start > BEFORE_FIRST).map(|(p, &start)| (p, start)).collect();
    let mut remembered = BTreeMap::new();
    let newest = newest_panes(table, &starts).await?;
    let conditions = starts.iter().map(|(partition, &start)| {
        let rows = is_of(partition).and(col("offset_from").lt(lit(start)));
        match newest.get(*partition) {
            Some(pane_us) => {
                let oldest = pane_us.saturating_sub(settings.horizon_panes().saturating_mul(PANE_US));
                let oldest = ScalarValue::TimestampMicrosecond(Some(oldest), Some("UTC".into()));
                rows.and(col("pane_start").gt_eq(lit(oldest)))
            }
            None => rows,
        }
    });
    let Some(condition) = conditions.reduce(Expr::or) else { return Ok(remembered) };
    let columns = ["topic", "partition", "pane_start", "offset_from", "ids", "offsets"];
    let mut batches = table.scan(condition, &columns, BATCH_ROWS).await?;
    while let Some(batch) = batches.next().await {
        restore(&batch?, &starts, &mut remembered).map_err(|error| StorageError::Scan {
            table: EVENT_IDS.to_owned(),
            source: Box::new(DataFusionError::from(error)),
        })?;
    }
    Ok(remembered)
}

fn is_of(partition: &TopicPartition) -> Expr {
    col("topic").eq(lit(&*partition.topic)).and(col("partition").eq(lit(partition.partition)))
}

/// The newest pane of each partition, of the rows that lie before its start as a whole.
async fn newest_panes(
    table: &Table,
    starts: &BTreeMap<&TopicPartition, i64>,
) -> Result<BTreeMap<TopicPartition, i64>, StorageError> {
    let mut newest = BTreeMap::new();
    let conditions = starts.iter().map(|(partition, &start)| is_of(partition).and(col("offset_to").lt_eq(lit(start))));
    let Some(condition) = conditions.reduce(Expr::or) else { return Ok(newest) };
    let mut batches = table.scan(condition, &["topic", "partition", "pane_start"], PLACES_ROWS).await?;
    while let Some(batch) = batches.next().await {
        let places = places(&batch?).map_err(|error| StorageError::Scan {
            table: EVENT_IDS.to_owned(),
            source: Box::new(DataFusionError::from(error)),
        })?;
        for (partition, pane_us) in places {
            let known = newest.entry(partition).or_insert(pane_us);
            *known = pane_us.max(*known);
        }
    }
    Ok(newest)
}

/// A column by name; the reader may have chosen another layout for it.
fn column(batch: &RecordBatch, name: &str, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    let column = batch.column_by_name(name).ok_or_else(|| ArrowError::SchemaError(format!("no column {name}")))?;
    cast(column, data_type)
}

/// Partition and pane of every row.
fn places(batch: &RecordBatch) -> Result<Vec<(TopicPartition, i64)>, ArrowError> {
    let topics = column(batch, "topic", &DataType::Utf8)?;
    let numbers = column(batch, "partition", &DataType::Int32)?;
    let panes = column(batch, "pane_start", &timestamp_type())?;
    let (topics, numbers) = (topics.as_string::<i32>(), numbers.as_primitive::<Int32Type>());
    let panes = panes.as_primitive::<TimestampMicrosecondType>();
    let row = |row| (TopicPartition::new(topics.value(row), numbers.value(row)), panes.value(row));
    Ok((0..batch.num_rows()).map(row).collect())
}

fn restore(
    batch: &RecordBatch,
    starts: &BTreeMap<&TopicPartition, i64>,
    remembered: &mut BTreeMap<TopicPartition, Vec<RememberedIds>>,
) -> Result<(), ArrowError> {
    let from = column(batch, "offset_from", &DataType::Int64)?;
    let ids = column(batch, "ids", &DataType::Binary)?;
    let offsets = column(batch, "offsets", &DataType::Binary)?;
    let (from, ids, offsets) = (from.as_primitive::<Int64Type>(), ids.as_binary::<i32>(), offsets.as_binary::<i32>());
    for (row, (partition, pane_start_us)) in places(batch)?.into_iter().enumerate() {
        let Some(&start) = starts.get(&partition) else { continue };
        let (hashes, hash_rest) = ids.value(row).as_chunks::<HASH_BYTES>();
        let (offsets, offset_rest) = offsets.value(row).as_chunks::<OFFSET_BYTES>();
        if hashes.len() != offsets.len() || !hash_rest.is_empty() || !offset_rest.is_empty() {
            let message =
                format!("{partition}: {} ids with {} offsets: the row is damaged", hashes.len(), offsets.len());
            return Err(ArrowError::InvalidArgumentError(message));
        }
        // Offsets beyond the start are replayed, and decided again.
        let until = start - from.value(row);
        let before = hashes.iter().zip(offsets).filter(|(_, offset)| i64::from(u32::from_be_bytes(**offset)) <= until);
        let hashes: Vec<u128> = before.map(|(hash, _)| u128::from_be_bytes(*hash)).collect();
        if !hashes.is_empty() {
            remembered.entry(partition).or_default().push(RememberedIds { pane_start_us, hashes });
        }
    }
    Ok(())
}

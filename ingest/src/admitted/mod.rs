//! The table `series`: which series have rows of their own, so that a restart decides as before.
//!
//! A worker that admits a series writes it down before the rows that it led to: whoever counts the same
//! events again, after a crash or as the next owner of a partition, admits the same series and folds the
//! same others. A row holds the series that one commit admitted for a rollup, tenant and day (UTC); what
//! is written twice says nothing new.

mod read;

pub use read::{copy, read};

use arrow::array::{ArrayRef, BinaryArray, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidewatch_engine::cardinality::FreshSeries;
use tidewatch_engine::rollup::timestamp_type;
use tidewatch_storage::{StorageError, Store, Table};

/// Table name.
pub const SERIES: &str = "series";

/// Column of the day, for retention.
pub const DAY: &str = "day";

/// Bytes of a series' hash in the table.
const HASH_BYTES: usize = 8;

/// Columns of the table.
pub fn series_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("rollup", DataType::Utf8, false),
        Field::new("tenant", DataType::Utf8, true),
        Field::new(DAY, timestamp_type(), false),
        Field::new("series", DataType::Binary, false),
    ]))
}

/// Opens or creates the table.
///
/// # Errors
///
/// If the store cannot be read or written.
pub async fn open(store: &Store) -> Result<Table, StorageError> {
    // Bytes have no place in the statistics of the log.
    let properties = [("delta.dataSkippingNumIndexedCols", "3".to_owned())];
    Table::open_or_create(store, SERIES, &series_schema(), &properties).await
}

/// The rows for admitted series: one for each rollup, tenant and day; `None` when there are none.
pub fn batch<'s>(admitted: impl IntoIterator<Item = &'s FreshSeries>) -> Result<Option<RecordBatch>, ArrowError> {
    let mut rows: BTreeMap<(&str, Option<&str>, i64), Vec<u64>> = BTreeMap::new();
    for admitted in admitted {
        let key = (admitted.table.as_str(), admitted.tenant.as_deref(), admitted.day_us);
        rows.entry(key).or_default().extend(&admitted.series);
    }
    if rows.is_empty() {
        return Ok(None);
    }
    let bytes = rows.values_mut().map(|series| {
        series.sort_unstable();
        series.iter().flat_map(|s| s.to_be_bytes()).collect::<Vec<u8>>()
    });
    let series = BinaryArray::from_iter_values(bytes);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(rows.keys().map(|key| key.0))),
        Arc::new(rows.keys().map(|key| key.1).collect::<StringArray>()),
        Arc::new(TimestampMicrosecondArray::from_iter_values(rows.keys().map(|key| key.2)).with_timezone("UTC")),
        Arc::new(series),
    ];
    RecordBatch::try_new(series_schema(), columns).map(Some)
}

#[cfg(test)]
mod tests;

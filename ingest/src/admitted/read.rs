//! Reading the admitted series back.

use super::{DAY, HASH_BYTES, SERIES, batch, open};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::prelude::{col, lit};
use futures::StreamExt;
use tidewatch_engine::cardinality::{DAYS_REMEMBERED, FreshSeries};
use tidewatch_engine::rollup::timestamp_type;
use tidewatch_engine::time::DAY_US;
use tidewatch_storage::{Rows, StorageError, Store, Table};

/// Rows read at once; each may hold all series that a tenant has on a day.
const BATCH_ROWS: usize = 256;
/// Rows read at once when only their days are asked for.
const DAYS_ROWS: usize = 8192;

/// The series of the days that a worker remembers: the newest of the table, and those before it.
pub async fn read(table: &Table) -> Result<Vec<FreshSeries>, StorageError> {
    let mut newest: Option<i64> = None;
    let mut batches = table.scan(lit(true), &[DAY], DAYS_ROWS).await?;
    while let Some(batch) = batches.next().await {
        let days = column(&batch?, DAY, &timestamp_type()).map_err(damaged)?;
        newest = newest.max(arrow::compute::max(days.as_primitive::<TimestampMicrosecondType>()));
    }
    let Some(newest) = newest else { return Ok(Vec::new()) };
    let oldest = newest.saturating_sub((DAYS_REMEMBERED - 1) * DAY_US);
    let remembered = col(DAY).gt_eq(lit(ScalarValue::TimestampMicrosecond(Some(oldest), Some("UTC".into()))));
    let mut admitted = Vec::new();
    let mut batches = table.scan(remembered, &["rollup", "tenant", DAY, "series"], BATCH_ROWS).await?;
    while let Some(batch) = batches.next().await {
        restore(&batch?, &mut admitted).map_err(damaged)?;
    }
    Ok(admitted)
}

/// Gives another store the series of a store, so that a replay into it decides alike.
///
/// # Errors
///
/// If one of the two tables `series` cannot be read or written.
pub async fn copy(from: &Store, to: &Store) -> Result<(), StorageError> {
    let Some(table) = from.table(SERIES).await? else { return Ok(()) };
    let rows = Rows { batch: batch(&read(&table).await?).map_err(damaged)?, ..Rows::default() };
    open(to).await?.append(&rows).await.map(|_| ())
}

fn damaged(error: ArrowError) -> StorageError {
    StorageError::Scan { table: SERIES.to_owned(), source: Box::new(DataFusionError::from(error)) }
}

/// A column by name; the reader may have chosen another layout for it.
fn column(batch: &RecordBatch, name: &str, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    let column = batch.column_by_name(name).ok_or_else(|| ArrowError::SchemaError(format!("no column {name}")))?;
    cast(column, data_type)
}

fn restore(batch: &RecordBatch, admitted: &mut Vec<FreshSeries>) -> Result<(), ArrowError> {
    let rollups = column(batch, "rollup", &DataType::Utf8)?;
    let tenants = column(batch, "tenant", &DataType::Utf8)?;
    let days = column(batch, DAY, &timestamp_type())?;
    let series = column(batch, "series", &DataType::Binary)?;
    let (rollups, tenants, series) =
        (rollups.as_string::<i32>(), tenants.as_string::<i32>(), series.as_binary::<i32>());
    let days = days.as_primitive::<TimestampMicrosecondType>();
    for row in 0..batch.num_rows() {
        let (hashes, rest) = series.value(row).as_chunks::<HASH_BYTES>();
        if !rest.is_empty() {
            let message = format!(
                "{} bytes of series in a row of {}: it is damaged",
                series.value(row).len(),
                rollups.value(row)
            );
            return Err(ArrowError::InvalidArgumentError(message));
        }
        admitted.push(FreshSeries {
            table: rollups.value(row).to_owned(),
            tenant: tenants.is_valid(row).then(|| tenants.value(row).to_owned()),
            day_us: days.value(row),
            series: hashes.iter().map(|hash| u64::from_be_bytes(*hash)).collect(),
        });
    }
    Ok(())
}

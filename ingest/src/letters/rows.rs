//! Columns of what a scan gives, in the types that we wrote.

use super::LettersError;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type, Int64Type, SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::datasource::empty::EmptyTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use std::sync::Arc;
use tidewatch_engine::rollup::timestamp_type;
use tidewatch_storage::Table;

/// Rows of a batch: with payloads at their bound, a batch is some 16 MiB.
pub(super) const BATCH_ROWS: usize = 256;

/// A session that reads in small batches.
pub(super) fn context() -> SessionContext {
    let mut config = SessionConfig::new().with_batch_size(BATCH_ROWS).with_target_partitions(1);
    config.options_mut().execution.parquet.schema_force_view_types = false;
    SessionContext::new_with_config(config)
}

/// A scan of a table, or of nothing while there is no such table.
pub(super) async fn provider(table: Option<&Table>, schema: SchemaRef) -> Result<Arc<dyn TableProvider>, LettersError> {
    Ok(match table {
        Some(table) => table.provider()?,
        None => Arc::new(EmptyTable::new(schema)),
    })
}

fn column(batch: &RecordBatch, name: &str, wanted: &DataType) -> Result<ArrayRef, ArrowError> {
    let column =
        batch.column_by_name(name).ok_or_else(|| ArrowError::SchemaError(format!("column {name} is missing")))?;
    if column.data_type() == wanted { Ok(Arc::clone(column)) } else { cast(column, wanted) }
}

pub(super) struct Texts(ArrayRef);
pub(super) struct Bytes(ArrayRef);
pub(super) struct Longs(ArrayRef);
pub(super) struct Ints(ArrayRef);
pub(super) struct Times(ArrayRef);

impl Texts {
    pub fn of(batch: &RecordBatch, name: &str) -> Result<Self, ArrowError> {
        column(batch, name, &DataType::Utf8).map(Self)
    }
    pub fn get(&self, row: usize) -> Option<&str> {
        let texts = self.0.as_string::<i32>();
        texts.is_valid(row).then(|| texts.value(row))
    }
    /// Of a column that is never null.
    pub fn text(&self, row: usize) -> &str {
        self.get(row).unwrap_or_default()
    }
}

impl Bytes {
    pub fn of(batch: &RecordBatch, name: &str) -> Result<Self, ArrowError> {
        column(batch, name, &DataType::Binary).map(Self)
    }
    pub fn get(&self, row: usize) -> &[u8] {
        self.0.as_binary::<i32>().value(row)
    }
}

impl Longs {
    pub fn of(batch: &RecordBatch, name: &str) -> Result<Self, ArrowError> {
        column(batch, name, &DataType::Int64).map(Self)
    }
    pub fn get(&self, row: usize) -> i64 {
        self.0.as_primitive::<Int64Type>().value(row)
    }
    pub fn option(&self, row: usize) -> Option<i64> {
        self.0.is_valid(row).then(|| self.get(row))
    }
}

impl Ints {
    pub fn of(batch: &RecordBatch, name: &str) -> Result<Self, ArrowError> {
        column(batch, name, &DataType::Int32).map(Self)
    }
    pub fn get(&self, row: usize) -> i32 {
        self.0.as_primitive::<Int32Type>().value(row)
    }
}

impl Times {
    pub fn of(batch: &RecordBatch, name: &str) -> Result<Self, ArrowError> {
        column(batch, name, &timestamp_type()).map(Self)
    }
    /// Microseconds since the epoch.
    pub fn get(&self, row: usize) -> Option<i64> {
        let times = self.0.as_primitive::<TimestampMicrosecondType>();
        times.is_valid(row).then(|| times.value(row))
    }
}

//! The live files of a table: what the log says about each, and their rows.

use super::{ROLLED_UP, TIER, Table};
use crate::StorageError;
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type, SchemaRef, TimeUnit, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::sync::Arc;

/// Rows decoded at once.
const BATCH_ROWS: usize = 64 * 1024;

/// One live file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFile {
    /// Path below the table, as the log spells it.
    pub path: String,
    /// Name of the tier; `None` in a table without tiers.
    pub tier: Option<String>,
    /// Are its rows also part of the next wider tier?
    pub rolled_up: bool,
    /// Smallest and largest value of the time column, inclusive, microseconds since the epoch; the log
    /// keeps milliseconds, so the largest may be up to 999 µs larger. `None` when the log does not say.
    pub times: Option<(i64, i64)>,
    /// Number of rows; 0 when the log does not say.
    pub rows: u64,
    /// Size.
    pub bytes: u64,
}

impl Table {
    /// The live files of the loaded version, by path. `time_column`: the column whose range is wanted.
    pub fn files(&self, time_column: Option<&str>) -> Result<Vec<DataFile>, StorageError> {
        let fail = StorageError::delta(&self.name);
        let snapshot = self.delta.snapshot().map_err(&fail)?;
        let table = snapshot.add_actions_table(true).map_err(&fail)?;
        let text = |name: &str| cast_column(&table, name, &DataType::Utf8);
        let long = |name: &str| cast_column(&table, name, &DataType::Int64);
        let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let times = |side: &str| cast_column(&table, &format!("{side}.{}", time_column?), &micros);
        let (paths, sizes, rows) = (text("path"), long("size_bytes"), long("num_records"));
        let (tiers, rolled) = (text(&format!("partition.{TIER}")), text(&format!("partition.{ROLLED_UP}")));
        let (least, most) = (times("min"), times("max"));
        let string = |column: &Option<Arc<dyn Array>>, row| {
            let column = column.as_ref()?.as_string_opt::<i32>()?;
            column.is_valid(row).then(|| column.value(row).to_owned())
        };
        let number = |column: &Option<Arc<dyn Array>>, row| {
            let column = column.as_ref()?.as_primitive_opt::<Int64Type>()?;
            column.is_valid(row).then(|| u64::try_from(column.value(row)).unwrap_or(0))
        };
        let instant = |column: &Option<Arc<dyn Array>>, row| {
            let column = column.as_ref()?.as_primitive_opt::<TimestampMicrosecondType>()?;
            column.is_valid(row).then(|| column.value(row))
        };
        let mut files: Vec<DataFile> = (0..table.num_rows())
            .filter_map(|row| {
                Some(DataFile {
                    path: string(&paths, row)?,
                    tier: string(&tiers, row),
                    rolled_up: string(&rolled, row).as_deref() == Some("true"),
                    times: instant(&least, row).zip(instant(&most, row)),
                    rows: number(&rows, row).unwrap_or(0),
                    bytes: number(&sizes, row).unwrap_or(0),
                })
            })
            .collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    /// The columns of `schema` of one file, in its order and types. Partition columns are not in the file, and
    /// measures that were added after it was written hold nothing: null, or 0 where a count cannot be null.
    pub async fn read(&self, path: &str, schema: SchemaRef) -> Result<Vec<RecordBatch>, StorageError> {
        let location = Path::parse(path).unwrap_or_else(|_| Path::from(path));
        let bytes = self.delta.object_store().get(&location).await?.bytes().await?;
        let fail =
            |reason: String| StorageError::Unreadable { table: self.name.clone(), path: path.to_owned(), reason };
        // Decoding is work for the processor; the caller's thread has others to serve.
        let decoded = tokio::task::spawn_blocking(move || decode(bytes, &schema));
        decoded.await.map_err(|e| fail(e.to_string()))?.map_err(fail)
    }
}

/// Nothing counted is 0 where the column has no place for null.
fn without_nulls(field: &Field, column: ArrayRef) -> Result<ArrayRef, String> {
    if field.is_nullable() || column.null_count() == 0 {
        return Ok(column);
    }
    let counts = column.as_primitive_opt::<Int64Type>().ok_or(format!("no values in column {}", field.name()))?;
    let filled: Int64Array = counts.iter().map(|count| Some(count.unwrap_or(0))).collect();
    Ok(Arc::new(filled))
}

fn cast_column(table: &RecordBatch, name: &str, to: &DataType) -> Option<Arc<dyn Array>> {
    let column = table.column_by_name(name)?;
    cast(column, to).ok()
}

fn decode(bytes: bytes::Bytes, schema: &SchemaRef) -> Result<Vec<RecordBatch>, String> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|e| e.to_string())?;
    // Columns that nobody asked for are not even decompressed.
    let names = schema.fields().iter().map(|f| f.name().as_str());
    let wanted = ProjectionMask::columns(reader.parquet_schema(), names);
    let reader = reader.with_batch_size(BATCH_ROWS).with_projection(wanted).build().map_err(|e| e.to_string())?;
    reader
        .map(|batch| {
            let batch = batch.map_err(|e| e.to_string())?;
            let columns = schema.fields().iter().map(|field| {
                match batch.column_by_name(field.name()) {
                    Some(column) => cast(column, field.data_type()).map_err(|e| e.to_string()),
                    None => Ok(new_null_array(field.data_type(), batch.num_rows())),
                }
                .and_then(|column| without_nulls(field, column))
            });
            let columns = columns.collect::<Result<Vec<_>, String>>()?;
            RecordBatch::try_new(Arc::clone(schema), columns).map_err(|e| e.to_string())
        })
        .collect()
}

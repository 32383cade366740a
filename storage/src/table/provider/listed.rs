//! What the log says of each file.

use super::reader::FileBytes;
use crate::cache::FileCache;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, DataFusionError, Result, ScalarValue, Statistics};
use object_store::ObjectStore;
use object_store::path::Path;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::PageIndexPolicy;
use std::sync::Arc;

/// The log keeps times to the millisecond, rounded down: the largest one of a file may be so much larger.
const TIME_ROUNDING_US: i64 = 999;

/// A data file.
#[derive(Debug)]
pub(crate) struct ListedFile {
    /// Name of the table and path below it.
    pub key: Arc<str>,
    pub path: Path,
    pub bytes: u64,
    /// Values of the columns that divide files.
    pub partition: Vec<ScalarValue>,
    pub statistics: Arc<Statistics>,
}

impl ListedFile {
    pub(super) fn reader(&self, store: &Arc<dyn ObjectStore>) -> FileBytes {
        FileBytes { store: Arc::clone(store), path: self.path.clone(), bytes: self.bytes }
    }

    /// The footer, with texts of the columns `dictionaries` as dictionaries.
    pub async fn footer(
        &self,
        store: &Arc<dyn ObjectStore>,
        cache: &FileCache,
        dictionaries: &[String],
    ) -> Result<ArrowReaderMetadata> {
        if let Some(footer) = cache.footer(&self.key) {
            return Ok(footer);
        }
        let options = || ArrowReaderOptions::new().with_offset_index_policy(PageIndexPolicy::Optional);
        let mut footer = ArrowReaderMetadata::load_async(&mut self.reader(store), options()).await?;
        let is_dictionary = |field: &Field| {
            *field.data_type() == DataType::Utf8 && dictionaries.iter().any(|name| name == field.name())
        };
        if footer.schema().fields().iter().any(|field| is_dictionary(field)) {
            let fields = footer.schema().fields().iter().map(|field| match is_dictionary(field) {
                true => Arc::new(field.as_ref().clone().with_data_type(dictionary_type())),
                false => Arc::clone(field),
            });
            let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
            footer = ArrowReaderMetadata::try_new(Arc::clone(footer.metadata()), options().with_schema(schema))?;
        }
        cache.keep_footer(&self.key, &footer);
        Ok(footer)
    }
}

/// Texts of which there are few.
pub(super) fn dictionary_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// A column of the log's list of files.
fn column(log: &RecordBatch, name: &str, to: &DataType) -> Option<ArrayRef> {
    cast(log.column_by_name(name)?, to).ok()
}

pub(super) fn partitions(log: &RecordBatch, by: &[Arc<Field>]) -> Result<RecordBatch> {
    let column = |field: &Arc<Field>| {
        column(log, &format!("partition.{}", field.name()), field.data_type())
            .ok_or_else(|| DataFusionError::Internal(format!("the log does not tell the {} of files", field.name())))
    };
    let columns = by.iter().map(column).collect::<Result<Vec<_>>>()?;
    let nullable = |field: &Arc<Field>| Field::new(field.name(), field.data_type().clone(), true);
    let schema = Arc::new(Schema::new(by.iter().map(nullable).collect::<Vec<_>>()));
    let options = RecordBatchOptions::new().with_row_count(Some(log.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
}

/// `stored`: the columns within files.
pub(super) fn files(
    table: &str,
    log: &RecordBatch,
    stored: &[Arc<Field>],
    partitions: &RecordBatch,
) -> Result<Vec<Arc<ListedFile>>> {
    let missing = |what: &str| DataFusionError::Internal(format!("the log does not tell the {what} of files"));
    let paths = column(log, "path", &DataType::Utf8).ok_or_else(|| missing("path"))?;
    let sizes = column(log, "size_bytes", &DataType::Int64).ok_or_else(|| missing("size"))?;
    let rows = column(log, "num_records", &DataType::Int64);
    let bounds: Vec<[Option<ArrayRef>; 2]> = stored
        .iter()
        .map(|field| ["min", "max"].map(|side| column(log, &format!("{side}.{}", field.name()), field.data_type())))
        .collect();
    let (paths, sizes) = (paths.as_string::<i32>(), sizes.as_primitive::<Int64Type>());
    let number = |column: &ArrayRef, row: usize| {
        let column = column.as_primitive::<Int64Type>();
        column.is_valid(row).then(|| usize::try_from(column.value(row)).unwrap_or(0))
    };
    let file = |row: usize| -> Result<Arc<ListedFile>> {
        let bytes = u64::try_from(sizes.value(row)).unwrap_or(0);
        let path = paths.value(row);
        let known = |column: &Option<ArrayRef>| -> Result<Option<ScalarValue>> {
            let value = column.as_ref().map(|values| ScalarValue::try_from_array(values, row)).transpose()?;
            Ok(value.filter(|value| !value.is_null()))
        };
        let mut columns = Vec::with_capacity(bounds.len());
        for [least, most] in &bounds {
            let (least, most) = (known(least)?, known(most)?.map(rounded_up));
            // Files are left out by exact values only; these are bounds, and nobody takes them for more: what is said
            // of the whole scan names no values of columns.
            columns.push(ColumnStatistics {
                min_value: least.map_or(Precision::Absent, Precision::Exact),
                max_value: most.map_or(Precision::Absent, Precision::Exact),
                ..ColumnStatistics::new_unknown()
            });
        }
        let rows = rows.as_ref().and_then(|rows| number(rows, row));
        Ok(Arc::new(ListedFile {
            key: format!("{table}/{path}").into(),
            path: Path::parse(path).unwrap_or_else(|_| Path::from(path)),
            bytes,
            partition: partitions
                .columns()
                .iter()
                .map(|values| ScalarValue::try_from_array(values, row))
                .collect::<Result<_>>()?,
            statistics: Arc::new(Statistics {
                num_rows: rows.map_or(Precision::Absent, Precision::Exact),
                total_byte_size: Precision::Inexact(usize::try_from(bytes).unwrap_or(usize::MAX)),
                column_statistics: columns,
            }),
        }))
    };
    (0..log.num_rows()).map(file).collect()
}

fn rounded_up(most: ScalarValue) -> ScalarValue {
    match most {
        ScalarValue::TimestampMicrosecond(Some(us), zone) => {
            ScalarValue::TimestampMicrosecond(Some(us.saturating_add(TIME_ROUNDING_US)), zone)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_time_of_a_file_is_not_cut_off() {
        let time = |us| ScalarValue::TimestampMicrosecond(Some(us), Some("UTC".into()));
        assert_eq!(rounded_up(time(5_000)), time(5_999));
        assert_eq!(rounded_up(ScalarValue::from("x")), ScalarValue::from("x"));
    }
}

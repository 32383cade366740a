//! The rows of one version of a table for DataFusion: its live files, those left out that cannot hold what a query
//! asks for, divided among the processors.
//!
//! What each file holds is taken from the log once per version, and footers of files, which never change, are
//! remembered. Filters on partition columns alone are decided here, file by file; all others leave files out by their
//! statistics, and are applied to rows by whoever asked.

use super::Table;
use crate::StorageError;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use async_trait::async_trait;
use chrono::DateTime;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::pruning::PrunableStatistics;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, DFSchema, DataFusionError, Result, ScalarValue, Statistics};
use datafusion::config::TableParquetOptions;
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// Less than this is not worth a processor of its own.
const GROUP_BYTES_MIN: u64 = 128 * 1024;
/// The log keeps times to the millisecond, rounded down: the largest one of a file may be so much larger.
const TIME_ROUNDING_US: i64 = 999;

/// See the module page.
pub(super) struct TableFiles {
    name: String,
    url: ObjectStoreUrl,
    store: Arc<dyn ObjectStore>,
    footers: Arc<FileMetadataCache>,
    schema: TableSchema,
    files: Vec<PartitionedFile>,
    /// Partition values, a row per file.
    partitions: RecordBatch,
}

impl fmt::Debug for TableFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableFiles").field("name", &self.name).field("files", &self.files.len()).finish_non_exhaustive()
    }
}

impl Table {
    pub(super) fn table_files(&self) -> Result<TableFiles, StorageError> {
        let fail = StorageError::delta(&self.name);
        let snapshot = self.delta.snapshot().map_err(&fail)?;
        let log = snapshot.add_actions_table(true).map_err(&fail)?;
        let divided: BTreeSet<&String> = snapshot.metadata().partition_columns().iter().collect();
        let is_divided = |field: &&Arc<Field>| divided.contains(field.name());
        let (by, stored): (Vec<_>, Vec<_>) = self.schema.fields().iter().partition(is_divided);
        let (by, stored): (Vec<_>, Vec<_>) = (by.into_iter().cloned().collect(), stored.into_iter().cloned().collect());
        let damaged = |source| StorageError::Scan { table: self.name.clone(), source: Box::new(source) };
        let partitions = partitions(&log, &by).map_err(damaged)?;
        let files = files(&log, &stored, &partitions).map_err(damaged)?;
        let log_store = self.delta.log_store();
        Ok(TableFiles {
            name: self.name.clone(),
            url: log_store.object_store_url(),
            store: log_store.object_store(None),
            footers: Arc::clone(&self.footers),
            schema: TableSchema::builder(Arc::new(Schema::new(stored))).with_table_partition_cols(by).build(),
            files,
            partitions,
        })
    }
}

/// A column of the log's list of files.
fn column(log: &RecordBatch, name: &str, to: &DataType) -> Option<ArrayRef> {
    cast(log.column_by_name(name)?, to).ok()
}

fn partitions(log: &RecordBatch, by: &[Arc<Field>]) -> Result<RecordBatch> {
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

fn files(log: &RecordBatch, stored: &[Arc<Field>], partitions: &RecordBatch) -> Result<Vec<PartitionedFile>> {
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
    let file = |row: usize| -> Result<PartitionedFile> {
        let size = u64::try_from(sizes.value(row)).unwrap_or(0);
        let path = paths.value(row);
        let mut file = PartitionedFile::from(ObjectMeta {
            location: Path::parse(path).unwrap_or_else(|_| Path::from(path)),
            size,
            // Files have names of their own and never change.
            last_modified: DateTime::UNIX_EPOCH,
            e_tag: None,
            version: None,
        });
        file.partition_values = partitions
            .columns()
            .iter()
            .map(|values| ScalarValue::try_from_array(values, row))
            .collect::<Result<_>>()?;
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
        Ok(file.with_statistics(Arc::new(Statistics {
            num_rows: rows.map_or(Precision::Absent, Precision::Exact),
            total_byte_size: Precision::Inexact(usize::try_from(size).unwrap_or(usize::MAX)),
            column_statistics: columns,
        })))
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

impl TableFiles {
    fn is_of_partitions(&self, filter: &Expr) -> bool {
        let columns = filter.column_refs();
        !filter.is_volatile()
            && !columns.is_empty()
            && columns.iter().all(|column| self.partitions.schema().index_of(&column.name).is_ok())
    }

    /// The files that may hold rows of which all filters hold.
    fn chosen(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<PartitionedFile>> {
        let unqualified =
            filters.iter().map(|filter| datafusion::logical_expr::expr_rewriter::unnormalize_col(filter.clone()));
        let (of_partitions, of_rows): (Vec<Expr>, Vec<Expr>) =
            unqualified.partition(|filter| self.is_of_partitions(filter));
        let mut places = UInt64Array::from_iter_values(0..self.files.len() as u64);
        if let Some(filter) = conjunction(of_partitions) {
            let schema = DFSchema::try_from(self.partitions.schema())?;
            let holds = state.create_physical_expr(filter, &schema)?.evaluate(&self.partitions)?;
            let holds = holds.into_array(self.files.len())?;
            let holds: BooleanArray = holds.as_boolean().iter().map(|holds| Some(holds == Some(true))).collect();
            places = arrow::compute::filter(&places, &holds)?.as_primitive().clone();
        }
        let mut files: Vec<PartitionedFile> =
            places.values().iter().filter_map(|place| self.files.get(*place as usize).cloned()).collect();
        if let (Some(filter), false) = (conjunction(of_rows), files.is_empty()) {
            let schema = self.schema.table_schema();
            let filter = state.create_physical_expr(filter, &DFSchema::try_from(Arc::clone(schema))?)?;
            let predicate = PruningPredicateBuilder::new().with_file_schema(Arc::clone(schema)).try_build(filter)?;
            if !predicate.always_true() {
                let unknown = || Arc::new(Statistics::new_unknown(schema));
                let known = files.iter().map(|file| file.statistics.clone().unwrap_or_else(unknown)).collect();
                let may_hold = predicate.prune(&PrunableStatistics::new(known, Arc::clone(schema)))?;
                let mut may_hold = may_hold.into_iter();
                files.retain(|_| may_hold.next().unwrap_or(true));
            }
        }
        Ok(files)
    }
}

/// Groups of about equal size, in which files keep their order.
fn groups(files: Vec<PartitionedFile>, count_max: usize) -> Vec<FileGroup> {
    let bytes: u64 = files.iter().map(|file| file.object_meta.size).sum();
    let worth = usize::try_from(bytes / GROUP_BYTES_MIN).unwrap_or(usize::MAX);
    let count = count_max.min(files.len()).min(worth).max(1);
    let mut groups: Vec<(u64, Vec<PartitionedFile>)> = (0..count).map(|_| (0, Vec::new())).collect();
    let mut by_size: Vec<(usize, PartitionedFile)> = files.into_iter().enumerate().collect();
    by_size.sort_by_key(|(at, file)| (std::cmp::Reverse(file.object_meta.size), *at));
    for (_, file) in by_size {
        if let Some(least) = groups.iter_mut().min_by_key(|group| group.0) {
            least.0 += file.object_meta.size;
            least.1.push(file);
        }
    }
    groups.into_iter().map(|(_, files)| FileGroup::new(files)).collect()
}

#[async_trait]
impl TableProvider for TableFiles {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.schema.table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let decided = |filter: &&Expr| match self.is_of_partitions(filter) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Inexact,
        };
        Ok(filters.iter().map(decided).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let files = self.chosen(state, filters)?;
        state.runtime_env().register_object_store(self.url.as_ref(), Arc::clone(&self.store));
        let rows = files.iter().map(|file| file.statistics.as_ref().map_or(Precision::Absent, |s| s.num_rows));
        let rows = rows.fold(Precision::Exact(0), |sum, rows| sum.add(&rows));
        let mut statistics = Statistics::new_unknown(self.schema.table_schema());
        // What a filter leaves out is unknown.
        statistics.num_rows = if filters.is_empty() { rows } else { rows.to_inexact() };
        let options = TableParquetOptions {
            global: state.config_options().execution.parquet.clone(),
            ..TableParquetOptions::default()
        };
        let reader = CachedParquetFileReaderFactory::new(Arc::clone(&self.store), Arc::clone(&self.footers));
        let source = ParquetSource::new(self.schema.clone())
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(Arc::new(reader));
        let scan = FileScanConfigBuilder::new(self.url.clone(), Arc::new(source))
            .with_file_groups(groups(files, state.config().target_partitions()))
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(scan))
    }
}

#[cfg(test)]
mod tests;

//! The rows of one version of a table for DataFusion: its live files, those left out that cannot hold what a query
//! asks for, divided among the processors.
//!
//! ```text
//! log ─▶ listed (files, what they hold; once per version) ─▶ those of the right partition and bounds
//!     ─▶ their row groups of the right bounds ─▶ parts of about equal size ─▶ FilesExec ─▶ piece by piece
//! ```
//!
//! Every condition is decided here, on columns as they are in the file: what a query gets are the rows it asked for.
//! Texts of a rollup's dimensions are dictionaries, of which conditions look at each text once.

mod exec;
mod filter;
mod listed;
mod piece;
mod prune;
mod reader;

pub use exec::FilesExec;

use super::Table;
use crate::StorageError;
use crate::cache::FileCache;
use arrow::array::{AsArray, BooleanArray, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::pruning::PrunableStatistics;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, Result};
use datafusion::datasource::TableType;
use datafusion::logical_expr::expr_rewriter::unnormalize_col;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_optimizer::pruning::{PruningPredicate, PruningPredicateBuilder};
use datafusion::physical_plan::ExecutionPlan;
use filter::Condition;
use futures::{StreamExt, TryStreamExt, stream};
use listed::{ListedFile, dictionary_type, files, partitions};
use object_store::ObjectStore;
use piece::{Piece, Reading};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// Fewer rows are not worth a processor of their own.
const PART_ROWS_MIN: u64 = 16 * 1024;
/// Footers read at the same time.
const PARALLEL_FOOTERS: usize = 16;

/// See the module page.
pub(super) struct TableFiles {
    name: String,
    store: Arc<dyn ObjectStore>,
    cache: Arc<FileCache>,
    schema: SchemaRef,
    /// Texts that are read as dictionaries.
    dictionaries: Arc<[String]>,
    /// Has it windows?
    is_windowed: bool,
    files: Vec<Arc<ListedFile>>,
    /// Values of the columns that divide files, a row per file.
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
        let dimensions = self.rollup.iter().flat_map(|rollup| &rollup.dimensions).map(|d| d.name.clone());
        let dictionaries: Arc<[String]> = dimensions
            .filter(|name| self.schema.field_with_name(name).is_ok_and(|f| *f.data_type() == DataType::Utf8))
            .collect();
        let files = files(&self.name, &log, &stored, &partitions).map_err(damaged)?;
        let typed = |field: Arc<Field>| match dictionaries.contains(field.name()) {
            true => Arc::new(field.as_ref().clone().with_data_type(dictionary_type())),
            false => field,
        };
        Ok(TableFiles {
            name: self.name.clone(),
            store: self.delta.log_store().object_store(None),
            cache: Arc::clone(&self.cache),
            schema: Arc::new(Schema::new(stored.into_iter().map(typed).chain(by).collect::<Vec<_>>())),
            dictionaries,
            is_windowed: self.rollup.as_ref().is_some_and(|rollup| rollup.pane_us.is_some()),
            files,
            partitions,
        })
    }
}

impl TableFiles {
    fn is_of_partitions(&self, filter: &Expr) -> bool {
        let columns = filter.column_refs();
        !columns.is_empty() && columns.iter().all(|column| self.partitions.schema().index_of(&column.name).is_ok())
    }

    /// Filters as bounds can be compared with: columns as they are, not casts of them, with constants.
    fn simplified(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<Expr>> {
        let schema = Arc::new(DFSchema::try_from(Arc::clone(&self.schema))?);
        let context = SimplifyContext::builder()
            .with_schema(Arc::clone(&schema))
            .with_config_options(Arc::clone(state.config().options()))
            .with_query_execution_start_time(state.execution_props().query_execution_start_time);
        let simplifier = ExprSimplifier::new(context.build());
        let simple = |filter: &Expr| {
            let filter = simplifier.coerce(unnormalize_col(filter.clone()), &schema)?;
            simplifier.simplify(filter)
        };
        filters.iter().map(simple).collect()
    }

    /// The files that may hold rows of which all filters hold, and what else is to be asked of these rows.
    fn chosen(&self, state: &dyn Session, filters: &[Expr]) -> Result<(Vec<Arc<ListedFile>>, Vec<Expr>)> {
        let filters = self.simplified(state, filters)?.into_iter();
        let (of_partitions, mut of_rows): (Vec<Expr>, Vec<Expr>) =
            filters.partition(|filter| self.is_of_partitions(filter));
        // The same is asked by what chose the windows and by the query itself.
        let mut known = std::collections::HashSet::new();
        of_rows.retain(|filter| known.insert(filter.clone()));
        let mut places = UInt64Array::from_iter_values(0..self.files.len() as u64);
        if let Some(filter) = conjunction(of_partitions) {
            let schema = DFSchema::try_from(self.partitions.schema())?;
            let holds = state.create_physical_expr(filter, &schema)?.evaluate(&self.partitions)?;
            let holds = holds.into_array(self.files.len())?;
            let holds: BooleanArray = holds.as_boolean().iter().map(|holds| Some(holds == Some(true))).collect();
            places = arrow::compute::filter(&places, &holds)?.as_primitive().clone();
        }
        let files = places.values().iter().filter_map(|place| self.files.get(*place as usize).cloned()).collect();
        Ok((files, of_rows))
    }

    /// What can be asked of bounds.
    fn predicate(&self, state: &dyn Session, of_rows: &[Expr]) -> Result<Option<PruningPredicate>> {
        let Some(filter) = conjunction(of_rows.to_vec()) else { return Ok(None) };
        let filter = state.create_physical_expr(filter, &DFSchema::try_from(Arc::clone(&self.schema))?)?;
        let predicate = PruningPredicateBuilder::new().with_file_schema(Arc::clone(&self.schema)).try_build(filter)?;
        Ok((!predicate.always_true()).then_some(predicate))
    }

    fn within_bounds(
        &self,
        mut files: Vec<Arc<ListedFile>>,
        predicate: Option<&PruningPredicate>,
    ) -> Result<Vec<Arc<ListedFile>>> {
        if let Some(predicate) = predicate.filter(|_| !files.is_empty()) {
            let known = files.iter().map(|file| Arc::clone(&file.statistics)).collect();
            let may_hold = predicate.prune(&PrunableStatistics::new(known, Arc::clone(&self.schema)))?;
            let mut may_hold = may_hold.into_iter();
            files.retain(|_| may_hold.next().unwrap_or(true));
        }
        Ok(files)
    }

    /// The row groups of files that may hold rows of a predicate, with their numbers of rows.
    async fn pieces(
        &self,
        files: Vec<Arc<ListedFile>>,
        predicate: Option<&PruningPredicate>,
    ) -> Result<Vec<(u64, Piece)>> {
        let of_file = async |file: Arc<ListedFile>| {
            let footer = file.footer(&self.store, &self.cache, &self.dictionaries).await?;
            let piece = |row_group| {
                let rows = u64::try_from(footer.metadata().row_group(row_group).num_rows()).unwrap_or(0);
                (rows, Piece { file: Arc::clone(&file), row_group })
            };
            Ok::<_, datafusion::common::DataFusionError>(
                prune::row_groups(&footer, predicate).into_iter().map(piece).collect::<Vec<_>>(),
            )
        };
        let pieces: Vec<Vec<_>> = stream::iter(files).map(of_file).buffered(PARALLEL_FOOTERS).try_collect().await?;
        Ok(pieces.into_iter().flatten().collect())
    }
}

/// Parts of about equal size, in which pieces keep their order.
fn parts<P>(pieces: Vec<(u64, P)>, count_max: usize) -> Vec<Vec<P>> {
    let rows: u64 = pieces.iter().map(|(rows, _)| rows).sum();
    let worth = usize::try_from(rows / PART_ROWS_MIN).unwrap_or(usize::MAX);
    let count = count_max.min(pieces.len()).min(worth).max(1);
    let mut parts: Vec<(u64, Vec<(usize, P)>)> = (0..count).map(|_| (0, Vec::new())).collect();
    let mut by_size: Vec<(usize, (u64, P))> = pieces.into_iter().enumerate().collect();
    by_size.sort_by_key(|(at, (rows, _))| (std::cmp::Reverse(*rows), *at));
    for (at, (rows, piece)) in by_size {
        if let Some(least) = parts.iter_mut().min_by_key(|part| part.0) {
            least.0 += rows;
            least.1.push((at, piece));
        }
    }
    let ordered = |(_, mut part): (u64, Vec<(usize, P)>)| {
        part.sort_by_key(|(at, _)| *at);
        part.into_iter().map(|(_, piece)| piece).collect()
    };
    parts.into_iter().map(ordered).collect()
}

/// Whether an expression can be decided by the row alone.
///
/// # Errors
/// The expression nests too deeply.
pub fn is_decidable(filter: &Expr) -> Result<bool> {
    let is_foreign = filter.exists(|expr| {
        Ok(matches!(
            expr,
            Expr::ScalarSubquery(_)
                | Expr::InSubquery(_)
                | Expr::Exists(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(..)
                | Expr::Placeholder(_)
        ))
    })?;
    Ok(!is_foreign && !filter.is_volatile())
}

#[async_trait]
impl TableProvider for TableFiles {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let decided = |filter: &&Expr| {
            Ok(match is_decidable(filter)? {
                true => TableProviderFilterPushDown::Exact,
                false => TableProviderFilterPushDown::Unsupported,
            })
        };
        filters.iter().map(decided).collect()
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (files, of_rows) = self.chosen(state, filters)?;
        let predicate = self.predicate(state, &of_rows)?;
        let files = self.within_bounds(files, predicate.as_ref())?;
        let rows = files.iter().map(|file| file.statistics.num_rows);
        let rows = rows.fold(Precision::Exact(0), |sum, rows| sum.add(&rows));
        // What a condition leaves out is unknown.
        let rows = if of_rows.is_empty() { rows } else { rows.to_inexact() };
        let pieces = self.pieces(files, predicate.as_ref()).await?;
        let mut columns: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let schema = Arc::new(self.schema.project(&columns)?);
        let decisive: BTreeSet<usize> = of_rows
            .iter()
            .flat_map(Expr::column_refs)
            .map(|column| self.schema.index_of(&column.name))
            .collect::<Result<_, _>>()?;
        columns.extend(decisive.into_iter().filter(|at| !projection.is_none_or(|p| p.contains(at))));
        let read = Arc::new(self.schema.project(&columns)?);
        let place = |field: &Arc<Field>| self.partitions.schema().index_of(field.name()).ok();
        let reading = Reading {
            store: Arc::clone(&self.store),
            cache: Arc::clone(&self.cache),
            dictionaries: Arc::clone(&self.dictionaries),
            keeps: self.is_windowed,
            schema,
            divides: read.fields().iter().map(place).collect(),
            conditions: Condition::all(state, &of_rows, &read)?,
            read,
        };
        let rows_max = pieces.iter().map(|(rows, _)| rows).sum();
        let parts = parts(pieces, state.config().target_partitions());
        Ok(Arc::new(FilesExec::new(Arc::new(reading), parts, (rows, rows_max), limit)))
    }
}

#[cfg(test)]
mod tests;

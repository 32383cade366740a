//! Tables are scanned before operators are planned over them: which files hold what is asked for is known then, and
//! with it how many rows there are. Few of them are not worth a second processor, nor the operators that divide rows
//! among processors and bring them together again, which cost more than the rows.

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::datasource::{TableType, provider_as_source, source_as_provider};
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr_rewriter::unnormalize_cols;
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::{ExecutionPlan, empty::EmptyExec};
use std::sync::{Arc, OnceLock};
use tidewatch_storage::{FilesExec, is_decidable};

/// Up to so many rows one processor takes no longer than several, whatever is done with them.
const ROWS_OF_ONE: u64 = 32 * 1024;

/// The plan with its tables scanned; where they hold few rows, `state` gives it one processor.
///
/// # Errors
/// Those of the scans.
pub(super) async fn scanned(state: &mut SessionState, plan: LogicalPlan) -> Result<LogicalPlan> {
    if state.config().target_partitions() == 1 {
        return Ok(plan);
    }
    let mut tables = Vec::new();
    let mut is_known = true;
    let plan = plan.transform_down_with_subqueries(|node| {
        let LogicalPlan::TableScan(scan) = node else { return Ok(Transformed::no(node)) };
        let (Ok(provider), true) = (source_as_provider(&scan.source), decides(&scan)?) else {
            is_known = false;
            return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
        };
        let table = Arc::new(Ahead { provider, scan: scan.clone(), plan: OnceLock::new() });
        tables.push(Arc::clone(&table));
        Ok(Transformed::yes(LogicalPlan::TableScan(TableScan { source: provider_as_source(table), ..scan })))
    })?;
    let mut all = Some(Size::default());
    for table in &tables {
        let scanned = table.scanned(state).await?;
        all = all.zip(size_of(&scanned)?).map(|(all, own)| all.and(own));
        _ = table.plan.set(scanned);
    }
    if is_known && all.is_some_and(Size::is_of_one) {
        state.config_mut().options_mut().execution.target_partitions = 1;
    }
    Ok(plan.data)
}

/// Whether all that is asked of a table is known before the rest of the query is planned.
fn decides(scan: &TableScan) -> Result<bool> {
    scan.filters.iter().try_fold(true, |all, filter| Ok(all && is_decidable(filter)?))
}

/// What there is to look at.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    /// At most.
    rows: u64,
    /// Stretches that can be read side by side.
    parts: usize,
}

impl Size {
    fn and(self, other: Self) -> Self {
        Self { rows: self.rows.saturating_add(other.rows), parts: self.parts + other.parts }
    }

    /// Is one processor enough? What can only be read in one piece keeps no other busy.
    fn is_of_one(self) -> bool {
        self.parts == 1 || (self.parts > 1 && self.rows <= ROWS_OF_ONE)
    }
}

/// `None`: nobody knows.
fn size_of(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Size>> {
    let mut all = Some(Size::default());
    plan.apply(|node| {
        let parts = node.properties().output_partitioning().partition_count();
        let own = if let Some(files) = node.downcast_ref::<FilesExec>() {
            Some(Size { rows: files.rows_max(), parts })
        } else if !node.children().is_empty() {
            Some(Size::default())
        } else if node.downcast_ref::<EmptyExec>().is_some() {
            Some(Size { rows: 0, parts })
        } else {
            match node.statistics_from_inputs(&[], &StatisticsArgs::new())?.num_rows {
                Precision::Exact(rows) => u64::try_from(rows).ok().map(|rows| Size { rows, parts }),
                Precision::Inexact(_) | Precision::Absent => None,
            }
        };
        all = all.zip(own).map(|(all, own)| all.and(own));
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(all)
}

/// A table of which it is known what one query asks.
#[derive(Debug)]
struct Ahead {
    provider: Arc<dyn TableProvider>,
    scan: TableScan,
    plan: OnceLock<Arc<dyn ExecutionPlan>>,
}

impl Ahead {
    async fn scanned(&self, state: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        let filters = unnormalize_cols(self.scan.filters.iter().cloned());
        self.provider.scan(state, self.scan.projection.as_ref(), &filters, self.scan.fetch).await
    }
}

#[async_trait]
impl TableProvider for Ahead {
    fn schema(&self) -> SchemaRef {
        self.provider.schema()
    }

    fn table_type(&self) -> TableType {
        self.provider.table_type()
    }

    async fn scan(
        &self,
        state: &dyn Session,
        _projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match self.plan.get() {
            Some(plan) => Ok(Arc::clone(plan)),
            None => self.scanned(state).await,
        }
    }
}

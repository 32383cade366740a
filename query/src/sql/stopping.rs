//! Operators that can be stopped. DataFusion gives way after so many batches read, and a join can make millions of
//! batches out of one, or look at millions of pairs of rows that its condition refuses, of which nobody hears: so a join
//! gives way after so many batches made, and its condition fails once the query is to stop.

use arrow::datatypes::{DataType, FieldRef, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a query is to end.
#[derive(Debug, Clone, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Ends it, wherever it is.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The plan, which ends soon after `stop` is requested.
///
/// # Errors
/// Those of building an operator anew.
pub(super) fn stoppable(plan: Arc<dyn ExecutionPlan>, stop: &Stop) -> Result<Arc<dyn ExecutionPlan>> {
    let stoppable = plan.transform_up(|node| {
        if !node.name().ends_with("JoinExec") {
            return Ok(Transformed::no(node));
        }
        let conditional: Option<Arc<dyn ExecutionPlan>> = if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>()
        {
            let filter = join.filter().map(|filter| checked(filter, stop));
            Some(Arc::new(NestedLoopJoinExecBuilder::from(join).with_filter(filter).build()?))
        } else if let Some(join) = node.downcast_ref::<HashJoinExec>() {
            join.filter()
                .map(|filter| join.builder().with_filter(Some(checked(filter, stop))).build_exec())
                .transpose()?
        } else {
            None
        };
        Ok(Transformed::yes(Arc::new(CooperativeExec::new(conditional.unwrap_or(node))) as Arc<dyn ExecutionPlan>))
    });
    stoppable.data()
}

fn checked(filter: &JoinFilter, stop: &Stop) -> JoinFilter {
    let condition = Arc::new(UntilStopped { condition: Arc::clone(filter.expression()), stop: stop.clone() });
    JoinFilter::new(condition, filter.column_indices().to_vec(), Arc::clone(filter.schema()))
}

/// A condition that fails once the query is to stop.
#[derive(Debug)]
struct UntilStopped {
    condition: Arc<dyn PhysicalExpr>,
    stop: Stop,
}

impl PartialEq for UntilStopped {
    fn eq(&self, other: &Self) -> bool {
        self.condition.eq(&other.condition)
    }
}

impl Eq for UntilStopped {}

impl Hash for UntilStopped {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.condition.hash(state);
    }
}

impl fmt::Display for UntilStopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.fmt(f)
    }
}

impl PhysicalExpr for UntilStopped {
    fn data_type(&self, input: &Schema) -> Result<DataType> {
        self.condition.data_type(input)
    }

    fn nullable(&self, input: &Schema) -> Result<bool> {
        self.condition.nullable(input)
    }

    fn return_field(&self, input: &Schema) -> Result<FieldRef> {
        self.condition.return_field(input)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        match self.stop.is_requested() {
            // Nobody waits for the answer any more, nor reads this.
            true => Err(DataFusionError::Execution("the query was stopped".to_owned())),
            false => self.condition.evaluate(batch),
        }
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.condition]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let condition = children.into_iter().next().unwrap_or_else(|| Arc::clone(&self.condition));
        Ok(Arc::new(Self { condition, stop: self.stop.clone() }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.fmt_sql(f)
    }
}

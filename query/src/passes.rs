//! How often the optimizer goes over a plan. DataFusion does it until nothing changes, three times at most, which for a
//! small query of a dashboard is a quarter of all its work. What asks one table needs one pass, with one rule more
//! at its end: the filters that have come down to the files are simplified there.

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::simplify_expressions::SimplifyExpressions;
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use datafusion::prelude::SessionContext;
use std::sync::Arc;

/// Lets the states of a session plan in one pass when they are told.
pub fn install(context: &SessionContext) {
    context.add_optimizer_rule(Arc::new(SimplifyAtLast(SimplifyExpressions::new())));
}

/// Has a state go over plans once.
pub fn plan_in_one(state: &mut SessionState) {
    state.config_mut().options_mut().optimizer.max_passes = 1;
}

/// Whether one pass does it: one table, and nothing that is combined with something else.
pub fn is_simple(plan: &LogicalPlan) -> bool {
    let (mut tables, mut is_plain) = (0, true);
    let looked = plan.apply_with_subqueries(|node| {
        tables += usize::from(matches!(node, LogicalPlan::TableScan(_)));
        is_plain &= matches!(
            node,
            LogicalPlan::TableScan(_)
                | LogicalPlan::SubqueryAlias(_)
                | LogicalPlan::Filter(_)
                | LogicalPlan::Projection(_)
                | LogicalPlan::Aggregate(_)
                | LogicalPlan::Sort(_)
                | LogicalPlan::Limit(_)
                | LogicalPlan::Explain(_)
                | LogicalPlan::Analyze(_)
        );
        Ok(if is_plain { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    looked.is_ok() && is_plain && tables == 1
}

/// Where there is no second pass that would do it.
#[derive(Debug)]
struct SimplifyAtLast(SimplifyExpressions);

impl OptimizerRule for SimplifyAtLast {
    fn name(&self) -> &str {
        "simplify_at_last"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match config.options().optimizer.max_passes {
            1 => self.0.rewrite(plan, config),
            _ => Ok(Transformed::no(plan)),
        }
    }
}

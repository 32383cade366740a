//! How much the optimizer looks for. DataFusion goes over a plan with some twenty rules until nothing changes, three
//! times at most: for a small query of a dashboard, nearly half of all its work. What asks one table has no joins and
//! subqueries to be looked for, and needs one pass, with one rule more at its end: the filters that have come down to
//! the files are simplified there.

use crate::session;
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::SessionState;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::OptimizerRule;
use datafusion::optimizer::simplify_expressions::SimplifyExpressions;
use datafusion::prelude::DataFrame;
use std::sync::Arc;

/// Rules about what more than one table has, by the names that DataFusion gives them.
const OF_SEVERAL_TABLES: [&str; 11] = [
    "decorrelate_lateral_join",
    "decorrelate_predicate_subquery",
    "eliminate_cross_join",
    "eliminate_join",
    "eliminate_outer_join",
    "extract_equijoin_predicate",
    "extract_leaf_expressions",
    "filter_null_join_keys",
    "push_down_leaf_projections",
    "rewrite_set_comparison",
    "scalar_subquery_to_join",
];

/// A state with the rules for what asks one table.
pub fn lean(state: SessionState) -> SessionState {
    let mut rules: Vec<Arc<dyn OptimizerRule + Send + Sync>> = state.optimizers().to_vec();
    rules.retain(|rule| !OF_SEVERAL_TABLES.contains(&rule.name()));
    rules.push(Arc::new(SimplifyExpressions::new()));
    SessionStateBuilder::new_from_existing(state).with_optimizer_rules(rules).build()
}

/// The same, with the fewest rules that do it.
///
/// # Errors
/// There is no session.
pub fn fewest(frame: DataFrame) -> Result<DataFrame> {
    if !is_simple(frame.logical_plan()) {
        return Ok(frame);
    }
    let (state, plan) = frame.into_parts();
    let mut lean = session::lean()?;
    *lean.config_mut() = state.config().clone();
    lean.config_mut().options_mut().optimizer.max_passes = 1;
    *lean.execution_props_mut() = state.execution_props().clone();
    Ok(DataFrame::new(lean, plan))
}

/// One table, and nothing that is combined with something else, in the views that it reads either.
fn is_simple(plan: &LogicalPlan) -> bool {
    let (mut tables, mut is_plain) = (0, true);
    let looked = plan.apply_with_subqueries(|node| {
        is_plain &= match node {
            LogicalPlan::TableScan(scan) => {
                tables += 1;
                scan.source.get_logical_plan().is_none_or(|view| is_simple(&view))
            }
            LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::Projection(_)
            | LogicalPlan::Aggregate(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::Explain(_)
            | LogicalPlan::Analyze(_) => true,
            _ => false,
        };
        Ok(if is_plain { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    looked.is_ok() && is_plain && tables == 1
}

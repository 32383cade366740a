//! How much the optimizer looks for. DataFusion goes over a plan with some twenty rules until nothing changes, three
//! times at most: for a small query of a dashboard, nearly half of all its work. What asks one table has no joins and
//! subqueries to be looked for, and needs one pass, with one rule more at its end: the filters that have come down to
//! the files are simplified there.

use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::SessionState;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::simplify_expressions::SimplifyExpressions;
use datafusion::optimizer::{Optimizer, OptimizerRule};
use std::sync::{Arc, OnceLock};

/// Rules about what more than one table has, by the names that DataFusion gives them.
pub(crate) const OF_SEVERAL_TABLES: [&str; 11] = [
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

/// A plan as it runs: analyzed and optimized, with the fewest rules that do it.
///
/// # Errors
/// Those of the rules.
pub fn optimized(state: &mut SessionState, plan: &LogicalPlan) -> Result<LogicalPlan> {
    if !is_simple(plan) {
        return state.optimize(plan);
    }
    state.config_mut().options_mut().optimizer.max_passes = 1;
    if let LogicalPlan::Explain(_) = plan {
        // What is said of each rule is made where the state's own rules are asked.
        let rules = lean(state).rules.clone();
        return SessionStateBuilder::new_from_existing(state.clone())
            .with_optimizer_rules(rules)
            .build()
            .optimize(plan);
    }
    let plan = state.analyzer().execute_and_check(plan.clone(), state.config_options(), |_, _| {})?;
    optimized_analyzed(state, plan)
}

/// The same of a plan whose types are settled.
///
/// # Errors
/// Those of the rules.
pub fn optimized_analyzed(state: &mut SessionState, plan: LogicalPlan) -> Result<LogicalPlan> {
    if !is_simple(&plan) {
        return state.optimizer().optimize(plan, state, |_, _| {});
    }
    state.config_mut().options_mut().optimizer.max_passes = 1;
    lean(state).optimize(plan, state, |_, _| {})
}

/// The rules for what asks one table.
fn lean(state: &SessionState) -> &'static Optimizer {
    static LEAN: OnceLock<Optimizer> = OnceLock::new();
    LEAN.get_or_init(|| {
        let mut rules: Vec<Arc<dyn OptimizerRule + Send + Sync>> = state.optimizers().to_vec();
        rules.retain(|rule| !OF_SEVERAL_TABLES.contains(&rule.name()));
        rules.push(Arc::new(SimplifyExpressions::new()));
        Optimizer::with_rules(rules)
    })
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

//! Which width of windows answers a query: the coarsest that gives the same answer as the finest.
//!
//! ```text
//! Aggregate ─▶ Filter, Projection, Alias … ─▶ table of windows
//!     what is asked of window_start on the way ─▶ widest width and range ─▶ segments of tiers
//! ```
//!
//! What merges states anyway gets the partials of each window as they are stored, not merged before.
//!
//! A rule of DataFusion's optimizer, the first: views are expanded by then, and `now()` has its value. It
//! looks at plans only, and what it does not understand is answered in the finest width.

mod cut;
mod narrow;
mod need;
mod zone;

pub use cut::{Segment, segments};
pub(crate) use narrow::narrowed;
pub(crate) use need::Folding;

use crate::table::{RollupTable, Shape, TierRows};
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::{LogicalPlan, TableScan};
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use datafusion::prelude::SessionContext;
use need::{Need, need};
use std::sync::Arc;

/// Lets a session choose tiers.
pub fn install(context: &SessionContext) {
    install_first(context, Arc::new(ChooseTiers { is_fine: false }));
}

/// Puts a rule before all others of the optimizer.
pub(crate) fn install_first(context: &SessionContext, rule: Arc<dyn OptimizerRule + Send + Sync>) {
    let state = context.state_ref();
    let mut state = state.write();
    let mut rules = vec![rule];
    rules.extend(state.optimizers().iter().cloned());
    *state = SessionStateBuilder::new_from_existing(state.clone()).with_optimizer_rules(rules).build();
}

/// Puts rows of chosen tiers in the place of every table of windows.
#[derive(Debug)]
struct ChooseTiers {
    /// The finest width always, for comparison.
    is_fine: bool,
}

impl OptimizerRule for ChooseTiers {
    fn name(&self) -> &str {
        "choose_tiers"
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let folding = Folding::new(config);
        plan.transform_down_with_subqueries(|node| {
            let chain = match &node {
                LogicalPlan::Aggregate(aggregate) => scan_of(&aggregate.input),
                other => scan_of(other),
            };
            let Some(scan) = chain else { return Ok(Transformed::no(node)) };
            let provider = source_as_provider(&scan.source)?;
            let Some(table) = provider.downcast_ref::<RollupTable>() else { return Ok(Transformed::no(node)) };
            let need = need(&node, table, &folding);
            let rows = provider_as_source(Arc::new(rows(table, &need, self.is_fine)));
            node.transform_up(|inner| match inner {
                LogicalPlan::TableScan(scan) => {
                    Ok(Transformed::yes(LogicalPlan::TableScan(TableScan { source: Arc::clone(&rows), ..scan })))
                }
                _ => Ok(Transformed::no(inner)),
            })
        })
    }
}

/// The table at the end of a chain of nodes that keep rows apart, and an aggregate above it perhaps, with all
/// of these nodes.
pub(crate) fn chain_of(plan: &LogicalPlan) -> Option<(&TableScan, Vec<&LogicalPlan>)> {
    let scan = match plan {
        LogicalPlan::Aggregate(aggregate) => scan_of(&aggregate.input)?,
        other => scan_of(other)?,
    };
    let (mut nodes, mut at) = (vec![plan], plan);
    while let [below] = at.inputs().as_slice() {
        nodes.push(below);
        at = below;
    }
    Some((scan, nodes))
}

/// The windows of a table that such a chain asks for: they start in `[from, to)`, microseconds since the epoch.
pub(crate) fn asked_of(chain: &LogicalPlan, table: &RollupTable, folding: &Folding) -> (Option<i64>, Option<i64>) {
    let need = need(chain, table, folding);
    (need.from, need.to)
}

/// The table at the end of a chain of nodes that keep rows apart.
fn scan_of(plan: &LogicalPlan) -> Option<&TableScan> {
    match plan {
        LogicalPlan::TableScan(scan) => Some(scan),
        LogicalPlan::SubqueryAlias(alias) => scan_of(&alias.input),
        LogicalPlan::Filter(filter) => scan_of(&filter.input),
        LogicalPlan::Projection(projection) => scan_of(&projection.input),
        _ => None,
    }
}

fn rows(table: &RollupTable, need: &Need, is_fine: bool) -> TierRows {
    let (tiers, boundaries) = (table.tiers(), table.boundaries());
    if is_fine {
        return table.finest(Shape::Windows);
    }
    let coarsest = match need.grain_us {
        Some(grain) => tiers.iter().rposition(|t| grain % t.pane_us == 0).unwrap_or(0),
        None => 0,
    };
    let shape = if need.partials { Shape::Partials } else { table.shape() };
    TierRows::new(table, segments(tiers, boundaries, coarsest, need.from, need.to), shape)
}

#[cfg(test)]
mod tests;

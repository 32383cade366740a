//! Buckets without rows: `time_bucket_gapfill(width, ts [, zone])` in GROUP BY, `locf(x)` and
//! `interpolate(x)` in the SELECT list, as in TimescaleDB.
//!
//! ```text
//! Projection: locf(sum(x))          Projection: fill 0
//!   Aggregate: time_bucket_gapfill ─▶ GapFill: [from, to) per group, fill 0 = locf(sum(x))
//!                                      Aggregate: time_bucket
//! ```
//!
//! Every group (the other columns of GROUP BY) gets every bucket of the time that WHERE asks for. What no
//! row says is NULL, counters included: nothing was seen is not the same as zero, which `coalesce(x, 0)`
//! says where it is meant. `locf` carries the last value on, `interpolate` draws a straight line between
//! the value before and the one after; before the first and after the last there is none. Without other
//! columns in GROUP BY there is one group, even of no rows.

mod bounds;
mod exec;
mod functions;
mod node;
mod rows;
mod rule;
#[cfg(test)]
mod tests;

use crate::tiers::install_first;
use datafusion::common::Result;
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
use datafusion::prelude::SessionContext;
use std::sync::Arc;

/// Rows that one gap filling may make, over all groups.
pub const ROWS_MAX: usize = 1_000_000;

/// Lets a session fill gaps. The rule goes before those that are there.
pub fn install(context: &SessionContext) {
    functions::all().into_iter().for_each(|f| context.register_udf(f));
    install_first(context, Arc::new(rule::FillGaps));
    let state = context.state_ref();
    let mut state = state.write();
    *state = SessionStateBuilder::new_from_existing(state.clone()).with_query_planner(Arc::new(Planner)).build();
}

/// Plans [`node::GapFill`] beside everything that DataFusion knows.
#[derive(Debug)]
struct Planner;

#[async_trait::async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        session: &dyn datafusion::catalog::Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let planner = DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(exec::PlanGapFill)]);
        planner.create_physical_plan(plan, session).await
    }
}

//! Aggregates by few texts and times: the first half of what `GROUP BY` does, close to the files.
//!
//! DataFusion hashes the values of every row. Here a text of a dictionary is looked at once per dictionary, what
//! depends on a time once per run of equal ones, and a row is found by two small numbers in a table:
//!
//! ```text
//! AggregateExec Final                      AggregateExec Final
//!   AggregateExec Partial        ─▶          GroupExec: keys and arguments as expressions of each input's columns
//!     Union ─ Projection ─ files               files, rows in memory
//! ```
//!
//! Only what reads files of tables of windows is changed, and what is not understood is left as it is.

mod exec;
pub(crate) mod keys;
pub(crate) mod runs;

use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CastExpr, Column};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::union::UnionExec;
use datafusion::prelude::SessionContext;
use exec::{Branch, GroupExec};
use std::sync::Arc;
use tidewatch_storage::FilesExec;

/// Lets a session group this way.
pub fn install(context: &SessionContext) {
    let state = context.state_ref();
    let mut state = state.write();
    let mut rules: Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> = vec![Arc::new(GroupByCodes)];
    rules.extend(state.physical_optimizers().iter().cloned());
    *state = SessionStateBuilder::new_from_existing(state.clone()).with_physical_optimizer_rules(rules).build();
}

#[derive(Debug)]
struct GroupByCodes;

impl PhysicalOptimizerRule for GroupByCodes {
    fn name(&self) -> &str {
        "group_by_codes"
    }

    fn schema_check(&self) -> bool {
        true
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let changed = plan.transform_up(|node| {
            let grouped = node.downcast_ref::<AggregateExec>().and_then(grouped);
            Ok(match grouped {
                Some(grouped) => Transformed::yes(Arc::new(grouped) as Arc<dyn ExecutionPlan>),
                None => Transformed::no(node),
            })
        });
        changed.data()
    }
}

/// What does the same as an aggregate; `None`: it is none of ours.
fn grouped(aggregate: &AggregateExec) -> Option<GroupExec> {
    let by = aggregate.group_expr();
    let is_plain = *aggregate.mode() == AggregateMode::Partial
        && by.is_single()
        && !by.is_empty()
        && aggregate.limit_options().is_none()
        && aggregate.filter_expr().iter().all(Option::is_none)
        && aggregate.aggr_expr().iter().all(|function| {
            !function.is_distinct() && function.order_bys().is_empty() && function.groups_accumulator_supported()
        });
    let schema = aggregate.schema();
    let keys = schema.fields().get(..by.expr().len())?;
    if !is_plain || !keys.iter().all(|key| keys::is_supported(key.data_type())) {
        return None;
    }
    let keys = by.expr().iter().map(|(expr, _)| Arc::clone(expr));
    let arguments = aggregate.aggr_expr().iter().map(|function| function.expressions());
    let mut branches = Vec::new();
    spread(aggregate.input(), keys.collect(), arguments.collect(), &mut branches)?;
    let reads_files = branches.iter().any(|branch| branch.input.downcast_ref::<FilesExec>().is_some());
    reads_files.then(|| GroupExec::new(branches, aggregate.aggr_expr().to_vec(), schema))
}

/// The inputs below unions and projections, with the expressions in terms of their columns.
fn spread(
    plan: &Arc<dyn ExecutionPlan>,
    keys: Vec<Arc<dyn PhysicalExpr>>,
    arguments: Vec<Vec<Arc<dyn PhysicalExpr>>>,
    branches: &mut Vec<Branch>,
) -> Option<()> {
    if let Some(union) = plan.downcast_ref::<UnionExec>() {
        return union.inputs().iter().try_for_each(|input| spread(input, keys.clone(), arguments.clone(), branches));
    }
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let below = |expr: &Arc<dyn PhysicalExpr>| in_terms_of(expr, projection.expr());
        let keys = keys.iter().map(below).collect::<Result<Vec<_>>>().ok()?;
        let arguments = arguments.iter().map(|arguments| arguments.iter().map(below).collect());
        let arguments = arguments.collect::<Result<Vec<Vec<_>>>>().ok()?;
        return spread(projection.input(), keys, arguments, branches);
    }
    let schema = plan.schema();
    let keys = keys.into_iter().map(|key| of_dictionary(key, &schema)).collect();
    branches.push(Branch { input: Arc::clone(plan), keys, arguments });
    Some(())
}

/// An expression over the columns of a projection as one over the columns of its input.
fn in_terms_of(expr: &Arc<dyn PhysicalExpr>, projection: &[ProjectionExpr]) -> Result<Arc<dyn PhysicalExpr>> {
    let replaced = Arc::clone(expr).transform_up(|expr| {
        let projected = expr.downcast_ref::<Column>().and_then(|column| projection.get(column.index()));
        Ok(match projected {
            Some(projected) => Transformed::yes(Arc::clone(&projected.expr)),
            None => Transformed::no(expr),
        })
    });
    replaced.data()
}

/// A dictionary instead of its texts.
fn of_dictionary(key: Arc<dyn PhysicalExpr>, schema: &arrow::datatypes::Schema) -> Arc<dyn PhysicalExpr> {
    let inner =
        key.downcast_ref::<CastExpr>().filter(|cast| *cast.cast_type() == DataType::Utf8).map(|cast| &cast.expr);
    match inner.map(|inner| (inner, inner.data_type(schema))) {
        Some((inner, Ok(DataType::Dictionary(key, text)))) if *key == DataType::Int32 && *text == DataType::Utf8 => {
            Arc::clone(inner)
        }
        _ => key,
    }
}

#[cfg(test)]
mod tests;

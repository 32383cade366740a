//! Takes what is asked of bins of time down to the instants that lie in them, before tiers are chosen.
//!
//! A view of minutes is asked for some of its minutes: `date_bin(1 minute, window_start) >= x`. Neither tiers nor
//! files know what to do with that; with `window_start >= x`, which follows from it, both do.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Result, ScalarValue};
use datafusion::execution::SessionState;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Filter, LogicalPlan, Operator};
use datafusion::optimizer::optimizer::{ApplyOrder, Optimizer};
use datafusion::optimizer::push_down_filter::PushDownFilter;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use datafusion::prelude::lit;
use std::sync::Arc;

/// The plan with its filters as far down as they go, and with what they say of instants.
pub(crate) fn narrowed(plan: LogicalPlan, state: &SessionState) -> Result<LogicalPlan> {
    let rules: Vec<Arc<dyn OptimizerRule + Send + Sync>> = vec![Arc::new(PushDownFilter::new()), Arc::new(Instants)];
    Optimizer::with_rules(rules).optimize(plan, state, |_, _| {})
}

/// Adds to filters of bins what follows for the instants in them.
#[derive(Debug)]
struct Instants;

impl OptimizerRule for Instants {
    fn name(&self) -> &str {
        "instants_of_bins"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Filter(filter) = &plan else { return Ok(Transformed::no(plan)) };
        let known = split_conjunction(&filter.predicate);
        let implied: Vec<Expr> = known.iter().filter_map(|part| implied(part, filter)).collect();
        let fresh: Vec<Expr> = implied.into_iter().filter(|expr| !known.contains(&expr)).collect();
        if fresh.is_empty() {
            return Ok(Transformed::no(plan));
        }
        let all = known.into_iter().cloned().chain(fresh);
        let Some(predicate) = conjunction(all) else { return Ok(Transformed::no(plan)) };
        let narrowed = Filter::try_new(predicate, Arc::clone(&filter.input))?;
        Ok(Transformed::yes(LogicalPlan::Filter(narrowed)))
    }
}

/// Of `bin(x) op constant` what follows for `x`: a bin starts at or before what lies in it, and `x` lies in it.
fn implied(part: &Expr, filter: &Filter) -> Option<Expr> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = part else { return None };
    let (Expr::ScalarFunction(bin), Expr::Literal(bound, _)) = (left.as_ref(), right.as_ref()) else { return None };
    let (width, instant) = match (bin.func.name(), bin.args.as_slice()) {
        ("date_bin", [Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(width)), _), instant])
            if width.months == 0 =>
        {
            (Some(ScalarValue::IntervalMonthDayNano(Some(*width))), instant)
        }
        ("date_trunc", [Expr::Literal(..), instant]) => (None, instant),
        _ => return None,
    };
    let instant = uncast(instant, filter);
    let of_instant = instant.get_type(filter.input.schema()).ok()?;
    let bound = bound.cast_to(&of_instant).ok()?;
    match op {
        Operator::GtEq | Operator::Gt => Some(instant.clone().gt_eq(lit(bound))),
        Operator::LtEq | Operator::Lt => {
            // The end of the last bin; one instant more does no harm.
            let end = bound.add(width?).ok()?.cast_to(&of_instant).ok()?;
            Some(instant.clone().lt_eq(lit(end)))
        }
        _ => None,
    }
}

/// Bins are cut in nanoseconds: the instant as the table has it, if that is all the difference.
fn uncast<'e>(instant: &'e Expr, filter: &Filter) -> &'e Expr {
    let Expr::Cast(cast) = instant else { return instant };
    match (cast.expr.get_type(filter.input.schema()), cast.field.data_type()) {
        (Ok(DataType::Timestamp(_, zone)), DataType::Timestamp(_, to)) if zone == *to => &cast.expr,
        _ => instant,
    }
}

#[cfg(test)]
mod tests;

//! The rule of the optimizer, which knows what `now()` is: it goes first, so that the filters of a query
//! still stand where they were written.

use super::bounds::Bounds;
use super::functions::{BUCKET, INTERPOLATE, LOCF, misplaced};
use super::node::{Columns, Fill, GapFill, Grid, ZoneOf};
use crate::functions::zone::bucket::Width;
use crate::functions::zone::time_bucket;
use crate::tiers::Folding;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result, ScalarValue, plan_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Aggregate, Expr, Extension, Filter, LogicalPlan, Projection};
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use std::sync::Arc;

/// Puts a [`GapFill`] over every aggregate that is grouped by `time_bucket_gapfill`.
#[derive(Debug)]
pub(super) struct FillGaps;

impl OptimizerRule for FillGaps {
    fn name(&self) -> &str {
        "fill_gaps"
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let folding = Folding::new(config);
        let mut is_changed = false;
        plan.transform_up_with_subqueries(|node| {
            let node = match node {
                LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.iter().any(has_bucket) => {
                    is_changed = true;
                    return Ok(Transformed::yes(over(aggregate, &folding)?));
                }
                LogicalPlan::Projection(projection) if projection.expr.iter().any(has_fill) => {
                    is_changed = true;
                    return Ok(Transformed::yes(filled(projection)?));
                }
                node => node,
            };
            // What is filled may be null where it was not.
            match is_changed {
                true => node.recompute_schema().map(Transformed::yes),
                false => Ok(Transformed::no(node)),
            }
        })
    }
}

fn function<'a>(expr: &'a Expr, names: &[&str]) -> Option<&'a ScalarFunction> {
    match expr {
        Expr::ScalarFunction(function) if names.contains(&function.func.name()) => Some(function),
        _ => None,
    }
}

fn has(expr: &Expr, names: &[&str]) -> bool {
    expr.exists(|e| Ok(function(e, names).is_some())).unwrap_or(false)
}

fn has_bucket(expr: &Expr) -> bool {
    has(expr, &[BUCKET])
}

fn has_fill(expr: &Expr) -> bool {
    has(expr, &[LOCF, INTERPOLATE])
}

fn over(aggregate: Aggregate, folding: &Folding) -> Result<LogicalPlan> {
    let Aggregate { input, mut group_expr, aggr_expr, .. } = aggregate;
    let buckets: Vec<usize> = (0..group_expr.len()).filter(|&at| has_bucket(&group_expr[at])).collect();
    let (&[bucket], false) = (buckets.as_slice(), group_expr.iter().any(|g| matches!(g, Expr::GroupingSet(_)))) else {
        return plan_err!("one time_bucket_gapfill per GROUP BY, and no GROUPING SETS, ROLLUP or CUBE beside it");
    };
    let name = group_expr[bucket].schema_name().to_string();
    let written = match &group_expr[bucket] {
        Expr::Alias(alias) => alias.expr.as_ref(),
        expr => expr,
    };
    let Some(ScalarFunction { args, .. }) = function(written, &[BUCKET]) else {
        return plan_err!("time_bucket_gapfill stands alone in GROUP BY, not within {written}");
    };
    let (Some(width), Some(time)) = (args.first(), args.get(1)) else { return plan_err!("{}", misplaced(BUCKET)) };
    let width = match folding.constant(width) {
        Some(ScalarValue::IntervalMonthDayNano(Some(interval))) => Width::of(interval)?,
        _ => return plan_err!("the width of time_bucket_gapfill is a literal interval"),
    };
    let zone = match args.get(2) {
        None => ZoneOf::Utc,
        Some(zone) => zone_of(zone, &group_expr, folding)?,
    };
    let Bounds { from: Some(from_us), to: Some(to_us) } = Bounds::of(time, &input, folding) else {
        return plan_err!(
            "time_bucket_gapfill({time}) needs to know from when to when\n  hint: say it in WHERE, as in WHERE {time} >= \
             now() - INTERVAL '1 day' AND {time} < now()"
        );
    };
    let grid = Grid { width, from_us, to_us, zone };
    group_expr[bucket] = time_bucket().call(args.clone()).alias(name);
    let columns = Columns { bucket, grouped: group_expr.len() };
    let aggregate = LogicalPlan::Aggregate(Aggregate::try_new(input, group_expr, aggr_expr)?);
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(GapFill::new(aggregate, grid, columns, Vec::new())?) }))
}

fn zone_of(zone: &Expr, group_expr: &[Expr], folding: &Folding) -> Result<ZoneOf> {
    if let Some(constant) = folding.constant(zone) {
        return Ok(match constant.try_as_str() {
            Some(Some(zone)) if zone.parse::<arrow::array::timezone::Tz>().is_err() => {
                return plan_err!("there is no time zone {zone}\n  hint: names are as in 'Europe/Berlin'");
            }
            Some(Some(zone)) => ZoneOf::Named(zone.to_owned()),
            _ => ZoneOf::Utc,
        });
    }
    let same = |group: &Expr| group == zone || matches!((group, zone), (g, Expr::Cast(cast)) if *g == *cast.expr);
    match group_expr.iter().position(same) {
        Some(column) => Ok(ZoneOf::Column(column)),
        None => plan_err!(
            "every group has one time zone\n  hint: put {zone} into GROUP BY, or write a zone such as 'Europe/Berlin'"
        ),
    }
}

/// The projection over a gap filling that computes what the projection fills.
fn filled(projection: Projection) -> Result<LogicalPlan> {
    let Projection { expr, input, .. } = projection;
    let Some((gaps, filters)) = below(&input) else {
        let name = if expr.iter().any(|e| has(e, &[LOCF])) { LOCF } else { INTERPOLATE };
        return plan_err!("{}", misplaced(name));
    };
    let mut fills = gaps.fills.clone();
    let names = NamePreserver::new_for_projection();
    let expr = expr.into_iter().map(|expr| {
        let name = names.save(&expr);
        let expr = expr.transform_down(|e| {
            let Some(ScalarFunction { func, args }) = function(&e, &[LOCF, INTERPOLATE]) else {
                return Ok(Transformed::no(e));
            };
            let Some(value) = args.first().filter(|v| !has_fill(v)) else {
                return plan_err!("one of locf and interpolate is enough: {e}");
            };
            let fill = (if func.name() == LOCF { Fill::Locf } else { Fill::Interpolate }, value.clone());
            let at = fills.iter().position(|f| *f == fill).unwrap_or_else(|| {
                fills.push(fill);
                fills.len() - 1
            });
            Ok(Transformed::yes(Expr::Column(Column::new_unqualified(GapFill::name_of(at)))))
        })?;
        Ok(name.restore(expr.data))
    });
    let expr = expr.collect::<Result<Vec<_>>>()?;
    let gaps = GapFill::new(gaps.input.clone(), gaps.grid.clone(), gaps.columns.clone(), fills)?;
    let mut plan = LogicalPlan::Extension(Extension { node: Arc::new(gaps) });
    for predicate in filters.into_iter().rev() {
        plan = LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(plan))?);
    }
    Ok(LogicalPlan::Projection(Projection::try_new(expr, Arc::new(plan))?))
}

/// The gap filling below a projection, and the conditions (HAVING) in between, from above.
fn below(plan: &LogicalPlan) -> Option<(&GapFill, Vec<Expr>)> {
    match plan {
        LogicalPlan::Filter(filter) => {
            let (gaps, mut filters) = below(&filter.input)?;
            filters.insert(0, filter.predicate.clone());
            Some((gaps, filters))
        }
        LogicalPlan::Extension(extension) => Some((extension.node.as_any().downcast_ref()?, Vec::new())),
        _ => None,
    }
}

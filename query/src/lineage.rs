//! What a column is the result of, and what must not be done with it.
//!
//! A percentile cannot be averaged or added up, and two distinct counts cannot be added: the same customer
//! may be in both. Numbers like that look right and are not, so a query that makes one is refused while it is
//! planned, through any number of aliases, subqueries, CTEs and views. The greatest and the least of
//! percentiles are what they say, and are allowed.
//!
//! The average of a window says nothing of how many events it is of, so averages of windows are not averaged: their sums
//! and counts are there. Only those are known that a rollup declares. What `avg` makes of other columns may be averaged
//! again, as the mean of the means of days.
//!
//! What is followed: columns, casts, rounding, scaling by a factor, choices (`coalesce`, `CASE`, `least`).
//! What compares, adds or subtracts makes another number, of which nothing is claimed; so does an average that another
//! column weighs.

use crate::table::RollupTable;
use crate::tiers::chain_of;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchema, Result, plan_err};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction};
use datafusion::logical_expr::{BinaryExpr, Distinct, Expr, LogicalPlan, Operator, TableScan};
use datafusion::optimizer::AnalyzerRule;
use datafusion::prelude::SessionContext;
use std::sync::Arc;
use tidewatch_engine::rollup::{Measure, MeasureKind};

/// Lets a session refuse what has no meaning.
pub(crate) fn install(context: &SessionContext) {
    context.add_analyzer_rule(Arc::new(RefuseNonsense));
}

/// Aggregates that a percentile must not go into.
const NOT_OF_PERCENTILES: [&str; 10] = [
    "avg",
    "mean",
    "sum",
    "median",
    "approx_median",
    "percentile_cont",
    "quantile_cont",
    "approx_percentile_cont",
    "approx_percentile_cont_with_weight",
    "hdr",
];
/// Aggregates that averages must not go into.
const NOT_OF_AVERAGES: [&str; 3] = ["avg", "mean", "sum"];
/// Functions of one value that leave what it means.
const SAME: [&str; 13] = [
    "round",
    "ceil",
    "floor",
    "trunc",
    "abs",
    "coalesce",
    "nullif",
    "nvl",
    "greatest",
    "least",
    "array_element",
    "locf",
    "interpolate",
];

/// What the number in a column is, as written where it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Meaning {
    Percentile(String),
    Distinct(String),
    /// Of the events of one window, by the name of the measure.
    Average(String),
}

type Meanings = Vec<Option<Meaning>>;

#[derive(Debug)]
struct RefuseNonsense;

impl AnalyzerRule for RefuseNonsense {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        meanings(&plan)?;
        Ok(plan)
    }

    fn name(&self) -> &str {
        "refuse_nonsense"
    }
}

/// What the columns of a plan are. Errors: something in it has no meaning.
fn meanings(plan: &LogicalPlan) -> Result<Meanings> {
    plan.apply_subqueries(|subquery| {
        meanings(subquery)?;
        Ok(TreeNodeRecursion::Jump)
    })?;
    let inputs = plan.inputs().into_iter().map(meanings).collect::<Result<Vec<_>>>()?;
    let first = || inputs.first().cloned().unwrap_or_default();
    let own = match plan {
        LogicalPlan::Projection(projection) => {
            let below = first();
            let scope = Scope { schema: projection.input.schema(), meanings: &below };
            projection.expr.iter().map(|e| scope.of(e)).collect()
        }
        LogicalPlan::Aggregate(aggregate) => {
            let below = first();
            let scope = Scope { schema: aggregate.input.schema(), meanings: &below };
            let groups = match aggregate.group_expr.as_slice() {
                [Expr::GroupingSet(sets)] => sets.distinct_expr().into_iter().map(|e| scope.of(e)).collect(),
                groups => groups.iter().map(|e| scope.of(e)).collect::<Meanings>(),
            };
            let mut own = groups;
            // A set of groups has a column of its own that says which.
            own.resize(aggregate.schema.fields().len() - aggregate.aggr_expr.len(), None);
            for expr in &aggregate.aggr_expr {
                own.push(scope.aggregate(expr)?);
            }
            own
        }
        LogicalPlan::Window(window) => {
            let below = first();
            let scope = Scope { schema: window.input.schema(), meanings: &below };
            let mut own = below.clone();
            for expr in &window.window_expr {
                own.push(scope.window(expr)?);
            }
            own
        }
        LogicalPlan::TableScan(scan) => match scan.source.get_logical_plan() {
            Some(view) => {
                let all = meanings(&view)?;
                match &scan.projection {
                    Some(columns) => columns.iter().map(|&at| all.get(at).cloned().flatten()).collect(),
                    None => all,
                }
            }
            None => averages_of(scan),
        },
        LogicalPlan::Union(_) => {
            let mut own = first();
            for other in &inputs {
                own.iter_mut().zip(other).for_each(|(o, other)| *o = o.take().or_else(|| other.clone()));
            }
            own
        }
        LogicalPlan::Distinct(Distinct::All(input)) => {
            refuse_distinct_of_states(input)?;
            first()
        }
        LogicalPlan::Join(_) => inputs
            .iter()
            .zip(plan.inputs())
            .flat_map(|(own, input)| (0..input.schema().fields().len()).map(|at| own.get(at).cloned().flatten()))
            .collect(),
        _ if inputs.len() == 1 => first(),
        _ => Vec::new(),
    };
    Ok(own)
}

/// The averages among the columns of a table of windows.
fn averages_of(scan: &TableScan) -> Meanings {
    let provider = source_as_provider(&scan.source);
    let Some(table) = provider.as_ref().ok().and_then(|p| p.downcast_ref::<RollupTable>()) else { return Vec::new() };
    let measures = &table.rollup().measures;
    let is_average = |name: &str| measures.iter().any(|m| m.name == name && matches!(m.kind, MeasureKind::Avg { .. }));
    let meaning = |name: &String| is_average(name).then(|| Meaning::Average(name.clone()));
    scan.projected_schema.fields().iter().map(|field| meaning(field.name())).collect()
}

/// `SELECT distinct(users)` is `SELECT DISTINCT (users)` to the parser: distinct bytes, not distinct users.
fn refuse_distinct_of_states(input: &LogicalPlan) -> Result<()> {
    let (Some((scan, _)), [only]) = (chain_of(input), input.schema().fields().as_ref()) else { return Ok(()) };
    let provider = source_as_provider(&scan.source);
    let Some(table) = provider.as_ref().ok().and_then(|p| p.downcast_ref::<RollupTable>()) else { return Ok(()) };
    let is_state = |m: &Measure| m.name == *only.name() && matches!(m.kind, MeasureKind::Distinct);
    match table.rollup().measures.iter().any(is_state) {
        true => plan_err!(
            "SELECT DISTINCT of {0} would list its bytes\n  hint: approx_distinct({0}) counts what is distinct in it",
            only.name()
        ),
        false => Ok(()),
    }
}

struct Scope<'a> {
    schema: &'a DFSchema,
    meanings: &'a Meanings,
}

impl Scope<'_> {
    fn of(&self, expr: &Expr) -> Option<Meaning> {
        match expr {
            Expr::Column(column) => {
                let at = self.schema.maybe_index_of_column(column)?;
                self.meanings.get(at).cloned().flatten()
            }
            Expr::Alias(alias) => self.of(&alias.expr),
            Expr::Cast(cast) => self.of(&cast.expr),
            Expr::TryCast(cast) => self.of(&cast.expr),
            Expr::Negative(inner) => self.of(inner),
            Expr::Case(case) => {
                let results = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
                results.into_iter().find_map(|e| self.of(e))
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Multiply, right }) => {
                self.scaled(left, right).or_else(|| self.scaled(right, left))
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Divide, right }) => match self.of(right) {
                None => self.scaled(left, right),
                Some(_) => None,
            },
            Expr::ScalarFunction(function) => match function.func.name() {
                "hdr_quantile" => Some(Meaning::Percentile(written("hdr_quantile", &function.args))),
                name if SAME.contains(&name) => function.args.iter().find_map(|a| self.of(a)),
                _ => None,
            },
            Expr::ScalarSubquery(subquery) => meanings(&subquery.subquery).ok()?.into_iter().next().flatten(),
            _ => None,
        }
    }

    /// What an expression is when a factor scales it. An average times the count of what it is of is a sum.
    fn scaled(&self, expr: &Expr, factor: &Expr) -> Option<Meaning> {
        let is_weighed = || !factor.column_refs().is_empty();
        self.of(expr).filter(|meaning| !matches!(meaning, Meaning::Average(_)) || !is_weighed())
    }

    fn aggregate(&self, expr: &Expr) -> Result<Option<Meaning>> {
        match expr {
            Expr::Alias(alias) => self.aggregate(&alias.expr),
            Expr::AggregateFunction(AggregateFunction { func, params }) => self.call(func.name(), &params.args),
            _ => Ok(None),
        }
    }

    fn window(&self, expr: &Expr) -> Result<Option<Meaning>> {
        match expr {
            Expr::Alias(alias) => self.window(&alias.expr),
            Expr::WindowFunction(function) => {
                let WindowFunction { fun, params } = function.as_ref();
                match fun.name() {
                    "lag" | "lead" | "first_value" | "last_value" | "nth_value" => {
                        Ok(params.args.first().and_then(|a| self.of(a)))
                    }
                    name => self.call(name, &params.args),
                }
            }
            _ => Ok(None),
        }
    }

    /// What an aggregate gives. Errors: it must not be given what it is given.
    fn call(&self, name: &str, args: &[Expr]) -> Result<Option<Meaning>> {
        let argument = args.first();
        match (argument.and_then(|a| self.of(a)), argument) {
            (Some(Meaning::Percentile(of)), Some(argument)) if NOT_OF_PERCENTILES.contains(&name) => {
                let shown = unqualified(argument);
                return plan_err!(
                    "{name}({shown}) would be a percentile of percentiles: {shown} comes from {of}, and percentiles do \
                     not add up or average\n  hint: {of} over the rollup's own rows merges histograms and is right over \
                     any grouping; max({shown}) is the worst of them"
                );
            }
            (Some(Meaning::Distinct(of)), Some(argument)) if name == "sum" => {
                let shown = unqualified(argument);
                return plan_err!(
                    "sum({shown}) would count the same value again in every row: {shown} comes from {of}\n  hint: {of} \
                     over the rollup's own rows merges distinct counts over any grouping; max({shown}) is the greatest \
                     of them"
                );
            }
            (Some(Meaning::Average(of)), Some(argument)) if NOT_OF_AVERAGES.contains(&name) => {
                let (shown, what) = (unqualified(argument), if name == "sum" { "a sum" } else { "an average" });
                return plan_err!(
                    "{name}({shown}) would be {what} of averages: {shown} comes from {of}, the average of a window, of few \
                     events or of many\n  hint: CAST(sum({of}_sum) AS DOUBLE) / sum({of}_count) over the rollup's own rows \
                     is the average over any grouping; max({shown}) is the greatest of them"
                );
            }
            _ => {}
        }
        Ok(match name {
            "quantile" | "quantiles" | "median" | "approx_median" | "percentile_cont" | "approx_percentile_cont" => {
                Some(Meaning::Percentile(written(name, args)))
            }
            "approx_distinct" => Some(Meaning::Distinct(written(name, args))),
            _ => None,
        })
    }
}

/// A call as somebody would write it.
fn written(name: &str, args: &[Expr]) -> String {
    format!("{name}({})", args.iter().map(unqualified).collect::<Vec<_>>().join(", "))
}

fn unqualified(expr: &Expr) -> String {
    match expr {
        Expr::Column(column) => column.name.clone(),
        Expr::Alias(alias) => alias.name.clone(),
        Expr::Cast(cast) => unqualified(&cast.expr),
        Expr::Literal(value, _) => value.to_string(),
        other => other.human_display().to_string(),
    }
}

#[cfg(test)]
mod tests;

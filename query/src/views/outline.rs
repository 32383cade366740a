//! What a view's plan says of its rows: how wide its windows are, and which columns keep its rows apart.
//!
//! The width is that of the bins that `window_start` comes from, followed through aliases, subqueries, joins,
//! unions and other views. What is not understood has no width, and no reader of windows takes it for one.

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::{Column, DFSchema, Dependency, Result, ScalarValue};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, LogicalPlan};
use std::collections::BTreeSet;
use std::sync::Arc;
use tidewatch_engine::rollup::WINDOW_START;
use tidewatch_engine::time::{DAY_US, HOUR_US, MINUTE_US, SECOND_US};

use crate::table::RollupTable;

/// Rows of a view.
#[derive(Debug, Clone, PartialEq)]
pub struct Outline {
    /// Its columns.
    pub schema: SchemaRef,
    /// How its rows lie in time.
    pub time: Time,
    /// Columns by which it groups, if these name each row once; empty where that is not known.
    pub keys: BTreeSet<String>,
}

/// How the rows of a view lie in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// They speak of now: there is no column `window_start`.
    Now,
    /// Windows of one width that start at `window_start`.
    Windows {
        /// Microseconds.
        width_us: i64,
    },
    /// There is a column `window_start`, and its windows may be of any width.
    Unknown,
}

impl Outline {
    /// Of a view's own plan.
    ///
    /// # Errors
    /// A scan without its table.
    pub fn of(plan: &LogicalPlan) -> Result<Self> {
        let schema = plan.schema();
        let time = match schema.index_of_column_by_name(None, WINDOW_START) {
            None => Time::Now,
            Some(at) if !matches!(schema.field(at).data_type(), DataType::Timestamp(..)) => Time::Now,
            Some(at) => match widths(plan)?.get(at).copied().flatten() {
                Some(width_us) => Time::Windows { width_us },
                None => Time::Unknown,
            },
        };
        let whole = schema.functional_dependencies().iter().find(|d| d.mode == Dependency::Single);
        let keys = whole.into_iter().flat_map(|d| &d.source_indices);
        let keys = keys.filter(|&&at| at < schema.fields().len()).map(|&at| schema.field(at).name().clone()).collect();
        Ok(Self { schema: Arc::clone(schema.inner()), time, keys })
    }
}

/// Of every column of a plan, how wide the windows are that start there.
fn widths(plan: &LogicalPlan) -> Result<Vec<Option<i64>>> {
    let below = plan.inputs().into_iter().map(widths).collect::<Result<Vec<_>>>()?;
    let first = || below.first().cloned().unwrap_or_default();
    let of = |expr: &Expr| match plan.inputs().first() {
        Some(input) => Scope { schema: input.schema(), widths: &first() }.width(expr),
        None => None,
    };
    let mut own: Vec<Option<i64>> = match plan {
        LogicalPlan::Projection(projection) => projection.expr.iter().map(of).collect(),
        LogicalPlan::Aggregate(aggregate) => match aggregate.group_expr.as_slice() {
            [Expr::GroupingSet(sets)] => sets.distinct_expr().into_iter().map(of).collect(),
            groups => groups.iter().map(of).collect(),
        },
        LogicalPlan::Union(_) => (0..plan.schema().fields().len())
            .map(|at| common(below.iter().map(|own| own.get(at).copied().flatten())))
            .collect(),
        LogicalPlan::Join(_) => below
            .iter()
            .zip(plan.inputs())
            .flat_map(|(own, input)| (0..input.schema().fields().len()).map(|at| own.get(at).copied().flatten()))
            .collect(),
        LogicalPlan::TableScan(scan) => {
            let all = match scan.source.get_logical_plan() {
                Some(view) => widths(&view)?,
                None => of_table(source_as_provider(&scan.source)?.downcast_ref::<RollupTable>()),
            };
            match &scan.projection {
                Some(columns) => columns.iter().map(|&at| all.get(at).copied().flatten()).collect(),
                None => all,
            }
        }
        // Filters, sorts, limits, names; a window function adds columns behind those that it finds.
        _ if below.len() == 1 => first(),
        _ => Vec::new(),
    };
    own.resize(plan.schema().fields().len(), None);
    Ok(own)
}

/// The finest windows of a rollup: that others are wider is known to whoever reads its tiers.
fn of_table(table: Option<&RollupTable>) -> Vec<Option<i64>> {
    let Some(table) = table else { return Vec::new() };
    let width = |name: &str| if name == WINDOW_START { table.rollup().pane_us } else { None };
    let schema = datafusion::catalog::TableProvider::schema(table);
    schema.fields().iter().map(|field| width(field.name())).collect()
}

/// What all say that say anything.
fn common(widths: impl Iterator<Item = Option<i64>>) -> Option<i64> {
    let said: BTreeSet<i64> = widths.flatten().collect();
    if said.len() == 1 { said.first().copied() } else { None }
}

struct Scope<'a> {
    schema: &'a DFSchema,
    widths: &'a [Option<i64>],
}

impl Scope<'_> {
    fn width(&self, expr: &Expr) -> Option<i64> {
        match expr {
            Expr::Alias(alias) => self.width(&alias.expr),
            Expr::Column(column) => self.of_column(column),
            Expr::Cast(cast) => match cast.field.data_type() {
                DataType::Timestamp(..) => self.width(&cast.expr),
                _ => None,
            },
            Expr::ScalarFunction(function) => self.of_function(function),
            _ => None,
        }
    }

    fn of_column(&self, column: &Column) -> Option<i64> {
        self.schema.maybe_index_of_column(column).and_then(|at| self.widths.get(at).copied().flatten())
    }

    fn of_function(&self, function: &ScalarFunction) -> Option<i64> {
        match (function.func.name(), function.args.as_slice()) {
            // A day of a zone is not always as long as another.
            ("date_bin" | "time_bucket", [Expr::Literal(width, _), _]) => interval_us(width),
            ("date_bin", [Expr::Literal(width, _), _, _]) => interval_us(width),
            ("date_trunc", [Expr::Literal(unit, _), _]) => unit_us(unit.try_as_str()??),
            ("coalesce", args) => common(args.iter().map(|arg| self.width(arg))),
            _ => None,
        }
    }
}

/// Whole microseconds of an interval without months.
fn interval_us(interval: &ScalarValue) -> Option<i64> {
    let us = match interval {
        ScalarValue::IntervalMonthDayNano(Some(v)) if v.months == 0 && v.nanoseconds % 1000 == 0 => {
            i64::from(v.days).checked_mul(DAY_US)?.checked_add(v.nanoseconds / 1000)?
        }
        ScalarValue::IntervalDayTime(Some(v)) => {
            i64::from(v.days).checked_mul(DAY_US)?.checked_add(i64::from(v.milliseconds) * 1000)?
        }
        _ => return None,
    };
    (us > 0).then_some(us)
}

fn unit_us(unit: &str) -> Option<i64> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "second" => SECOND_US,
        "minute" => MINUTE_US,
        "hour" => HOUR_US,
        "day" => DAY_US,
        "week" => 7 * DAY_US,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;

//! The time that a query asks for, from what its WHERE says of the time column.

use crate::tiers::Folding;
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator};

/// A half-open stretch of time, microseconds since the epoch; `None`: not said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bounds {
    pub from: Option<i64>,
    pub to: Option<i64>,
}

impl Bounds {
    /// What the filters below an aggregate say of one of its input's columns.
    pub fn of(time: &Expr, input: &LogicalPlan, folding: &Folding) -> Self {
        let mut bounds = Self::default();
        if let Some(column) = column_of(time) {
            bounds.read(input, column, folding);
        }
        bounds
    }

    fn read(&mut self, plan: &LogicalPlan, column: &Column, folding: &Folding) {
        match plan {
            LogicalPlan::Filter(filter) => {
                split_conjunction(&filter.predicate).iter().for_each(|part| self.part(part, column, folding));
                self.read(&filter.input, column, folding);
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let Some(at) = alias.schema.maybe_index_of_column(column) else { return };
                let (qualifier, field) = alias.input.schema().qualified_field(at);
                self.read(&alias.input, &Column::new(qualifier.cloned(), field.name()), folding);
            }
            LogicalPlan::Projection(projection) => {
                let at = projection.schema.maybe_index_of_column(column);
                if let Some(below) = at.and_then(|at| column_of(projection.expr.get(at)?)) {
                    self.read(&projection.input, below, folding);
                }
            }
            LogicalPlan::Sort(sort) => self.read(&sort.input, column, folding),
            LogicalPlan::TableScan(scan) => scan.filters.iter().for_each(|f| self.part(f, column, folding)),
            _ => {}
        }
    }

    fn part(&mut self, part: &Expr, column: &Column, folding: &Folding) {
        let is_time = |expr: &Expr| column_of(expr).is_some_and(|c| c == column || c.name == column.name);
        match part {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                let (op, constant) = match (is_time(left), is_time(right)) {
                    (true, false) => (Some(*op), right),
                    (false, true) => (op.swap(), left),
                    _ => return,
                };
                if let (Some(op), Some(at)) = (op, instant_ns(constant, folding)) {
                    self.compare(op, at);
                }
            }
            Expr::Between(between) if !between.negated && is_time(&between.expr) => {
                if let Some(low) = instant_ns(&between.low, folding) {
                    self.compare(Operator::GtEq, low);
                }
                if let Some(high) = instant_ns(&between.high, folding) {
                    self.compare(Operator::LtEq, high);
                }
            }
            _ => {}
        }
    }

    /// Times are whole microseconds: the first that is not before an instant, and the one after it.
    fn compare(&mut self, op: Operator, at_ns: i64) {
        let (us, rest) = (at_ns.div_euclid(1000), at_ns.rem_euclid(1000));
        let (at_or_after, after) = (us + i64::from(rest > 0), us + 1);
        let later = |old: Option<i64>, new: i64| Some(old.map_or(new, |o| o.max(new)));
        let earlier = |old: Option<i64>, new: i64| Some(old.map_or(new, |o| o.min(new)));
        match op {
            Operator::GtEq => self.from = later(self.from, at_or_after),
            Operator::Gt => self.from = later(self.from, after),
            Operator::Lt => self.to = earlier(self.to, at_or_after),
            Operator::LtEq => self.to = earlier(self.to, after),
            Operator::Eq => (self.from, self.to) = (later(self.from, at_or_after), earlier(self.to, after)),
            _ => {}
        }
    }
}

fn column_of(expr: &Expr) -> Option<&Column> {
    match expr {
        Expr::Column(column) => Some(column),
        Expr::Alias(alias) => column_of(&alias.expr),
        Expr::Cast(cast) if cast.field.data_type().is_temporal() => column_of(&cast.expr),
        _ => None,
    }
}

/// A constant instant in nanoseconds; without a zone it is UTC.
fn instant_ns(expr: &Expr, folding: &Folding) -> Option<i64> {
    let value = folding.constant(expr)?;
    if !value.data_type().is_temporal() {
        return None;
    }
    match value.cast_to(&DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))).ok()? {
        ScalarValue::TimestampNanosecond(ns, _) => ns,
        _ => None,
    }
}

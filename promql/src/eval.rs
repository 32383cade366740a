//! Evaluates a plan on the series that it asked for.
//!
//! Each expression is evaluated once, over all steps. A vector is a set of rows with one cell per
//! step; an absent cell holds the bits of the staleness marker, which no calculation gives. Expressions that
//! are the same at every step are evaluated at one and spread out.

mod absent;
mod aggregate;
mod binary;
mod buckets;
mod call;
mod choose;
mod detect;
mod elements;
mod increments;
mod labels_of;
mod matching;
mod over_time;
mod over_time_histogram;
mod range;
mod rate;
mod regression;
mod rows;
mod selector;
mod sets;
mod sort;
mod window;

use crate::annotations::Annotations;
use crate::error::QueryError;
use crate::parse::ast::{Expr, ExprKind, Selector, Text, ValueType};
use crate::parse::functions::Func;
use crate::plan::{Grid, Interrupt, Limits, Options, Plan, Times};
use crate::series::Series;
use crate::value::{Answer, MatrixSeries, Sample, Value, VectorSample};

use rows::{Cell, Row, Scalars, merge_rows};

/// Most steps of a query or subquery, whatever the limits: one row of them takes 400 MB.
const STEPS_MAX: usize = 50_000_000;

/// The answer to a plan.
pub(crate) fn evaluate(plan: &Plan, series: &[Vec<Series>], limits: &Limits<'_>) -> Result<Answer, QueryError> {
    let mut evaluator = Evaluator {
        times: plan.times,
        options: &plan.options,
        selection_of: &plan.selection_of,
        series,
        limits,
        annotations: Annotations::default(),
        held: 0,
    };
    let expr = plan.query.expr();
    let value = if expr.value_type() == ValueType::Matrix {
        Value::Matrix(evaluator.raw_ranges(expr, plan.grid)?)
    } else {
        let operand = evaluator.eval(expr, plan.grid)?;
        evaluator.answer(operand, plan)?
    };
    Ok(Answer { value, annotations: evaluator.annotations })
}

/// The value of an expression over all steps.
pub(crate) enum Operand {
    Scalar(Scalars),
    Text(Text),
    Vector(Vec<Row>),
}

pub(crate) struct Evaluator<'a> {
    pub times: Times,
    pub options: &'a Options,
    selection_of: &'a [usize],
    series: &'a [Vec<Series>],
    pub limits: &'a Limits<'a>,
    pub annotations: Annotations,
    /// Cells of all vectors that exist now.
    held: usize,
}

impl<'a> Evaluator<'a> {
    /// Asks whether to go on.
    pub fn check(&self) -> Result<(), QueryError> {
        match (self.limits.interrupt)() {
            None => Ok(()),
            Some(Interrupt::Timeout) => Err(QueryError::Timeout),
            Some(Interrupt::Canceled) => Err(QueryError::Canceled),
        }
    }

    /// Counts `cells` more against the limit.
    pub fn hold(&mut self, cells: usize) -> Result<(), QueryError> {
        self.held = self.held.saturating_add(cells);
        if self.held > self.limits.samples_max { Err(QueryError::TooManySamples) } else { Ok(()) }
    }

    pub fn series_of(&self, selector: &Selector) -> &'a [Series] {
        &self.series[self.selection_of[selector.id]]
    }

    /// Evaluates an expression that is not a range vector.
    pub fn eval(&mut self, expr: &Expr, grid: Grid) -> Result<Operand, QueryError> {
        self.check()?;
        if grid.len > STEPS_MAX.min(self.limits.samples_max) {
            return Err(QueryError::TooManySamples);
        }
        let held = self.held;
        let once = grid.len > 1 && is_worth_once(expr) && is_step_invariant(expr);
        let operand = if once {
            match self.eval_at(expr, Grid::instant(grid.start_ms))? {
                Operand::Vector(rows) => Operand::Vector(rows.into_iter().map(|row| row.spread(grid.len)).collect()),
                Operand::Scalar(scalars) => Operand::Scalar(Scalars::Constant(scalars.at(0))),
                text @ Operand::Text(_) => text,
            }
        } else {
            self.eval_at(expr, grid)?
        };
        // The operands of this expression are gone; only its own value is held.
        self.held = held;
        self.hold(match &operand {
            Operand::Vector(rows) => rows.len() * grid.len,
            Operand::Scalar(Scalars::Steps(values)) => values.len(),
            Operand::Scalar(Scalars::Constant(_)) | Operand::Text(_) => 1,
        })?;
        Ok(operand)
    }

    fn eval_at(&mut self, expr: &Expr, grid: Grid) -> Result<Operand, QueryError> {
        match &expr.kind {
            ExprKind::Number { value, .. } => Ok(Operand::Scalar(Scalars::Constant(*value))),
            ExprKind::String(text) => Ok(Operand::Text(text.clone())),
            ExprKind::Selector(selector) => Ok(Operand::Vector(self.instant_vector(selector, grid)?)),
            ExprKind::Paren(inner) => self.eval(inner, grid),
            ExprKind::Unary { negate, expr: operand } => self.unary(*negate, operand, grid),
            ExprKind::Binary(binary) => self.binary(binary, expr.span, grid),
            ExprKind::Aggregate(aggregate) => Ok(Operand::Vector(self.aggregate(aggregate, grid)?)),
            ExprKind::Call { function, args } => self.call(function.id, args, expr.span, grid),
            ExprKind::Range { .. } | ExprKind::Subquery(_) => {
                Err(QueryError::Execution("a range vector cannot be used here".to_string()))
            }
        }
    }

    /// Evaluates an expression whose type is an instant vector.
    pub fn vector(&mut self, expr: &Expr, grid: Grid) -> Result<Vec<Row>, QueryError> {
        match self.eval(expr, grid)? {
            Operand::Vector(rows) => Ok(rows),
            Operand::Scalar(_) | Operand::Text(_) => {
                Err(QueryError::Execution("expected an instant vector".to_string()))
            }
        }
    }

    /// Evaluates an expression whose type is a scalar.
    pub fn scalar(&mut self, expr: &Expr, grid: Grid) -> Result<Scalars, QueryError> {
        match self.eval(expr, grid)? {
            Operand::Scalar(scalars) => Ok(scalars),
            Operand::Vector(_) | Operand::Text(_) => Err(QueryError::Execution("expected a scalar".to_string())),
        }
    }

    /// Evaluates an expression whose type is a string.
    pub fn text(&mut self, expr: &Expr) -> Result<Text, QueryError> {
        match expr.unwrapped().kind {
            ExprKind::String(ref text) => Ok(text.clone()),
            _ => Err(QueryError::Execution("expected a string literal".to_string())),
        }
    }

    /// Takes the metric's name off, now or, with delayed removal, in the answer.
    pub fn drop_name(&self, row: &mut Row) {
        if self.options.delayed_name_removal {
            row.drop_name = true;
        } else {
            row.labels = row.labels.without_name();
        }
    }

    fn answer(&mut self, operand: Operand, plan: &Plan) -> Result<Value, QueryError> {
        let grid = plan.grid;
        let time_ms = grid.start_ms;
        match operand {
            Operand::Text(text) => Ok(Value::String { time_ms, text: text.text }),
            Operand::Scalar(scalars) if plan.is_instant => Ok(Value::Scalar { time_ms, value: scalars.at(0) }),
            Operand::Scalar(scalars) => {
                let floats = (0..grid.len).map(|at| (grid.time(at), scalars.at(at))).collect();
                let labels = crate::labels::Labels::empty();
                Ok(Value::Matrix(vec![MatrixSeries { labels, floats, histograms: Vec::new() }]))
            }
            Operand::Vector(mut rows) => {
                for row in rows.iter_mut().filter(|row| row.drop_name) {
                    row.labels = row.labels.without_name();
                    row.drop_name = false;
                }
                let rows = merge_rows(rows, grid.len)?;
                Ok(if plan.is_instant { instant_value(rows, time_ms) } else { range_value(rows, grid) })
            }
        }
    }
}

fn instant_value(rows: Vec<Row>, time_ms: i64) -> Value {
    let samples = rows.into_iter().filter_map(|row| {
        let value = match row.cells.at(0) {
            Cell::Absent => return None,
            Cell::Float(value) => Sample::Float(value),
            Cell::Histogram(histogram) => Sample::Histogram(histogram.clone()),
        };
        Some(VectorSample { labels: row.labels, time_ms, value })
    });
    Value::Vector(samples.collect())
}

fn range_value(rows: Vec<Row>, grid: Grid) -> Value {
    let mut series: Vec<MatrixSeries> = rows
        .into_iter()
        .filter_map(|row| {
            let mut one = MatrixSeries { labels: row.labels, floats: Vec::new(), histograms: Vec::new() };
            for at in 0..grid.len {
                match row.cells.at(at) {
                    Cell::Absent => {}
                    Cell::Float(value) => one.floats.push((grid.time(at), value)),
                    Cell::Histogram(histogram) => one.histograms.push((grid.time(at), histogram.clone())),
                }
            }
            (!one.floats.is_empty() || !one.histograms.is_empty()).then_some(one)
        })
        .collect();
    series.sort_by(|left, right| left.labels.cmp(&right.labels));
    Value::Matrix(series)
}

/// Whether evaluating once and spreading out saves anything.
fn is_worth_once(expr: &Expr) -> bool {
    !matches!(expr.kind, ExprKind::Number { .. } | ExprKind::String(_) | ExprKind::Paren(_))
}

/// Whether the value is the same at every step, because each selector in it looks at a fixed instant.
fn is_step_invariant(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Number { .. } | ExprKind::String(_) => true,
        ExprKind::Selector(selector) | ExprKind::Range { selector, .. } => selector.at.is_some(),
        // Without an instant of its own, the times of a subquery move with the steps.
        ExprKind::Subquery(subquery) => subquery.at.is_some(),
        ExprKind::Unary { expr, .. } => is_step_invariant(expr),
        ExprKind::Paren(inner) => is_step_invariant(inner),
        ExprKind::Binary(binary) => is_step_invariant(&binary.left) && is_step_invariant(&binary.right),
        ExprKind::Aggregate(aggregate) => {
            is_step_invariant(&aggregate.expr) && aggregate.param.as_ref().is_none_or(is_step_invariant)
        }
        ExprKind::Call { function, args } => !reads_time(function.id) && args.iter().all(is_step_invariant),
    }
}

/// Whether the function's value depends on the time of evaluation beyond its arguments.
fn reads_time(function: Func) -> bool {
    matches!(
        function,
        Func::DayOfMonth
            | Func::DayOfWeek
            | Func::DayOfYear
            | Func::DaysInMonth
            | Func::Hour
            | Func::Minute
            | Func::Month
            | Func::PredictLinear
            | Func::Time
            | Func::Timestamp
            | Func::Year
    )
}

#[cfg(test)]
mod tests;

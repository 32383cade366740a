//! Unary minus and binary operators, as far as one side's series need not find the other's.

use std::sync::Arc;

use crate::annotations::Annotations;
use crate::error::QueryError;
use crate::histogram::{CounterReset, Histogram};
use crate::parse::ast::{Binary, BinaryOp, Expr};
use crate::plan::Grid;
use crate::position::Span;

use super::elements::{arithmetic, compare};
use super::rows::{ABSENT, Cell, Cells, Output, Row, Scalars, is_absent, merge_rows};
use super::{Evaluator, Operand};

/// What a binary operator does with two samples.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    pub op: BinaryOp,
    pub return_bool: bool,
    /// Where the whole expression stands.
    pub span: Span,
}

impl Evaluator<'_> {
    pub fn unary(&mut self, negate: bool, operand: &Expr, grid: Grid) -> Result<Operand, QueryError> {
        let operand = self.eval(operand, grid)?;
        match operand {
            operand if !negate => Ok(operand),
            Operand::Scalar(scalars) => Ok(Operand::Scalar(scalars.map(|value| -value))),
            Operand::Vector(rows) => self.map_rows(rows, grid, negate_cells),
            Operand::Text(_) => Err(QueryError::Execution("a string has no negative".to_string())),
        }
    }

    pub fn binary(&mut self, binary: &Binary, span: Span, grid: Grid) -> Result<Operand, QueryError> {
        let left = self.eval(&binary.left, grid)?;
        let right = self.eval(&binary.right, grid)?;
        let operation = Operation { op: binary.op, return_bool: binary.return_bool, span };
        match (left, right) {
            (Operand::Scalar(left), Operand::Scalar(right)) => {
                Ok(Operand::Scalar(left.zip(&right, grid.len, |left, right| scalar_pair(binary.op, left, right))))
            }
            (Operand::Vector(rows), Operand::Scalar(scalars)) => {
                self.with_scalar(rows, &scalars, operation, grid, false)
            }
            (Operand::Scalar(scalars), Operand::Vector(rows)) => {
                self.with_scalar(rows, &scalars, operation, grid, true)
            }
            (Operand::Vector(left), Operand::Vector(right)) => Ok(Operand::Vector(if binary.op.is_set() {
                self.set_operation(binary.op, left, right, &binary.matching, grid)?
            } else {
                self.match_vectors(left, right, &binary.matching, operation, grid)?
            })),
            _ => Err(QueryError::Execution("a string cannot be an operand".to_string())),
        }
    }

    /// Each series with the scalar; `swapped` when the scalar stands on the left.
    fn with_scalar(
        &mut self,
        mut rows: Vec<Row>,
        scalars: &Scalars,
        operation: Operation,
        grid: Grid,
        swapped: bool,
    ) -> Result<Operand, QueryError> {
        let keeps_name = operation.op.is_comparison() && !operation.return_bool;
        for row in &mut rows {
            self.check()?;
            if row.cells.histograms.is_none() {
                floats_with_scalar(&mut row.cells.floats, scalars, operation, swapped);
            } else {
                row.cells = cells_with_scalar(&row.cells, scalars, operation, swapped, &mut self.annotations);
            }
            if !keeps_name {
                self.drop_name(row);
            }
        }
        rows.retain(|row| !row.cells.is_all_absent());
        Ok(Operand::Vector(if keeps_name { rows } else { merge_rows(rows, grid.len)? }))
    }
}

fn negate_cells(cells: &mut Cells) {
    for value in &mut cells.floats {
        if !is_absent(*value) {
            *value = -*value;
        }
    }
    for histogram in cells.histograms.iter_mut().flatten().flatten() {
        Arc::make_mut(histogram).multiply(-1.0);
    }
}

fn scalar_pair(op: BinaryOp, left: f64, right: f64) -> f64 {
    if op.is_comparison() { f64::from(u8::from(compare(op, left, right))) } else { arithmetic(op, left, right) }
}

/// What a comparison makes of a value that it is true or false of.
#[inline]
fn kept(value: f64, holds: bool, return_bool: bool) -> f64 {
    if return_bool {
        f64::from(u8::from(holds))
    } else if holds {
        value
    } else {
        ABSENT
    }
}

fn floats_with_scalar(floats: &mut [f64], scalars: &Scalars, operation: Operation, swapped: bool) {
    let Operation { op, return_bool, .. } = operation;
    let is_comparison = op.is_comparison();
    for (step, value) in floats.iter_mut().enumerate() {
        if is_absent(*value) {
            continue;
        }
        let scalar = scalars.at(step);
        let (left, right) = if swapped { (scalar, *value) } else { (*value, scalar) };
        *value = if is_comparison {
            kept(*value, compare(op, left, right), return_bool)
        } else {
            arithmetic(op, left, right)
        };
    }
}

fn cells_with_scalar(
    cells: &Cells,
    scalars: &Scalars,
    operation: Operation,
    swapped: bool,
    annotations: &mut Annotations,
) -> Cells {
    let mut result = Cells::absent(cells.len());
    for step in 0..cells.len() {
        let (own, scalar) = (cells.at(step), Cell::Float(scalars.at(step)));
        if matches!(own, Cell::Absent) {
            continue;
        }
        let (left, right) = if swapped { (scalar, own) } else { (own, scalar) };
        let output = match pair(operation, left, right, annotations) {
            // A filtering comparison keeps the vector's sample, whichever side it stands on.
            Output::Float(_) if operation.op.is_comparison() && !operation.return_bool => match own {
                Cell::Float(value) => Output::Float(value),
                _ => Output::Absent,
            },
            output => output,
        };
        result.set(step, output);
    }
    result
}

/// The operator applied to two samples that are there. A filtering comparison keeps the left one.
pub fn pair(operation: Operation, left: Cell<'_>, right: Cell<'_>, annotations: &mut Annotations) -> Output {
    let Operation { op, return_bool, span } = operation;
    match (left, right) {
        (Cell::Float(left), Cell::Float(right)) if op.is_comparison() => {
            let result = kept(left, compare(op, left, right), return_bool);
            if is_absent(result) { Output::Absent } else { Output::Float(result) }
        }
        (Cell::Float(left), Cell::Float(right)) => Output::Float(arithmetic(op, left, right)),
        (Cell::Float(factor), Cell::Histogram(histogram)) | (Cell::Histogram(histogram), Cell::Float(factor))
            if op == BinaryOp::Mul =>
        {
            let mut product = Histogram::clone(histogram);
            product.multiply(factor);
            product.compact();
            Output::Histogram(product)
        }
        (Cell::Histogram(histogram), Cell::Float(divisor)) if op == BinaryOp::Div => {
            let mut quotient = Histogram::clone(histogram);
            quotient.divide(divisor);
            quotient.compact();
            Output::Histogram(quotient)
        }
        (Cell::Histogram(left), Cell::Histogram(right)) => histogram_pair(operation, left, right, annotations),
        (Cell::Float(_), Cell::Histogram(_)) => {
            annotations.incompatible_types("float", op.as_str(), "histogram", span);
            Output::Absent
        }
        (Cell::Histogram(_), Cell::Float(_)) => {
            annotations.incompatible_types("histogram", op.as_str(), "float", span);
            Output::Absent
        }
        (Cell::Absent, _) | (_, Cell::Absent) => Output::Absent,
    }
}

fn histogram_pair(
    operation: Operation,
    left: &Arc<Histogram>,
    right: &Arc<Histogram>,
    annotations: &mut Annotations,
) -> Output {
    let Operation { op, return_bool, span } = operation;
    match op {
        BinaryOp::Add | BinaryOp::Sub => {
            let mut result = Histogram::clone(left);
            let combined = if op == BinaryOp::Add { result.add(right) } else { result.subtract(right) };
            let Ok(combined) = combined else {
                annotations.incompatible_layouts(op.as_str(), span);
                return Output::Absent;
            };
            let name = if op == BinaryOp::Add { "addition" } else { "subtraction" };
            if combined.reset_collision {
                annotations.reset_collision(name, span);
            }
            if combined.bounds_reconciled {
                annotations.bounds_reconciled(name, span);
            }
            if op == BinaryOp::Sub {
                result.counter_reset = CounterReset::Gauge;
            }
            result.compact();
            Output::Histogram(result)
        }
        BinaryOp::Eq | BinaryOp::Ne => {
            let holds = left.same(right) == (op == BinaryOp::Eq);
            match (return_bool, holds) {
                (true, holds) => Output::Float(f64::from(u8::from(holds))),
                (false, true) => Output::Shared(left.clone()),
                (false, false) => Output::Absent,
            }
        }
        _ => {
            annotations.incompatible_types("histogram", op.as_str(), "histogram", span);
            Output::Absent
        }
    }
}

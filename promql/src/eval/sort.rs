//! `sort`, `sort_desc`, `sort_by_label`, `sort_by_label_desc`.

use std::cmp::Ordering;

use crate::error::QueryError;
use crate::parse::ast::Expr;
use crate::parse::functions::Func;
use crate::plan::Grid;
use crate::position::Span;

use super::rows::{Row, is_absent};
use super::{Evaluator, Operand};

impl Evaluator<'_> {
    pub fn sort(&mut self, function: Func, args: &[Expr], span: Span, grid: Grid) -> Result<Operand, QueryError> {
        let mut rows = self.vector(&args[0], grid)?;
        if grid.len != 1 {
            self.annotations.sort_in_range(span);
            return Ok(Operand::Vector(rows));
        }
        match function {
            Func::Sort | Func::SortDesc => {
                rows.retain(|row| !is_absent(row.cells.floats[0]));
                let descending = function == Func::SortDesc;
                rows.sort_by(|left, right| by_value(left.cells.floats[0], right.cells.floats[0], descending));
            }
            _ => {
                let mut names = Vec::with_capacity(args.len());
                for arg in &args[1..] {
                    names.push(self.text(arg)?.text);
                }
                rows.sort_by(|left, right| by_labels(left, right, &names));
                if function == Func::SortByLabelDesc {
                    rows.reverse();
                }
            }
        }
        Ok(Operand::Vector(rows))
    }
}

/// NaN comes last either way.
pub fn by_value(left: f64, right: f64, descending: bool) -> Ordering {
    match (left.is_nan(), right.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => {
            let ascending = left.partial_cmp(&right).unwrap_or(Ordering::Equal);
            if descending { ascending.reverse() } else { ascending }
        }
    }
}

fn by_labels(left: &Row, right: &Row, names: &[String]) -> Ordering {
    let values = names.iter().map(|name| natural(left.labels.get(name), right.labels.get(name)));
    let first = values.into_iter().find(|order| *order != Ordering::Equal);
    first.unwrap_or_else(|| left.labels.cmp(&right.labels))
}

/// Natural order: stretches of digits compare as numbers, everything else as text.
fn natural(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left, right);
    while !left.is_empty() && !right.is_empty() {
        let (left_chunk, left_rest) = chunk(left);
        let (right_chunk, right_rest) = chunk(right);
        let order = match (left_chunk.parse::<u64>(), right_chunk.parse::<u64>()) {
            (Ok(left), Ok(right)) => left.cmp(&right),
            _ => left_chunk.cmp(right_chunk),
        };
        if order != Ordering::Equal {
            return order;
        }
        (left, right) = (left_rest, right_rest);
    }
    left.len().cmp(&right.len())
}

/// The longest start of digits only or of no digits, and the rest.
fn chunk(text: &str) -> (&str, &str) {
    let digits = text.starts_with(|first: char| first.is_ascii_digit());
    let end = text.find(|character: char| character.is_ascii_digit() != digits).unwrap_or(text.len());
    text.split_at(end)
}

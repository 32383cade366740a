//! A stretch of time that filters on the start of windows leave, as bounds of what is stored: comparisons with a
//! column, which files are left out by, in the place of a function of it.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, ident};
use datafusion::prelude::lit;
use tidewatch_engine::rollup::WINDOW_START;

/// Starts of windows in microseconds: `from` inclusive, `to` exclusive; `None`: without an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub from: Option<i64>,
    pub to: Option<i64>,
}

impl Span {
    /// The stored starts whose window of `width_us` has a start of which a filter holds, if the filter is a comparison
    /// of that start with an instant.
    pub fn of(filter: &Expr, width_us: i64) -> Option<Self> {
        let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else { return None };
        let (Expr::Column(column), Expr::Literal(value, _)) = (&**left, &**right) else { return None };
        let ScalarValue::TimestampMicrosecond(Some(us), Some(_)) = value else { return None };
        if column.name != WINDOW_START {
            return None;
        }
        // The first start at or after an instant, and the first one after it.
        let floor = us.div_euclid(width_us).checked_mul(width_us)?;
        let after = floor.checked_add(width_us)?;
        let at = if floor == *us { floor } else { after };
        match op {
            Operator::GtEq => Some(Self { from: Some(at), to: None }),
            Operator::Gt => Some(Self { from: Some(after), to: None }),
            Operator::Lt => Some(Self { from: None, to: Some(at) }),
            Operator::LtEq => Some(Self { from: None, to: Some(after) }),
            Operator::Eq => Some(Self { from: Some(at), to: Some(after) }),
            _ => None,
        }
    }

    /// What is in both.
    pub fn and(self, other: Self) -> Self {
        // An end that is missing is less than any, a bound that is missing more.
        let to = match (self.to, other.to) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Self { from: self.from.max(other.from), to }
    }

    /// Is nothing in it?
    pub fn is_empty(self) -> bool {
        self.from.zip(self.to).is_some_and(|(from, to)| from >= to)
    }

    /// What must hold of a start.
    pub fn conditions(self) -> Vec<Expr> {
        let instant = |us: i64| lit(ScalarValue::TimestampMicrosecond(Some(us), Some("UTC".into())));
        let from = self.from.map(|us| ident(WINDOW_START).gt_eq(instant(us)));
        from.into_iter().chain(self.to.map(|us| ident(WINDOW_START).lt(instant(us)))).collect()
    }
}

#[cfg(test)]
mod tests;

//! `absent` and `absent_over_time`.

use hashbrown::HashSet;

use crate::error::QueryError;
use crate::labels::{Labels, METRIC_NAME};
use crate::matcher::{MatchOp, Matcher};
use crate::parse::ast::{Expr, ExprKind};
use crate::parse::functions::Func;
use crate::plan::Grid;

use super::over_time::{Call, over_time};
use super::rows::{ABSENT, Cells, Row};
use super::{Evaluator, Operand};

impl Evaluator<'_> {
    pub fn absent(&mut self, arg: &Expr, grid: Grid) -> Result<Operand, QueryError> {
        let rows = self.vector(arg, grid)?;
        let mut present = vec![false; grid.len];
        for row in &rows {
            mark(&mut present, &row.cells);
        }
        Ok(absence(arg, &present))
    }

    pub fn absent_over_time(&mut self, arg: &Expr, grid: Grid) -> Result<Operand, QueryError> {
        let (ranges, windows) = self.range_vector(arg, grid)?;
        let mut present = vec![false; grid.len];
        for row in &ranges {
            self.check()?;
            let mut call = Call {
                function: Func::PresentOverTime,
                windows: &windows,
                span: arg.span,
                annotations: &mut self.annotations,
            };
            mark(&mut present, &over_time(row, &mut call));
        }
        self.check()?;
        Ok(absence(arg, &present))
    }
}

fn mark(present: &mut [bool], cells: &Cells) {
    for (at, present) in present.iter_mut().enumerate() {
        *present |= cells.is_present(at);
    }
}

/// A 1 at each step where nothing is present.
fn absence(arg: &Expr, present: &[bool]) -> Operand {
    let floats: Vec<f64> = present.iter().map(|present| if *present { ABSENT } else { 1.0 }).collect();
    if present.iter().all(|present| *present) {
        return Operand::Vector(Vec::new());
    }
    Operand::Vector(vec![Row::new(labels_of_absence(arg), Cells { floats, histograms: None })])
}

/// The labels that the series would have if it were there: those that the selector fixes to one value.
fn labels_of_absence(arg: &Expr) -> Labels {
    let matchers: &[Matcher] = match &arg.unwrapped().kind {
        ExprKind::Selector(selector) | ExprKind::Range { selector, .. } => &selector.matchers,
        _ => &[],
    };
    let (mut seen, mut unclear) = (HashSet::new(), HashSet::new());
    for matcher in matchers.iter().filter(|matcher| matcher.name != METRIC_NAME) {
        if matcher.op != MatchOp::Equal || !seen.insert(matcher.name.as_str()) {
            unclear.insert(matcher.name.as_str());
        }
    }
    let clear = matchers.iter().filter(|matcher| seen.contains(&*matcher.name) && !unclear.contains(&*matcher.name));
    Labels::new(clear.map(|matcher| (matcher.name.as_str(), matcher.value.as_str())))
}

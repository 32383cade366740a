//! Aggregations that choose among series instead of combining them: `topk`, `bottomk`, `limitk`,
//! `limit_ratio`.

use crate::error::QueryError;
use crate::parse::ast::{Aggregate, AggregateOp, Expr};
use crate::plan::Grid;

use super::Evaluator;
use super::aggregate::Groups;
use super::rows::{Cells, Row, Scalars, is_absent};
use super::sort::by_value;

impl Evaluator<'_> {
    pub fn choose(&mut self, aggregate: &Aggregate, grid: Grid) -> Result<Vec<Row>, QueryError> {
        let Some(param) = &aggregate.param else { return Ok(Vec::new()) };
        let amounts = self.scalar(param, grid)?;
        let is_ratio = aggregate.op == AggregateOp::LimitRatio;
        self.check_amounts(&amounts, is_ratio, param, grid)?;
        let rows = self.vector(&aggregate.expr, grid)?;
        let by_value = matches!(aggregate.op, AggregateOp::TopK | AggregateOp::BottomK);
        if by_value && rows.iter().any(|row| row.cells.histograms.is_some()) {
            self.annotations.ignored_in_aggregation(aggregate.op.as_str(), aggregate.expr.span);
        }
        if is_ratio {
            return Ok(rows.into_iter().filter_map(|row| by_ratio(row, &amounts, grid)).collect());
        }
        let members = Groups::of(&rows, aggregate).rows();
        let mut chosen: Vec<Row> =
            rows.iter().map(|row| Row { cells: Cells::absent(grid.len), ..row.clone_head() }).collect();
        let mut order: Vec<usize> = Vec::with_capacity(rows.len());
        let mut ranked: Vec<(f64, usize)> = Vec::new();
        for group in &members {
            self.check()?;
            for step in 0..grid.len {
                let amount = amount_of(amounts.at(step), group.len());
                if amount == 0 {
                    continue;
                }
                ranked.clear();
                if by_value {
                    let floats = group.iter().map(|row| (rows[*row].cells.floats[step], *row));
                    ranked.extend(floats.filter(|(value, _)| !is_absent(*value)));
                    rank(&mut ranked, amount, aggregate.op == AggregateOp::TopK);
                } else {
                    let present = group.iter().filter(|row| rows[**row].cells.is_present(step));
                    ranked.extend(present.take(amount).map(|row| (0.0, *row)));
                }
                for (_, row) in &ranked {
                    chosen[*row].cells.copy(step, &rows[*row].cells);
                }
                if grid.len == 1 {
                    order.extend(ranked.iter().map(|(_, row)| *row));
                }
            }
        }
        if grid.len == 1 {
            // An instant query gives the chosen in order of rank.
            let mut slots: Vec<Option<Row>> = chosen.into_iter().map(Some).collect();
            return Ok(order.into_iter().filter_map(|row| slots[row].take()).collect());
        }
        chosen.retain(|row| !row.cells.is_all_absent());
        Ok(chosen)
    }

    fn check_amounts(&mut self, amounts: &Scalars, is_ratio: bool, param: &Expr, grid: Grid) -> Result<(), QueryError> {
        let steps = if matches!(amounts, Scalars::Constant(_)) { grid.len.min(1) } else { grid.len };
        for step in 0..steps {
            let amount = amounts.at(step);
            if amount.is_nan() {
                let what = if is_ratio { "Ratio" } else { "Parameter" };
                return Err(QueryError::Execution(format!("{what} value is NaN")));
            }
            if is_ratio && amount.abs() > 1.0 {
                self.annotations.invalid_ratio(amount, amount.clamp(-1.0, 1.0), param.unwrapped().span);
            } else if !is_ratio && amount.abs() >= 9_223_372_036_854_775_808.0 {
                let amount = crate::number::general(amount);
                return Err(QueryError::Execution(format!("Scalar value {amount} overflows int64")));
            }
        }
        Ok(())
    }
}

impl Groups {
    pub fn of(rows: &[Row], aggregate: &Aggregate) -> Groups {
        Groups::new(rows, &aggregate.grouping)
    }
}

impl Row {
    /// The row without its cells.
    fn clone_head(&self) -> Row {
        Row { labels: self.labels.clone(), drop_name: self.drop_name, cells: Cells::absent(0) }
    }
}

fn amount_of(amount: f64, rows: usize) -> usize {
    if amount < 1.0 { 0 } else { (amount as usize).min(rows) }
}

/// Keeps the best, in order; of equal values those of earlier rows, NaN last.
fn rank(ranked: &mut Vec<(f64, usize)>, amount: usize, descending: bool) {
    let order =
        |left: &(f64, usize), right: &(f64, usize)| by_value(left.0, right.0, descending).then(left.1.cmp(&right.1));
    if amount < ranked.len() {
        ranked.select_nth_unstable_by(amount - 1, order);
        ranked.truncate(amount);
    }
    ranked.sort_unstable_by(order);
}

/// The row at the steps whose ratio takes it. A series is always on the same side of a ratio, and a ratio of
/// `r - 1` takes exactly those that `r` leaves.
fn by_ratio(mut row: Row, ratios: &Scalars, grid: Grid) -> Option<Row> {
    let place = row.labels.hash64() as f64 / u64::MAX as f64;
    for step in 0..grid.len {
        let ratio = ratios.at(step).clamp(-1.0, 1.0);
        let taken = if ratio >= 0.0 { place < ratio } else { place >= 1.0 + ratio };
        if !taken {
            row.cells.clear(step);
        }
    }
    (!row.cells.is_all_absent()).then_some(row)
}

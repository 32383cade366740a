//! `and`, `or` and `unless`.

use hashbrown::HashMap;

use crate::error::QueryError;
use crate::parse::ast::{BinaryOp, Matching};
use crate::plan::Grid;

use super::Evaluator;
use super::rows::{Row, merge_rows};

impl Evaluator<'_> {
    pub fn set_operation(
        &mut self,
        op: BinaryOp,
        mut left: Vec<Row>,
        mut right: Vec<Row>,
        matching: &Matching,
        grid: Grid,
    ) -> Result<Vec<Row>, QueryError> {
        if op == BinaryOp::Or {
            let present = self.presence(&left, matching, grid)?;
            keep(&mut right, matching, grid, |signature, step| !is_in(&present, signature, step));
            left.append(&mut right);
            return merge_rows(left, grid.len);
        }
        let present = self.presence(&right, matching, grid)?;
        keep(&mut left, matching, grid, |signature, step| is_in(&present, signature, step) == (op == BinaryOp::And));
        Ok(left)
    }

    /// For each signature of a side the steps at which some series with it is present.
    fn presence(&self, rows: &[Row], matching: &Matching, grid: Grid) -> Result<HashMap<u64, Vec<bool>>, QueryError> {
        let mut present: HashMap<u64, Vec<bool>> = HashMap::with_capacity(rows.len());
        for row in rows {
            self.check()?;
            let steps = present.entry(matching.signature(&row.labels)).or_insert_with(|| vec![false; grid.len]);
            for (step, known) in steps.iter_mut().enumerate() {
                *known |= row.cells.is_present(step);
            }
        }
        Ok(present)
    }
}

fn is_in(present: &HashMap<u64, Vec<bool>>, signature: u64, step: usize) -> bool {
    present.get(&signature).is_some_and(|steps| steps[step])
}

fn keep(rows: &mut Vec<Row>, matching: &Matching, grid: Grid, stays: impl Fn(u64, usize) -> bool) {
    for row in rows.iter_mut() {
        let signature = matching.signature(&row.labels);
        for step in 0..grid.len {
            if !stays(signature, step) {
                row.cells.clear(step);
            }
        }
    }
    rows.retain(|row| !row.cells.is_all_absent());
}

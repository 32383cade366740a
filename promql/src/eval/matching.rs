//! Operators between two vectors whose series find each other by labels.
//!
//! Which series may meet is settled once by the hash of the matching labels; only where several series share
//! it are single steps looked at.

use hashbrown::HashMap;

use crate::error::QueryError;
use crate::labels::{Labels, METRIC_NAME};
use crate::parse::ast::{BinaryOp, Group, Matching};
use crate::plan::Grid;

use super::Evaluator;
use super::binary::{Operation, pair};
use super::elements::arithmetic;
use super::rows::{Cell, Cells, Output, Row, is_absent, merge_rows};

impl Matching {
    /// Whether a label takes part in finding the other side.
    fn uses(&self, name: &str) -> bool {
        let named = self.labels.iter().any(|label| label == name);
        if self.on == Some(true) { named } else { !named && name != METRIC_NAME }
    }

    /// The hash of the labels by which a series finds the other side.
    pub(crate) fn signature(&self, labels: &Labels) -> u64 {
        labels.hash_filtered(|name| self.uses(name))
    }

    /// The labels that both sides of a match have in common.
    fn common(&self, labels: &Labels) -> Labels {
        labels.filter(|name| self.uses(name))
    }
}

/// One side's rows by signature.
pub fn by_signature(rows: &[Row], matching: &Matching) -> HashMap<u64, Vec<usize>> {
    let mut found: HashMap<u64, Vec<usize>> = HashMap::with_capacity(rows.len());
    for (at, row) in rows.iter().enumerate() {
        found.entry(matching.signature(&row.labels)).or_default().push(at);
    }
    found
}

impl Evaluator<'_> {
    pub fn match_vectors(
        &mut self,
        left: Vec<Row>,
        right: Vec<Row>,
        matching: &Matching,
        operation: Operation,
        grid: Grid,
    ) -> Result<Vec<Row>, QueryError> {
        // The side of which a match has one series at most; with a group of many on the right, the left one.
        let one_is_left = matching.group == Some(Group::Right);
        let (many, one) = if one_is_left { (right, left) } else { (left, right) };
        let ones = by_signature(&one, matching);
        let mut shared: Vec<&Vec<usize>> = ones.values().filter(|group| group.len() > 1).collect();
        // In order, so that of several mistakes the same one is told each time.
        shared.sort();
        for group in shared {
            self.check_single(group, &one, &many, matching, one_is_left, grid)?;
        }
        let mut result = Vec::with_capacity(many.len());
        let grouped = matching.group.is_some();
        let mut met = Met { many: &many, one: &one, grouped, pairs: HashMap::new() };
        for (at, row) in many.iter().enumerate() {
            self.check()?;
            let signature = matching.signature(&row.labels);
            for place in ones.get(&signature).into_iter().flatten() {
                let partner = &one[*place];
                let Some(cells) = self.combine(row, partner, operation, one_is_left) else { continue };
                let mut labels = result_labels(&row.labels, &partner.labels, matching, operation);
                let mut drop_name = row.drop_name;
                if operation.return_bool {
                    if self.options.delayed_name_removal {
                        drop_name = true;
                    } else {
                        labels = labels.without_name();
                    }
                }
                met.check(signature, &labels, at, *place)?;
                result.push(Row { labels, drop_name, cells });
            }
        }
        result.retain(|row| !row.cells.is_all_absent());
        merge_rows(result, grid.len)
    }

    /// Refuses steps at which several series of the side with one share a match.
    fn check_single(
        &self,
        group: &[usize],
        one: &[Row],
        many: &[Row],
        matching: &Matching,
        one_is_left: bool,
        grid: Grid,
    ) -> Result<(), QueryError> {
        for step in 0..grid.len {
            let mut present = group.iter().filter(|at| one[**at].cells.is_present(step));
            let (Some(first), Some(second)) = (present.next(), present.next()) else { continue };
            // An operator with an empty side gives nothing, not even an error.
            if !many.iter().any(|row| row.cells.is_present(step)) {
                continue;
            }
            let mut found = [one[*first].labels.to_string(), one[*second].labels.to_string()];
            found.sort();
            let common = matching.common(&one[*first].labels);
            let side = if one_is_left { "left" } else { "right" };
            return Err(QueryError::Execution(format!(
                "found duplicate series for the match group {common} on the {side} hand-side of the operation: \
                 [{}];many-to-many matching not allowed: matching labels must be unique on one side",
                found.join(", ")
            )));
        }
        Ok(())
    }

    /// The operator at each step where both are present; `None` when there is no such step.
    fn combine(&mut self, many: &Row, one: &Row, operation: Operation, one_is_left: bool) -> Option<Cells> {
        let (left, right) = if one_is_left { (&one.cells, &many.cells) } else { (&many.cells, &one.cells) };
        let mut met = false;
        let mut result = Cells::absent(left.len());
        if left.histograms.is_none() && right.histograms.is_none() && !operation.op.is_comparison() {
            let op = operation.op;
            let pairs = left.floats.iter().zip(&right.floats);
            for (cell, (left, right)) in result.floats.iter_mut().zip(pairs) {
                if !is_absent(*left) && !is_absent(*right) {
                    *cell = arithmetic(op, *left, *right);
                    met = true;
                }
            }
            return met.then_some(result);
        }
        for step in 0..left.len() {
            let (left, right) = (left.at(step), right.at(step));
            if matches!(left, Cell::Absent) || matches!(right, Cell::Absent) {
                continue;
            }
            met = true;
            let output = pair(operation, left, right, &mut self.annotations);
            if !matches!(output, Output::Absent) {
                result.set(step, output);
            }
        }
        met.then_some(result)
    }
}

/// What makes two matches one: the signature and, when many may meet one, the labels of the result.
type MatchKey = (u64, Option<Labels>);

/// Which rows of the many have met which partner, to find two that would become the same series. What a
/// comparison filters away counts too: whether a query is right must not depend on the values.
struct Met<'a> {
    many: &'a [Row],
    one: &'a [Row],
    grouped: bool,
    pairs: HashMap<MatchKey, Vec<(usize, usize)>>,
}

impl Met<'_> {
    fn check(&mut self, signature: u64, labels: &Labels, at: usize, partner: usize) -> Result<(), QueryError> {
        let (many, one) = (self.many, self.one);
        let met = |at: usize, partner: usize, step: usize| {
            many[at].cells.is_present(step) && one[partner].cells.is_present(step)
        };
        let key = (signature, self.grouped.then(|| labels.clone()));
        let known = self.pairs.entry(key).or_default();
        for (other, others) in known.iter().filter(|(other, _)| *other != at) {
            let steps = many[at].cells.len();
            if (0..steps).any(|step| met(at, partner, step) && met(*other, *others, step)) {
                let message = if self.grouped {
                    "multiple matches for labels: grouping labels must ensure unique matches"
                } else {
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
                };
                return Err(QueryError::Execution(message.to_string()));
            }
        }
        known.push((at, partner));
        Ok(())
    }
}

/// The labels of the result for a row of the many and its partner.
fn result_labels(many: &Labels, one: &Labels, matching: &Matching, operation: Operation) -> Labels {
    let is_named = |name: &str| matching.labels.iter().any(|label| label == name);
    let drops_name = !matches!(operation.op, op if op.is_comparison());
    debug_assert!(!matches!(operation.op, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless));
    let mut labels = many.filter(|name| {
        if drops_name && name == METRIC_NAME {
            return false;
        }
        match (matching.group, matching.on) {
            (Some(_), _) => true,
            (None, Some(true)) => is_named(name),
            (None, _) => !is_named(name),
        }
    });
    for name in &matching.include {
        labels = labels.with(name, one.get(name));
    }
    labels
}

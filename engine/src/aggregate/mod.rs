//! One file per aggregate, behind one contract: update from events, merge from stored states, give
//! the states back, say how big they are. Evaluation belongs to readers: only it loses information.
//!
//! States are columnar: one entry per slot of the rollup's key table. All of them are commutative
//! monoids with exact arithmetic, so neither order nor batching shows in the result.

mod avg;
mod count;
mod distinct;
mod extreme;
mod hdr;
mod last;
mod samples;
mod scalar;
mod sum;

use crate::rollup::MeasureKind;
use crate::sketch::SketchError;
use arrow::array::{Array, ArrayRef, BooleanArray};
use std::fmt::Debug;
use thiserror::Error;

/// States of one measure for every slot.
pub trait States: Debug + Send + Sync {
    /// Counts the events of a batch into their slots; `values` has one column per argument.
    fn update(&mut self, rows: &Rows<'_>, values: &[ArrayRef]) -> Result<(), AggregateError>;

    /// Merges stored states (the columns of [`crate::rollup::Measure::state_fields`]) into slots.
    fn merge(&mut self, rows: &Rows<'_>, states: &[ArrayRef]) -> Result<(), AggregateError>;

    /// The state columns, one row per slot below `slot_count`.
    fn state(&self, slot_count: usize) -> Result<Vec<ArrayRef>, AggregateError>;

    /// Heap bytes in use.
    fn size_bytes(&self) -> usize;

    /// Values that were refused since the last call (negative ones in a histogram).
    fn take_refused(&mut self) -> u64 {
        0
    }
}

/// Which slot each row of a batch goes to, and which rows a `FILTER` lets through.
#[derive(Debug)]
pub struct Rows<'a> {
    /// Slot per row.
    pub slots: &'a [u32],
    /// Number of slots after this batch; all slots are below it.
    pub slot_count: usize,
    /// Rows for which the measure's filter is true; `None` when it has no filter.
    pub filter: Option<&'a BooleanArray>,
}

impl Rows<'_> {
    /// Calls `f(row, slot)` for every row that passes the filter and is not null in `values`.
    #[inline]
    pub(crate) fn for_each_valid(&self, values: Option<&dyn Array>, mut f: impl FnMut(usize, usize)) {
        // Logical, for an array of type null carries no bitmap.
        let nulls = values.and_then(|v| v.logical_nulls()).filter(|n| n.null_count() > 0);
        match (self.filter, nulls) {
            (None, None) => self.slots.iter().enumerate().for_each(|(row, &slot)| f(row, slot as usize)),
            (filter, nulls) => {
                for (row, &slot) in self.slots.iter().enumerate() {
                    // A filter that is null is not true.
                    let passes = filter.is_none_or(|m| m.is_valid(row) && m.value(row));
                    if passes && nulls.as_ref().is_none_or(|n| n.is_valid(row)) {
                        f(row, slot as usize);
                    }
                }
            }
        }
    }
}

/// Why a batch could not be counted.
#[derive(Debug, Error)]
pub enum AggregateError {
    /// A column does not have the type that planning promised.
    #[error("{aggregate}: expected a column of type {expected}, found {found}")]
    Type {
        /// Which aggregate.
        aggregate: &'static str,
        /// What planning promised.
        expected: String,
        /// What came.
        found: String,
    },
    /// A sum left the range of 38 decimal digits.
    #[error("the sum of a measure left the range of 38 decimal digits")]
    Overflow,
    /// A stored sketch could not be read.
    #[error(transparent)]
    Sketch(#[from] SketchError),
    /// Arrow refused.
    #[error(transparent)]
    Arrow(#[from] arrow::error::ArrowError),
}

/// Fresh states for a kind of measure.
pub fn new_states(kind: MeasureKind) -> Box<dyn States> {
    match kind {
        MeasureKind::Count => Box::new(count::CountStates::default()),
        MeasureKind::Sum { scale } => Box::new(sum::SumStates::new(scale)),
        MeasureKind::Avg { scale } => Box::new(avg::AvgStates::new(scale)),
        MeasureKind::Min { value } => extreme::new_states(extreme::Side::Min, value),
        MeasureKind::Max { value } => extreme::new_states(extreme::Side::Max, value),
        MeasureKind::Hdr { digits } => Box::new(hdr::HdrStates::new(digits)),
        MeasureKind::Distinct => Box::new(distinct::DistinctStates::default()),
        MeasureKind::Last { value } => Box::new(last::LastStates::new(value)),
        MeasureKind::Samples => Box::<samples::SampleStates>::default(),
    }
}

fn type_error(aggregate: &'static str, expected: &str, found: Option<&ArrayRef>) -> AggregateError {
    let found = found.map_or("no column".to_owned(), |a| a.data_type().to_string());
    AggregateError::Type { aggregate, expected: expected.to_owned(), found }
}

#[cfg(test)]
mod tests;

//! `avg(x)`: sum and count. An average is never stored, for averages do not merge.

use super::count::CountStates;
use super::sum::SumStates;
use super::{AggregateError, Rows, States};
use arrow::array::ArrayRef;

#[derive(Debug)]
pub(super) struct AvgStates {
    sum: SumStates,
    count: CountStates,
}

impl AvgStates {
    pub(super) fn new(scale: i8) -> Self {
        Self { sum: SumStates::new(scale), count: CountStates::default() }
    }
}

impl States for AvgStates {
    fn update(&mut self, rows: &Rows<'_>, values: &[ArrayRef]) -> Result<(), AggregateError> {
        self.sum.update(rows, values)?;
        self.count.update(rows, values)
    }

    fn merge(&mut self, rows: &Rows<'_>, states: &[ArrayRef]) -> Result<(), AggregateError> {
        let (sum, count) = states.split_at(states.len().min(1));
        self.sum.merge(rows, sum)?;
        self.count.merge(rows, count)
    }

    fn state(&self, slot_count: usize) -> Result<Vec<ArrayRef>, AggregateError> {
        let mut columns = self.sum.state(slot_count)?;
        columns.extend(self.count.state(slot_count)?);
        Ok(columns)
    }

    fn size_bytes(&self) -> usize {
        self.sum.size_bytes() + self.count.size_bytes()
    }
}

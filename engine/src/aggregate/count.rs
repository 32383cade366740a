//! `count(*)` and `count(x)`: a 64-bit integer per slot.

use super::{AggregateError, Rows, States, type_error};
use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::datatypes::Int64Type;
use std::sync::Arc;

#[derive(Debug, Default)]
pub(super) struct CountStates {
    counts: Vec<i64>,
}

impl CountStates {
    pub(super) fn values(&self, slot_count: usize) -> Vec<i64> {
        let mut counts = self.counts.clone();
        counts.resize(slot_count, 0);
        counts
    }
}

impl States for CountStates {
    fn update(&mut self, rows: &Rows<'_>, values: &[ArrayRef]) -> Result<(), AggregateError> {
        self.counts.resize(rows.slot_count, 0);
        rows.for_each_valid(values.first().map(|v| v.as_ref()), |_, slot| self.counts[slot] += 1);
        Ok(())
    }

    fn merge(&mut self, rows: &Rows<'_>, states: &[ArrayRef]) -> Result<(), AggregateError> {
        let counts = states.first().and_then(|s| s.as_primitive_opt::<Int64Type>());
        let counts = counts.ok_or_else(|| type_error("count", "Int64", states.first()))?;
        self.counts.resize(rows.slot_count, 0);
        rows.for_each_valid(Some(counts as &dyn Array), |row, slot| {
            self.counts[slot] = self.counts[slot].saturating_add(counts.value(row));
        });
        Ok(())
    }

    fn state(&self, slot_count: usize) -> Result<Vec<ArrayRef>, AggregateError> {
        Ok(vec![Arc::new(Int64Array::from(self.values(slot_count)))])
    }

    fn size_bytes(&self) -> usize {
        self.counts.capacity() * size_of::<i64>()
    }
}

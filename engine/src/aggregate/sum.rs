//! `sum(x)` of integers or decimals: a 128-bit integer in units of 10^-scale, null while nothing was
//! seen. Floats are refused when the rollup is planned: their sum depends on the order of addition.

use super::{AggregateError, Rows, States, type_error};
use crate::rollup::SUM_PRECISION;
use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array};
use arrow::datatypes::{DataType, Decimal128Type, Int64Type};
use std::sync::Arc;

/// Largest magnitude of a decimal with 38 digits.
const SUM_MAX: i128 = 10i128.pow(SUM_PRECISION as u32) - 1;

#[derive(Debug)]
pub(super) struct SumStates {
    scale: i8,
    sums: Vec<Option<i128>>,
}

impl SumStates {
    pub(super) fn new(scale: i8) -> Self {
        Self { scale, sums: Vec::new() }
    }

    fn add(&mut self, rows: &Rows<'_>, values: &dyn Array, get: impl Fn(usize) -> i128) -> Result<(), AggregateError> {
        self.sums.resize(rows.slot_count, None);
        let mut overflow = false;
        rows.for_each_valid(Some(values), |row, slot| {
            let sum = self.sums[slot].unwrap_or(0).checked_add(get(row));
            overflow |= sum.is_none_or(|s| s.unsigned_abs() > SUM_MAX.unsigned_abs());
            self.sums[slot] = sum.or(self.sums[slot]);
        });
        if overflow { Err(AggregateError::Overflow) } else { Ok(()) }
    }
}

impl States for SumStates {
    fn update(&mut self, rows: &Rows<'_>, values: &[ArrayRef]) -> Result<(), AggregateError> {
        let column = values.first().ok_or_else(|| type_error("sum", "a number", None))?;
        match column.data_type() {
            DataType::Int64 => {
                let ints = column.as_primitive::<Int64Type>();
                self.add(rows, ints, |row| i128::from(ints.value(row)))
            }
            DataType::Decimal128(_, scale) if *scale == self.scale => {
                let decimals = column.as_primitive::<Decimal128Type>();
                self.add(rows, decimals, |row| decimals.value(row))
            }
            _ => Err(type_error("sum", "Int64 or Decimal128", Some(column))),
        }
    }

    fn merge(&mut self, rows: &Rows<'_>, states: &[ArrayRef]) -> Result<(), AggregateError> {
        self.update(rows, states)
    }

    fn state(&self, slot_count: usize) -> Result<Vec<ArrayRef>, AggregateError> {
        let mut sums = self.sums.clone();
        sums.resize(slot_count, None);
        let array = Decimal128Array::from(sums).with_precision_and_scale(SUM_PRECISION, self.scale)?;
        Ok(vec![Arc::new(array)])
    }

    fn size_bytes(&self) -> usize {
        self.sums.capacity() * size_of::<Option<i128>>()
    }
}

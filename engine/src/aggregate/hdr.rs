//! `hdr(x[, digits])`: an HDR histogram per slot. Negative values have no bucket: they are refused
//! and counted, never clamped.

use super::{AggregateError, Rows, States, type_error};
use crate::sketch::HdrSketch;
use arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder};
use arrow::datatypes::Int64Type;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct HdrStates {
    digits: u8,
    sketches: Vec<HdrSketch>,
    refused: u64,
}

impl HdrStates {
    pub(super) fn new(digits: u8) -> Self {
        Self { digits, sketches: Vec::new(), refused: 0 }
    }

    fn grow(&mut self, slot_count: usize) {
        let digits = self.digits;
        self.sketches.resize_with(slot_count, || HdrSketch::new(digits));
    }
}

impl States for HdrStates {
    fn update(&mut self, rows: &Rows<'_>, values: &[ArrayRef]) -> Result<(), AggregateError> {
        let column = values.first().and_then(|v| v.as_primitive_opt::<Int64Type>());
        let column = column.ok_or_else(|| type_error("hdr", "Int64", values.first()))?;
        self.grow(rows.slot_count);
        rows.for_each_valid(Some(column as &dyn Array), |row, slot| match u64::try_from(column.value(row)) {
            Ok(value) => self.sketches[slot].record_n(value, 1),
            Err(_) => self.refused += 1,
        });
        Ok(())
    }

    fn merge(&mut self, rows: &Rows<'_>, states: &[ArrayRef]) -> Result<(), AggregateError> {
        let column = states.first().and_then(|s| s.as_binary_opt::<i32>());
        let column = column.ok_or_else(|| type_error("hdr", "Binary", states.first()))?;
        self.grow(rows.slot_count);
        let mut result = Ok(());
        rows.for_each_valid(Some(column as &dyn Array), |row, slot| {
            if result.is_ok() {
                result = self.sketches[slot].merge_v2(column.value(row));
            }
        });
        Ok(result?)
    }

    fn state(&self, slot_count: usize) -> Result<Vec<ArrayRef>, AggregateError> {
        let mut builder = BinaryBuilder::with_capacity(slot_count, slot_count * 64);
        for slot in 0..slot_count {
            match self.sketches.get(slot).filter(|s| s.count() > 0) {
                Some(sketch) => builder.append_value(sketch.to_v2()),
                None => builder.append_null(),
            }
        }
        Ok(vec![Arc::new(builder.finish())])
    }

    fn size_bytes(&self) -> usize {
        self.sketches.iter().map(HdrSketch::size_bytes).sum()
    }

    fn take_refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused)
    }
}

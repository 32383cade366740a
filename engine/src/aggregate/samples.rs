//! `samples(x)`: every value with the millisecond of its event time, per slot. See [`crate::samples`].

use super::{AggregateError, Rows, States, type_error};
use crate::samples::SampleSet;
use arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder};
use arrow::datatypes::{DataType, Float64Type, TimestampMicrosecondType};
use std::sync::Arc;

#[derive(Debug, Default)]
pub(super) struct SampleStates {
    sets: Vec<SampleSet>,
}

impl States for SampleStates {
    /// Floats or encoded samples, and their event times.
    fn update(&mut self, rows: &Rows<'_>, values: &[ArrayRef]) -> Result<(), AggregateError> {
        let column = values.first().ok_or_else(|| type_error("samples", "Float64 or Binary", None))?;
        if !matches!(column.data_type(), DataType::Float64 | DataType::Binary) {
            return Err(type_error("samples", "Float64 or Binary", values.first()));
        }
        let times = values.get(1).and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
        let times = times.ok_or_else(|| type_error("samples", "Timestamp", values.get(1)))?;
        self.sets.resize_with(rows.slot_count, SampleSet::new);
        let (sets, mut result) = (&mut self.sets, Ok(()));
        let time_ms = |row| times.value(row).div_euclid(1000);
        if let Some(floats) = column.as_primitive_opt::<Float64Type>() {
            rows.for_each_valid(Some(floats as &dyn Array), |row, slot| {
                sets[slot].insert(time_ms(row), floats.value(row))
            });
        } else {
            let encoded = column.as_binary::<i32>();
            rows.for_each_valid(Some(encoded as &dyn Array), |row, slot| {
                if result.is_ok() {
                    result = sets[slot].insert_encoded(time_ms(row), encoded.value(row));
                }
            });
        }
        Ok(result?)
    }

    fn merge(&mut self, rows: &Rows<'_>, states: &[ArrayRef]) -> Result<(), AggregateError> {
        let column = states.first().and_then(|s| s.as_binary_opt::<i32>());
        let column = column.ok_or_else(|| type_error("samples", "Binary", states.first()))?;
        self.sets.resize_with(rows.slot_count, SampleSet::new);
        let (sets, mut result) = (&mut self.sets, Ok(()));
        rows.for_each_valid(Some(column as &dyn Array), |row, slot| {
            if result.is_ok() {
                result = sets[slot].merge_bytes(column.value(row));
            }
        });
        Ok(result?)
    }

    fn state(&self, slot_count: usize) -> Result<Vec<ArrayRef>, AggregateError> {
        let mut builder = BinaryBuilder::with_capacity(slot_count, slot_count * 64);
        for slot in 0..slot_count {
            match self.sets.get(slot).filter(|s| !s.is_empty()) {
                Some(set) => builder.append_value(set.to_bytes()),
                None => builder.append_null(),
            }
        }
        Ok(vec![Arc::new(builder.finish())])
    }

    fn size_bytes(&self) -> usize {
        self.sets.capacity() * size_of::<SampleSet>() + self.sets.iter().map(SampleSet::size_bytes).sum::<usize>()
    }
}

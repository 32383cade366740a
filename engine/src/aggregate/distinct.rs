//! `approx_distinct(x)`: the set of values seen per slot, exact while small. The hash is taken of the
//! value itself (UTF-8 bytes, or the little-endian integer), so that equal values of two rollups meet.

use super::{AggregateError, Rows, States, type_error};
use crate::sketch::DistinctSketch;
use crate::sketch::distinct::hash_value;
use arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder};
use arrow::datatypes::{DataType, Int64Type};
use std::sync::Arc;

#[derive(Debug, Default)]
pub(super) struct DistinctStates {
    sketches: Vec<DistinctSketch>,
}

impl States for DistinctStates {
    fn update(&mut self, rows: &Rows<'_>, values: &[ArrayRef]) -> Result<(), AggregateError> {
        self.sketches.resize_with(rows.slot_count, DistinctSketch::new);
        let column = values.first().ok_or_else(|| type_error("approx_distinct", "a column", None))?;
        let sketches = &mut self.sketches;
        match column.data_type() {
            DataType::Utf8 => {
                let texts = column.as_string::<i32>();
                rows.for_each_valid(Some(texts as &dyn Array), |row, slot| {
                    sketches[slot].insert_hash(hash_value(texts.value(row).as_bytes()));
                });
            }
            DataType::Int64 => {
                let ints = column.as_primitive::<Int64Type>();
                rows.for_each_valid(Some(ints as &dyn Array), |row, slot| {
                    sketches[slot].insert_hash(hash_value(&ints.value(row).to_le_bytes()));
                });
            }
            _ => return Err(type_error("approx_distinct", "Utf8 or Int64", Some(column))),
        }
        Ok(())
    }

    fn merge(&mut self, rows: &Rows<'_>, states: &[ArrayRef]) -> Result<(), AggregateError> {
        let column = states.first().and_then(|s| s.as_binary_opt::<i32>());
        let column = column.ok_or_else(|| type_error("approx_distinct", "Binary", states.first()))?;
        self.sketches.resize_with(rows.slot_count, DistinctSketch::new);
        let mut result = Ok(());
        rows.for_each_valid(Some(column as &dyn Array), |row, slot| {
            if result.is_ok() {
                result = self.sketches[slot].merge_bytes(column.value(row));
            }
        });
        Ok(result?)
    }

    fn state(&self, slot_count: usize) -> Result<Vec<ArrayRef>, AggregateError> {
        let mut builder = BinaryBuilder::new();
        for slot in 0..slot_count {
            match self.sketches.get(slot).filter(|s| !s.is_empty()) {
                Some(sketch) => builder.append_value(sketch.to_bytes()),
                None => builder.append_null(),
            }
        }
        Ok(vec![Arc::new(builder.finish())])
    }

    fn size_bytes(&self) -> usize {
        self.sketches.iter().map(DistinctSketch::size_bytes).sum()
    }
}

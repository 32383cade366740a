//! Merging stored partials: rows of equal window and dimensions become one.

use super::RollupSchema;
use crate::aggregate::{AggregateError, Rows, new_states};
use crate::series::{Interner, KeyTable};
use arrow::array::{AsArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::TimestampMicrosecondType;
use arrow::record_batch::RecordBatch;

/// Merges batches in the schema of `schema` into one with a single row per key, sorted by key.
pub fn merge_batches(schema: &RollupSchema, batches: &[RecordBatch]) -> Result<RecordBatch, AggregateError> {
    let dimensions = schema.dimensions.len();
    let windowed = usize::from(schema.pane_us.is_some());
    let mut interners: Vec<_> = schema.dimensions.iter().map(|d| Interner::new(d.value)).collect();
    let mut keys = KeyTable::new(dimensions);
    let mut states: Vec<_> = schema.measures.iter().map(|m| new_states(m.kind)).collect();
    for batch in batches {
        let mut lanes = vec![Vec::with_capacity(batch.num_rows()); dimensions];
        for ((interner, lane), column) in interners.iter_mut().zip(&mut lanes).zip(&batch.columns()[windowed..]) {
            interner.intern(column, lane);
        }
        // Without windows all rows lie in the same one.
        let nowhen = vec![0; if windowed == 0 { batch.num_rows() } else { 0 }];
        let windows = match windowed {
            0 => nowhen.as_slice(),
            _ => batch.column(0).as_primitive::<TimestampMicrosecondType>().values(),
        };
        let lanes: Vec<&[u32]> = lanes.iter().map(Vec::as_slice).collect();
        let mut slots = Vec::with_capacity(batch.num_rows());
        keys.assign(windows, &lanes, &mut slots, &mut Vec::new(), |_, _| None);
        let rows = Rows { slots: &slots, slot_count: keys.len(), filter: None };
        let mut column = windowed + dimensions;
        for (states, measure) in states.iter_mut().zip(&schema.measures) {
            let width = measure.state_fields().len();
            states.merge(&rows, &batch.columns()[column..column + width])?;
            column += width;
        }
    }
    let places: Vec<_> = interners.iter().map(Interner::places).collect();
    let places: Vec<&[u32]> = places.iter().map(Vec::as_slice).collect();
    let (mut columns, order) = keys.columns(windowed > 0, &interners.iter().collect::<Vec<_>>(), &places);
    let order = UInt32Array::from(order);
    for states in &states {
        for column in states.state(keys.len())? {
            columns.push(take(&column, &order, None)?);
        }
    }
    Ok(RecordBatch::try_new(schema.arrow_schema(), columns)?)
}

#[cfg(test)]
mod tests;

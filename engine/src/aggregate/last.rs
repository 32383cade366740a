//! `last(x)`: the value of the newest event per slot. Newest is the greatest sequence, then the greatest
//! event time, then the greatest value: a total order, so that the order of arrival does not show. An
//! event without a sequence is older than every event with one.

use super::scalar::{Scalar, to_column};
use super::{AggregateError, Rows, States, type_error};
use crate::rollup::ValueType;
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, TimestampMicrosecondArray};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use std::cmp::Ordering;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct LastStates {
    value: ValueType,
    newest: Vec<Option<Newest>>,
}

#[derive(Debug, Clone)]
struct Newest {
    sequence: Option<i64>,
    at_us: i64,
    value: Scalar,
}

impl Newest {
    fn order(&self, other: &Self) -> Ordering {
        let age = (self.sequence, self.at_us).cmp(&(other.sequence, other.at_us));
        age.then_with(|| self.value.order(&other.value))
    }
}

impl LastStates {
    pub(super) fn new(value: ValueType) -> Self {
        Self { value, newest: Vec::new() }
    }
}

impl States for LastStates {
    /// Value, event time, sequence: events and stored states have the same columns.
    fn update(&mut self, rows: &Rows<'_>, values: &[ArrayRef]) -> Result<(), AggregateError> {
        let value = values.first().filter(|c| *c.data_type() == self.value.data_type());
        let value = value.ok_or_else(|| type_error("last", &self.value.data_type().to_string(), values.first()))?;
        let times = values.get(1).and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
        let times = times.ok_or_else(|| type_error("last", "Timestamp", values.get(1)))?;
        let sequences = values.get(2).and_then(|c| c.as_primitive_opt::<Int64Type>());
        let sequences = sequences.ok_or_else(|| type_error("last", "Int64", values.get(2)))?;
        self.newest.resize(rows.slot_count, None);
        rows.for_each_valid(Some(value.as_ref()), |row, slot| {
            let sequence = sequences.is_valid(row).then(|| sequences.value(row));
            let (at_us, kept) = (times.value(row), &mut self.newest[slot]);
            if kept.as_ref().is_some_and(|k| (sequence, at_us) < (k.sequence, k.at_us)) {
                return;
            }
            let Some(value) = Scalar::read(value, row) else { return };
            let new = Newest { sequence, at_us, value };
            if kept.as_ref().is_none_or(|old| new.order(old) == Ordering::Greater) {
                *kept = Some(new);
            }
        });
        Ok(())
    }

    fn merge(&mut self, rows: &Rows<'_>, states: &[ArrayRef]) -> Result<(), AggregateError> {
        self.update(rows, states)
    }

    fn state(&self, slot_count: usize) -> Result<Vec<ArrayRef>, AggregateError> {
        let slots = || (0..slot_count).map(|slot| self.newest.get(slot).and_then(Option::as_ref));
        let times = slots().map(|n| n.map(|n| n.at_us)).collect::<TimestampMicrosecondArray>();
        let sequences = slots().map(|n| n.and_then(|n| n.sequence)).collect::<Int64Array>();
        Ok(vec![
            to_column(self.value, slots().map(|n| n.map(|n| &n.value)))?,
            Arc::new(times.with_timezone("UTC")),
            Arc::new(sequences),
        ])
    }

    fn size_bytes(&self) -> usize {
        let heap: usize = self.newest.iter().flatten().map(|n| n.value.heap_bytes()).sum();
        self.newest.capacity() * size_of::<Option<Newest>>() + heap
    }
}

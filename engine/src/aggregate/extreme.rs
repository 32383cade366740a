//! `min(x)` and `max(x)`: the extreme value per slot, null while nothing was seen. Floats compare in
//! IEEE 754 total order, so that even NaN and -0 do not depend on the order of events.

use super::{AggregateError, Rows, States, type_error};
use crate::rollup::ValueType;
use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::datatypes::{ArrowNativeTypeOp, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use std::fmt::Debug;
use std::sync::Arc;

/// Which end is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Min,
    Max,
}

pub(super) fn new_states(side: Side, value: ValueType) -> Box<dyn States> {
    match value {
        ValueType::Int64 => Box::new(ExtremeStates::<Int64Type>::new(side, value)),
        ValueType::Float64 => Box::new(ExtremeStates::<Float64Type>::new(side, value)),
        ValueType::Timestamp => Box::new(ExtremeStates::<TimestampMicrosecondType>::new(side, value)),
        ValueType::Decimal { .. } => Box::new(ExtremeStates::<Decimal128Type>::new(side, value)),
        ValueType::Utf8 | ValueType::Boolean => Box::new(super::scalar::ExtremeScalars::new(side, value)),
    }
}

#[derive(Debug)]
struct ExtremeStates<T: ArrowPrimitiveType> {
    side: Side,
    value: ValueType,
    extremes: Vec<Option<T::Native>>,
}

impl<T: ArrowPrimitiveType> ExtremeStates<T> {
    fn new(side: Side, value: ValueType) -> Self {
        Self { side, value, extremes: Vec::new() }
    }
}

impl<T: ArrowPrimitiveType + Debug> States for ExtremeStates<T>
where
    T::Native: ArrowNativeTypeOp,
{
    fn update(&mut self, rows: &Rows<'_>, values: &[ArrayRef]) -> Result<(), AggregateError> {
        let column = values.first().and_then(|v| v.as_primitive_opt::<T>());
        let column =
            column.ok_or_else(|| type_error("min/max", &self.value.data_type().to_string(), values.first()))?;
        self.extremes.resize(rows.slot_count, None);
        rows.for_each_valid(Some(column as &dyn Array), |row, slot| {
            let (new, kept) = (column.value(row), &mut self.extremes[slot]);
            let replaces = kept.is_none_or(|old| match self.side {
                Side::Min => new.is_lt(old),
                Side::Max => new.is_gt(old),
            });
            if replaces {
                *kept = Some(new);
            }
        });
        Ok(())
    }

    fn merge(&mut self, rows: &Rows<'_>, states: &[ArrayRef]) -> Result<(), AggregateError> {
        self.update(rows, states)
    }

    fn state(&self, slot_count: usize) -> Result<Vec<ArrayRef>, AggregateError> {
        let mut extremes = self.extremes.clone();
        extremes.resize(slot_count, None);
        let array = extremes.into_iter().collect::<PrimitiveArray<T>>();
        Ok(vec![Arc::new(array.with_data_type(self.value.data_type()))])
    }

    fn size_bytes(&self) -> usize {
        self.extremes.capacity() * size_of::<Option<T::Native>>()
    }
}

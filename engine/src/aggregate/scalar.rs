//! One value of any kept type, with a total order, and the extremes of types that are no numbers.

use super::extreme::Side;
use super::{AggregateError, Rows, States, type_error};
use crate::rollup::{SUM_PRECISION, ValueType};
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array, Int64Array, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use std::cmp::Ordering;
use std::sync::Arc;

/// A value out of a column. Values of one measure are of one variant.
#[derive(Debug, Clone)]
pub(super) enum Scalar {
    /// Also instants, in microseconds since the epoch.
    Int(i64),
    Float(f64),
    Decimal(i128),
    Text(Box<str>),
    Bool(bool),
}

impl Scalar {
    /// Reads a row that is not null; `None` when the column has another type.
    pub(super) fn read(column: &dyn Array, row: usize) -> Option<Self> {
        Some(match column.data_type() {
            DataType::Int64 => Self::Int(column.as_primitive::<Int64Type>().value(row)),
            DataType::Timestamp(..) => Self::Int(column.as_primitive_opt::<TimestampMicrosecondType>()?.value(row)),
            DataType::Float64 => Self::Float(column.as_primitive::<Float64Type>().value(row)),
            DataType::Decimal128(..) => Self::Decimal(column.as_primitive::<Decimal128Type>().value(row)),
            DataType::Utf8 => Self::Text(column.as_string::<i32>().value(row).into()),
            DataType::Boolean => Self::Bool(column.as_boolean().value(row)),
            _ => return None,
        })
    }

    /// A total order; floats in IEEE 754 total order.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => a.total_cmp(b),
            (Self::Decimal(a), Self::Decimal(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            // Never within one measure; some order that is total all the same.
            (a, b) => a.rank().cmp(&b.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Int(_) => 0,
            Self::Float(_) => 1,
            Self::Decimal(_) => 2,
            Self::Text(_) => 3,
            Self::Bool(_) => 4,
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            _ => 0,
        }
    }
}

/// A column of the Arrow type of `value`.
pub(super) fn to_column<'a>(
    value: ValueType,
    values: impl Iterator<Item = Option<&'a Scalar>>,
) -> Result<ArrayRef, AggregateError> {
    fn pick<'a, T>(
        values: impl Iterator<Item = Option<&'a Scalar>>,
        get: impl Fn(&'a Scalar) -> Option<T>,
    ) -> impl Iterator<Item = Option<T>> {
        values.map(move |v| v.and_then(&get))
    }
    let int = |s: &Scalar| if let Scalar::Int(v) = s { Some(*v) } else { None };
    Ok(match value {
        ValueType::Int64 => Arc::new(pick(values, int).collect::<Int64Array>()),
        ValueType::Timestamp => Arc::new(pick(values, int).collect::<TimestampMicrosecondArray>().with_timezone("UTC")),
        ValueType::Float64 => {
            let float = |s: &Scalar| if let Scalar::Float(v) = s { Some(*v) } else { None };
            Arc::new(pick(values, float).collect::<Float64Array>())
        }
        ValueType::Decimal { scale } => {
            let decimal = |s: &Scalar| if let Scalar::Decimal(v) = s { Some(*v) } else { None };
            let column = pick(values, decimal).collect::<Decimal128Array>();
            Arc::new(column.with_precision_and_scale(SUM_PRECISION, scale)?)
        }
        ValueType::Utf8 => {
            let text = |s: &'a Scalar| if let Scalar::Text(v) = s { Some(&**v) } else { None };
            Arc::new(pick(values, text).collect::<StringArray>())
        }
        ValueType::Boolean => {
            let bool = |s: &Scalar| if let Scalar::Bool(v) = s { Some(*v) } else { None };
            Arc::new(pick(values, bool).collect::<BooleanArray>())
        }
    })
}

/// `min` and `max` of texts and booleans.
#[derive(Debug)]
pub(super) struct ExtremeScalars {
    side: Side,
    value: ValueType,
    extremes: Vec<Option<Scalar>>,
}

impl ExtremeScalars {
    pub(super) fn new(side: Side, value: ValueType) -> Self {
        Self { side, value, extremes: Vec::new() }
    }
}

impl States for ExtremeScalars {
    fn update(&mut self, rows: &Rows<'_>, values: &[ArrayRef]) -> Result<(), AggregateError> {
        let column = values.first().filter(|c| *c.data_type() == self.value.data_type());
        let column =
            column.ok_or_else(|| type_error("min/max", &self.value.data_type().to_string(), values.first()))?;
        self.extremes.resize(rows.slot_count, None);
        let better = if self.side == Side::Min { Ordering::Less } else { Ordering::Greater };
        rows.for_each_valid(Some(column.as_ref()), |row, slot| {
            let Some(new) = Scalar::read(column, row) else { return };
            let kept = &mut self.extremes[slot];
            if kept.as_ref().is_none_or(|old| new.order(old) == better) {
                *kept = Some(new);
            }
        });
        Ok(())
    }

    fn merge(&mut self, rows: &Rows<'_>, states: &[ArrayRef]) -> Result<(), AggregateError> {
        self.update(rows, states)
    }

    fn state(&self, slot_count: usize) -> Result<Vec<ArrayRef>, AggregateError> {
        let values = (0..slot_count).map(|slot| self.extremes.get(slot).and_then(Option::as_ref));
        Ok(vec![to_column(self.value, values)?])
    }

    fn size_bytes(&self) -> usize {
        let heap: usize = self.extremes.iter().flatten().map(Scalar::heap_bytes).sum();
        self.extremes.capacity() * size_of::<Option<Scalar>>() + heap
    }
}

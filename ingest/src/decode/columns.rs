//! Column buffers that can take back the row in progress, which Arrow's builders cannot.

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Decimal128Array, Float64Array, Int64Array, StringArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use std::sync::Arc;

/// One column; the row in progress may be set several times, the last value stays.
#[derive(Debug)]
pub(super) struct Column {
    values: Values,
    valid: Vec<bool>,
}

#[derive(Debug)]
enum Values {
    /// UTF-8, or any bytes.
    Text {
        bytes: Vec<u8>,
        ends: Vec<i32>,
        is_utf8: bool,
    },
    Int(Vec<i64>),
    Time(Vec<i64>),
    Float(Vec<f64>),
    Bool(Vec<bool>),
    Decimal {
        values: Vec<i128>,
        precision: u8,
        scale: i8,
    },
}

impl Column {
    pub fn new(data_type: &DataType) -> Self {
        let values = match data_type {
            DataType::Int64 => Values::Int(Vec::new()),
            DataType::Timestamp(..) => Values::Time(Vec::new()),
            DataType::Float64 => Values::Float(Vec::new()),
            DataType::Boolean => Values::Bool(Vec::new()),
            DataType::Decimal128(precision, scale) => {
                Values::Decimal { values: Vec::new(), precision: *precision, scale: *scale }
            }
            _ => Values::Text { bytes: Vec::new(), ends: vec![0], is_utf8: *data_type != DataType::Binary },
        };
        Self { values, valid: Vec::new() }
    }

    /// Number of rows, the one in progress included when it has a value.
    pub fn len(&self) -> usize {
        self.valid.len()
    }

    /// Forgets everything from row `rows` on.
    pub fn truncate(&mut self, rows: usize) {
        if self.len() <= rows {
            return;
        }
        self.valid.truncate(rows);
        match &mut self.values {
            Values::Text { bytes, ends, .. } => {
                ends.truncate(rows + 1);
                bytes.truncate(ends.last().map_or(0, |&e| e as usize));
            }
            Values::Int(v) | Values::Time(v) => v.truncate(rows),
            Values::Float(v) => v.truncate(rows),
            Values::Bool(v) => v.truncate(rows),
            Values::Decimal { values, .. } => values.truncate(rows),
        }
    }

    /// Completes the row in progress with a null, if it has no value.
    pub fn pad_to(&mut self, rows: usize) {
        while self.len() < rows {
            self.valid.push(false);
            match &mut self.values {
                Values::Text { bytes, ends, .. } => ends.push(bytes.len() as i32),
                Values::Int(v) | Values::Time(v) => v.push(0),
                Values::Float(v) => v.push(0.0),
                Values::Bool(v) => v.push(false),
                Values::Decimal { values, .. } => values.push(0),
            }
        }
    }

    /// Completes `rows` rows from row `row` on: a value that stands in the first is that of all, else all
    /// are null.
    pub fn spread(&mut self, row: usize, rows: usize) {
        if rows == 1 {
            return self.pad_to(row + 1);
        }
        let repeated = rows.saturating_sub(1);
        if self.len() <= row || rows == 0 {
            self.truncate(row);
            return self.pad_to(row + rows);
        }
        let length = self.valid.len() + repeated;
        self.valid.resize(length, true);
        match &mut self.values {
            Values::Text { bytes, ends, .. } => {
                let start = ends[row] as usize;
                let end = bytes.len();
                for _ in 0..repeated {
                    bytes.extend_from_within(start..end);
                    ends.push(bytes.len() as i32);
                }
            }
            Values::Int(v) | Values::Time(v) => v.resize(length, v[row]),
            Values::Float(v) => v.resize(length, v[row]),
            Values::Bool(v) => v.resize(length, v[row]),
            Values::Decimal { values, .. } => values.resize(length, values[row]),
        }
    }

    pub fn set_text(&mut self, text: &str) {
        self.set_bytes(text.as_bytes());
    }

    /// Sets a text or, in a column of bytes, anything.
    pub fn set_bytes(&mut self, value: &[u8]) {
        if let Values::Text { bytes, ends, .. } = &mut self.values {
            bytes.extend_from_slice(value);
            ends.push(bytes.len() as i32);
            self.valid.push(true);
        }
    }

    /// Sets an integer or an instant.
    pub fn set_int(&mut self, value: i64) {
        if let Values::Int(v) | Values::Time(v) = &mut self.values {
            v.push(value);
            self.valid.push(true);
        }
    }

    pub fn set_float(&mut self, value: f64) {
        if let Values::Float(v) = &mut self.values {
            v.push(value);
            self.valid.push(true);
        }
    }

    pub fn set_bool(&mut self, value: bool) {
        if let Values::Bool(v) = &mut self.values {
            v.push(value);
            self.valid.push(true);
        }
    }

    pub fn set_decimal(&mut self, value: i128) {
        if let Values::Decimal { values, .. } = &mut self.values {
            values.push(value);
            self.valid.push(true);
        }
    }

    /// The rows as an Arrow array, leaving an empty column.
    pub fn take(&mut self) -> Result<ArrayRef, ArrowError> {
        let valid = std::mem::take(&mut self.valid);
        let nulls = valid.contains(&false).then(|| NullBuffer::from(valid));
        Ok(match &mut self.values {
            Values::Text { bytes, ends, is_utf8 } => {
                let offsets = OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(ends, vec![0])));
                let bytes = Buffer::from_vec(std::mem::take(bytes));
                match is_utf8 {
                    true => Arc::new(StringArray::try_new(offsets, bytes, nulls)?),
                    false => Arc::new(BinaryArray::try_new(offsets, bytes, nulls)?),
                }
            }
            Values::Int(v) => Arc::new(Int64Array::try_new(std::mem::take(v).into(), nulls)?),
            Values::Time(v) => {
                Arc::new(TimestampMicrosecondArray::try_new(std::mem::take(v).into(), nulls)?.with_timezone("UTC"))
            }
            Values::Float(v) => Arc::new(Float64Array::try_new(std::mem::take(v).into(), nulls)?),
            Values::Bool(v) => Arc::new(BooleanArray::new(std::mem::take(v).into(), nulls)),
            Values::Decimal { values, precision, scale } => Arc::new(
                Decimal128Array::try_new(std::mem::take(values).into(), nulls)?
                    .with_precision_and_scale(*precision, *scale)?,
            ),
        })
    }
}

//! Answers as rows of Postgres: types, text and binary.
//!
//! `arrow-pg` writes most types. Decimals are ours, since it holds no more than 28 digits, and so are nulls,
//! which it writes as zeros in columns of intervals.

use super::errors::{error, state};
use bytes::{BufMut, BytesMut};
use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion_postgres::arrow_pg::datatypes::field_into_pg_type;
use datafusion_postgres::arrow_pg::encoder::{Encoder, encode_value};
use datafusion_postgres::pgwire::api::Type;
use datafusion_postgres::pgwire::api::portal::Format;
use datafusion_postgres::pgwire::api::results::{DataRowEncoder, FieldFormat, FieldInfo};
use datafusion_postgres::pgwire::error::PgWireResult;
use datafusion_postgres::pgwire::messages::data::DataRow;
use datafusion_postgres::pgwire::types::ToSqlText;
use datafusion_postgres::pgwire::types::format::FormatOptions;
use postgres_types::{IsNull, ToSql, to_sql_checked};
use std::error::Error;
use std::sync::Arc;
use tidewatch_query::Answer;

/// The columns of an answer in the formats asked for.
///
/// Errors: another number of formats than of columns; a type that Postgres has not.
pub(super) fn fields(
    schema: &Schema,
    format: &Format,
    options: Option<&Arc<FormatOptions>>,
) -> PgWireResult<Vec<FieldInfo>> {
    let columns = schema.fields().len();
    if let Format::Individual(formats) = format
        && formats.len() != columns
    {
        let message = format!("{} result formats for {columns} columns", formats.len());
        return Err(error(state::PROTOCOL, message));
    }
    let field = |(at, f): (usize, &FieldRef)| {
        let info = FieldInfo::new(f.name().clone(), None, None, type_of(f)?, format.format_for(at));
        let info = info.with_type_size(size_of(f.data_type())).with_type_modifier(modifier_of(f.data_type()));
        Ok(match options {
            Some(options) => info.with_format_options(Arc::clone(options)),
            None => info,
        })
    };
    schema.fields().iter().enumerate().map(field).collect()
}

/// A column without any value is text, as it is in Postgres.
fn type_of(field: &FieldRef) -> PgWireResult<Type> {
    match field.data_type() {
        DataType::Null => Ok(Type::TEXT),
        DataType::Decimal256(..) | DataType::Decimal64(..) | DataType::Decimal32(..) => Ok(Type::NUMERIC),
        _ => field_into_pg_type(field),
    }
}

fn size_of(data_type: &DataType) -> i16 {
    match data_type {
        DataType::Boolean => 1,
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => 2,
        DataType::Int32 | DataType::UInt16 | DataType::Float32 | DataType::Date32 => 4,
        DataType::Int64 | DataType::UInt32 | DataType::Float64 | DataType::Timestamp(..) => 8,
        DataType::Interval(_) | DataType::Duration(_) => 16,
        _ => -1,
    }
}

/// Precision and scale of a decimal, as Postgres packs them.
fn modifier_of(data_type: &DataType) -> i32 {
    match data_type {
        DataType::Decimal128(precision, scale) if *scale >= 0 => {
            ((i32::from(*precision) << 16) | i32::from(*scale)) + 4
        }
        _ => -1,
    }
}

/// All rows, written while they are sent. Columns are those that were described, should a plan over real rows
/// have come to another type of the same kind.
pub(super) fn data_rows(
    answer: Answer,
    described: Option<SchemaRef>,
    fields: Arc<Vec<FieldInfo>>,
) -> impl Iterator<Item = PgWireResult<DataRow>> + Send {
    let schema = described.unwrap_or_else(|| Arc::clone(&answer.schema));
    answer.batches.into_iter().flat_map(move |batch| -> Box<dyn Iterator<Item = _> + Send> {
        let columns = match in_types(&batch, &schema) {
            Ok(columns) => columns,
            Err(failed) => return Box::new(std::iter::once(Err(failed))),
        };
        let (fields, schema) = (Arc::clone(&fields), Arc::clone(&schema));
        let mut encoder = DataRowEncoder::new(Arc::clone(&fields));
        let rows = 0..batch.num_rows();
        Box::new(rows.map(move |row| encode_row(&mut encoder, &columns, row, &schema, &fields)))
    })
}

/// The columns of a batch in the types of a schema.
pub(super) fn in_types(batch: &RecordBatch, schema: &Schema) -> PgWireResult<Vec<ArrayRef>> {
    let column = |(array, field): (&ArrayRef, &FieldRef)| match array.data_type() == field.data_type() {
        true => Ok(Arc::clone(array)),
        false => cast(array, field.data_type()).map_err(|e| error("XX000", e.to_string())),
    };
    batch.columns().iter().zip(schema.fields()).map(column).collect()
}

/// One row.
pub(super) fn encode_row<E: Encoder>(
    encoder: &mut E,
    columns: &[ArrayRef],
    row: usize,
    schema: &Schema,
    fields: &[FieldInfo],
) -> PgWireResult<E::Item> {
    for ((array, arrow), pg) in columns.iter().zip(schema.fields()).zip(fields) {
        encode_cell(encoder, array, row, arrow, pg)?;
    }
    Ok(encoder.take_row())
}

fn encode_cell<E: Encoder>(
    encoder: &mut E,
    array: &ArrayRef,
    row: usize,
    arrow: &Field,
    pg: &FieldInfo,
) -> PgWireResult<()> {
    if array.is_null(row) || *arrow.data_type() == DataType::Null {
        return encoder.encode_field(&None::<i8>, pg);
    }
    match arrow.data_type() {
        DataType::Decimal128(_, scale) => {
            let digits = array.as_primitive::<Decimal128Type>().value(row).to_string();
            encoder.encode_field(&Numeric { digits, scale: *scale }, pg)
        }
        DataType::Decimal256(..) | DataType::Decimal64(..) | DataType::Decimal32(..) | DataType::UInt64 => {
            let text = datafusion::arrow::util::display::array_value_to_string(array, row);
            let text = text.map_err(|e| error("XX000", e.to_string()))?;
            let scale = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
            let scale = i8::try_from(scale).unwrap_or(i8::MAX);
            encoder.encode_field(&Numeric { digits: text.replace('.', ""), scale }, pg)
        }
        // Postgres' word for it.
        DataType::Float64 if pg.format() == FieldFormat::Text => {
            let value = array.as_primitive::<datafusion::arrow::datatypes::Float64Type>().value(row);
            match value.is_infinite() {
                true => encoder.encode_field(&if value > 0.0 { "Infinity" } else { "-Infinity" }, pg),
                false => encoder.encode_field(&value, pg),
            }
        }
        DataType::FixedSizeBinary(_) => encoder.encode_field(&array.as_fixed_size_binary().value(row), pg),
        _ => encode_value(encoder, array, row, arrow, pg),
    }
}

/// A decimal with all its digits.
#[derive(Debug)]
struct Numeric {
    /// A whole number, `scale` of whose digits are behind the point.
    digits: String,
    scale: i8,
}

impl Numeric {
    /// Sign, digits before the point without leading zeros, digits behind it.
    fn parts(&self) -> (bool, String, String) {
        let (is_negative, digits) = match self.digits.strip_prefix('-') {
            Some(rest) => (true, rest.to_owned()),
            None => (false, self.digits.clone()),
        };
        let scale = usize::from(self.scale.unsigned_abs());
        let (whole, fraction) = if self.scale < 0 {
            (format!("{digits}{}", "0".repeat(scale)), String::new())
        } else {
            let padded = format!("{digits:0>width$}", width = scale + 1);
            let (whole, fraction) = padded.split_at(padded.len() - scale);
            (whole.to_owned(), fraction.to_owned())
        };
        (is_negative, whole.trim_start_matches('0').to_owned(), fraction)
    }
}

impl ToSqlText for Numeric {
    fn to_sql_text(
        &self,
        _ty: &Type,
        out: &mut BytesMut,
        _options: &FormatOptions,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let (is_negative, whole, fraction) = self.parts();
        if is_negative {
            out.put_u8(b'-');
        }
        out.put_slice(if whole.is_empty() { b"0" } else { whole.as_bytes() });
        if !fraction.is_empty() {
            out.put_u8(b'.');
            out.put_slice(fraction.as_bytes());
        }
        Ok(IsNull::No)
    }
}

impl ToSql for Numeric {
    /// Groups of four decimal digits, how many, the weight of the first, sign and scale.
    fn to_sql(&self, _ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let (is_negative, whole, fraction) = self.parts();
        let lead = (4 - whole.len() % 4) % 4;
        let trail = (4 - fraction.len() % 4) % 4;
        let all = format!("{}{whole}{fraction}{}", "0".repeat(lead), "0".repeat(trail));
        let group = |four: &[u8]| four.iter().fold(0i16, |sum, digit| sum * 10 + i16::from(digit - b'0'));
        let mut groups: Vec<i16> = all.as_bytes().chunks(4).map(group).collect();
        let mut weight = i16::try_from((whole.len() + lead) / 4)? - 1;
        let leading = groups.iter().take_while(|g| **g == 0).count();
        groups.drain(..leading);
        weight -= i16::try_from(leading)?;
        while groups.last() == Some(&0) {
            groups.pop();
        }
        if groups.is_empty() {
            weight = 0;
        }
        out.put_i16(i16::try_from(groups.len())?);
        out.put_i16(weight);
        out.put_u16(if is_negative && !groups.is_empty() { 0x4000 } else { 0 });
        out.put_i16(i16::try_from(fraction.len())?);
        groups.into_iter().for_each(|g| out.put_i16(g));
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::NUMERIC
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(digits: &str, scale: i8) -> (String, Vec<u8>) {
        let numeric = Numeric { digits: digits.to_owned(), scale };
        let (mut text, mut binary) = (BytesMut::new(), BytesMut::new());
        numeric.to_sql_text(&Type::NUMERIC, &mut text, &FormatOptions::default()).unwrap();
        numeric.to_sql(&Type::NUMERIC, &mut binary).unwrap();
        (String::from_utf8(text.to_vec()).unwrap(), binary.to_vec())
    }

    /// Count, weight, sign, scale, groups: as `numeric_send` of Postgres writes them.
    fn packed(header: [u16; 4], groups: &[u16]) -> Vec<u8> {
        header.iter().chain(groups).flat_map(|n| n.to_be_bytes()).collect()
    }

    #[test]
    fn decimals_have_all_their_digits() {
        assert_eq!(written("0", 0), ("0".to_owned(), packed([0, 0, 0, 0], &[])));
        assert_eq!(written("0", 2), ("0.00".to_owned(), packed([0, 0, 0, 2], &[])));
        assert_eq!(written("123456", 2), ("1234.56".to_owned(), packed([2, 0, 0, 2], &[1234, 5600])));
        assert_eq!(written("-5", 2), ("-0.05".to_owned(), packed([1, u16::MAX, 0x4000, 2], &[500])));
        assert_eq!(written("1", 5), ("0.00001".to_owned(), packed([1, u16::MAX - 1, 0, 5], &[1000])));
        assert_eq!(written("12", -3), ("12000".to_owned(), packed([2, 1, 0, 0], &[1, 2000])));
        assert_eq!(written("10000", 0), ("10000".to_owned(), packed([1, 1, 0, 0], &[1])));
        let (text, binary) = written("99999999999999999999999999999999999999", 10);
        assert_eq!(text, "9999999999999999999999999999.9999999999");
        assert_eq!(binary.len(), 8 + 2 * 10);
    }
}

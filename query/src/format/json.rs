//! JSON: one document, or one object per line. Lists and structs are arrays and objects.

use super::{is_null, options, type_name};
use crate::sql::Answer;
use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use std::fmt::Write as _;

/// `{"columns": […], "rows": [[…]], "row_count": n}`.
pub(super) fn document(answer: &Answer) -> Result<String, ArrowError> {
    let options = options();
    let mut text = String::from("{\"columns\":[");
    for (index, field) in answer.schema.fields().iter().enumerate() {
        text.push_str(if index == 0 { "" } else { "," });
        let _ =
            write!(text, "{{\"name\":{},\"type\":{}}}", quoted(field.name()), quoted(&type_name(field.data_type())));
    }
    text.push_str("],\"rows\":[");
    let mut is_first = true;
    for batch in &answer.batches {
        let values = Values::of(batch.columns().iter().map(AsRef::as_ref), &options)?;
        for row in 0..batch.num_rows() {
            text.push_str(if is_first { "\n[" } else { ",\n[" });
            is_first = false;
            for (index, value) in values.iter().enumerate() {
                text.push_str(if index == 0 { "" } else { "," });
                value.write(row, &mut text)?;
            }
            text.push(']');
        }
    }
    let _ = write!(text, "],\"row_count\":{}}}", answer.row_count());
    text.push('\n');
    Ok(text)
}

/// An object per row.
pub(super) fn lines(answer: &Answer) -> Result<String, ArrowError> {
    let options = options();
    let names: Vec<String> = answer.schema.fields().iter().map(|f| quoted(f.name())).collect();
    let mut text = String::new();
    for batch in &answer.batches {
        let values = Values::of(batch.columns().iter().map(AsRef::as_ref), &options)?;
        for row in 0..batch.num_rows() {
            for (index, (name, value)) in names.iter().zip(&values).enumerate() {
                let _ = write!(text, "{}{name}:", if index == 0 { "{" } else { "," });
                value.write(row, &mut text)?;
            }
            text.push_str("}\n");
        }
    }
    Ok(text)
}

/// One value as JSON, for formats without lists.
pub(super) fn text_of(column: &dyn Array, row: usize) -> Result<String, ArrowError> {
    let options = options();
    let mut text = String::new();
    if let Some(value) = Values::of(std::iter::once(column), &options)?.first() {
        value.write(row, &mut text)?;
    }
    Ok(text)
}

/// A column that becomes JSON.
enum Values<'a> {
    Plain(&'a dyn Array, ArrayFormatter<'a>),
    Nested(&'a dyn Array, &'a FormatOptions<'a>),
}

impl<'a> Values<'a> {
    fn of(
        columns: impl Iterator<Item = &'a dyn Array>,
        options: &'a FormatOptions<'a>,
    ) -> Result<Vec<Self>, ArrowError> {
        let value = |column: &'a dyn Array| match column.data_type() {
            DataType::List(_) | DataType::Struct(_) => Ok(Self::Nested(column, options)),
            _ => Ok(Self::Plain(column, ArrayFormatter::try_new(column, options)?)),
        };
        columns.map(value).collect()
    }

    fn write(&self, row: usize, text: &mut String) -> Result<(), ArrowError> {
        match self {
            Self::Plain(column, _) | Self::Nested(column, _) if is_null(*column, row) => text.push_str("null"),
            Self::Plain(column, formatter) => plain(*column, row, &formatter.value(row).to_string(), text),
            Self::Nested(column, options) => nested(*column, row, options, text)?,
        }
        Ok(())
    }
}

fn nested(column: &dyn Array, row: usize, options: &FormatOptions<'_>, text: &mut String) -> Result<(), ArrowError> {
    if let Some(list) = column.as_list_opt::<i32>() {
        let items = list.value(row);
        let values = Values::of(std::iter::once(items.as_ref()), options)?;
        text.push('[');
        for at in 0..items.len() {
            text.push_str(if at == 0 { "" } else { "," });
            values[0].write(at, text)?;
        }
        text.push(']');
    } else if let Some(fields) = column.as_struct_opt() {
        let values = Values::of(fields.columns().iter().map(AsRef::as_ref), options)?;
        text.push('{');
        for (at, (name, value)) in fields.column_names().iter().zip(&values).enumerate() {
            let _ = write!(text, "{}{}:", if at == 0 { "" } else { "," }, quoted(name));
            value.write(row, text)?;
        }
        text.push('}');
    }
    Ok(())
}

fn plain(column: &dyn Array, row: usize, value: &str, text: &mut String) {
    match column.data_type() {
        DataType::Boolean => text.push_str(value),
        // JSON has no infinities: they are not numbers there, and null says so.
        DataType::Float64 if !column.as_primitive::<Float64Type>().value(row).is_finite() => text.push_str("null"),
        DataType::Float32 if !column.as_primitive::<Float32Type>().value(row).is_finite() => text.push_str("null"),
        data_type if data_type.is_numeric() => text.push_str(value),
        _ => text.push_str(&quoted(value)),
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

//! Answers as text or bytes: table, CSV, JSON, Parquet, Arrow stream.
//!
//! Numbers are written as they are: integers and decimals exact (decimals as JSON numbers with all
//! their digits), instants as RFC 3339 in UTC, sketches and other bytes as lowercase hex.

use crate::sql::Answer;
use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::errors::ParquetError;
use std::fmt::Write as _;
use std::str::FromStr;
use thiserror::Error;

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people: columns in a box, sketches shortened.
    Table,
    /// RFC 4180 with a header.
    Csv,
    /// `{"columns": […], "rows": [[…]], "row_count": n}`.
    Json,
    /// A Parquet file.
    Parquet,
    /// An Arrow IPC stream.
    Arrow,
}

/// Not the name of a format.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown format `{0}`; one of table, csv, json, parquet, arrow")]
pub struct UnknownFormat(String);

impl FromStr for Format {
    type Err = UnknownFormat;
    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        Ok(match name {
            "table" => Self::Table,
            "csv" => Self::Csv,
            "json" => Self::Json,
            "parquet" => Self::Parquet,
            "arrow" => Self::Arrow,
            other => return Err(UnknownFormat(other.to_owned())),
        })
    }
}

/// An answer that cannot be written in the format asked for.
#[derive(Debug, Error)]
pub enum FormatError {
    /// Arrow refused.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    /// Parquet refused.
    #[error(transparent)]
    Parquet(#[from] ParquetError),
}

impl Format {
    /// Media type of the bytes.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Table => "text/plain; charset=utf-8",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Json => "application/json",
            Self::Parquet => "application/vnd.apache.parquet",
            Self::Arrow => "application/vnd.apache.arrow.stream",
        }
    }

    /// Writes an answer.
    pub fn write(self, answer: &Answer) -> Result<Vec<u8>, FormatError> {
        match self {
            Self::Table => Ok(table(answer)?.into_bytes()),
            Self::Csv => csv(answer),
            Self::Json => Ok(json(answer)?.into_bytes()),
            Self::Parquet => {
                let mut writer = ArrowWriter::try_new(Vec::new(), answer.schema.clone(), None)?;
                answer.batches.iter().try_for_each(|b| writer.write(b))?;
                Ok(writer.into_inner()?)
            }
            Self::Arrow => {
                let mut writer = arrow::ipc::writer::StreamWriter::try_new(Vec::new(), &answer.schema)?;
                answer.batches.iter().try_for_each(|b| writer.write(b))?;
                Ok(writer.into_inner()?)
            }
        }
    }
}

fn options() -> FormatOptions<'static> {
    FormatOptions::new()
        .with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.6fZ"))
        .with_timestamp_format(Some("%Y-%m-%dT%H:%M:%S%.6f"))
}

fn is_binary(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_))
}

fn is_numeric(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

/// Text of one cell; the caller has seen to nulls.
struct Cells<'a> {
    column: &'a dyn Array,
    formatter: ArrayFormatter<'a>,
}

impl<'a> Cells<'a> {
    fn of(batch: &'a RecordBatch, options: &'a FormatOptions<'a>) -> Result<Vec<Self>, ArrowError> {
        let columns = batch.columns().iter();
        columns.map(|c| Ok(Self { column: c, formatter: ArrayFormatter::try_new(c, options)? })).collect()
    }

    fn text(&self, row: usize) -> Option<String> {
        (!self.column.is_null(row)).then(|| self.formatter.value(row).to_string())
    }
}

fn table(answer: &Answer) -> Result<String, ArrowError> {
    let options = options();
    let mut lines: Vec<Vec<String>> = vec![answer.schema.fields().iter().map(|f| f.name().clone()).collect()];
    for batch in &answer.batches {
        let cells = Cells::of(batch, &options)?;
        for row in 0..batch.num_rows() {
            let cell = |c: &Cells<'_>| match c.text(row) {
                None => String::new(),
                Some(hex) if is_binary(c.column.data_type()) => format!("<{} bytes>", hex.len() / 2),
                Some(text) => text,
            };
            lines.push(cells.iter().map(cell).collect());
        }
    }
    let widths: Vec<usize> = (0..answer.schema.fields().len())
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (column, cell) in line.iter().enumerate() {
            let padding = " ".repeat(widths[column] - cell.chars().count());
            let gap = if column == 0 { "" } else { "  " };
            let _ = match is_numeric(answer.schema.field(column).data_type()) {
                true => write!(text, "{gap}{padding}{cell}"),
                false => write!(text, "{gap}{cell}{padding}"),
            };
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
        if number == 0 {
            let rule: Vec<String> = widths.iter().map(|w| "-".repeat(*w)).collect();
            text.push_str(&rule.join("  "));
            text.push('\n');
        }
    }
    let rows = answer.row_count();
    let _ = writeln!(text, "({rows} row{})", if rows == 1 { "" } else { "s" });
    Ok(text)
}

fn csv(answer: &Answer) -> Result<Vec<u8>, FormatError> {
    let mut writer = arrow::csv::WriterBuilder::new()
        .with_header(true)
        .with_timestamp_tz_format("%Y-%m-%dT%H:%M:%S%.6fZ".to_owned())
        .with_timestamp_format("%Y-%m-%dT%H:%M:%S%.6f".to_owned())
        .build(Vec::new());
    if answer.batches.is_empty() {
        writer.write(&RecordBatch::new_empty(answer.schema.clone()))?;
    }
    answer.batches.iter().try_for_each(|b| writer.write(b))?;
    Ok(writer.into_inner())
}

fn json(answer: &Answer) -> Result<String, ArrowError> {
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
        let cells = Cells::of(batch, &options)?;
        for row in 0..batch.num_rows() {
            text.push_str(if is_first { "\n[" } else { ",\n[" });
            is_first = false;
            for (index, cell) in cells.iter().enumerate() {
                text.push_str(if index == 0 { "" } else { "," });
                json_cell(cell, row, &mut text);
            }
            text.push(']');
        }
    }
    let _ = write!(text, "],\"row_count\":{}}}", answer.row_count());
    text.push('\n');
    Ok(text)
}

fn json_cell(cell: &Cells<'_>, row: usize, text: &mut String) {
    let Some(value) = cell.text(row) else { return text.push_str("null") };
    match cell.column.data_type() {
        DataType::Boolean => text.push_str(&value),
        // JSON has no infinities: they are not numbers there, and null says so.
        DataType::Float64 if !cell.column.as_primitive::<arrow::datatypes::Float64Type>().value(row).is_finite() => {
            text.push_str("null")
        }
        DataType::Float32 if !cell.column.as_primitive::<arrow::datatypes::Float32Type>().value(row).is_finite() => {
            text.push_str("null")
        }
        data_type if is_numeric(data_type) => text.push_str(&value),
        _ => text.push_str(&quoted(&value)),
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Name of a type as in SQL.
pub fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Int32 => "integer".to_owned(),
        DataType::UInt64 => "bigint unsigned".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Timestamp(_, Some(_)) => "timestamptz".to_owned(),
        DataType::Timestamp(_, None) => "timestamp".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        other if is_binary(other) => "bytea".to_owned(),
        other => other.to_string().to_lowercase(),
    }
}

/// Columns of a table as pairs of name and type.
pub fn columns(schema: &SchemaRef) -> Vec<(String, String)> {
    schema.fields().iter().map(|f| (f.name().clone(), type_name(f.data_type()))).collect()
}

#[cfg(test)]
mod tests;

//! Answers as text or bytes: table, CSV, JSON, NDJSON, Excel, Parquet, Arrow stream.
//!
//! Numbers are written as they are: integers and decimals exact (decimals as JSON numbers with all
//! their digits), instants as RFC 3339 in UTC, sketches and other bytes as lowercase hex.

mod json;
mod spreadsheet;
mod xlsx;

pub use spreadsheet::TextCells;

use crate::sql::Answer;
use arrow::array::{Array, ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::errors::ParquetError;
use std::fmt::Write as _;
use std::str::FromStr;
use std::sync::Arc;
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
    /// An object per row and line.
    Ndjson,
    /// A Parquet file.
    Parquet,
    /// An Arrow IPC stream.
    Arrow,
    /// An Excel workbook.
    Xlsx,
}

/// Not the name of a format.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown format `{0}`; one of table, csv, json, ndjson, parquet, arrow, xlsx")]
pub struct UnknownFormat(String);

impl FromStr for Format {
    type Err = UnknownFormat;
    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        Ok(match name {
            "table" => Self::Table,
            "csv" => Self::Csv,
            "json" => Self::Json,
            "ndjson" | "jsonl" => Self::Ndjson,
            "xlsx" => Self::Xlsx,
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
    /// The writer of Excel files refused.
    #[error("{0}")]
    Xlsx(Box<rust_xlsxwriter::XlsxError>),
    /// The format has no room for the answer.
    #[error("{message}")]
    Limit {
        /// What the format has room for, and what there is.
        message: String,
        /// What to do instead.
        hint: &'static str,
    },
}

impl FormatError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Limit { hint, .. } => Some(hint),
            _ => None,
        }
    }
}

impl Format {
    /// Media type of the bytes.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Table => "text/plain; charset=utf-8",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Parquet => "application/vnd.apache.parquet",
            Self::Arrow => "application/vnd.apache.arrow.stream",
        }
    }

    /// Is it text?
    pub fn is_text(self) -> bool {
        matches!(self, Self::Table | Self::Csv | Self::Json | Self::Ndjson)
    }

    /// Writes an answer; text cells as they are, except in Excel workbooks.
    pub fn write(self, answer: &Answer) -> Result<Vec<u8>, FormatError> {
        self.write_with(answer, TextCells::AsTheyAre)
    }

    /// Writes an answer. What becomes of text cells is said for CSV; Excel workbooks have them neutralised.
    pub fn write_with(self, answer: &Answer, cells: TextCells) -> Result<Vec<u8>, FormatError> {
        match self {
            Self::Table => Ok(table(answer)?.into_bytes()),
            Self::Csv => match cells {
                TextCells::AsTheyAre => csv(&flat(answer)?),
                TextCells::Neutralised => csv(&spreadsheet::neutralise(&flat(answer)?)?),
            },
            Self::Json => Ok(json::document(answer)?.into_bytes()),
            Self::Ndjson => Ok(json::lines(answer)?.into_bytes()),
            Self::Xlsx => xlsx::write(&flat(answer)?),
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

/// Whether a cell has no value. A column that never has one keeps no mask to say so.
fn is_null(column: &dyn Array, row: usize) -> bool {
    *column.data_type() == DataType::Null || column.is_null(row)
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
        (!is_null(self.column, row)).then(|| self.formatter.value(row).to_string())
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

/// Lists and structs as JSON, for formats that have none.
fn flat(answer: &Answer) -> Result<Answer, ArrowError> {
    let is_nested = |t: &DataType| matches!(t, DataType::List(_) | DataType::Struct(_));
    if !answer.schema.fields().iter().any(|f| is_nested(f.data_type())) {
        return Ok(answer.clone());
    }
    let fields = answer.schema.fields().iter().map(|f| match is_nested(f.data_type()) {
        true => Arc::new(Field::new(f.name(), DataType::Utf8, true)),
        false => Arc::clone(f),
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let column = |column: &ArrayRef| -> Result<ArrayRef, ArrowError> {
        if !is_nested(column.data_type()) {
            return Ok(Arc::clone(column));
        }
        let cell = |row| (!column.is_null(row)).then(|| json::text_of(column, row)).transpose();
        Ok(Arc::new((0..column.len()).map(cell).collect::<Result<StringArray, _>>()?))
    };
    let batches = answer.batches.iter().map(|batch| {
        let columns = batch.columns().iter().map(column).collect::<Result<Vec<_>, _>>()?;
        RecordBatch::try_new(Arc::clone(&schema), columns)
    });
    Ok(Answer { schema: Arc::clone(&schema), batches: batches.collect::<Result<_, _>>()? })
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

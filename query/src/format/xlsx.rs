//! An Excel workbook: a header row that stays in sight, and cells that are what they are.
//!
//! Numbers are numbers as long as Excel keeps every digit (15 of them), else text. Instants are dates in UTC,
//! to the millisecond; what lies outside Excel's calendar is text, and so is everything else. Text that would
//! be a formula in a CSV file is neutralised here too: cells are copied on.

use super::spreadsheet::neutralised;
use super::{Cells, FormatError, is_binary, options};
use crate::sql::Answer;
use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Float32Type, Float64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, Workbook, Worksheet, XlsxError};

/// Rows and columns of a sheet, the header among them.
const ROWS_MAX: usize = 1_048_576;
const COLUMNS_MAX: usize = 16_384;
/// Characters of a cell.
const TEXT_MAX: usize = 32_767;
/// Digits that Excel keeps.
const DIGITS_MAX: usize = 15;
const DAY_MS: i64 = 86_400_000;
/// 1 January 1970 in days of Excel.
const EPOCH_DAYS: f64 = 25_569.0;
/// 1 March 1900: before that, Excel counts a day that never was.
const FIRST_DAY: f64 = 61.0;
/// 1 January 10000.
const END_DAY: f64 = 2_958_466.0;
const WIDTHS: (usize, usize) = (8, 48);

/// Formats of cells.
struct Formats {
    header: Format,
    instant: Format,
    day: Format,
}

pub(super) fn write(answer: &Answer) -> Result<Vec<u8>, FormatError> {
    let (rows, columns) = (answer.row_count() + 1, answer.schema.fields().len());
    if rows > ROWS_MAX || columns > COLUMNS_MAX {
        return Err(FormatError::Limit {
            message: format!(
                "an Excel sheet has {ROWS_MAX} rows and {COLUMNS_MAX} columns, the answer {rows} and {columns}"
            ),
            hint: "aggregate or filter, or write CSV or Parquet, which have no limit",
        });
    }
    let mut workbook = Workbook::new();
    // The same answer gives the same bytes.
    let created = ExcelDateTime::from_ymd(2000, 1, 1)?;
    workbook.set_properties(&DocProperties::new().set_creation_datetime(&created));
    let formats = Formats {
        header: Format::new().set_bold(),
        instant: Format::new().set_num_format("yyyy-mm-dd hh:mm:ss.000"),
        day: Format::new().set_num_format("yyyy-mm-dd"),
    };
    let sheet = workbook.add_worksheet();
    sheet.set_freeze_panes(1, 0)?;
    let mut widths: Vec<usize> = Vec::with_capacity(columns);
    for (at, field) in answer.schema.fields().iter().enumerate() {
        sheet.write_string_with_format(0, at as u16, neutralised(field.name()), &formats.header)?;
        widths.push(field.name().chars().count());
    }
    let options = options();
    let mut row = 1;
    for batch in &answer.batches {
        let cells = Cells::of(batch, &options)?;
        for inner in 0..batch.num_rows() {
            for (at, cell) in cells.iter().enumerate() {
                let width = write_cell(sheet, (row, at as u16), cell, inner, &formats)?;
                widths[at] = widths[at].max(width);
            }
            row += 1;
        }
    }
    for (at, width) in widths.into_iter().enumerate() {
        sheet.set_column_width(at as u16, width.clamp(WIDTHS.0, WIDTHS.1) as f64 + 1.0)?;
    }
    Ok(workbook.save_to_buffer()?)
}

/// Writes a cell and says how wide it is, in characters.
fn write_cell(
    sheet: &mut Worksheet,
    at: (u32, u16),
    cell: &Cells<'_>,
    row: usize,
    formats: &Formats,
) -> Result<usize, FormatError> {
    let Some(text) = cell.text(row) else { return Ok(0) };
    let width = text.chars().count();
    let data_type = cell.column.data_type();
    if let Some((days, is_day)) = days(cell.column, row).filter(|(days, _)| (FIRST_DAY..END_DAY).contains(days)) {
        let format = if is_day { &formats.day } else { &formats.instant };
        sheet.write_number_with_format(at.0, at.1, days, format)?;
        return Ok(width.min(24));
    }
    let number = match data_type {
        DataType::Boolean => {
            sheet.write_boolean(at.0, at.1, cell.column.as_boolean().value(row))?;
            return Ok(width);
        }
        DataType::Float64 => Some(cell.column.as_primitive::<Float64Type>().value(row)).filter(|f| f.is_finite()),
        DataType::Float32 => {
            Some(f64::from(cell.column.as_primitive::<Float32Type>().value(row))).filter(|f| f.is_finite())
        }
        numeric if numeric.is_numeric() => exact(&text),
        _ => None,
    };
    match number {
        Some(number) => sheet.write_number(at.0, at.1, number)?,
        None if width > TEXT_MAX => {
            return Err(FormatError::Limit {
                message: format!("a cell of Excel has {TEXT_MAX} characters, row {} has one of {width}", at.0 + 1),
                hint: if is_binary(data_type) {
                    "leave the state column out"
                } else {
                    "shorten it, or write CSV or Parquet"
                },
            });
        }
        // A number that Excel would round begins with its sign and is no formula.
        None if data_type.is_numeric() => sheet.write_string(at.0, at.1, text)?,
        None => sheet.write_string(at.0, at.1, neutralised(&text))?,
    };
    Ok(width)
}

/// The number that a decimal text is, if Excel keeps all of its digits.
fn exact(text: &str) -> Option<f64> {
    let digits = text.trim_start_matches(['-', '+']).replace('.', "");
    let significant = digits.trim_start_matches('0');
    let significant = if text.contains('.') { significant.trim_end_matches('0') } else { significant };
    (significant.len() <= DIGITS_MAX).then(|| text.parse().ok()).flatten()
}

/// Days since Excel's beginning of time, and whether it is a day as a whole.
fn days(column: &dyn Array, row: usize) -> Option<(f64, bool)> {
    let ms = match column.data_type() {
        DataType::Date32 => {
            return Some((f64::from(column.as_primitive::<Date32Type>().value(row)) + EPOCH_DAYS, true));
        }
        DataType::Timestamp(TimeUnit::Second, _) => {
            column.as_primitive::<TimestampSecondType>().value(row).checked_mul(1000)?
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => column.as_primitive::<TimestampMillisecondType>().value(row),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            column.as_primitive::<TimestampMicrosecondType>().value(row).div_euclid(1000)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            column.as_primitive::<TimestampNanosecondType>().value(row).div_euclid(1_000_000)
        }
        _ => return None,
    };
    let (whole, rest) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS));
    Some((whole as f64 + EPOCH_DAYS + rest as f64 / DAY_MS as f64, false))
}

impl From<XlsxError> for FormatError {
    fn from(error: XlsxError) -> Self {
        Self::Xlsx(Box::new(error))
    }
}

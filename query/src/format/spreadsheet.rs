//! Text that a spreadsheet would take for a formula.
//!
//! A cell beginning with `=`, `+`, `-`, `@`, a tab or a carriage return is computed by spreadsheets that open a
//! CSV file: whoever can name a product could make an analyst's machine do things. An apostrophe before it
//! makes it text. Numbers are no text, and stay as they are.

use super::FormatError;
use crate::sql::Answer;
use arrow::array::{Array, ArrayRef, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use std::borrow::Cow;
use std::sync::Arc;

/// What becomes of text cells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TextCells {
    /// Written as they are.
    #[default]
    AsTheyAre,
    /// An apostrophe before those that a spreadsheet would compute.
    Neutralised,
}

/// The text with an apostrophe before it, if a spreadsheet would compute it.
pub(super) fn neutralised(text: &str) -> Cow<'_, str> {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => Cow::Owned(format!("'{text}")),
        false => Cow::Borrowed(text),
    }
}

/// The answer with its names and texts neutralised.
pub(super) fn neutralise(answer: &Answer) -> Result<Answer, FormatError> {
    let fields = answer.schema.fields().iter().map(|f| {
        let name = neutralised(f.name());
        let data_type = if f.data_type().is_string() { DataType::Utf8 } else { f.data_type().clone() };
        Field::new(name, data_type, f.is_nullable())
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let batches = answer.batches.iter().map(|batch| {
        let columns = batch.columns().iter().map(texts).collect::<Result<Vec<_>, FormatError>>()?;
        Ok(RecordBatch::try_new(Arc::clone(&schema), columns)?)
    });
    let batches = batches.collect::<Result<Vec<_>, FormatError>>()?;
    Ok(Answer { schema, batches })
}

fn texts(column: &ArrayRef) -> Result<ArrayRef, FormatError> {
    if !column.data_type().is_string() {
        return Ok(Arc::clone(column));
    }
    let text = cast(column, &DataType::Utf8)?;
    let Some(text) = text.as_any().downcast_ref::<StringArray>() else { return Ok(text) };
    Ok(Arc::new(text.iter().map(|t| t.map(neutralised)).collect::<StringArray>()))
}

//! Small tables, column by column.

use datafusion::arrow::array::{ArrayRef, BooleanArray, Int32Array, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::Result;
use std::sync::Arc;

/// A table that is being made.
#[derive(Debug, Default)]
pub(super) struct Columns {
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
}

impl Columns {
    /// A column of text.
    pub fn text<'a>(self, name: &str, values: impl IntoIterator<Item = Option<&'a str>>) -> Self {
        self.with(name, DataType::Utf8, Arc::new(StringArray::from_iter(values)))
    }

    /// A column of `int4`.
    pub fn int(self, name: &str, values: impl IntoIterator<Item = Option<i32>>) -> Self {
        self.with(name, DataType::Int32, Arc::new(Int32Array::from_iter(values)))
    }

    /// A column of truth values.
    pub fn truth(self, name: &str, values: impl IntoIterator<Item = Option<bool>>) -> Self {
        self.with(name, DataType::Boolean, Arc::new(BooleanArray::from_iter(values)))
    }

    fn with(mut self, name: &str, data_type: DataType, array: ArrayRef) -> Self {
        self.fields.push(Field::new(name, data_type, true));
        self.arrays.push(array);
        self
    }

    /// The table.
    pub fn table(self) -> Result<Arc<dyn TableProvider>> {
        let schema = Arc::new(Schema::new(self.fields));
        let batch = RecordBatch::try_new(Arc::clone(&schema), self.arrays)?;
        Ok(Arc::new(MemTable::try_new(schema, vec![vec![batch]])?))
    }
}

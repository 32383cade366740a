//! The table `late_events`: which stretches of the past were counted into after their time.
//!
//! Workers note them with the rows of a flush; whoever evaluates rules follows the table, in whichever process
//! it runs, and looks at what its rules said of these times. A row says that events of a source came late; one
//! that is there twice says nothing new. The table is made with the first of them.

mod follow;
mod notes;

pub use follow::LateFollower;
pub use notes::{LateEvents, LateNotes};

use arrow::array::{ArrayRef, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use std::sync::Arc;
use tidewatch_engine::rollup::timestamp_type;
use tidewatch_storage::{Rows, StorageError, Store, Table};

/// Table name.
pub const LATE_EVENTS: &str = "late_events";

/// Column of the time at which a worker wrote a row, for followers and retention.
pub const NOTED_AT: &str = "noted_at";

/// Columns of the table.
pub fn late_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new(NOTED_AT, timestamp_type(), false),
        Field::new("source", DataType::Utf8, false),
        Field::new("from_time", timestamp_type(), false),
        Field::new("to_time", timestamp_type(), false),
    ]))
}

/// Writes the table, which is opened at the first row.
#[derive(Debug)]
pub(crate) struct LateTable {
    store: Store,
    table: Option<Table>,
}

impl LateTable {
    pub fn new(store: &Store) -> Self {
        Self { store: store.clone(), table: None }
    }

    /// Notes stretches at `now_us`, microseconds since the epoch.
    pub async fn append(&mut self, late: &[&LateEvents], now_us: i64) -> Result<(), StorageError> {
        let table = match &mut self.table {
            Some(table) => table,
            none => none.insert(Table::open_or_create(&self.store, LATE_EVENTS, &late_schema(), &[]).await?),
        };
        let batch = batch(late, now_us).map_err(|error| StorageError::Scan {
            table: LATE_EVENTS.to_owned(),
            source: Box::new(datafusion::error::DataFusionError::from(error)),
        })?;
        table.append(&Rows { batch: Some(batch), ..Rows::default() }).await.map(|_| ())
    }
}

fn batch(late: &[&LateEvents], now_us: i64) -> Result<RecordBatch, ArrowError> {
    let times = |of: fn(&LateEvents) -> i64| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from_iter_values(late.iter().map(|one| of(one))).with_timezone("UTC"))
    };
    let noted = TimestampMicrosecondArray::from_value(now_us, late.len()).with_timezone("UTC");
    let sources = StringArray::from_iter_values(late.iter().map(|one| &one.source));
    let columns: Vec<ArrayRef> =
        vec![Arc::new(noted), Arc::new(sources), times(|one| one.from_us), times(|one| one.to_us)];
    RecordBatch::try_new(late_schema(), columns)
}

#[cfg(test)]
mod tests;

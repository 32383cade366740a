//! Following the table: what workers noted since one looked last, each once.

use super::{LATE_EVENTS, LateEvents, NOTED_AT};
use arrow::array::{ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::prelude::{col, lit};
use futures::StreamExt;
use std::collections::BTreeSet;
use tidewatch_engine::rollup::timestamp_type;
use tidewatch_storage::{StorageError, Store, Table};

/// Rows read at once.
const BATCH_ROWS: usize = 8192;
/// A commit may come so much later than another with the same time: the clocks of workers may differ, and a commit takes
/// its time. Microseconds.
const SLACK_US: i64 = 600_000_000;

/// Reads what is new; bounded by what is noted within ten minutes.
#[derive(Debug)]
pub struct LateFollower {
    store: Store,
    table: Option<Table>,
    /// Version up to which was read.
    version: Option<u64>,
    /// The newest time of a row, or where it begins.
    newest_us: i64,
    /// Rows that were given and may be read again.
    given: BTreeSet<(i64, LateEvents)>,
}

impl LateFollower {
    /// Begins with what was noted from `since_us` on, microseconds since the epoch.
    pub fn new(store: Store, since_us: i64) -> Self {
        Self { store, table: None, version: None, newest_us: since_us, given: BTreeSet::new() }
    }

    /// What was noted since the last call that did not fail.
    pub async fn poll(&mut self) -> Result<Vec<LateEvents>, StorageError> {
        match &mut self.table {
            Some(table) => table.refresh().await?,
            none => *none = self.store.table(LATE_EVENTS).await?,
        }
        let Some(table) = &self.table else { return Ok(Vec::new()) };
        if self.version == Some(table.version()) {
            return Ok(Vec::new());
        }
        let since_us = self.newest_us.saturating_sub(SLACK_US);
        let since = lit(ScalarValue::TimestampMicrosecond(Some(since_us), Some("UTC".into())));
        let columns = [NOTED_AT, "source", "from_time", "to_time"];
        let mut batches = table.scan(col(NOTED_AT).gt_eq(since), &columns, BATCH_ROWS).await?;
        let mut found = BTreeSet::new();
        while let Some(batch) = batches.next().await {
            read(&batch?, &mut found).map_err(|error| StorageError::Scan {
                table: LATE_EVENTS.to_owned(),
                source: Box::new(DataFusionError::from(error)),
            })?;
        }
        self.version = Some(table.version());
        let new: BTreeSet<LateEvents> = found.difference(&self.given).map(|(_, late)| late.clone()).collect();
        self.newest_us = found.last().map_or(self.newest_us, |(noted_us, _)| self.newest_us.max(*noted_us));
        let oldest_us = self.newest_us.saturating_sub(SLACK_US);
        self.given = found.into_iter().filter(|(noted_us, _)| *noted_us >= oldest_us).collect();
        Ok(new.into_iter().collect())
    }
}

fn read(batch: &RecordBatch, found: &mut BTreeSet<(i64, LateEvents)>) -> Result<(), ArrowError> {
    let column = |name: &str, to: &DataType| -> Result<ArrayRef, ArrowError> {
        cast(batch.column_by_name(name).ok_or_else(|| ArrowError::SchemaError(format!("no column {name}")))?, to)
    };
    let (noted, from, to) = (
        column(NOTED_AT, &timestamp_type())?,
        column("from_time", &timestamp_type())?,
        column("to_time", &timestamp_type())?,
    );
    let [noted, from, to] = [&noted, &from, &to].map(|times| times.as_primitive::<TimestampMicrosecondType>());
    let sources = column("source", &DataType::Utf8)?;
    let sources = sources.as_string::<i32>();
    for row in 0..batch.num_rows() {
        let source = sources.value(row).to_owned();
        found.insert((noted.value(row), LateEvents { source, from_us: from.value(row), to_us: to.value(row) }));
    }
    Ok(())
}

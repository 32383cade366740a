//! The schema `system`: what the tables consist of, how far everything has come, what is defined.
//!
//! | table | rows | read |
//! |---|---|---|
//! | `system.commits` | the newest commits of every table: what for, rows, files | `system/stored.rs` |
//! | `system.files` | live files: width, size, rows, time | `system/stored.rs` |
//! | `system.offsets` | how far every table has consumed every partition | `system/stored.rs` |
//! | `system.lag` | how far this process has read, and how far behind that is | `system/running.rs` |
//! | `system.late` | late events of the sources of every rollup | `system/running.rs` |
//! | `system.limits` | every limit: value, setting, how often it was reached | `system/running.rs` |
//! | `system.dead_letters` | dead letters by reason and topic | `system/defined.rs` |
//! | `system.rollups`, `system.measures` | what is defined | `system/defined.rs` |
//! | `system.alert_ledger` | the newest decisions about alerts, up to 100,000 | `system/running.rs` |
//!
//! What the process that answers does not know is NULL: `tidewatch sql` reads no partition and counts nothing.

mod defined;
mod running;
mod stored;
#[cfg(test)]
mod tests;

use crate::sql::{SqlEngine, SqlError};
use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider};
use datafusion::common::DataFusionError;
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use prometheus::Registry;
use std::sync::Arc;
use tidewatch_engine::rollup::timestamp_type;

/// Name of the schema.
pub(crate) const SCHEMA: &str = "system";

/// What the process knows beside its tables.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Its own metrics.
    pub registry: Option<Registry>,
    /// Its limits.
    pub limits: Vec<NamedLimit>,
    /// Its decisions about alerts.
    pub ledger: Option<Arc<dyn AlertLedger>>,
}

/// Decisions about alerts, as the process that takes them has written them down.
pub trait AlertLedger: std::fmt::Debug + Send + Sync {
    /// The newest, oldest first, at most `limit`. May block shortly.
    ///
    /// # Errors
    /// Why they cannot be read.
    fn newest(&self, limit: usize) -> Result<Vec<LedgerRow>, String>;
}

/// One decision; what is not known or does not apply is `None`.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(missing_docs, reason = "columns of system.alert_ledger, explained in docs/alerting.md")]
pub struct LedgerRow {
    pub time_us: i64,
    pub stage: String,
    pub alert: Option<String>,
    pub alertname: Option<String>,
    pub rule_group: Option<String>,
    /// JSON.
    pub labels: Option<String>,
    pub state_from: Option<String>,
    pub state_to: Option<String>,
    pub passed: Option<bool>,
    pub reason: String,
    pub caused_by: Option<String>,
    pub value: Option<f64>,
    pub threshold: Option<f64>,
    pub message: Option<String>,
    pub code: Option<i64>,
}

/// A limit that something may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedLimit {
    /// What is limited, in words.
    pub name: &'static str,
    /// The setting; `None`: it cannot be set.
    pub setting: Option<&'static str>,
    /// Its value; durations in milliseconds.
    pub value: i64,
    /// What the value counts: `rows`, `bytes`, `ms`, …
    pub unit: &'static str,
    /// The counter of what happens at it: name of the metric, and of a label its name and value.
    pub counter: Option<(&'static str, Option<(&'static str, &'static str)>)>,
}

/// One of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SystemTable {
    Commits,
    Files,
    Offsets,
    Lag,
    Late,
    DeadLetters,
    Limits,
    Rollups,
    Measures,
    AlertLedger,
}

impl SystemTable {
    const ALL: [Self; 10] = [
        Self::Commits,
        Self::Files,
        Self::Offsets,
        Self::Lag,
        Self::Late,
        Self::DeadLetters,
        Self::Limits,
        Self::Rollups,
        Self::Measures,
        Self::AlertLedger,
    ];

    /// The table of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Commits => "commits",
            Self::Files => "files",
            Self::Offsets => "offsets",
            Self::Lag => "lag",
            Self::Late => "late",
            Self::DeadLetters => "dead_letters",
            Self::Limits => "limits",
            Self::Rollups => "rollups",
            Self::Measures => "measures",
            Self::AlertLedger => "alert_ledger",
        }
    }

    fn schema(self) -> SchemaRef {
        use Kind::{Flag, Instant, Number, Real, Text};
        let columns: &[(&str, Kind)] = match self {
            Self::Commits => &[
                ("table_name", Text),
                ("version", Number),
                ("time", Instant),
                ("kind", Text),
                ("rows", Number),
                ("files_added", Number),
                ("files_removed", Number),
            ],
            Self::Files => &[
                ("table_name", Text),
                ("path", Text),
                ("tier", Text),
                ("rolled_up", Flag),
                ("bytes", Number),
                ("rows", Number),
                ("min_time", Instant),
                ("max_time", Instant),
            ],
            Self::Offsets => &[
                ("table_name", Text),
                ("topic", Text),
                ("partition", Number),
                ("offset", Number),
                ("watermark", Instant),
            ],
            Self::Lag => &[
                ("topic", Text),
                ("partition", Number),
                ("committed", Number),
                ("read", Number),
                ("log_end", Number),
                ("records_behind", Number),
                ("watermark", Instant),
            ],
            Self::Late => &[("rollup", Text), ("source", Text), ("late_events", Number)],
            Self::DeadLetters => &[
                ("reason", Text),
                ("topic", Text),
                ("disposition", Text),
                ("letters", Number),
                ("first_arrival", Instant),
                ("last_arrival", Instant),
            ],
            Self::Limits => {
                &[("name", Text), ("setting", Text), ("value", Number), ("unit", Text), ("times_reached", Number)]
            }
            Self::Rollups => &[
                ("rollup", Text),
                ("sources", Text),
                ("window_ms", Number),
                ("tiers", Text),
                ("dimensions", Text),
                ("definition", Text),
                ("version", Number),
            ],
            Self::Measures => &[("rollup", Text), ("measure", Text), ("kind", Text), ("columns", Text)],
            Self::AlertLedger => &[
                ("time", Instant),
                ("stage", Text),
                ("alert", Text),
                ("alertname", Text),
                ("rule_group", Text),
                ("labels", Text),
                ("state_from", Text),
                ("state_to", Text),
                ("passed", Flag),
                ("reason", Text),
                ("caused_by", Text),
                ("value", Real),
                ("threshold", Real),
                ("message", Text),
                ("code", Number),
            ],
        };
        let fields = columns.iter().map(|(name, kind)| Field::new(*name, kind.data_type(), true));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

/// What a column holds.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Number,
    Real,
    Instant,
    Flag,
}

impl Kind {
    fn data_type(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Number => DataType::Int64,
            Self::Real => DataType::Float64,
            Self::Instant => timestamp_type(),
            Self::Flag => DataType::Boolean,
        }
    }
}

impl SqlEngine {
    /// Makes the named tables known to a session; for a catalogue, all of them, with or without rows.
    pub(crate) async fn register_system(
        &self,
        context: &SessionContext,
        named: &[SystemTable],
        is_catalogue: bool,
    ) -> Result<(), SqlError> {
        if named.is_empty() && !is_catalogue {
            return Ok(());
        }
        let schema = MemorySchemaProvider::new();
        for table in SystemTable::ALL {
            let batches = match named.contains(&table) {
                true => vec![vec![self.system_rows(table).await?]],
                false if is_catalogue => vec![vec![]],
                false => continue,
            };
            let rows = MemTable::try_new(table.schema(), batches)
                .and_then(|rows| schema.register_table(table.name().to_owned(), Arc::new(rows)));
            rows.map_err(internal)?;
        }
        let options = context.copied_config();
        let catalog = context.catalog(&options.options().catalog.default_catalog);
        let Some(catalog) = catalog else { return Ok(()) };
        catalog.register_schema(SCHEMA, Arc::new(schema)).map_err(internal)?;
        Ok(())
    }

    async fn system_rows(&self, table: SystemTable) -> Result<RecordBatch, SqlError> {
        let columns = match table {
            SystemTable::Commits => stored::commits(self).await?,
            SystemTable::Files => stored::files(self).await?,
            SystemTable::Offsets => stored::offsets(self).await?,
            SystemTable::Lag => running::lag(self).await?,
            SystemTable::Late => running::late(self),
            SystemTable::Limits => running::limits(self),
            SystemTable::DeadLetters => defined::dead_letters(self).await?,
            SystemTable::Rollups => defined::rollups(self).await?,
            SystemTable::Measures => defined::measures(self).await?,
            SystemTable::AlertLedger => running::alert_ledger(self)?,
        };
        RecordBatch::try_new(table.schema(), columns).map_err(|e| SqlError::Execution(e.to_string()))
    }
}

fn internal(error: DataFusionError) -> SqlError {
    SqlError::Execution(error.to_string())
}

fn texts<T: AsRef<str>>(values: impl IntoIterator<Item = Option<T>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<StringArray>())
}

fn numbers(values: impl IntoIterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<Int64Array>())
}

fn instants(values: impl IntoIterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
}

fn count(value: u64) -> Option<i64> {
    i64::try_from(value).ok()
}

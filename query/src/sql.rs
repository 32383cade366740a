//! SQL over a snapshot, read only, within limits of rows, time and memory.

mod ahead;
mod cache;
mod copy;
mod explain;
mod guest;
mod prepared;
mod reading;
mod relations;
mod running;
mod scanning;
mod stopping;
mod viewing;

pub use copy::Export;
pub use guest::{Furniture, Planned, Sight, Streamed};
pub use prepared::Prepared;
pub use relations::{Relation, RelationKind};
use running::operators;
pub(crate) use viewing::Viewing;

use crate::gate::Refused;
use crate::message::{plain, with_hint};
use crate::metrics::{CacheCounters, QueryMetrics};
use crate::passes;
use crate::results::ResultCache;
use crate::session::{self, Memory, Now};
use crate::snapshot::{Snapshot, SnapshotError, Snapshots};
use crate::system::Surroundings;
use crate::table::{RollupTable, Shape, merged_table};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::{DataFusionError, TableReference};
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{DataFrame, Expr, SessionContext};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tidewatch_storage::StorageError;
use tokio::runtime::Handle;
use tracing::field::Empty;
use tracing::{Instrument, info_span};

/// What DataFusion says when a query may put no more on disk; it is wrapped into too many errors to be told by
/// its kind.
const DISK_IS_FULL: &str = "used disk space during the spilling process";

/// What one query may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqlLimits {
    /// Rows of an answer. A larger answer is an error, never a silent part of it.
    pub rows_max: usize,
    /// From the text of the query to the last row.
    pub timeout: Duration,
    /// Memory of sorts, joins and aggregates; beyond it they spill to disk where they can, or fail.
    pub memory_bytes_max: usize,
    /// Bytes on disk of what does not fit into memory; 0: none.
    pub spill_bytes_max: u64,
    /// Bytes of the text of a query.
    pub query_bytes_max: usize,
    /// Bytes of the answers that are kept, of all queries together; 0: none are.
    pub cache_bytes_max: u64,
}

/// A finished query.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Columns.
    pub schema: SchemaRef,
    /// Rows.
    pub batches: Vec<RecordBatch>,
}

impl Answer {
    /// Number of rows.
    pub fn row_count(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum SqlError {
    /// The query is wrong.
    #[error("{message}")]
    Query {
        /// What is wrong.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// The answer has too many rows.
    #[error("the answer has more than {0} rows (sql.rows_max)")]
    TooManyRows(usize),
    /// It took too long.
    #[error("the query did not finish within {0:?} (sql.timeout)")]
    Timeout(Duration),
    /// It needed too much memory.
    #[error("the query needs more than {limit} bytes (sql.memory_bytes_max): {message}")]
    Memory {
        /// The limit.
        limit: usize,
        /// Which operator asked.
        message: String,
    },
    /// The states in memory or the tables are not to be had right now.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// It was not its turn.
    #[error("{}", .0.message())]
    Busy(Refused),
    /// Reading failed while the query ran.
    #[error("{0}")]
    Execution(String),
}

impl From<Refused> for SqlError {
    fn from(refused: Refused) -> Self {
        Self::Busy(refused)
    }
}

impl From<StorageError> for SqlError {
    fn from(error: StorageError) -> Self {
        Self::Snapshot(SnapshotError::Storage(error))
    }
}

impl SqlError {
    /// Stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Query { .. } => "bad_query",
            Self::TooManyRows(_) => "row_limit",
            Self::Timeout(_) => "timeout",
            Self::Memory { .. } => "memory_limit",
            Self::Snapshot(_) => "unavailable",
            Self::Busy(refused) => refused.code(),
            Self::Execution(_) => "execution",
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Query { hint, .. } => hint.as_deref(),
            Self::TooManyRows(_) => Some("aggregate, filter by window_start, or add LIMIT"),
            Self::Timeout(_) => Some("filter by window_start or group by fewer columns"),
            Self::Memory { .. } => {
                Some("filter by window_start or group by fewer columns; sql.spill_bytes_max bounds what goes to disk")
            }
            Self::Snapshot(_) | Self::Busy(_) => Some("try again in a moment"),
            Self::Execution(_) => None,
        }
    }
}

/// Answers queries.
#[derive(Debug)]
pub struct SqlEngine {
    snapshots: Arc<Snapshots>,
    limits: SqlLimits,
    runtime: Option<Handle>,
    spill_folder: Option<PathBuf>,
    now: Now,
    cache: ResultCache<Answer>,
    surroundings: Surroundings,
}

impl SqlEngine {
    /// Answers from `snapshots` within `limits`; `now` is what `now()` gives in a query.
    pub fn new(snapshots: impl Into<Arc<Snapshots>>, limits: SqlLimits, now: Now) -> Self {
        let cache = ResultCache::new(limits.cache_bytes_max, CacheCounters::default());
        let (snapshots, surroundings) = (snapshots.into(), Surroundings::default());
        Self { snapshots, limits, runtime: None, spill_folder: None, now, cache, surroundings }
    }

    /// Runs operators on a runtime of their own, so that they hold up nothing else; without one they run in the task of
    /// whoever asks.
    pub fn with_runtime(self, runtime: Handle) -> Self {
        Self { runtime: Some(runtime), ..self }
    }

    /// Puts what does not fit into memory into this folder instead of the system's.
    pub fn with_spill_folder(self, spill_folder: Option<PathBuf>) -> Self {
        Self { spill_folder, ..self }
    }

    /// Counts what the cache of answers does.
    pub fn with_metrics(self, metrics: &QueryMetrics) -> Self {
        Self { cache: ResultCache::new(self.limits.cache_bytes_max, metrics.cache.clone()), ..self }
    }

    /// Lets the tables of the schema `system` know what the process knows.
    pub fn with_surroundings(self, surroundings: Surroundings) -> Self {
        Self { surroundings, ..self }
    }

    pub(crate) fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }

    /// Where the answers come from.
    pub fn snapshots(&self) -> &Snapshots {
        &self.snapshots
    }

    /// The limits of every query.
    pub fn limits(&self) -> SqlLimits {
        self.limits
    }

    /// Answers one query.
    pub async fn query(&self, sql: &str) -> Result<Answer, SqlError> {
        let span = info_span!(target: "otel", "sql.query", rows = Empty, error = Empty);
        let answered = tokio::time::timeout(self.limits.timeout, self.answer(sql)).instrument(span.clone()).await;
        let answer = answered.unwrap_or(Err(SqlError::Timeout(self.limits.timeout)));
        match &answer {
            Ok(answer) => span.record("rows", answer.row_count()),
            Err(error) => span.record("error", error.code()),
        };
        answer
    }

    async fn answer(&self, sql: &str) -> Result<Answer, SqlError> {
        self.check_length(sql)?;
        let planning = async {
            let reading = self.read(self.context()?, sql, self.now.us()).await?;
            let (statement, generation) = (reading.text(), reading.generation);
            let snapshot = self.snapshots.take(&reading.needs.tables).await?;
            let frame = self.plan(reading, &snapshot).await?;
            Ok::<_, SqlError>((statement, generation, snapshot, frame))
        };
        let planned = Box::pin(planning.instrument(info_span!(target: "otel", "sql.plan"))).await;
        let (statement, generation, snapshot, frame) = planned?;
        if let Some(answer) = self.explanation(&frame, &snapshot).await? {
            return Ok(answer);
        }
        let identity = match self.cache.is_on() {
            true => {
                let (state, plan) = frame.clone().into_parts();
                cache::identity(&statement, &plan, &state, &snapshot, generation)?
            }
            false => None,
        };
        let Some(identity) = identity else {
            self.cache.not_kept();
            return self.collect(frame, self.limits.rows_max).await;
        };
        if let Some(answer) = self.cache.get(&identity) {
            return Ok(answer.as_ref().clone());
        }
        let answer = self.collect(frame, self.limits.rows_max).await?;
        self.cache.keep(identity, &answer);
        Ok(answer)
    }

    /// Names of all tables and views, sorted.
    pub async fn names(&self) -> Result<Vec<String>, SnapshotError> {
        let mut names = self.snapshots.table_names().await?;
        names.extend(self.snapshots.definitions().views().map(|v| v.name.clone()));
        names.sort();
        Ok(names)
    }

    /// At most `rows_max` rows of one table of a snapshot that fulfil a condition, within the time and
    /// memory of a query.
    pub async fn rows(
        &self,
        snapshot: &Snapshot,
        table: &str,
        condition: Expr,
        rows_max: usize,
    ) -> Result<Answer, SqlError> {
        let context = self.context()?;
        let rows = async {
            register_tables(&context, snapshot).map_err(|e| self.explain(e, &[]))?;
            let table = TableReference::bare(table);
            let frame = context
                .table(table)
                .await
                .and_then(|t| t.filter(condition)?.limit(0, Some(rows_max)))
                .map_err(|e| self.explain(e, &[]))?;
            self.collect(frame, rows_max).await
        };
        let timeout = self.limits.timeout;
        tokio::time::timeout(timeout, rows).await.map_err(|_| SqlError::Timeout(timeout))?
    }

    /// What `build` makes of one table of a snapshot, at most `rows_max` rows, within the memory of a query. Whoever asks
    /// says how long it may take.
    pub(crate) async fn over(
        &self,
        snapshot: &Snapshot,
        table: &str,
        shape: Shape,
        build: impl FnOnce(DataFrame) -> datafusion::error::Result<DataFrame>,
        rows_max: usize,
    ) -> Result<Answer, SqlError> {
        let context = self.context()?;
        let frame = rows_of(&context, snapshot, table, shape).and_then(build);
        self.collect(frame.map_err(|e| self.explain(e, &[]))?, rows_max).await
    }

    /// What `now()` gives, microseconds since the epoch.
    pub(crate) fn now_us(&self) -> i64 {
        self.now.us()
    }

    async fn collect(&self, frame: DataFrame, rows_max: usize) -> Result<Answer, SqlError> {
        let (mut state, plan) = frame.into_parts();
        let plan = passes::optimized(&mut state, &plan).map_err(|e| self.explain(e, &[]))?;
        self.collect_optimized(state, plan, rows_max).await
    }

    async fn collect_optimized(
        &self,
        state: SessionState,
        plan: LogicalPlan,
        rows_max: usize,
    ) -> Result<Answer, SqlError> {
        let operators = operators(state, plan).await.map_err(|e| self.explain(e, &[]))?;
        self.run(operators, rows_max).await
    }

    fn memory(&self) -> Memory {
        Memory {
            bytes_max: self.limits.memory_bytes_max,
            spill_bytes_max: self.limits.spill_bytes_max,
            spill_folder: self.spill_folder.clone(),
        }
    }

    fn context(&self) -> Result<SessionContext, SqlError> {
        session::context(&self.memory()).map_err(|e| SqlError::Execution(e.to_string()))
    }

    fn explain(&self, error: DataFusionError, known: &[String]) -> SqlError {
        explained(&self.limits, error, known)
    }
}

impl SqlError {
    /// What is wrong with a plan that was not run yet.
    fn of_plan(error: DataFusionError) -> Self {
        Self::Query { message: plain(&error.strip_backtrace()), hint: None }
    }
}

fn explained(limits: &SqlLimits, error: DataFusionError, known: &[String]) -> SqlError {
    match error.find_root() {
        DataFusionError::ResourcesExhausted(message) => {
            SqlError::Memory { limit: limits.memory_bytes_max, message: message.clone() }
        }
        DataFusionError::SQL(..)
        | DataFusionError::Plan(_)
        | DataFusionError::SchemaError(..)
        | DataFusionError::Configuration(_) => {
            let message = plain(&error.strip_backtrace());
            let (own, own_hint) = with_hint(&message);
            let tables = || message.contains("not found").then(|| tables_hint(known)).flatten();
            let hint = own_hint.map(str::to_owned).or_else(tables);
            SqlError::Query { message: own.to_owned(), hint }
        }
        DataFusionError::NotImplemented(message) => SqlError::Query { message: message.clone(), hint: None },
        _ => {
            let message = plain(&error.strip_backtrace());
            if message.contains(DISK_IS_FULL) {
                let message = format!("{} bytes on disk were not enough (sql.spill_bytes_max)", limits.spill_bytes_max);
                return SqlError::Memory { limit: limits.memory_bytes_max, message };
            }
            match with_hint(&message) {
                (_, None) => SqlError::Execution(message),
                // What a query asked for shows only while it runs.
                (own, Some(hint)) => SqlError::Query { message: own.to_owned(), hint: Some(hint.to_owned()) },
            }
        }
    }
}

fn register_tables(context: &SessionContext, snapshot: &Snapshot) -> Result<(), DataFusionError> {
    for (name, table) in &snapshot.tables {
        context.register_table(TableReference::bare(name.as_str()), merged_table(name, table)?)?;
    }
    Ok(())
}

/// One table of a snapshot; the windows of a rollup in a shape.
fn rows_of(
    context: &SessionContext,
    snapshot: &Snapshot,
    name: &str,
    shape: Shape,
) -> Result<DataFrame, DataFusionError> {
    let table = snapshot.tables.get(name);
    let table = table.ok_or_else(|| DataFusionError::Plan(format!("there is no table {name:?}")))?;
    match &table.rollup {
        Some(rollup) if rollup.pane_us.is_some() => {
            context.read_table(Arc::new(RollupTable::new(rollup, table, shape)?))
        }
        _ => context.read_table(merged_table(name, table)?),
    }
}

fn tables_hint(known: &[String]) -> Option<String> {
    match known {
        [] => None,
        names => Some(format!("the tables and views are: {}", names.join(", "))),
    }
}

#[cfg(test)]
mod tests;

//! SQL over a snapshot, read only, within limits of rows, time and memory.

mod guest;
mod prepared;
mod reading;
mod relations;

pub use guest::{Furniture, Planned, Sight, Streamed};
pub use prepared::Prepared;
pub use relations::{Relation, RelationKind};

use crate::message::plain;
use crate::session::{self, Now};
use crate::snapshot::{Snapshot, SnapshotError, Snapshots};
use crate::table::merged_table;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DataFusionError, TableReference};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::{DataFrame, Expr, SessionContext};
use futures::StreamExt;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// What one query may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqlLimits {
    /// Rows of an answer. A larger answer is an error, never a silent part of it.
    pub rows_max: usize,
    /// From the text of the query to the last row.
    pub timeout: Duration,
    /// Memory of sorts, joins and aggregates; beyond it they spill to disk where they can, or fail.
    pub memory_bytes_max: usize,
    /// Bytes of the text of a query.
    pub query_bytes_max: usize,
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
    /// Reading failed while the query ran.
    #[error("{0}")]
    Execution(String),
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
            Self::Execution(_) => "execution",
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Query { hint, .. } => hint.as_deref(),
            Self::TooManyRows(_) => Some("aggregate, filter by window_start, or add LIMIT"),
            Self::Timeout(_) | Self::Memory { .. } => Some("filter by window_start or group by fewer columns"),
            Self::Snapshot(_) => Some("try again in a moment"),
            Self::Execution(_) => None,
        }
    }
}

/// Answers queries.
#[derive(Debug)]
pub struct SqlEngine {
    snapshots: Snapshots,
    limits: SqlLimits,
    now: Now,
}

impl SqlEngine {
    /// Answers from `snapshots` within `limits`; `now` is what `now()` gives in a query.
    pub fn new(snapshots: Snapshots, limits: SqlLimits, now: Now) -> Self {
        Self { snapshots, limits, now }
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
        match tokio::time::timeout(self.limits.timeout, self.answer(sql)).await {
            Ok(answer) => answer,
            Err(_) => Err(SqlError::Timeout(self.limits.timeout)),
        }
    }

    async fn answer(&self, sql: &str) -> Result<Answer, SqlError> {
        self.check_length(sql)?;
        let reading = self.read(self.context()?, sql, self.now.us()).await?;
        let snapshot = self.snapshots.take(&reading.needs.tables).await?;
        let frame = self.plan(reading, &snapshot).await?;
        self.collect(frame, self.limits.rows_max).await
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

    /// What `build` makes of one table of a snapshot, at most `rows_max` rows, within the time and memory of a
    /// query.
    pub(crate) async fn over(
        &self,
        snapshot: &Snapshot,
        table: &str,
        build: impl FnOnce(DataFrame) -> datafusion::error::Result<DataFrame>,
        rows_max: usize,
    ) -> Result<Answer, SqlError> {
        let context = self.context()?;
        let rows = async {
            register_tables(&context, snapshot).map_err(|e| self.explain(e, &[]))?;
            let frame = context.table(TableReference::bare(table)).await.and_then(build);
            self.collect(frame.map_err(|e| self.explain(e, &[]))?, rows_max).await
        };
        let timeout = self.limits.timeout;
        tokio::time::timeout(timeout, rows).await.map_err(|_| SqlError::Timeout(timeout))?
    }

    /// What `now()` gives, microseconds since the epoch.
    pub(crate) fn now_us(&self) -> i64 {
        self.now.us()
    }

    async fn collect(&self, frame: DataFrame, rows_max: usize) -> Result<Answer, SqlError> {
        let task = Arc::new(frame.task_ctx());
        let plan = frame.create_physical_plan().await.and_then(with_yields).map_err(|e| self.explain(e, &[]))?;
        self.run(plan, task, rows_max).await
    }

    async fn run(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        task: Arc<TaskContext>,
        rows_max: usize,
    ) -> Result<Answer, SqlError> {
        let schema = plan.schema();
        let mut stream = execute_stream(plan, task).map_err(|e| self.explain(e, &[]))?;
        let (mut batches, mut rows, mut bytes) = (Vec::new(), 0, 0);
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(|e| self.explain(e, &[]))?;
            rows += batch.num_rows();
            if rows > rows_max {
                return Err(SqlError::TooManyRows(rows_max));
            }
            bytes += batch.get_array_memory_size();
            if bytes > self.limits.memory_bytes_max {
                let message = "the answer itself is larger".to_owned();
                return Err(SqlError::Memory { limit: self.limits.memory_bytes_max, message });
            }
            batches.push(batch);
        }
        Ok(Answer { schema, batches })
    }

    fn context(&self) -> Result<SessionContext, SqlError> {
        session::context(self.limits.memory_bytes_max).map_err(|e| SqlError::Execution(e.to_string()))
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
            let hint = message.contains("not found").then(|| tables_hint(known)).flatten();
            SqlError::Query { message, hint }
        }
        DataFusionError::NotImplemented(message) => SqlError::Query { message: message.clone(), hint: None },
        _ => SqlError::Execution(plain(&error.strip_backtrace())),
    }
}

/// DataFusion gives way to timers after so many batches read. A join can make millions of batches out of
/// one: without a yield of its own, its query could not be stopped at its time limit.
fn with_yields(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let plan = plan.transform_up(|node| {
        Ok(match node.name().ends_with("JoinExec") {
            true => Transformed::yes(Arc::new(CooperativeExec::new(node)) as Arc<dyn ExecutionPlan>),
            false => Transformed::no(node),
        })
    });
    plan.data()
}

fn register_tables(context: &SessionContext, snapshot: &Snapshot) -> Result<(), DataFusionError> {
    for (name, table) in &snapshot.tables {
        context.register_table(TableReference::bare(name.as_str()), merged_table(name, table)?)?;
    }
    Ok(())
}

fn tables_hint(known: &[String]) -> Option<String> {
    match known {
        [] => None,
        names => Some(format!("the tables and views are: {}", names.join(", "))),
    }
}

#[cfg(test)]
mod tests;

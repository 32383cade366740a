//! Statements of clients with a catalogue and functions of their own, such as Postgres': planned with
//! placeholders, described without reading rows, run with values in their places. Snapshot, views, tiers,
//! functions and limits are those of every query.

use super::reading::Reading;
use super::running::{Apart, Batches, operators};
use super::{Answer, SqlEngine, SqlError, explained};
use crate::passes;
use crate::session::{self, CATALOG, SCHEMA};
use crate::system::{self, SystemTable};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::{DataFusionError, ParamValues, ScalarValue, TableReference};
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{DataFrame, SessionContext};
use datafusion::sql::parser::Statement;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What a client finds in its session beside tables, views and functions of ours.
pub trait Furniture: fmt::Debug + Send + Sync {
    /// Adds schemas and functions to the session of one statement. The catalogue is [`CATALOG`], and its schema
    /// [`SCHEMA`] is where tables of ours will be.
    fn furnish(&self, context: &SessionContext) -> Result<(), DataFusionError>;
}

/// What a statement is planned over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// Rows as they are now, committed and not.
    Rows,
    /// Columns only: the plan says what an answer looks like.
    Shapes,
}

/// A statement that was planned.
#[derive(Debug, Clone)]
pub struct Planned {
    frame: DataFrame,
}

/// An answer whose rows come while the query runs, at most `rows_max` and not after the time limit: then the
/// stream ends with an error.
pub struct Streamed {
    /// Columns.
    pub schema: SchemaRef,
    /// Rows.
    pub batches: BoxStream<'static, Result<RecordBatch, SqlError>>,
}

impl fmt::Debug for Streamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streamed").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl Planned {
    /// The plan, with placeholders that have no values yet.
    pub fn plan(&self) -> &LogicalPlan {
        self.frame.logical_plan()
    }

    /// Columns of the answer, their types settled.
    pub fn schema(&self) -> Result<SchemaRef, SqlError> {
        let (state, plan) = self.frame.clone().into_parts();
        let settled = state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {});
        Ok(Arc::clone(settled.map_err(SqlError::of_plan)?.schema().inner()))
    }

    /// With values in the place of `$1`, `$2` and so on.
    pub fn with_parameters(self, values: Vec<ScalarValue>) -> Result<Self, SqlError> {
        let (state, plan) = self.frame.into_parts();
        let values = ParamValues::List(values.into_iter().map(Into::into).collect());
        let plan = plan.replace_params_with_values(&values).map_err(SqlError::of_plan)?;
        Ok(Self { frame: DataFrame::new(state, plan) })
    }
}

impl SqlEngine {
    /// Refuses a text that is longer than a query may be.
    pub fn check_length(&self, sql: &str) -> Result<(), SqlError> {
        let limit = self.limits.query_bytes_max;
        if sql.len() <= limit {
            return Ok(());
        }
        let message = format!("the query has {} bytes, the limit is {limit} (sql.query_bytes_max)", sql.len());
        Err(SqlError::Query { message, hint: None })
    }

    /// Plans a statement, which must be a query.
    ///
    /// Errors: it writes; it names what is not there.
    pub async fn plan_statement(
        &self,
        statement: Statement,
        furniture: &dyn Furniture,
        sight: Sight,
    ) -> Result<Planned, SqlError> {
        let failed = |e: DataFusionError| self.explain(e, &[]);
        let context = session::guest_context(&self.memory()).map_err(failed)?;
        furniture.furnish(&context).map_err(failed)?;
        let state = session::state_at(&context, self.now.us()).map_err(failed)?;
        let references = state.resolve_table_references(&statement).map_err(failed)?;
        let ours = references.iter().filter(|r| is_ours(r)).map(|r| r.table().to_owned());
        let system = references.iter().filter(|r| r.schema() == Some(system::SCHEMA));
        let system = system.filter_map(|r| SystemTable::named(r.table())).collect();
        let (definitions, generation) = self.snapshots.generation();
        let named: Vec<String> = ours.collect();
        let needs = definitions.needs(&named);
        let snapshot = match sight {
            Sight::Rows => self.snapshots.take(&needs.tables).await?,
            Sight::Shapes => self.snapshots.shapes(&needs.tables).await?,
        };
        let reading = Reading { context, state, statement, named, needs, system, is_catalogue: false, generation };
        let frame = Box::pin(self.plan(reading, &snapshot)).await?;
        Ok(Planned { frame })
    }

    /// Runs a planned query to its last row.
    pub async fn run_planned(&self, planned: Planned) -> Result<Answer, SqlError> {
        self.collect(planned.frame, self.limits.rows_max).await
    }

    /// Runs a planned query; its rows come as they are found, until `deadline` at the latest.
    pub async fn stream_planned(&self, planned: Planned, deadline: Instant) -> Result<Streamed, SqlError> {
        let failed = |e: DataFusionError| self.explain(e, &[]);
        let (mut state, plan) = planned.frame.into_parts();
        let plan = passes::optimized(&mut state, &plan).map_err(failed)?;
        let operators = operators(state, plan).await.map_err(failed)?;
        let (schema, limits) = (operators.plan.schema(), self.limits);
        let (rows, apart) = self.flow(operators);
        let next = move |(mut rows, apart, sent): (Batches, Apart<()>, usize)| async move {
            let batch = match tokio::time::timeout_at(deadline, rows.recv()).await {
                Ok(Some(batch)) => batch.map_err(|e| explained(&limits, e, &[]))?,
                Ok(None) => return apart.ended().await.map(|()| None),
                Err(_) => return Err(SqlError::Timeout(limits.timeout)),
            };
            let sent = sent + batch.num_rows();
            match sent > limits.rows_max {
                true => Err(SqlError::TooManyRows(limits.rows_max)),
                false => Ok(Some((batch, (rows, apart, sent)))),
            }
        };
        Ok(Streamed { schema, batches: stream::try_unfold((rows, apart, 0), next).boxed() })
    }

    /// Gives work on a query its time: the limit of all queries, or a shorter one of its client.
    pub async fn within<T>(
        &self,
        asked: Option<Duration>,
        work: impl Future<Output = Result<T, SqlError>>,
    ) -> Result<T, SqlError> {
        let limit = asked.map_or(self.limits.timeout, |asked| asked.min(self.limits.timeout));
        tokio::time::timeout(limit, work).await.unwrap_or(Err(SqlError::Timeout(limit)))
    }
}

/// Is it a name of a table or view of ours, rather than of the client's catalogue?
fn is_ours(reference: &TableReference) -> bool {
    reference.schema().is_none_or(|s| s == SCHEMA) && reference.catalog().is_none_or(|c| c == CATALOG)
}

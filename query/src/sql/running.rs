//! Where the operators of a query run. On a runtime of their own they are a task that ends when nobody waits for it any
//! more: who waits stays free to notice that the time is over, or that the client has gone, whatever the operators do
//! meanwhile. Without one they run where they are waited for, which takes no detour over another thread.

use super::stopping::{Stop, stoppable};
use super::{Answer, SqlEngine, SqlError, SqlLimits, ahead, explained};
use crate::session;
use arrow::record_batch::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::execution::{SessionState, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::{Instrument, Span, info_span};

/// Batches that wait for a client that reads more slowly than they are found.
const BATCHES_WAITING: usize = 1;

/// What a query has found, as it is found.
pub(super) type Batches = mpsc::Receiver<Result<RecordBatch, DataFusionError>>;

/// The operators of a query, and what they run in.
pub(super) struct Operators {
    pub plan: Arc<dyn ExecutionPlan>,
    task: Arc<TaskContext>,
    stop: Stop,
}

impl Operators {
    /// A plan that can be stopped, and what it runs in.
    ///
    /// # Errors
    /// See [`stoppable`].
    pub fn new(plan: Arc<dyn ExecutionPlan>, task: Arc<TaskContext>) -> Result<Self, DataFusionError> {
        let stop = Stop::default();
        Ok(Self { plan: stoppable(plan, &stop)?, task, stop })
    }
}

/// A task that ends when this is dropped.
#[derive(Debug)]
pub(super) struct Apart<T> {
    task: JoinHandle<T>,
    stop: Stop,
}

impl<T: Send + 'static> Apart<T> {
    fn spawn(runtime: &Handle, work: impl Future<Output = T> + Send + 'static, stop: Stop) -> Self {
        Self { task: runtime.spawn(work), stop }
    }

    /// Waits for what comes of it.
    pub async fn ended(mut self) -> Result<T, SqlError> {
        (&mut self.task).await.map_err(|error| SqlError::Execution(format!("the query broke off: {error}")))
    }
}

impl<T> Drop for Apart<T> {
    fn drop(&mut self) {
        self.stop.request();
        self.task.abort();
    }
}

/// The operators of an optimized plan.
///
/// # Errors
/// Those of scans and of planning.
pub(super) async fn operators(mut state: SessionState, plan: LogicalPlan) -> Result<Operators, DataFusionError> {
    let plan = ahead::scanned(&mut state, plan).await?;
    let task = session::task(TaskContext::from(&state));
    Operators::new(state.query_planner().create_physical_plan(&plan, &state).await?, task)
}

impl SqlEngine {
    /// Runs operators to their last row.
    pub(super) async fn run(&self, operators: Operators, rows_max: usize) -> Result<Answer, SqlError> {
        let Operators { plan, task, stop } = operators;
        let work = gathered(plan, task, self.limits, rows_max);
        let work = work.instrument(info_span!(target: "otel", "sql.run"));
        match &self.runtime {
            Some(runtime) => Apart::spawn(runtime, work, stop).ended().await?,
            None => {
                let _stops = self.stops_in_time(stop);
                work.await
            }
        }
    }

    /// Who runs the operators itself cannot look at the time meanwhile.
    fn stops_in_time(&self, stop: Stop) -> Apart<()> {
        let (timeout, late) = (self.limits.timeout, stop.clone());
        let watch = async move {
            tokio::time::sleep(timeout).await;
            late.request();
        };
        Apart::spawn(&Handle::current(), watch, stop)
    }

    /// Runs operators; their rows come one batch after the other, and those of a batch that has not come are not looked
    /// for long before.
    pub(super) fn flow(&self, operators: Operators) -> (Batches, Apart<()>) {
        let Operators { plan, task, stop } = operators;
        let (sender, receiver) = mpsc::channel(BATCHES_WAITING);
        let work = async move {
            let mut rows = match execute_stream(plan, task) {
                Ok(rows) => rows,
                Err(error) => {
                    // Nobody may be listening any more.
                    let _ = sender.send(Err(error)).await;
                    return;
                }
            };
            while let Some(batch) = rows.next().await {
                if sender.send(batch).await.is_err() {
                    break;
                }
            }
        };
        let runtime = self.runtime.clone().unwrap_or_else(Handle::current);
        (receiver, Apart::spawn(&runtime, work.instrument(Span::current()), stop))
    }
}

async fn gathered(
    plan: Arc<dyn ExecutionPlan>,
    task: Arc<TaskContext>,
    limits: SqlLimits,
    rows_max: usize,
) -> Result<Answer, SqlError> {
    let failed = |error| explained(&limits, error, &[]);
    let schema = plan.schema();
    let mut stream = execute_stream(plan, task).map_err(failed)?;
    let (mut batches, mut rows, mut bytes) = (Vec::new(), 0, 0);
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(failed)?;
        rows += batch.num_rows();
        if rows > rows_max {
            return Err(SqlError::TooManyRows(rows_max));
        }
        bytes += batch.get_array_memory_size();
        if bytes > limits.memory_bytes_max {
            let message = "the answer itself is larger".to_owned();
            return Err(SqlError::Memory { limit: limits.memory_bytes_max, message });
        }
        batches.push(batch);
    }
    Ok(Answer { schema, batches })
}

//! A query that is planned once and asked over many sets of rows: for tests of definitions, which ask
//! the same of events in ever other orders. Planning takes many times as long as a few rows.

use super::running::Operators;
use super::{Answer, SqlEngine, SqlError};
use crate::session;
use crate::snapshot::{Snapshot, SnapshotTable};
use arrow::array::{BooleanArray, StringArray};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tidewatch_engine::completeness::Completeness;
use tidewatch_engine::life_cycle::tiers_of;
use tidewatch_engine::rollup::Tier;

/// A planned query over declared tables whose rows are given with each asking.
pub struct Prepared {
    plan: Arc<dyn ExecutionPlan>,
    task: Arc<TaskContext>,
    shelves: BTreeMap<String, Arc<Shelf>>,
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("shelves", &self.shelves).finish_non_exhaustive()
    }
}

/// The rows of a table, as the plan finds them when it runs: as a worker has committed them.
#[derive(Debug)]
struct Shelf {
    schema: SchemaRef,
    /// The finest width of a table of windows.
    tier: Option<String>,
    rows: Mutex<Vec<RecordBatch>>,
}

impl Shelf {
    fn fill(&self, batches: Vec<RecordBatch>) -> Result<(), ArrowError> {
        let stored = batches.into_iter().map(|batch| {
            let mut columns = batch.columns().to_vec();
            if let Some(tier) = &self.tier {
                let rows = batch.num_rows();
                columns.push(Arc::new(StringArray::from(vec![tier.as_str(); rows])));
                columns.push(Arc::new(BooleanArray::from(vec![false; rows])));
            }
            RecordBatch::try_new(Arc::clone(&self.schema), columns)
        });
        *self.rows.lock().unwrap_or_else(PoisonError::into_inner) = stored.collect::<Result<_, _>>()?;
        Ok(())
    }
}

impl PartitionStream for Shelf {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let stream = futures::stream::iter(rows.into_iter().map(Ok));
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream))
    }
}

impl Prepared {
    /// Tables that the query reads, itself or through views.
    pub fn tables(&self) -> impl Iterator<Item = &str> {
        self.shelves.keys().map(String::as_str)
    }
}

impl SqlEngine {
    /// Plans a query over declared tables, whether they exist or not; `now_us` is its `now()`.
    pub async fn prepare(&self, sql: &str, now_us: i64) -> Result<Prepared, SqlError> {
        let failed = |e: DataFusionError| self.explain(e, &[]);
        let context = session::repeatable_context(self.limits.memory_bytes_max).map_err(failed)?;
        let reading = self.read(context, sql, now_us).await?;
        let definitions = self.snapshots.definitions();
        let (mut tables, mut shelves) = (BTreeMap::new(), BTreeMap::new());
        for name in &reading.needs.tables {
            let Some(declared) = definitions.table(name) else { continue };
            let mut table = SnapshotTable::not_created(declared, Vec::new(), Completeness::unknown());
            let schema = table.committed.schema();
            let windowed = declared.rollup.as_ref().filter(|r| r.pane_us.is_some());
            let tier = windowed.and_then(|r| tiers_of(r).first().map(Tier::name));
            let shelf = Arc::new(Shelf { schema: Arc::clone(&schema), tier, rows: Mutex::default() });
            let stream = StreamingTable::try_new(schema, vec![Arc::clone(&shelf) as _]);
            table.committed = Arc::new(stream.map_err(failed)?);
            tables.insert(name.clone(), table);
            shelves.insert(name.clone(), shelf);
        }
        let frame = Box::pin(self.plan(reading, &Snapshot { tables, watermark: Some(now_us) })).await?;
        let task = session::task(frame.task_ctx());
        let plan = frame.create_physical_plan().await.map_err(failed)?;
        Ok(Prepared { plan, task, shelves })
    }

    /// Answers a prepared query over these rows of its tables, any number of partials per key.
    pub async fn ask(
        &self,
        prepared: &mut Prepared,
        rows: impl Fn(&str) -> Vec<RecordBatch>,
    ) -> Result<Answer, SqlError> {
        for (name, shelf) in &prepared.shelves {
            shelf.fill(rows(name)).map_err(|e| SqlError::Execution(e.to_string()))?;
        }
        let operators = reset_plan_states(Arc::clone(&prepared.plan))
            .and_then(|plan| Operators::new(plan, Arc::clone(&prepared.task)))
            .map_err(|e| self.explain(e, &[]))?;
        let answer = self.run(operators, self.limits.rows_max);
        tokio::time::timeout(self.limits.timeout, answer).await.map_err(|_| SqlError::Timeout(self.limits.timeout))?
    }
}

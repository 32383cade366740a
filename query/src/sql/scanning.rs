//! Rows of tables of windows without a query: what reads them knows which it needs, so that there is nothing to plan.

use super::running::Operators;
use super::{SqlEngine, SqlError};
use crate::session;
use crate::table::{Shape, TierRows};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::physical_planner::DefaultPhysicalPlanner;
use datafusion::prelude::Expr;
use tracing::{Instrument, info_span};

impl SqlEngine {
    /// Columns of the rows of chosen tiers of which all filters hold, at most `rows_max`, within the memory of a query.
    /// Nothing is planned that files and memory do not ask for. Whoever asks says how long it may take.
    pub(crate) async fn scan(
        &self,
        rows: &TierRows,
        columns: &[&str],
        filters: &[Expr],
        rows_max: usize,
    ) -> Result<Vec<RecordBatch>, SqlError> {
        let failed = |e: DataFusionError| self.explain(e, &[]);
        let state = session::state(&self.memory()).map_err(failed)?;
        let schema = rows.schema();
        let places = columns.iter().map(|column| schema.index_of(column)).collect::<Result<Vec<_>, _>>();
        let places = places.map_err(|e| failed(e.into()))?;
        let read = async {
            let plan = rows.scan(&state, Some(&places), filters, None).await.map_err(failed)?;
            let plan = match rows.shape() {
                // What merges is divided among the processors.
                Shape::Windows => {
                    DefaultPhysicalPlanner::default().optimize_physical_plan(plan, &state, |_, _| {}).map_err(failed)?
                }
                Shape::Partials | Shape::Coded => plan,
            };
            let operators = Operators::new(plan, session::task(TaskContext::from(&state))).map_err(failed)?;
            Ok::<_, SqlError>(self.run(operators, rows_max).await?.batches)
        };
        read.instrument(info_span!(target: "otel", "promql.read")).await
    }
}

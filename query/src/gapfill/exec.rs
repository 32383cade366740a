//! The operator: takes its whole input, which an aggregate below has held in memory already, and gives it back
//! with the missing rows.

use super::node::{Columns, Fill, GapFill, Grid};
use super::rows::Filled;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, Partitioning, PlanProperties,
};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use futures::{StreamExt, TryStreamExt};
use std::fmt;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct PlanGapFill;

#[async_trait::async_trait]
impl ExtensionPlanner for PlanGapFill {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        planning: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(node) = node.as_any().downcast_ref::<GapFill>() else { return Ok(None) };
        let (Some(input), Some(logical)) = (physical_inputs.first(), logical_inputs.first()) else {
            return internal_err!("a gap filling has one input");
        };
        let physical = |(fill, expr): &(Fill, _)| {
            Ok((*fill, planner.create_physical_expr(expr, logical.schema(), session, planning)?))
        };
        let what = What {
            grid: node.grid.clone(),
            columns: node.columns.clone(),
            fills: node.fills.iter().map(physical).collect::<Result<_>>()?,
            schema: Arc::clone(node.schema.inner()),
        };
        Ok(Some(Arc::new(GapFillExec::new(Arc::clone(input), Arc::new(what)))))
    }
}

#[derive(Debug)]
struct What {
    grid: Grid,
    columns: Columns,
    fills: Vec<(Fill, Arc<dyn PhysicalExpr>)>,
    schema: SchemaRef,
}

#[derive(Debug, Clone)]
struct GapFillExec {
    input: Arc<dyn ExecutionPlan>,
    what: Arc<What>,
    properties: Arc<PlanProperties>,
}

impl GapFillExec {
    fn new(input: Arc<dyn ExecutionPlan>, what: Arc<What>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&what.schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self { input, what, properties: Arc::new(properties) }
    }
}

impl DisplayAs for GapFillExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Grid { width, from_us, to_us, zone } = &self.what.grid;
        write!(f, "GapFillExec: width={width:?}, from={from_us} µs, to={to_us} µs, zone={zone:?}")
    }
}

impl ExecutionPlan for GapFillExec {
    fn name(&self) -> &str {
        "GapFillExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        for (_, expr) in &self.what.fills {
            if f(expr)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::SinglePartition]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(input) = children.pop() else { return internal_err!("a gap filling has one input") };
        Ok(Arc::new(Self::new(input, Arc::clone(&self.what))))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, Arc::clone(&context))?;
        let (what, schema) = (Arc::clone(&self.what), input.schema());
        let batch_rows = context.session_config().batch_size();
        let filled = async move {
            let reservation = MemoryConsumer::new("GapFill").register(context.memory_pool());
            let mut input = input;
            let mut batches: Vec<RecordBatch> = Vec::new();
            while let Some(batch) = input.try_next().await? {
                // What came in, and what goes out, which is no smaller.
                reservation.try_grow(batch.get_array_memory_size().saturating_mul(2))?;
                batches.push(batch);
            }
            let batch = fill(&concat_batches(&schema, &batches)?, &what)?;
            reservation.try_resize(batch.get_array_memory_size())?;
            let rows = batch.num_rows();
            let pieces = (0..rows).step_by(batch_rows).map(move |at| batch.slice(at, batch_rows.min(rows - at)));
            Ok::<_, DataFusionError>(futures::stream::iter(pieces.collect::<Vec<_>>()).map(move |piece| {
                let _held = &reservation;
                Ok(piece)
            }))
        };
        let stream = futures::stream::once(filled).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.what.schema), stream)))
    }
}

fn fill(batch: &RecordBatch, what: &What) -> Result<RecordBatch> {
    let filled = Filled::of(batch, &what.grid, &what.columns)?;
    let mut columns = filled.columns(batch, &what.columns)?;
    let own = arrow::datatypes::Schema::new(what.schema.fields()[..columns.len()].to_vec());
    let with_gaps = RecordBatch::try_new(Arc::new(own), columns.clone())?;
    for (fill, expr) in &what.fills {
        let values = expr.evaluate(&with_gaps)?.into_array(with_gaps.num_rows())?;
        columns.push(filled.fill(*fill, &values)?);
    }
    Ok(RecordBatch::try_new(Arc::clone(&what.schema), columns)?)
}

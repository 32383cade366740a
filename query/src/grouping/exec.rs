//! The operator: groups the rows of several inputs, each part of them for itself, and hands out partial states.

use super::keys::Groups;
use super::runs::Key;
use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet, RecordOutput};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
};
use futures::{TryStreamExt, stream};
use std::fmt;
use std::sync::Arc;

/// An input, with what is grouped in terms of its columns.
#[derive(Debug, Clone)]
pub(super) struct Branch {
    pub input: Arc<dyn ExecutionPlan>,
    pub keys: Vec<Arc<dyn PhysicalExpr>>,
    /// Of each function.
    pub arguments: Vec<Vec<Arc<dyn PhysicalExpr>>>,
}

/// See the module page.
#[derive(Debug, Clone)]
pub(super) struct GroupExec {
    branches: Vec<Branch>,
    functions: Vec<Arc<AggregateFunctionExpr>>,
    /// Keys, then states.
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl GroupExec {
    pub fn new(branches: Vec<Branch>, functions: Vec<Arc<AggregateFunctionExpr>>, schema: SchemaRef) -> Self {
        let parts = branches.iter().map(|b| b.input.output_partitioning().partition_count()).sum();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(parts),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        let metrics = ExecutionPlanMetricsSet::new();
        Self { branches, functions, schema, properties: Arc::new(properties), metrics }
    }

    /// The branch of a part, and which part of it that is.
    fn branch(&self, mut part: usize) -> Option<(&Branch, usize)> {
        for branch in &self.branches {
            let parts = branch.input.output_partitioning().partition_count();
            if part < parts {
                return Some((branch, part));
            }
            part -= parts;
        }
        None
    }
}

impl DisplayAs for GroupExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.branches.first().map(|b| b.keys.iter().map(ToString::to_string).collect::<Vec<_>>());
        let functions: Vec<&str> = self.functions.iter().map(|function| function.name()).collect();
        write!(f, "GroupExec: by=[{}], aggr=[{}]", keys.unwrap_or_default().join(", "), functions.join(", "))
    }
}

impl ExecutionPlan for GroupExec {
    fn name(&self) -> &str {
        "GroupExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.branches.iter().map(|branch| &branch.input).collect()
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false; self.branches.len()]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        for branch in &self.branches {
            for expr in branch.keys.iter().chain(branch.arguments.iter().flatten()) {
                if f(expr)? == TreeNodeRecursion::Stop {
                    return Ok(TreeNodeRecursion::Stop);
                }
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        if children.len() != self.branches.len() {
            return internal_err!("a grouping has {} inputs", self.branches.len());
        }
        let with = |(branch, input): (&Branch, Arc<dyn ExecutionPlan>)| Branch { input, ..branch.clone() };
        let branches = self.branches.iter().zip(children).map(with).collect();
        Ok(Arc::new(Self::new(branches, self.functions.clone(), Arc::clone(&self.schema))))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Some((branch, part)) = self.branch(partition) else { return internal_err!("there is no part {partition}") };
        let input = branch.input.execute(part, Arc::clone(&context))?;
        let grouping = Grouping::new(branch, &self.functions, &self.schema)?;
        let reservation = MemoryConsumer::new("GroupExec").register(context.memory_pool());
        let batch_rows = context.session_config().batch_size().max(1);
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let under_way = Some((input, grouping, reservation));
        let grouped = stream::try_unfold((under_way, metrics), |(under_way, metrics)| async move {
            let Some((mut input, mut grouping, reservation)) = under_way else { return Ok(None) };
            while let Some(batch) = input.try_next().await? {
                let timer = metrics.elapsed_compute().timer();
                grouping.add(&batch)?;
                drop(timer);
                if reservation.try_resize(grouping.size_bytes()).is_err() {
                    // What is above merges states by key: it does not matter in how many parts they come.
                    let full = grouping.emit()?.record_output(&metrics);
                    reservation.free();
                    return Ok(Some((full, (Some((input, grouping, reservation)), metrics))));
                }
            }
            let last = grouping.emit()?.record_output(&metrics);
            Ok::<_, DataFusionError>(Some((last, (None, metrics))))
        });
        let pieces = grouped.map_ok(move |batch| {
            let rows = batch.num_rows();
            let piece = move |at: usize| Ok(batch.slice(at, batch_rows.min(rows - at)));
            stream::iter((0..rows).step_by(batch_rows).map(piece))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), pieces.try_flatten())))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// One part under way.
struct Grouping {
    keys: Vec<Key>,
    arguments: Vec<Vec<Arc<dyn PhysicalExpr>>>,
    functions: Vec<Arc<AggregateFunctionExpr>>,
    schema: SchemaRef,
    groups: Groups,
    states: Vec<Box<dyn GroupsAccumulator>>,
    of_rows: Vec<usize>,
}

impl Grouping {
    fn new(branch: &Branch, functions: &[Arc<AggregateFunctionExpr>], schema: &SchemaRef) -> Result<Self> {
        let states = functions.iter().map(|function| function.create_groups_accumulator()).collect::<Result<_>>()?;
        Ok(Self {
            keys: branch.keys.iter().map(|key| Key::new(key, &branch.input.schema())).collect(),
            arguments: branch.arguments.clone(),
            functions: functions.to_vec(),
            schema: Arc::clone(schema),
            groups: Groups::new(key_types(schema, branch.keys.len())),
            states,
            of_rows: Vec::new(),
        })
    }

    fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let evaluate = |expr: &Arc<dyn PhysicalExpr>| expr.evaluate(batch)?.into_array(batch.num_rows());
        let keys = self.keys.iter().map(|key| key.of_rows(batch)).collect::<Result<Vec<_>>>()?;
        self.groups.of_rows(&keys, batch.num_rows(), &mut self.of_rows)?;
        for (state, arguments) in self.states.iter_mut().zip(&self.arguments) {
            let values: Vec<ArrayRef> = arguments.iter().map(evaluate).collect::<Result<_>>()?;
            state.update_batch(&values, &self.of_rows, None, self.groups.count())?;
        }
        Ok(())
    }

    fn size_bytes(&self) -> usize {
        self.groups.size_bytes() + self.states.iter().map(|state| state.size()).sum::<usize>()
    }

    /// All groups with their states; begins anew.
    fn emit(&mut self) -> Result<RecordBatch> {
        let count = self.keys.len();
        let mut columns = self.groups.columns(key_types(&self.schema, count))?;
        for state in &mut self.states {
            columns.extend(state.state(EmitTo::All)?);
        }
        self.groups = Groups::new(key_types(&self.schema, count));
        self.states = self.functions.iter().map(|f| f.create_groups_accumulator()).collect::<Result<_>>()?;
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

fn key_types(schema: &SchemaRef, count: usize) -> impl DoubleEndedIterator<Item = &DataType> + ExactSizeIterator {
    schema.fields()[..count].iter().map(|field| field.data_type())
}

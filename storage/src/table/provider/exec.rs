//! The operator: row groups of files, divided among the processors.

use super::piece::{Piece, Reading};
use arrow::datatypes::SchemaRef;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet, RecordOutput};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// Reads rows of a table's files.
#[derive(Debug, Clone)]
pub struct FilesExec {
    reading: Arc<Reading>,
    groups: Arc<[Vec<Piece>]>,
    /// Of all files together.
    rows: Precision<usize>,
    /// Of all row groups together.
    rows_max: u64,
    limit: Option<usize>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl FilesExec {
    pub(super) fn new(
        reading: Arc<Reading>,
        groups: Vec<Vec<Piece>>,
        (rows, rows_max): (Precision<usize>, u64),
        limit: Option<usize>,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&reading.schema)),
            Partitioning::UnknownPartitioning(groups.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self {
            reading,
            groups: groups.into(),
            rows,
            rows_max,
            limit,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// Rows that are looked at, of which conditions leave fewer.
    pub fn rows_max(&self) -> u64 {
        self.rows_max
    }

    /// The files that are read, below their table.
    pub fn paths(&self) -> BTreeSet<&Path> {
        self.groups.iter().flatten().map(|piece| &piece.file.path).collect()
    }
}

impl DisplayAs for FilesExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pieces: usize = self.groups.iter().map(Vec::len).sum();
        let names: Vec<&str> = self.reading.schema.fields().iter().map(|field| field.name().as_str()).collect();
        let (files, groups) = (self.paths().len(), self.groups.len());
        write!(f, "FilesExec: {files} files, {pieces} row groups in {groups} parts, columns=[{}]", names.join(", "))?;
        if !self.reading.conditions.is_empty() {
            let conditions: Vec<String> = self.reading.conditions.iter().map(ToString::to_string).collect();
            write!(f, ", where={}", conditions.join(" AND "))?;
        }
        Ok(())
    }
}

impl ExecutionPlan for FilesExec {
    fn name(&self) -> &str {
        "FilesExec"
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.reading.schema)
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        for condition in &self.reading.conditions {
            if f(condition.expr())? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match children.is_empty() {
            true => Ok(self),
            false => internal_err!("files are read from nothing else"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Some(pieces) = self.groups.get(partition).cloned() else {
            return internal_err!("there is no part {partition}");
        };
        let (reading, batch_rows) = (Arc::clone(&self.reading), context.session_config().batch_size());
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let rows = stream::iter(pieces)
            .then(move |piece| Arc::clone(&reading).rows(piece, batch_rows))
            .try_flatten()
            .map(move |batch| batch.record_output(&metrics));
        let schema = Arc::clone(&self.reading.schema);
        Ok(match self.limit {
            None => Box::pin(RecordBatchStreamAdapter::new(schema, rows)),
            Some(limit) => {
                let mut left = limit;
                let rows = rows.try_take_while(move |batch| {
                    let is_wanted = left > 0;
                    left = left.saturating_sub(batch.num_rows());
                    std::future::ready(Ok(is_wanted))
                });
                Box::pin(RecordBatchStreamAdapter::new(schema, rows))
            }
        })
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(
        &self,
        _input_stats: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema());
        if args.partition().is_none() {
            statistics.num_rows = self.rows;
        }
        Ok(Arc::new(statistics))
    }
}

//! A table of a snapshot as DataFusion sees it: partials merged, averages computed.
//!
//! A table of windows is a [`RollupTable`]: which of its tiers answer is decided for each query, by [`crate::tiers`],
//! which puts [`TierRows`] in its place. They are one leaf while a query is planned, take the filters on windows and
//! dimensions down to the files, read no measure that is not asked for, and merge with DataFusion's own aggregates,
//! which spill or refuse by the query's memory limit.

mod measures;
mod scan;
mod span;

pub use scan::TierRows;

use crate::snapshot::SnapshotTable;
use crate::tiers::{Segment, segments};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Result, ScalarValue, TableReference};
use datafusion::datasource::{MemTable, TableType, ViewTable, provider_as_source};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlanBuilder, cast, ident, when};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::lit;
use measures::{merges, seen, shaped};
use std::collections::BTreeSet;
use std::sync::Arc;
use tidewatch_engine::completeness::{Completeness, Status};
use tidewatch_engine::life_cycle::tiers_of;
use tidewatch_engine::rollup::{RollupSchema, Tier, WINDOW_START, timestamp_type};
use tidewatch_storage::{ROLLED_UP, TIER};

/// Exclusive end of a window.
const WINDOW_END: &str = "window_end";
/// `complete`, `partial` or `unknown`.
const COMPLETENESS: &str = "completeness";
/// Why a window is not complete; null when it is.
const COMPLETENESS_REASON: &str = "completeness_reason";

/// Columns of a table of windows that are computed, not stored.
pub(crate) const COMPUTED: [&str; 3] = [WINDOW_END, COMPLETENESS, COMPLETENESS_REASON];

/// How the rows of a window come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One row per window and series.
    Windows,
    /// As they are stored: several rows of one window and series, whose states are yet to be merged. Averages
    /// and newest values of such rows mean nothing.
    Partials,
    /// The same, their texts as dictionaries, for readers that look at each text once.
    Coded,
}

/// The table that queries see.
pub fn merged_table(name: &str, table: &SnapshotTable) -> Result<Arc<dyn TableProvider>> {
    let plan = match &table.rollup {
        Some(rollup) if rollup.pane_us.is_some() => {
            return Ok(Arc::new(RollupTable::new(rollup, table, Shape::Windows)?));
        }
        Some(rollup) => {
            let rows = all_rows(name, table, &rollup.arrow_schema())?;
            let keys = rollup.key_fields();
            let rows = rows.aggregate(keys.iter().map(|field| ident(field.name())), merges(rollup, &Asked::All))?;
            rows.project(seen(rollup, Vec::new(), &table.committed.schema(), &Asked::All))?.build()?
        }
        None => all_rows(name, table, &table.schema)?.build()?,
    };
    Ok(Arc::new(ViewTable::new(plan, None)))
}

/// Committed rows and live rows, in the types of the table's schema.
fn all_rows(name: &str, table: &SnapshotTable, schema: &SchemaRef) -> Result<LogicalPlanBuilder> {
    let committed = scan(name, &table.committed)?;
    let committed = with_columns(committed, schema)?;
    match live_rows(name, &table.live)? {
        Some(live) => committed.union(with_columns(live, schema)?.build()?),
        None => Ok(committed),
    }
}

fn with_columns(rows: LogicalPlanBuilder, schema: &SchemaRef) -> Result<LogicalPlanBuilder> {
    let columns = columns(schema, rows.schema().inner());
    rows.project(columns)
}

/// Readers of Parquet may hand out other encodings of the same type, such as views. A worker that follows an
/// older definition has no rows of measures that were added since: nothing was counted there.
fn columns(schema: &SchemaRef, there: &Schema) -> Vec<Expr> {
    let column = |name: &str| if there.index_of(name).is_ok() { ident(name) } else { lit(ScalarValue::Null) };
    schema.fields().iter().map(|f| cast(column(f.name()), f.data_type().clone()).alias(f.name())).collect()
}

fn scan(name: &str, committed: &Arc<dyn TableProvider>) -> Result<LogicalPlanBuilder> {
    LogicalPlanBuilder::scan(TableReference::bare(name), provider_as_source(Arc::clone(committed)), None)
}

fn live_rows(name: &str, live: &[RecordBatch]) -> Result<Option<LogicalPlanBuilder>> {
    let live: Vec<_> = live.iter().filter(|b| b.num_rows() > 0).cloned().collect();
    if live.is_empty() {
        return Ok(None);
    }
    // One partition per piece would be a task per piece; a few are enough.
    let memory = MemTable::try_new(live[0].schema(), vec![live])?;
    LogicalPlanBuilder::scan(format!("{name}_live"), provider_as_source(Arc::new(memory)), None).map(Some)
}

/// Columns that somebody asks for.
#[derive(Debug)]
enum Asked<'a> {
    /// Every one.
    All,
    /// Those of these names.
    Named(BTreeSet<&'a str>),
}

impl<'a> Asked<'a> {
    /// The columns of a schema.
    fn of(schema: &'a Schema) -> Self {
        Self::Named(schema.fields().iter().map(|field| field.name().as_str()).collect())
    }

    /// Is that one asked for?
    fn have(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.contains(name),
        }
    }
}

/// A table of windows, in several widths.
#[derive(Debug, Clone)]
pub struct RollupTable {
    kept: Arc<Kept>,
    shape: Shape,
    /// What queries see.
    schema: SchemaRef,
}

/// What a snapshot has of a table of windows.
#[derive(Debug)]
struct Kept {
    rollup: RollupSchema,
    tiers: Vec<Tier>,
    boundaries: Vec<Option<i64>>,
    completeness: Completeness,
    /// Columns of the rollup as they are stored.
    stored: SchemaRef,
    committed: Arc<dyn TableProvider>,
    live: Vec<RecordBatch>,
}

impl RollupTable {
    /// Rows of `source` in a shape.
    ///
    /// # Errors
    /// A measure does not merge.
    pub fn new(rollup: &RollupSchema, source: &SnapshotTable, shape: Shape) -> Result<Self> {
        let kept = Kept {
            rollup: rollup.clone(),
            tiers: tiers_of(rollup),
            boundaries: source.boundaries.clone(),
            completeness: source.completeness.clone(),
            stored: Arc::clone(&source.schema),
            committed: Arc::clone(&source.committed),
            live: source.live.clone(),
        };
        let mut table = Self { kept: Arc::new(kept), shape, schema: Arc::clone(&source.schema) };
        table.schema = source.seen.schema(|| table.seen())?;
        table.schema = shaped(rollup, &table.schema, shape);
        Ok(table)
    }

    /// The columns of merged windows.
    fn seen(&self) -> Result<SchemaRef> {
        let field = |expr: &Expr, of: &DFSchema| Ok(Arc::unwrap_or_clone(expr.to_field(of)?.1));
        let stored = DFSchema::try_from(Arc::clone(&self.kept.stored))?;
        let keys = self.rollup().key_fields().into_iter().map(Ok);
        let merges = merges(self.rollup(), &Asked::All);
        let merged = keys.chain(merges.iter().map(|merge| field(merge, &stored))).collect::<Result<Vec<_>>>()?;
        let merged = DFSchema::try_from(Schema::new(merged))?;
        let seen = seen(self.rollup(), self.computed(&[])?, &self.kept.committed.schema(), &Asked::All);
        Ok(Arc::new(Schema::new(seen.iter().map(|column| field(column, &merged)).collect::<Result<Vec<_>>>()?)))
    }

    /// Its rollup.
    pub fn rollup(&self) -> &RollupSchema {
        &self.kept.rollup
    }

    /// Its widths, finest first, at least one.
    pub fn tiers(&self) -> &[Tier] {
        &self.kept.tiers
    }

    /// Per tier where it is cut; older rows of it do not count.
    pub fn boundaries(&self) -> &[Option<i64>] {
        &self.kept.boundaries
    }

    /// How rows come that nothing above them merges.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    fn stored(&self) -> &SchemaRef {
        &self.kept.stored
    }

    fn committed(&self) -> &Arc<dyn TableProvider> {
        &self.kept.committed
    }

    fn live(&self) -> &[RecordBatch] {
        &self.kept.live
    }

    /// Columns that are no state: computed from the start of each window, after the key and before the measures.
    fn computed(&self, segments: &[Segment]) -> Result<Vec<Expr>> {
        let instant = |us: i64| lit(ScalarValue::TimestampMicrosecond(Some(us), Some("UTC".into())));
        let start = || cast(ident(WINDOW_START), DataType::Int64);
        // Each stretch of time has windows of one width.
        let mut segments = segments.to_vec();
        segments.sort_by_key(|s| s.from);
        let mut width = lit(self.tiers()[segments.last().map_or(0, |s| s.tier)].pane_us);
        for segment in segments.iter().rev().skip(1) {
            if let Some(to) = segment.to {
                width = when(start().lt(lit(to)), lit(self.tiers()[segment.tier].pane_us)).otherwise(width)?;
            }
        }
        let end = cast(start() + width, timestamp_type());
        let Completeness { complete_until_us, open_after_us, between, after, unfilled } = &self.kept.completeness;
        let judged = |complete: Expr, lacking: &str, between: &str, after: &str| {
            let is_complete = match *complete_until_us {
                // Nothing is known of any partition.
                i64::MIN => lit(false),
                until => end.clone().lt_eq(instant(until)),
            };
            let is_open = end.clone().gt(instant((*open_after_us).max(0)));
            match unfilled {
                Some(gap) => when(start().lt(lit(gap.until_us)), lit(lacking)).when(is_complete, complete),
                None => when(is_complete, complete),
            }
            .when(is_open, lit(after))
            .otherwise(lit(between))
        };
        let lacking = (Status::Partial.as_str(), unfilled.as_ref().map_or("", |gap| &gap.reason));
        let status = judged(lit(Status::Complete.as_str()), lacking.0, between.0.as_str(), after.0.as_str())?;
        let reason = judged(lit(ScalarValue::Utf8(None)), lacking.1, &between.1, &after.1)?;
        Ok(vec![end.clone().alias(WINDOW_END), status.alias(COMPLETENESS), reason.alias(COMPLETENESS_REASON)])
    }

    /// Rows of the tier itself, and those of finer ones that are not part of it yet.
    fn belongs_to(&self, tier: usize) -> Result<Expr> {
        // In the type that the scan hands out, so that nothing stands between the column and the log.
        let Ok(text) = self.committed().schema().field_with_name(TIER).map(|f| f.data_type().clone()) else {
            // Rows that were never divided, such as those of a test, are all fresh ones of the first tier.
            return Ok(lit(true));
        };
        let name = |tier: &Tier| ScalarValue::from(tier.name()).cast_to(&text).map(lit);
        let own = ident(TIER).eq(name(&self.tiers()[tier])?);
        let finer = self.tiers()[..tier].iter().map(name).collect::<Result<Vec<_>>>()?;
        Ok(match finer.is_empty() {
            true => own,
            false => own.or(ident(ROLLED_UP).eq(lit(false)).and(ident(TIER).in_list(finer, false))),
        })
    }

    /// All rows, each in the finest width that is still kept for its time.
    pub fn finest(&self, shape: Shape) -> TierRows {
        TierRows::new(self, segments(self.tiers(), self.boundaries(), 0, None, None), shape)
    }
}

#[async_trait::async_trait]
impl TableProvider for RollupTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// For contexts in which no rule chooses tiers: all rows in their finest width.
    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.finest(self.shape).scan(state, projection, filters, limit).await
    }
}

#[cfg(test)]
mod tests;

//! A table of a snapshot as DataFusion sees it: partials merged, averages computed.
//!
//! The merge is an ordinary logical plan (scan of the files ∪ rows in memory → aggregate by key), not a
//! scan of its own: DataFusion then pushes filters on windows and dimensions down to the files, drops
//! the measures that a query does not use, and spills or refuses by its memory limit.
//!
//! A table of windows is a [`RollupTable`]: which of its tiers answer is decided for each query, by
//! [`crate::tiers`], which puts the plan in the place of the table.

use crate::functions::window::window_start;
use crate::functions::{distinct_merge, hdr_merge, samples_merge};
use crate::snapshot::SnapshotTable;
use crate::tiers::{Segment, segments};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result, ScalarValue, TableReference};
use datafusion::datasource::{MemTable, TableType, ViewTable, provider_as_source};
use datafusion::functions::expr_fn::coalesce;
use datafusion::functions_aggregate::expr_fn::{last_value, max, min, sum};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast, ident, when};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::lit;
use std::collections::BTreeSet;
use std::sync::Arc;
use tidewatch_engine::completeness::{Completeness, Status};
use tidewatch_engine::life_cycle::tiers_of;
use tidewatch_engine::rollup::{Measure, MeasureKind, RollupSchema, Tier, WINDOW_START, timestamp_type};
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
            return Ok(Arc::new(RollupTable::new(name, rollup, table, Shape::Windows)?));
        }
        Some(rollup) => {
            let rows = all_rows(name, table, &rollup.arrow_schema())?;
            merged(rollup, rows, Vec::new(), &table.committed.schema(), &Columns::All)?
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

/// Columns that somebody asks for. Those that nobody asks for are not even planned: rules of the optimizer look at
/// every expression of a plan, many times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Columns {
    /// Every one.
    All,
    /// Those of these names.
    Named(BTreeSet<String>),
}

impl Columns {
    /// Is that one asked for?
    fn have(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.contains(name),
        }
    }

    /// Is any of them asked for?
    fn have_any<'a>(&self, mut names: impl Iterator<Item = &'a str>) -> bool {
        names.any(|name| self.have(name))
    }
}

/// A table of windows, in several widths.
#[derive(Debug)]
pub struct RollupTable {
    name: String,
    rollup: RollupSchema,
    tiers: Vec<Tier>,
    boundaries: Vec<Option<i64>>,
    completeness: Completeness,
    committed: Arc<dyn TableProvider>,
    live: Vec<RecordBatch>,
    shape: Shape,
    /// What queries see.
    schema: SchemaRef,
}

impl RollupTable {
    /// Rows of `table` in a shape.
    pub fn new(name: &str, rollup: &RollupSchema, source: &SnapshotTable, shape: Shape) -> Result<Self> {
        let mut table = Self {
            name: name.to_owned(),
            rollup: rollup.clone(),
            tiers: tiers_of(rollup),
            boundaries: source.boundaries.clone(),
            completeness: source.completeness.clone(),
            committed: Arc::clone(&source.committed),
            live: source.live.clone(),
            shape,
            schema: Arc::clone(&source.schema),
        };
        table.schema = source.seen.schema(|| {
            let plan = table.plan(&[], Shape::Windows, &Columns::All)?;
            Ok(Arc::clone(plan.schema().inner()))
        })?;
        table.schema = shaped(rollup, &table.schema, shape);
        Ok(table)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its rollup.
    pub fn rollup(&self) -> &RollupSchema {
        &self.rollup
    }

    /// Its widths, finest first, at least one.
    pub fn tiers(&self) -> &[Tier] {
        &self.tiers
    }

    /// Per tier where it is cut; older rows of it do not count.
    pub fn boundaries(&self) -> &[Option<i64>] {
        &self.boundaries
    }

    /// How rows come that nothing above them merges.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The rows of these stretches of time, each in the width of its tier, with these columns in the table's order.
    pub fn plan(&self, segments: &[Segment], shape: Shape, columns: &Columns) -> Result<LogicalPlan> {
        let mut rows: Option<LogicalPlanBuilder> = None;
        let mut add = |part: LogicalPlanBuilder| -> Result<()> {
            rows = Some(match rows.take() {
                Some(rows) => rows.union(part.build()?)?,
                None => part,
            });
            Ok(())
        };
        for segment in segments {
            let of_tier = scan(&self.name, &self.committed)?.filter(self.belongs_to(segment.tier)?)?;
            add(self.cut(of_tier, segment, shape, columns)?)?;
            if let Some(live) = live_rows(&self.name, &self.live)? {
                add(self.cut(live, segment, shape, columns)?)?;
            }
        }
        let rows = match rows {
            Some(rows) => rows,
            None => {
                let everything = Segment { tier: 0, from: None, to: None };
                self.cut(scan(&self.name, &self.committed)?.filter(lit(false))?, &everything, shape, columns)?
            }
        };
        let computed = match columns.have_any(COMPUTED.into_iter()) {
            true => self.computed(segments)?,
            false => Vec::new(),
        };
        let stored = self.committed.schema();
        match shape {
            Shape::Windows => merged(&self.rollup, rows, computed, &stored, columns),
            Shape::Partials | Shape::Coded => self.partials(rows, computed, &stored, columns),
        }
    }

    /// Rows as they are, with the columns and types of merged ones.
    fn partials(
        &self,
        rows: LogicalPlanBuilder,
        computed: Vec<Expr>,
        stored: &Schema,
        asked: &Columns,
    ) -> Result<LogicalPlan> {
        let rows = rows.project(seen(&self.rollup, computed, stored, asked))?;
        let typed = |field: &Arc<Field>| {
            let column = ident(field.name());
            match rows.schema().field_with_unqualified_name(field.name()) {
                Ok(found) if found.data_type() != field.data_type() => {
                    cast(column, field.data_type().clone()).alias(field.name())
                }
                _ => column,
            }
        };
        let columns: Vec<Expr> = self.schema.fields().iter().filter(|f| asked.have(f.name())).map(typed).collect();
        rows.project(columns)?.build()
    }

    /// Columns that are no state: computed from the start of each window, after the key and before the measures.
    fn computed(&self, segments: &[Segment]) -> Result<Vec<Expr>> {
        let instant = |us: i64| lit(ScalarValue::TimestampMicrosecond(Some(us), Some("UTC".into())));
        let start = || cast(ident(WINDOW_START), DataType::Int64);
        // Each stretch of time has windows of one width.
        let mut segments = segments.to_vec();
        segments.sort_by_key(|s| s.from);
        let mut width = lit(self.tiers[segments.last().map_or(0, |s| s.tier)].pane_us);
        for segment in segments.iter().rev().skip(1) {
            if let Some(to) = segment.to {
                width = when(start().lt(lit(to)), lit(self.tiers[segment.tier].pane_us)).otherwise(width)?;
            }
        }
        let end = cast(start() + width, timestamp_type());
        let Completeness { complete_until_us, open_after_us, between, after, unfilled } = &self.completeness;
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
        let Ok(text) = self.committed.schema().field_with_name(TIER).map(|f| f.data_type().clone()) else {
            // Rows that were never divided, such as those of a test, are all fresh ones of the first tier.
            return Ok(lit(true));
        };
        let name = |tier: &Tier| ScalarValue::from(tier.name()).cast_to(&text).map(lit);
        let own = ident(TIER).eq(name(&self.tiers[tier])?);
        let finer = self.tiers[..tier].iter().map(name).collect::<Result<Vec<_>>>()?;
        Ok(match finer.is_empty() {
            true => own,
            false => own.or(ident(ROLLED_UP).eq(lit(false)).and(ident(TIER).in_list(finer, false))),
        })
    }

    /// The rows of a segment's time, their windows those of its tier.
    fn cut(
        &self,
        mut rows: LogicalPlanBuilder,
        segment: &Segment,
        shape: Shape,
        asked: &Columns,
    ) -> Result<LogicalPlanBuilder> {
        let instant = |us: i64| lit(ScalarValue::TimestampMicrosecond(Some(us), Some("UTC".into())));
        if let Some(from) = segment.from {
            rows = rows.filter(ident(WINDOW_START).gt_eq(instant(from)))?;
        }
        if let Some(to) = segment.to {
            rows = rows.filter(ident(WINDOW_START).lt(instant(to)))?;
        }
        let stored = stored_of(&self.rollup, shape, asked);
        let mut columns = columns(&shaped(&self.rollup, &stored, shape), rows.schema().inner());
        if segment.tier > 0 {
            let at = cast(ident(WINDOW_START), timestamp_type());
            columns[0] = window_start(at, self.tiers[segment.tier].pane_us).alias(WINDOW_START);
        }
        rows.project(columns)
    }

    /// All rows, each in the finest width that is still kept for its time.
    pub fn finest(&self, shape: Shape) -> Result<LogicalPlan> {
        self.plan(&segments(&self.tiers, &self.boundaries, 0, None, None), shape, &Columns::All)
    }
}

/// The stored columns that rows of a shape are made of. The first one is the start of the window.
fn stored_of(rollup: &RollupSchema, shape: Shape, asked: &Columns) -> SchemaRef {
    // Rows merge by their whole key.
    let is_key_asked = |name: &str| shape == Shape::Windows || name == WINDOW_START || asked.have(name);
    let keys = rollup.key_fields().into_iter().filter(|field| is_key_asked(field.name()));
    let measures = rollup.measures.iter().filter(|measure| is_asked(measure, asked));
    Arc::new(Schema::new(keys.chain(measures.flat_map(Measure::state_fields)).collect::<Vec<_>>()))
}

/// Is anything of a measure asked for?
fn is_asked(measure: &Measure, asked: &Columns) -> bool {
    *asked == Columns::All
        || asked.have(&measure.name)
        || asked.have_any(measure.state_fields().iter().map(|field| field.name().as_str()))
}

/// A schema with the dimensions of a rollup in the types of a shape.
fn shaped(rollup: &RollupSchema, schema: &SchemaRef, shape: Shape) -> SchemaRef {
    if shape != Shape::Coded {
        return Arc::clone(schema);
    }
    let is_text = |field: &Field| {
        *field.data_type() == DataType::Utf8
            && rollup.dimensions.iter().any(|dimension| dimension.name == *field.name())
    };
    let dictionary = || DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let typed = |field: &Arc<Field>| match is_text(field) {
        true => Arc::new(field.as_ref().clone().with_data_type(dictionary())),
        false => Arc::clone(field),
    };
    Arc::new(Schema::new(schema.fields().iter().map(typed).collect::<Vec<_>>()))
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
        ViewTable::new(self.finest(self.shape)?, None).scan(state, projection, filters, limit).await
    }
}

/// `stored`: the columns of the table; those that were added may be null where the rollup has no null.
fn merged(
    rollup: &RollupSchema,
    rows: LogicalPlanBuilder,
    computed: Vec<Expr>,
    stored: &Schema,
    asked: &Columns,
) -> Result<LogicalPlan> {
    let keys: Vec<String> = rollup.key_fields().iter().map(|f| f.name().clone()).collect();
    let merges = rollup.measures.iter().filter(|measure| is_asked(measure, asked)).flat_map(merges_of);
    rows.aggregate(keys.iter().map(ident), merges)?.project(seen(rollup, computed, stored, asked))?.build()
}

/// The columns that a query sees.
fn seen(rollup: &RollupSchema, computed: Vec<Expr>, stored: &Schema, asked: &Columns) -> Vec<Expr> {
    let keys = rollup.key_fields().into_iter().map(|f| ident(f.name()));
    let measures = rollup.measures.iter().filter(|measure| is_asked(measure, asked));
    let all = keys.chain(computed).chain(measures.flat_map(|m| columns_of(m, stored)));
    all.filter(|column| asked.have(&column.qualified_name().1)).collect()
}

/// How the state columns of a measure merge.
fn merges_of(measure: &Measure) -> Vec<Expr> {
    let columns = measure.state_fields();
    let merge = |merge: fn(Expr) -> Expr| columns.iter().map(|f| merge(ident(f.name())).alias(f.name())).collect();
    match measure.kind {
        MeasureKind::Count | MeasureKind::Sum { .. } | MeasureKind::Avg { .. } => merge(sum),
        MeasureKind::Min { .. } => merge(min),
        MeasureKind::Max { .. } => merge(max),
        MeasureKind::Hdr { .. } => merge(hdr_merge),
        MeasureKind::Distinct => merge(distinct_merge),
        MeasureKind::Samples => merge(samples_merge),
        MeasureKind::Last { .. } => newest(&columns),
    }
}

/// All columns of the row with the greatest sequence, time and value.
fn newest(columns: &[Field]) -> Vec<Expr> {
    let Some([value, at, sequence]) = columns.first_chunk::<3>().map(|c| c.each_ref().map(|f| ident(f.name()))) else {
        return Vec::new();
    };
    // Without a time no value was seen at all; a value without a sequence is older than any with one.
    let order = [&at, &sequence, &value].map(|e| e.clone().is_not_null());
    let order: Vec<_> = [order[0].clone(), order[1].clone(), sequence, at, value].map(|e| e.sort(true, true)).into();
    let last = |f: &Field| last_value(ident(f.name()), order.clone()).alias(f.name());
    columns.iter().map(last).collect()
}

/// The columns a query sees of a measure: its merged state, and for an average also its value.
fn columns_of(measure: &Measure, stored: &Schema) -> Vec<Expr> {
    let mut columns = Vec::new();
    if let MeasureKind::Avg { .. } = measure.kind {
        let sum = cast(ident(format!("{}{}", measure.name, Measure::SUM_SUFFIX)), DataType::Float64);
        let count = ident(format!("{}{}", measure.name, Measure::COUNT_SUFFIX));
        let mean = when(count.clone().gt(lit(0i64)), sum / cast(count, DataType::Float64)).end();
        columns.extend(mean.ok().map(|m| m.alias(&measure.name)));
    }
    let fields = measure.state_fields();
    let shown = match measure.kind {
        // The sequence only decides which value is the newest.
        MeasureKind::Last { .. } => &fields[..2],
        _ => &fields[..],
    };
    let is_added = |f: &Field| stored.field_with_name(f.name()).is_ok_and(Field::is_nullable) && !f.is_nullable();
    columns.extend(shown.iter().map(|f| match is_added(f) {
        // Rows from before the measure was added hold null: nothing was counted there.
        true => coalesce(vec![ident(f.name()), lit(0i64)]).alias(f.name()),
        false => ident(f.name()),
    }));
    columns
}

#[cfg(test)]
mod tests;

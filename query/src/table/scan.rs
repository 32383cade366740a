//! The rows of chosen tiers: a leaf to the optimizer, whose rules look at every node of a plan many times, and a plan
//! over files and memory once it runs.
//!
//! ```text
//! ProjectionExec            what is asked for
//!   AggregateExec ×2        one row per window and series, where whole windows are asked for
//!     UnionExec
//!       ProjectionExec      a tier's files: windows as wide as the tier's
//!         FilesExec           … the filters of the query, in terms of what is stored
//!       ProjectionExec      a tier's time in memory
//!         FilterExec
//! ```

use super::measures::{merges, seen, shaped, stored_of};
use super::span::Span;
use super::{Asked, COMPUTED, RollupTable, Shape};
use crate::functions::window::window_start;
use crate::tiers::Segment;
use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue, internal_datafusion_err};
use datafusion::datasource::TableType;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, cast, ident};
use datafusion::physical_expr::aggregate::LoweredAggregateBuilder;
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy};
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::prelude::lit;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tidewatch_engine::rollup::WINDOW_START;
use tidewatch_storage::{FilesExec, is_decidable};

/// A [`RollupTable`] of which it is known what is asked.
#[derive(Debug, Clone)]
pub struct TierRows {
    table: RollupTable,
    segments: Vec<Segment>,
    shape: Shape,
    /// As wide as rows become, where that is not the width of their tier.
    bins_us: Option<i64>,
}

impl TierRows {
    /// The rows of these stretches of time, each in the width of its tier.
    pub fn new(table: &RollupTable, segments: Vec<Segment>, shape: Shape) -> Self {
        Self { table: table.clone(), segments, shape, bins_us: None }
    }

    /// The windows of every tier merged into windows of this width, microseconds, which theirs divide. Ends and
    /// completeness are not to be asked for.
    pub fn in_bins(self, bins_us: i64) -> Self {
        Self { shape: Shape::Windows, bins_us: Some(bins_us), ..self }
    }

    /// Which tiers answer which time.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// How rows come.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Whether all rows that merge into one have the same answer to a filter, and files and memory can give it.
    fn decides(&self, filter: &Expr) -> Result<bool> {
        let is_key = |name: &str| {
            name == WINDOW_START
                || COMPUTED.contains(&name)
                || self.table.rollup().dimensions.iter().any(|dimension| dimension.name == name)
        };
        Ok(filter.column_refs().iter().all(|column| is_key(&column.name)) && is_decidable(filter)?)
    }
}

#[async_trait]
impl TableProvider for TierRows {
    fn schema(&self) -> SchemaRef {
        TableProvider::schema(&self.table)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let decided = |filter: &&Expr| {
            Ok(match self.decides(filter)? {
                true => TableProviderFilterPushDown::Exact,
                false => TableProviderFilterPushDown::Unsupported,
            })
        };
        filters.iter().map(decided).collect()
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all = TableProvider::schema(self);
        let schema = match projection {
            Some(columns) => Arc::new(all.project(columns)?),
            None => all,
        };
        Scan::new(self, state, &schema, filters)?.plan().await
    }
}

/// One scan while it is planned.
struct Scan<'a> {
    rows: &'a TierRows,
    state: &'a dyn Session,
    /// Columns that are asked for.
    schema: &'a SchemaRef,
    /// Those of which the rows are made before they merge.
    stored: SchemaRef,
    /// The computed columns, if anybody speaks of them.
    computed: Vec<Expr>,
    filters: Vec<Expr>,
}

impl<'a> Scan<'a> {
    fn new(rows: &'a TierRows, state: &'a dyn Session, schema: &'a SchemaRef, filters: &[Expr]) -> Result<Self> {
        let rollup = rows.table.rollup();
        let asked = Asked::of(schema);
        let of_filters: BTreeSet<&str> =
            filters.iter().flat_map(Expr::column_refs).map(|column| column.name.as_str()).collect();
        let is_computed = COMPUTED.iter().any(|name| asked.have(name) || of_filters.contains(name));
        let computed = if is_computed { rows.table.computed(&rows.segments)? } else { Vec::new() };
        let stored = shaped(rollup, &Arc::new(stored_of(rollup, rows.shape, &asked)), rows.shape);
        let mut scan = Self { rows, state, schema, stored, computed, filters: Vec::new() };
        scan.filters = filters.iter().map(|filter| scan.without_computed(filter.clone())).collect::<Result<_>>()?;
        Ok(scan)
    }

    async fn plan(&self) -> Result<Arc<dyn ExecutionPlan>> {
        let mut parts = Vec::new();
        for segment in &self.rows.segments {
            let (span, filters) = self.spanned(segment);
            if span.is_empty() {
                continue;
            }
            parts.extend(self.of_files(segment.tier, &span, &filters).await?);
            parts.extend(self.of_memory(segment.tier, &span, &filters)?);
        }
        if parts.is_empty() {
            return Ok(Arc::new(EmptyExec::new(Arc::clone(self.schema))));
        }
        let rows = UnionExec::try_new(parts)?;
        match self.rows.shape {
            Shape::Windows => projected(self.merged(rows)?, self.shown()?),
            Shape::Partials | Shape::Coded => Ok(rows),
        }
    }

    /// What is asked for, by the names it is asked by.
    fn shown(&self) -> Result<Vec<Expr>> {
        let (rollup, asked) = (self.rows.table.rollup(), Asked::of(self.schema));
        let committed = self.rows.table.committed().schema();
        let seen = seen(rollup, self.computed.clone(), &committed, &asked);
        let mut seen: BTreeMap<String, Expr> = seen.into_iter().map(|expr| (expr.qualified_name().1, expr)).collect();
        let of = |field: &Arc<Field>| {
            let found = seen.remove(field.name());
            found.ok_or_else(|| internal_datafusion_err!("{} has no column {}", rollup.name, field.name()))
        };
        self.schema.fields().iter().map(of).collect()
    }

    fn without_computed(&self, expr: Expr) -> Result<Expr> {
        let inner = expr.transform(|part| {
            let Expr::Column(column) = &part else { return Ok(Transformed::no(part)) };
            let computed = self.computed.iter().find(|expr| expr.qualified_name().1 == column.name);
            Ok(match computed {
                Some(computed) => Transformed::yes(computed.clone().unalias()),
                None => Transformed::yes(ident(&column.name)),
            })
        });
        Ok(inner?.data)
    }

    /// An expression over columns of the rollup as one over the columns that some rows have, which may be narrower
    /// than windows of `width_us`; `None`: they are as wide.
    fn in_terms_of(&self, there: &Schema, width_us: Option<i64>, expr: Expr) -> Result<Expr> {
        let changed = expr.transform_up(|part| {
            let Expr::Column(column) = &part else { return Ok(Transformed::no(part)) };
            let name = column.name.as_str();
            let wanted = match self.stored.field_with_name(name) {
                Ok(field) => field.data_type(),
                Err(_) => self.rows.table.stored().field_with_name(name)?.data_type(),
            };
            let column = match there.field_with_name(name) {
                // Readers of Parquet may hand out other encodings of the same type.
                Ok(field) if field.data_type() == wanted => ident(name),
                Ok(_) => cast(ident(name), wanted.clone()),
                // A worker that follows an older definition has no rows of measures that were added since: nothing
                // was counted there.
                Err(_) => cast(lit(ScalarValue::Null), wanted.clone()),
            };
            Ok(Transformed::yes(match width_us.filter(|_| name == WINDOW_START) {
                Some(width_us) => window_start(column, width_us),
                None => column,
            }))
        });
        Ok(changed?.data)
    }

    /// As wide as windows of a tier are, of which rows of finer ones may not be part yet.
    fn width_us(&self, tier: usize) -> Option<i64> {
        (tier > 0).then(|| self.rows.table.tiers()[tier].pane_us)
    }

    /// The stored windows of a segment that filters on windows leave, and the other filters.
    fn spanned(&self, segment: &Segment) -> (Span, Vec<&Expr>) {
        let width_us = self.width_us(segment.tier);
        let mut span = Span { from: segment.from, to: segment.to };
        let others = self.filters.iter().filter(|filter| match Span::of(filter, width_us.unwrap_or(1)) {
            Some(asked) => {
                span = span.and(asked);
                false
            }
            None => true,
        });
        let others = others.collect();
        (span, others)
    }

    /// What must hold of stored rows that belong to a tier and that the query asks for.
    fn conditions(&self, there: &SchemaRef, tier: usize, span: &Span, filters: &[&Expr]) -> Result<Vec<Expr>> {
        let width_us = self.width_us(tier);
        let asked = filters.iter().map(|filter| self.in_terms_of(there, width_us, (*filter).clone()));
        span.conditions().into_iter().map(Ok).chain(asked).collect()
    }

    /// `None`: no file has such rows.
    async fn of_files(&self, tier: usize, span: &Span, filters: &[&Expr]) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let committed = self.rows.table.committed();
        let there = committed.schema();
        let mut conditions = self.conditions(&there, tier, span, filters)?;
        conditions.insert(0, self.rows.table.belongs_to(tier)?);
        let supported = committed.supports_filters_pushdown(&conditions.iter().collect::<Vec<_>>())?;
        let decides = supported.iter().all(|how| *how == TableProviderFilterPushDown::Exact);
        let rows = match decides {
            true => {
                let names = self.stored.fields().iter().map(|field| field.name());
                let columns: Vec<usize> = names.filter_map(|name| there.index_of(name).ok()).collect();
                committed.scan(self.state, Some(&columns), &conditions, None).await?
            }
            false => self.filtered(committed.scan(self.state, None, &[], None).await?, conditions)?,
        };
        let is_empty = rows.downcast_ref::<FilesExec>().is_some_and(|files| files.rows_max() == 0);
        if is_empty { Ok(None) } else { self.part(rows, tier).map(Some) }
    }

    fn of_memory(&self, tier: usize, span: &Span, filters: &[&Expr]) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let live: Vec<_> = self.rows.table.live().iter().filter(|batch| batch.num_rows() > 0).cloned().collect();
        let Some(first) = live.first() else { return Ok(None) };
        let there = first.schema();
        let conditions = self.conditions(&there, tier, span, filters)?;
        // One partition per piece would be a task per piece; a few are enough.
        let rows = MemorySourceConfig::try_new_exec(&[live], there, None)?;
        self.part(self.filtered(rows, conditions)?, tier).map(Some)
    }

    fn filtered(&self, rows: Arc<dyn ExecutionPlan>, conditions: Vec<Expr>) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(condition) = conjunction(conditions) else { return Ok(rows) };
        let condition = self.state.create_physical_expr(condition, &DFSchema::try_from(rows.schema())?)?;
        Ok(Arc::new(FilterExec::try_new(condition, rows)?))
    }

    /// Rows of a tier as they merge; where nothing merges, as they are asked for.
    fn part(&self, rows: Arc<dyn ExecutionPlan>, tier: usize) -> Result<Arc<dyn ExecutionPlan>> {
        let (there, width_us) = (rows.schema(), self.rows.bins_us.or(self.width_us(tier)));
        let column = |expr: Expr| {
            let name = expr.qualified_name().1;
            Ok(self.in_terms_of(&there, width_us, expr.unalias())?.alias(name))
        };
        let columns = match self.rows.shape {
            Shape::Windows => {
                self.stored.fields().iter().map(|field| column(ident(field.name()))).collect::<Result<Vec<_>>>()?
            }
            Shape::Partials | Shape::Coded => self.shown()?.into_iter().map(column).collect::<Result<Vec<_>>>()?,
        };
        projected(rows, columns)
    }

    /// One row per window and series.
    fn merged(&self, rows: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let (rollup, there) = (self.rows.table.rollup(), rows.schema());
        let schema = DFSchema::try_from(Arc::clone(&there))?;
        let (props, context) = (self.state.execution_props(), PhysicalPlanningContext::default());
        let keys = rollup.key_fields().into_iter().map(|field| {
            let key = physical(&ident(field.name()), &schema)?;
            Ok((key, field.name().clone()))
        });
        let keys = PhysicalGroupBy::new_single(keys.collect::<Result<_>>()?);
        let merges = merges(rollup, &Asked::of(self.schema));
        let merge =
            |expr: &Expr| Ok(LoweredAggregateBuilder::new(expr, &schema, &there, props, &context).build()?.aggregate);
        let merges = merges.iter().map(merge).collect::<Result<Vec<_>>>()?;
        let filters = vec![None; merges.len()];
        let partial =
            AggregateExec::try_new(AggregateMode::Partial, keys, merges, filters.clone(), rows, Arc::clone(&there))?;
        let config = self.state.config();
        let mode = match config.target_partitions() > 1 && config.repartition_aggregations() {
            true => AggregateMode::FinalPartitioned,
            false => AggregateMode::Final,
        };
        let (keys, merges) = (partial.group_expr().as_final(), partial.aggr_expr().to_vec());
        Ok(Arc::new(AggregateExec::try_new(mode, keys, merges, filters, Arc::new(partial), there)?))
    }
}

fn projected(rows: Arc<dyn ExecutionPlan>, columns: Vec<Expr>) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = DFSchema::try_from(rows.schema())?;
    let column = |expr: &Expr| Ok((physical(expr, &schema)?, expr.qualified_name().1));
    let columns = columns.iter().map(column).collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(ProjectionExec::try_new(columns, rows)?))
}

fn physical(expr: &Expr, schema: &DFSchema) -> Result<Arc<dyn PhysicalExpr>> {
    create_physical_expr(expr, schema, &Default::default(), &PhysicalPlanningContext::default())
}

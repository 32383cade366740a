//! A table of a snapshot as DataFusion sees it: partials merged, averages computed.
//!
//! The merge is an ordinary logical plan (scan of the files ∪ rows in memory → aggregate by key), not a
//! scan of its own: DataFusion then pushes filters on windows and dimensions down to the files, drops
//! the measures that a query does not use, and spills or refuses by its memory limit.

use crate::functions::{distinct_merge, hdr_merge};
use crate::snapshot::SnapshotTable;
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::TableProvider;
use datafusion::common::{Result, ScalarValue, TableReference};
use datafusion::datasource::{MemTable, ViewTable, provider_as_source};
use datafusion::functions::expr_fn::coalesce;
use datafusion::functions_aggregate::expr_fn::{last_value, max, min, sum};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast, ident, when};
use datafusion::prelude::lit;
use std::sync::Arc;
use tidewatch_engine::rollup::{Measure, MeasureKind, RollupSchema};

/// The table that queries see.
pub fn merged_table(name: &str, table: &SnapshotTable) -> Result<Arc<dyn TableProvider>> {
    let rows = all_rows(name, table)?;
    let plan = match &table.rollup {
        Some(rollup) => merged(rollup, rows)?,
        None => rows.build()?,
    };
    Ok(Arc::new(ViewTable::new(plan, None)))
}

/// Committed rows and live rows, in the types of the table's schema.
fn all_rows(name: &str, table: &SnapshotTable) -> Result<LogicalPlanBuilder> {
    let schema = table.rollup.as_ref().map_or_else(|| Arc::clone(&table.schema), RollupSchema::arrow_schema);
    // Readers of Parquet may hand out other encodings of the same type, such as views. A worker that follows
    // an older definition has no rows of measures that were added since.
    let columns = |there: &Schema| -> Vec<Expr> {
        let column = |name: &str| if there.index_of(name).is_ok() { ident(name) } else { lit(ScalarValue::Null) };
        schema.fields().iter().map(|f| cast(column(f.name()), f.data_type().clone()).alias(f.name())).collect()
    };
    let committed =
        LogicalPlanBuilder::scan(TableReference::bare(name), provider_as_source(Arc::clone(&table.committed)), None)?
            .project(columns(&table.committed.schema()))?;
    let live: Vec<_> = table.live.iter().filter(|b| b.num_rows() > 0).cloned().collect();
    if live.is_empty() {
        return Ok(committed);
    }
    // One partition per piece would be a task per piece; a few are enough.
    let live_schema = live[0].schema();
    let memory = MemTable::try_new(Arc::clone(&live_schema), vec![live])?;
    let live: LogicalPlan =
        LogicalPlanBuilder::scan(format!("{name}_live"), provider_as_source(Arc::new(memory)), None)?
            .project(columns(&live_schema))?
            .build()?;
    committed.union(live)
}

fn merged(rollup: &RollupSchema, rows: LogicalPlanBuilder) -> Result<LogicalPlan> {
    let keys: Vec<String> = rollup.key_fields().iter().map(|f| f.name().clone()).collect();
    let merges = rollup.measures.iter().flat_map(merges_of);
    let plan = rows.aggregate(keys.iter().map(ident), merges)?;
    let columns = keys.iter().map(ident).chain(rollup.measures.iter().flat_map(columns_of));
    plan.project(columns)?.build()
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
fn columns_of(measure: &Measure) -> Vec<Expr> {
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
    columns.extend(shown.iter().map(|f| match f.is_nullable() {
        true => ident(f.name()),
        // Rows from before the measure was added hold null: nothing was counted there.
        false => coalesce(vec![ident(f.name()), lit(0i64)]).alias(f.name()),
    }));
    columns
}

#[cfg(test)]
mod tests;

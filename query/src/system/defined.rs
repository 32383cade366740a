//! What is declared or was counted by a definition, and the letters that could not be counted.

use super::{count, instants, numbers, texts};
use crate::sql::{SqlEngine, SqlError};
use crate::table::Shape;
use arrow::array::{Array, ArrayRef};
use arrow::compute::{cast, concat_batches};
use datafusion::functions_aggregate::expr_fn::{count as count_of, max, min};
use datafusion::logical_expr::ident;
use datafusion::prelude::lit;
use std::collections::BTreeMap;
use tidewatch_engine::life_cycle::tiers_of;
use tidewatch_engine::rollup::{Measure, MeasureKind, RollupSchema, Tier};

/// The table of records that could not be used.
const DEAD_LETTERS: &str = "dead_letters";
/// Groups of dead letters; there are a few reasons and topics.
const GROUPS_MAX: usize = 100_000;

/// Rollups that exist, as they are stored, and those that are declared; with the version of the table.
async fn all(engine: &SqlEngine) -> Result<BTreeMap<String, (RollupSchema, Option<u64>)>, SqlError> {
    let snapshots = engine.snapshots();
    let snapshot = snapshots.take(&snapshots.table_names().await?).await?;
    let rollups = snapshot.tables.into_iter();
    Ok(rollups.filter_map(|(name, table)| Some((name, (table.rollup?, table.version)))).collect())
}

pub(super) async fn rollups(engine: &SqlEngine) -> Result<Vec<ArrayRef>, SqlError> {
    let rollups: Vec<_> = all(engine).await?.into_iter().collect();
    let joined = |names: Vec<String>| Some(names.join(", "));
    let tiers = |r: &RollupSchema| r.pane_us.and_then(|_| joined(tiers_of(r).iter().map(Tier::name).collect()));
    let dimensions = |r: &RollupSchema| joined(r.dimensions.iter().map(|d| d.name.clone()).collect());
    Ok(vec![
        texts(rollups.iter().map(|r| Some(&r.0))),
        texts(rollups.iter().map(|r| joined(r.1.0.sources.clone()))),
        numbers(rollups.iter().map(|r| r.1.0.pane_us.map(|us| us / 1000))),
        texts(rollups.iter().map(|r| tiers(&r.1.0))),
        texts(rollups.iter().map(|r| dimensions(&r.1.0))),
        texts(rollups.iter().map(|r| Some(&r.1.0.definition))),
        numbers(rollups.iter().map(|r| r.1.1.and_then(count))),
    ])
}

fn kind(measure: &Measure) -> String {
    match &measure.kind {
        MeasureKind::Count => "count".to_owned(),
        MeasureKind::Sum { scale } => format!("sum, {scale} decimals"),
        MeasureKind::Avg { scale } => format!("avg, {scale} decimals"),
        MeasureKind::Min { .. } => "min".to_owned(),
        MeasureKind::Max { .. } => "max".to_owned(),
        MeasureKind::Hdr { digits } => format!("hdr, {digits} digits"),
        MeasureKind::Distinct => "approx_distinct".to_owned(),
        MeasureKind::Last { .. } => "last".to_owned(),
        MeasureKind::Samples => "samples".to_owned(),
    }
}

pub(super) async fn measures(engine: &SqlEngine) -> Result<Vec<ArrayRef>, SqlError> {
    let rollups = all(engine).await?;
    let rows: Vec<_> = rollups.iter().flat_map(|(name, r)| r.0.measures.iter().map(move |m| (name, m))).collect();
    let columns = |m: &Measure| m.state_fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>().join(", ");
    Ok(vec![
        texts(rows.iter().map(|r| Some(r.0))),
        texts(rows.iter().map(|r| Some(&r.1.name))),
        texts(rows.iter().map(|r| Some(kind(r.1)))),
        texts(rows.iter().map(|r| Some(columns(r.1)))),
    ])
}

pub(super) async fn dead_letters(engine: &SqlEngine) -> Result<Vec<ArrayRef>, SqlError> {
    let schema = super::SystemTable::DeadLetters.schema();
    let snapshot = engine.snapshots().take(&[DEAD_LETTERS.to_owned()]).await?;
    let is_there = snapshot.tables.get(DEAD_LETTERS).is_some_and(|t| t.schema.column_with_name("reason").is_some());
    if !is_there {
        let none: Option<i64> = None;
        let text = || texts::<&str>([]);
        return Ok(vec![
            text(),
            text(),
            text(),
            numbers(none.map(Some)),
            instants(none.map(Some)),
            instants(none.map(Some)),
        ]);
    }
    let groups = |letters: datafusion::prelude::DataFrame| {
        let by = ["reason", "topic", "disposition"].map(ident);
        let arrival = || ident("arrival_time");
        letters.aggregate(by.to_vec(), vec![count_of(lit(1)), min(arrival()), max(arrival())])
    };
    let answer = engine.over(&snapshot, DEAD_LETTERS, Shape::Windows, groups, GROUPS_MAX).await?;
    let failed = |e: arrow::error::ArrowError| SqlError::Execution(e.to_string());
    let rows = concat_batches(&answer.schema, &answer.batches).map_err(failed)?;
    let columns = rows.columns().iter().zip(schema.fields());
    columns.map(|(column, field)| cast(column.as_ref() as &dyn Array, field.data_type()).map_err(failed)).collect()
}

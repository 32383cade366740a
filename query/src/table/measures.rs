//! The columns of a rollup as expressions: how stored states merge, and what queries see of them.

use super::{Asked, COMPUTED, Shape};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::functions_aggregate::expr_fn::{last_value, max, min, sum};
use datafusion::logical_expr::{Expr, cast, ident, when};
use datafusion::prelude::lit;
use std::sync::Arc;
use tidewatch_engine::rollup::{Measure, MeasureKind, RollupSchema, WINDOW_START};

use crate::functions::{distinct_merge, hdr_merge, samples_merge};

/// The stored columns that rows of a shape are made of.
pub(super) fn stored_of(rollup: &RollupSchema, shape: Shape, asked: &Asked<'_>) -> Schema {
    let is_computed = COMPUTED.iter().any(|name| asked.have(name));
    // Rows merge by their whole key, and ends are computed from starts.
    let is_key_asked =
        |name: &str| shape == Shape::Windows || asked.have(name) || (is_computed && name == WINDOW_START);
    let keys = rollup.key_fields().into_iter().filter(|field| is_key_asked(field.name()));
    let measures = rollup.measures.iter().filter(|measure| is_asked(measure, asked));
    Schema::new(keys.chain(measures.flat_map(Measure::state_fields)).collect::<Vec<_>>())
}

/// Is anything of a measure asked for?
fn is_asked(measure: &Measure, asked: &Asked<'_>) -> bool {
    matches!(asked, Asked::All)
        || asked.have(&measure.name)
        || measure.state_fields().iter().any(|field| asked.have(field.name()))
}

/// A schema with the dimensions of a rollup in the types of a shape.
pub(super) fn shaped(rollup: &RollupSchema, schema: &SchemaRef, shape: Shape) -> SchemaRef {
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

/// How the states of the measures that are asked for merge.
pub(super) fn merges(rollup: &RollupSchema, asked: &Asked<'_>) -> Vec<Expr> {
    rollup.measures.iter().filter(|measure| is_asked(measure, asked)).flat_map(merges_of).collect()
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

/// The columns that a query sees, in the table's order; `computed` come after the key. `stored`: the columns of the
/// table; those that were added may be null where the rollup has no null.
pub(super) fn seen(rollup: &RollupSchema, computed: Vec<Expr>, stored: &Schema, asked: &Asked<'_>) -> Vec<Expr> {
    let keys = rollup.key_fields().into_iter().map(|f| ident(f.name()));
    let measures = rollup.measures.iter().filter(|measure| is_asked(measure, asked));
    let all = keys.chain(computed).chain(measures.flat_map(|m| columns_of(m, stored)));
    all.filter(|column| asked.have(&column.qualified_name().1)).collect()
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
    columns.extend(shown.iter().map(|f| {
        let column = ident(f.name());
        // Rows from before the measure was added hold null: nothing was counted there.
        let filled = is_added(f).then(|| when(column.clone().is_not_null(), column.clone()).otherwise(lit(0i64)));
        match filled {
            Some(Ok(filled)) => filled.alias(f.name()),
            _ => column,
        }
    }));
    columns
}

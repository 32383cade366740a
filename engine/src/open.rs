//! Open states: what a worker has counted since it last froze them.
//!
//! One pass over a batch feeds all rollups of its source: each distinct expression is evaluated once,
//! each distinct dimension interned once, then every rollup looks up slots and updates its measures.

mod gate;

use crate::aggregate::{AggregateError, Rows, States, new_states};
use crate::cardinality::{Admissions, OTHER};
use crate::rollup::{RollupPlan, SourcePlan};
use crate::series::{Interner, KeyTable};
use crate::time::window_start;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, UInt32Array, new_null_array};
use arrow::compute::{concat, filter, take};
use arrow::datatypes::{Decimal128Type, Float64Type};
use arrow::record_batch::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::physical_expr::PhysicalExpr;
use gate::Gate;
use std::sync::{Arc, OnceLock};
use thiserror::Error;

/// Decimals of one event are smaller than this, in units of their scale.
const DECIMAL_MAX: u128 = 10u128.pow(28);

/// Decoded events of one source.
#[derive(Debug)]
pub struct EventBatch {
    /// The columns of [`SourcePlan::columns`].
    pub columns: RecordBatch,
    /// Event time per row, microseconds since the epoch.
    pub event_time_us: Vec<i64>,
}

/// Why a batch could not be counted. An expression that has no value for an event is not among these:
/// it counts as null there, so that no event stops its partition.
#[derive(Debug, Error)]
pub enum CountError {
    /// An expression failed.
    #[error("evaluating an expression of source {source_name}: {error}")]
    Expression {
        /// The source.
        source_name: String,
        /// What DataFusion said.
        error: Box<DataFusionError>,
    },
    /// An aggregate failed.
    #[error("rollup {rollup}: {error}")]
    Aggregate {
        /// The rollup.
        rollup: String,
        /// What it said.
        error: AggregateError,
    },
}

/// Open states of all rollups of one source.
#[derive(Debug)]
pub struct OpenStates {
    plan: Arc<SourcePlan>,
    interners: Vec<Interner>,
    rollups: Vec<OpenRollup>,
    rows: u64,
    without_value: u64,
}

#[derive(Debug)]
struct OpenRollup {
    keys: KeyTable,
    measures: Vec<Box<dyn States>>,
}

impl OpenStates {
    /// Nothing counted yet.
    pub fn new(plan: Arc<SourcePlan>) -> Self {
        let interners = plan.dimensions.iter().map(|&(_, kind)| Interner::new(kind));
        // The value that folded series share must have its number before the first of them comes.
        let interners = interners.map(|mut i| {
            i.number_of(OTHER);
            i
        });
        let rollups = plan.rollups.iter().map(|r| OpenRollup {
            keys: KeyTable::new(r.dimensions.len()),
            measures: r.schema.measures.iter().map(|m| new_states(m.kind)).collect(),
        });
        Self { rollups: rollups.collect(), interners: interners.collect(), rows: 0, without_value: 0, plan }
    }

    /// The plan these states follow.
    pub fn plan(&self) -> &Arc<SourcePlan> {
        &self.plan
    }

    /// Rows (window × series) of all rollups together.
    pub fn row_count(&self) -> usize {
        self.rollups.iter().map(|r| r.keys.len()).sum()
    }

    /// Events counted since the last freeze.
    pub fn event_count(&self) -> u64 {
        self.rows
    }

    /// Heap bytes in use.
    pub fn size_bytes(&self) -> usize {
        let rollups =
            self.rollups.iter().map(|r| r.keys.size_bytes() + r.measures.iter().map(|m| m.size_bytes()).sum::<usize>());
        rollups.sum::<usize>() + self.interners.iter().map(Interner::size_bytes).sum::<usize>()
    }

    /// Counts a batch. `accept(rollup)` may exclude rows that the rollup's table has committed
    /// already; it returns `None` when all rows count.
    pub fn count(
        &mut self,
        batch: &EventBatch,
        admissions: &mut Admissions,
        accept: impl Fn(&RollupPlan) -> Option<BooleanArray>,
    ) -> Result<(), CountError> {
        let plan = Arc::clone(&self.plan);
        let values = evaluate(&plan, &batch.columns, &mut self.without_value)?;
        let mut lanes = vec![Vec::with_capacity(batch.event_time_us.len()); plan.dimensions.len()];
        for ((&(expr, _), interner), lane) in plan.dimensions.iter().zip(&mut self.interners).zip(&mut lanes) {
            interner.intern(&values[expr], lane);
        }
        for (rollup, open) in plan.rollups.iter().zip(&mut self.rollups) {
            let predicate = rollup.predicate.map(|p| values[p].as_boolean().clone());
            let mask = both(predicate, accept(rollup));
            let mut gate = Gate::new(rollup, &self.interners, admissions);
            open.count(rollup, &batch.event_time_us, &lanes, &values, mask.as_ref(), &mut gate)
                .map_err(|error| CountError::Aggregate { rollup: rollup.schema.name.clone(), error })?;
        }
        self.rows += batch.event_time_us.len() as u64;
        Ok(())
    }

    /// Takes the states counted so far, leaving empty ones behind.
    pub fn freeze(&mut self) -> FrozenStates {
        let states = std::mem::replace(self, Self::new(Arc::clone(&self.plan)));
        let places = states.interners.iter().map(|_| OnceLock::new()).collect();
        FrozenStates { states, places }
    }
}

fn evaluate(plan: &SourcePlan, columns: &RecordBatch, without_value: &mut u64) -> Result<Vec<ArrayRef>, CountError> {
    let mut evaluate = |expr: &Arc<dyn PhysicalExpr>| -> Result<ArrayRef, DataFusionError> {
        let mut parts = Vec::new();
        evaluate_parts(expr.as_ref(), columns, &mut parts, without_value)?;
        let values = match parts.as_slice() {
            [all] => all.clone(),
            parts => concat(&parts.iter().map(AsRef::as_ref).collect::<Vec<_>>())?,
        };
        Ok(within_bounds(values, without_value))
    };
    plan.exprs
        .iter()
        .map(&mut evaluate)
        .collect::<Result<_, _>>()
        .map_err(|error| CountError::Expression { source_name: plan.def.name.clone(), error: Box::new(error) })
}

/// Drops decimals so large that ten billion of them could leave the 38 digits of a sum, and floats that
/// are no numbers: neither has a place in a state that must merge the same way in every order.
fn within_bounds(values: ArrayRef, without_value: &mut u64) -> ArrayRef {
    let keep: Option<BooleanArray> = if let Some(decimals) = values.as_primitive_opt::<Decimal128Type>() {
        let fits = |v: i128| v.unsigned_abs() < DECIMAL_MAX;
        let all = decimals.values().iter().all(|&v| fits(v));
        (!all).then(|| decimals.iter().map(|v| Some(v.is_none_or(fits))).collect())
    } else if let Some(floats) = values.as_primitive_opt::<Float64Type>() {
        let all = floats.values().iter().all(|v| v.is_finite());
        (!all).then(|| floats.iter().map(|v| Some(v.is_none_or(f64::is_finite))).collect())
    } else {
        None
    };
    let Some(keep) = keep else { return values };
    *without_value += keep.false_count() as u64;
    // Both arrays have the length of the batch, the only thing that nullif may object to.
    let dropped = arrow::compute::not(&keep).and_then(|drop| arrow::compute::nullif(&values, &drop));
    dropped.unwrap_or(values)
}

/// Evaluates an expression. Where it fails (a division by zero, a cast of unfit text) the batch is
/// halved until the rows at fault stand alone: they have no value, whatever batch they came in.
fn evaluate_parts(
    expr: &dyn PhysicalExpr,
    columns: &RecordBatch,
    parts: &mut Vec<ArrayRef>,
    without_value: &mut u64,
) -> Result<(), DataFusionError> {
    let rows = columns.num_rows();
    match expr.evaluate(columns).and_then(|value| value.into_array(rows)) {
        Ok(values) => parts.push(values),
        Err(_) if rows == 1 => {
            *without_value += 1;
            parts.push(new_null_array(&expr.data_type(&columns.schema())?, 1));
        }
        Err(error) if rows == 0 => return Err(error),
        Err(_) => {
            evaluate_parts(expr, &columns.slice(0, rows / 2), parts, without_value)?;
            evaluate_parts(expr, &columns.slice(rows / 2, rows - rows / 2), parts, without_value)?;
        }
    }
    Ok(())
}

/// Rows that pass both conditions; a null is not true.
fn both(predicate: Option<BooleanArray>, accept: Option<BooleanArray>) -> Option<BooleanArray> {
    let known = |mask: BooleanArray| match mask.nulls() {
        Some(nulls) => BooleanArray::new(mask.values() & nulls.inner(), None),
        None => mask,
    };
    match (predicate.map(known), accept.map(known)) {
        (Some(a), Some(b)) => Some(BooleanArray::new(a.values() & b.values(), None)),
        (one, other) => one.or(other),
    }
}

impl OpenRollup {
    fn count(
        &mut self,
        plan: &RollupPlan,
        event_time_us: &[i64],
        lanes: &[Vec<u32>],
        values: &[ArrayRef],
        mask: Option<&BooleanArray>,
        gate: &mut Gate<'_>,
    ) -> Result<(), AggregateError> {
        let passing: Option<Vec<u32>> = mask.map(|m| m.values().set_indices().map(|row| row as u32).collect());
        // Rows of a keyed table have no window: all of them lie in the same one.
        let window_of = |time_us: i64| plan.schema.pane_us.map_or(0, |pane_us| window_start(time_us, pane_us));
        let (windows, picked): (Vec<i64>, Vec<Vec<u32>>) = match &passing {
            None => (event_time_us.iter().map(|&t| window_of(t)).collect(), Vec::new()),
            Some(rows) if rows.is_empty() => return Ok(()),
            Some(rows) => (
                rows.iter().map(|&row| window_of(event_time_us[row as usize])).collect(),
                plan.dimensions.iter().map(|&d| rows.iter().map(|&row| lanes[d][row as usize]).collect()).collect(),
            ),
        };
        let key_lanes: Vec<&[u32]> = match &passing {
            None => plan.dimensions.iter().map(|&d| lanes[d].as_slice()).collect(),
            Some(_) => picked.iter().map(Vec::as_slice).collect(),
        };
        let (mut slots, mut folded) = (Vec::with_capacity(windows.len()), Vec::new());
        self.keys.assign(&windows, &key_lanes, &mut slots, &mut folded, |window, key| gate.ask(window, key));
        if let (Some(folding), false) = (&plan.folding, folded.is_empty()) {
            gate.admissions.note_folded(gate.table, folded.len() as u64);
            let (slots, series): (Vec<u32>, Vec<i64>) = folded.into_iter().map(|(s, h)| (s, h as i64)).unzip();
            let rows = Rows { slots: &slots, slot_count: self.keys.len(), filter: None };
            let series: ArrayRef = Arc::new(Int64Array::from(series));
            self.measures[folding.other_series].update(&rows, &[series])?;
        }
        let pick = |index: Option<usize>| -> Result<Option<ArrayRef>, AggregateError> {
            Ok(match (index, mask) {
                (None, _) => None,
                (Some(i), None) => Some(values[i].clone()),
                (Some(i), Some(mask)) => Some(filter(&values[i], mask)?),
            })
        };
        for (measure, states) in plan.measures.iter().zip(&mut self.measures) {
            // Filled by another source of the same table.
            let Some(measure) = measure else { continue };
            let condition = pick(measure.filter)?;
            let rows =
                Rows { slots: &slots, slot_count: self.keys.len(), filter: condition.as_ref().map(|c| c.as_boolean()) };
            let arguments = measure.arguments.iter().filter_map(|&a| pick(Some(a)).transpose());
            states.update(&rows, &arguments.collect::<Result<Vec<_>, _>>()?)?;
        }
        Ok(())
    }
}

/// Immutable states, handed to the committer and to readers.
#[derive(Debug)]
pub struct FrozenStates {
    states: OpenStates,
    /// Of each interner, once somebody has asked.
    places: Vec<OnceLock<Vec<u32>>>,
}

impl FrozenStates {
    /// The plan these states follow.
    pub fn plan(&self) -> &Arc<SourcePlan> {
        &self.states.plan
    }

    /// Rows (window × series) of all rollups together.
    pub fn row_count(&self) -> usize {
        self.states.row_count()
    }

    /// The rows of one rollup in the schema of its table, ordered by window and dimensions: better compression,
    /// narrower file statistics.
    pub fn batch(&self, rollup: usize) -> Result<RecordBatch, AggregateError> {
        let (plan, open) = (&self.states.plan.rollups[rollup], &self.states.rollups[rollup]);
        let interners: Vec<&Interner> = plan.dimensions.iter().map(|&d| &self.states.interners[d]).collect();
        let places = |d: usize| self.places[d].get_or_init(|| self.states.interners[d].places()).as_slice();
        let places: Vec<&[u32]> = plan.dimensions.iter().map(|&d| places(d)).collect();
        let (mut columns, order) = open.keys.columns(plan.schema.pane_us.is_some(), &interners, &places);
        let order = UInt32Array::from(order);
        for measure in &open.measures {
            for column in measure.state(open.keys.len())? {
                columns.push(take(&column, &order, None)?);
            }
        }
        Ok(RecordBatch::try_new(plan.schema.arrow_schema(), columns)?)
    }

    /// Heap bytes in use.
    pub fn size_bytes(&self) -> usize {
        self.states.size_bytes()
    }

    /// Values that an expression could not give; they count as null.
    pub fn without_value(&self) -> u64 {
        self.states.without_value
    }

    /// Values each rollup refused (negative ones in a histogram), for the counters.
    pub fn take_refused(&mut self) -> impl Iterator<Item = (&str, u64)> {
        let rollups = self.states.plan.rollups.iter().zip(&mut self.states.rollups);
        rollups
            .map(|(plan, open)| (plan.schema.name.as_str(), open.measures.iter_mut().map(|m| m.take_refused()).sum()))
    }
}

#[cfg(test)]
mod tests;

//! What the files of a task become.

use super::{Life, Task, bucket_us};
use crate::aggregate::AggregateError;
use crate::rollup::{RollupSchema, Tier, UPDATED_AT, merge_batches};
use crate::time::window_start;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::record_batch::RecordBatch;
use std::sync::Arc;

/// Rows for one new file.
#[derive(Debug, Clone)]
pub struct Output {
    /// Index of the tier.
    pub tier: Option<usize>,
    /// Are they also part of the next tier?
    pub rolled_up: bool,
    /// The rows, at least one.
    pub batch: RecordBatch,
}

/// The rows of a task's files in their new shape. `schema` is that of the rollup, `time_column` the column
/// that tells the age of rows that do not merge.
pub fn outputs(
    life: &Life,
    task: &Task,
    schema: Option<&RollupSchema>,
    time_column: Option<&str>,
    batches: &[RecordBatch],
) -> Result<Vec<Output>, AggregateError> {
    let plain = |batch: RecordBatch| Output { tier: None, rolled_up: false, batch };
    let outputs = match (life, task, schema) {
        (_, Task::Expire { .. }, _) => Vec::new(),
        (Life::Windows { tiers, boundaries }, Task::Roll { tier, .. }, Some(schema)) => {
            rolled(tiers, boundaries, *tier, schema, batches)?
        }
        (Life::Windows { tiers, .. }, Task::Merge { tier: Some(tier), rolled_up, drop_before, .. }, Some(schema)) => {
            let merged = newer(merge_batches(schema, batches)?, 0, *drop_before)?;
            in_buckets(&merged, *tier, tiers[*tier].pane_us, *rolled_up)
        }
        (_, Task::Merge { drop_before, is_whole, .. }, Some(schema)) => {
            let merged = merge_batches(schema, batches)?;
            let column = merged.schema().index_of(UPDATED_AT).ok();
            match (column, drop_before.filter(|_| *is_whole)) {
                (Some(column), before) => vec![plain(newer(merged, column, before)?)],
                (None, _) => vec![plain(merged)],
            }
        }
        (_, _, None) => {
            let Some(first) = batches.first() else { return Ok(Vec::new()) };
            let all = concat_batches(&first.schema(), batches)?;
            let drop_before = match task {
                Task::Merge { drop_before, .. } => *drop_before,
                _ => None,
            };
            match time_column.and_then(|name| all.schema().index_of(name).ok()) {
                Some(column) => vec![plain(newer(all, column, drop_before)?)],
                None => vec![plain(all)],
            }
        }
        // Decided for another kind of table: nothing is replaced by nothing.
        (_, Task::Roll { .. }, Some(_)) => Vec::new(),
    };
    Ok(outputs.into_iter().filter(|o| o.batch.num_rows() > 0).collect())
}

/// The rows of a tier, kept, and the same rows in the next width.
fn rolled(
    tiers: &[Tier],
    boundaries: &[Option<i64>],
    tier: usize,
    schema: &RollupSchema,
    batches: &[RecordBatch],
) -> Result<Vec<Output>, AggregateError> {
    let (own, next) = (tiers[tier].pane_us, tiers[tier + 1].pane_us);
    let boundary = |tier: usize| boundaries.get(tier).copied().flatten();
    let merged = merge_batches(schema, batches)?;
    let wider = merge_batches(schema, &[in_windows(&merged, next)?])?;
    // A late row may be older than what its tier is kept for; the wider tiers still have a place for it.
    let mut outputs = in_buckets(&newer(merged, 0, boundary(tier))?, tier, own, true);
    match tier + 2 == tiers.len() {
        // Rows of the last tier are not rolled up any more: they go to their buckets at once.
        true => outputs.extend(in_buckets(&newer(wider, 0, boundary(tier + 1))?, tier + 1, next, false)),
        false => outputs.push(Output { tier: Some(tier + 1), rolled_up: false, batch: wider }),
    }
    Ok(outputs)
}

/// The same rows with the start of the wider window that each lies in.
fn in_windows(batch: &RecordBatch, pane_us: i64) -> Result<RecordBatch, AggregateError> {
    let starts = batch.column(0).as_primitive::<TimestampMicrosecondType>();
    let starts = starts.unary::<_, TimestampMicrosecondType>(|start| window_start(start, pane_us));
    let mut columns = batch.columns().to_vec();
    columns[0] = Arc::new(starts.with_timezone("UTC")) as ArrayRef;
    Ok(RecordBatch::try_new(batch.schema(), columns)?)
}

/// Rows sorted by window, cut where buckets begin.
fn in_buckets(batch: &RecordBatch, tier: usize, pane_us: i64, rolled_up: bool) -> Vec<Output> {
    let bucket_us = bucket_us(pane_us);
    let starts = batch.column(0).as_primitive::<TimestampMicrosecondType>().values();
    let mut outputs = Vec::new();
    let mut from = 0;
    while from < starts.len() {
        let bucket = window_start(starts[from], bucket_us);
        let count = starts[from..].partition_point(|&s| window_start(s, bucket_us) == bucket);
        outputs.push(Output { tier: Some(tier), rolled_up, batch: batch.slice(from, count) });
        from += count;
    }
    outputs
}

/// The rows whose time is not before `boundary`. Rows without a time stay.
fn newer(batch: RecordBatch, column: usize, boundary: Option<i64>) -> Result<RecordBatch, AggregateError> {
    let (Some(boundary), Some(times)) = (boundary, batch.column(column).as_primitive_opt::<TimestampMicrosecondType>())
    else {
        return Ok(batch);
    };
    let keep: BooleanArray = (0..times.len()).map(|i| Some(times.is_null(i) || times.value(i) >= boundary)).collect();
    Ok(filter_record_batch(&batch, &keep)?)
}

//! Reads what a selection of PromQL asks for from a view: one SQL query, whatever it has of columns.
//!
//! The sample of a window stands at its end, as those of a rollup's gauges do. Where windows are wider than the
//! lookback, a window's value holds until the next one ends: it is the newest closed window's. `rate` and
//! `increase` of a metric that ends in `_total` add windows up, as they do with counters of rollups.
//!
//! A view of now has one sample, at the evaluation's time, and only if that is now: what it reads of keys is
//! their latest state, which was another in the past.

use super::columns::read_rows;
use super::gauges::{Gauge, QUANTILE, ViewGauges, is_text};
use crate::definitions::Definitions;
use crate::snapshot::Snapshot;
use crate::sql::{SqlError, Viewing};
use crate::views::outline::Time;
use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, ident};
use datafusion::prelude::{DataFrame, lit};
use std::collections::BTreeSet;
use std::sync::Arc;
use tidewatch_engine::life_cycle::tiers_of;
use tidewatch_engine::rollup::WINDOW_START;
use tidewatch_promql::parse::functions::Func;
use tidewatch_promql::{Increments, Labels, MatchOp, Matcher, Selection, Series};

/// An evaluation at most so long ago is one of now, milliseconds.
const NEAR_MS: i64 = 60_000;
/// Columns of the query.
const AT: &str = "t";

/// Where views are read.
#[derive(Debug)]
pub struct ViewReader<'a> {
    /// Who answers.
    pub viewing: Viewing<'a>,
    /// Of the tables that the views read.
    pub snapshot: &'a Snapshot,
    /// What the views are.
    pub definitions: &'a Definitions,
    /// What `now()` is, microseconds since the epoch.
    pub now_us: i64,
    /// How long a sample stands for its series, milliseconds.
    pub lookback_ms: i64,
    /// Rows of one query at most.
    pub rows_max: usize,
}

impl ViewReader<'_> {
    /// The series of a view that fit a selection. The gauges are those that it asks for by name.
    ///
    /// # Errors
    /// See [`SqlError`]; among them more than `rows_max` rows, and several rows of one series at one time.
    pub async fn read(&self, view: &ViewGauges, selection: &Selection) -> Result<Vec<Series>, SqlError> {
        let gauges: Vec<&Gauge> = view.gauges.iter().filter(|g| can_match(g, &selection.matchers)).collect();
        let Some(first) = gauges.first() else { return Ok(Vec::new()) };
        let place = match view.time {
            Time::Windows { width_us } => Place::Windows { width_ms: width_us / 1000 },
            _ => match self.now_for(selection) {
                Some(at_ms) => Place::At { at_ms },
                None => return Ok(Vec::new()),
            },
        };
        let labels = columns_of_labels(first);
        let values: BTreeSet<&str> = gauges.iter().map(|g| g.metric.measure.as_str()).collect();
        let build = |frame: DataFrame| {
            let (frame, at) = match place {
                Place::Windows { width_ms } => {
                    let hold_ms = if selection.hints.range_ms > 0 { 0 } else { width_ms - self.lookback_ms };
                    // From the first window whose end is looked at to the last one.
                    let from_ms = selection.start_ms.saturating_sub(hold_ms.max(0)).saturating_sub(width_ms);
                    let to_ms = selection.end_ms.saturating_sub(width_ms);
                    (self.windows(frame, view, (from_ms, to_ms))?, ident(WINDOW_START))
                }
                Place::At { at_ms } => (frame, lit(instant(at_ms))),
            };
            let frame = matching(frame, view, &selection.matchers)?;
            let mut columns = vec![at.alias(AT)];
            columns.extend(labels.iter().enumerate().map(|(at, column)| ident(*column).alias(format!("l{at}"))));
            columns.extend(values.iter().enumerate().map(|(at, column)| ident(*column).alias(format!("v{at}"))));
            frame.select(columns)
        };
        let now_us = match place {
            Place::Windows { .. } => self.now_us,
            Place::At { at_ms } => at_ms.saturating_mul(1000),
        };
        let batches = self.ask(view, now_us, build).await?;
        let failed = |error: ArrowError| SqlError::Execution(error.to_string());
        let mut series = Vec::new();
        for gauge in gauges {
            let value = values.iter().position(|column| *column == gauge.metric.measure).unwrap_or_default();
            let of_gauge: std::result::Result<Vec<RecordBatch>, ArrowError> =
                batches.iter().map(|batch| only(batch, labels.len(), value, gauge)).collect();
            let rows = read_rows(&of_gauge.map_err(failed)?, 0, &gauge.metric, selection).map_err(failed)?;
            for (labels, samples) in rows.into_samples() {
                if let Some(twice) = samples.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                    return Err(several(view, gauge, &labels, twice[0].0));
                }
                series.extend(self.placed(labels, samples, place, gauge, selection));
            }
        }
        Ok(series)
    }

    /// The label sets that a view has rows of between two moments, milliseconds, inclusive.
    ///
    /// # Errors
    /// See [`SqlError`].
    pub async fn series(
        &self,
        view: &ViewGauges,
        matchers: &[Matcher],
        (start_ms, end_ms): (i64, i64),
    ) -> Result<Vec<Labels>, SqlError> {
        let gauges: Vec<&Gauge> = view.gauges.iter().filter(|g| can_match(g, matchers)).collect();
        let Some(first) = gauges.first() else { return Ok(Vec::new()) };
        let now_ms = self.now_us.div_euclid(1000);
        if view.time == Time::Now && (end_ms < now_ms - NEAR_MS || start_ms > now_ms) {
            return Ok(Vec::new());
        }
        let labels = columns_of_labels(first);
        let build = |frame: DataFrame| {
            let frame = match view.time {
                Time::Windows { width_us } => {
                    let from_ms = start_ms.saturating_sub(width_us / 1000).saturating_add(1);
                    self.windows(frame, view, (from_ms, end_ms))?
                }
                _ => frame,
            };
            let mut columns: Vec<Expr> =
                labels.iter().enumerate().map(|(at, column)| ident(*column).alias(format!("l{at}"))).collect();
            columns.push(lit(instant(now_ms)).alias(AT));
            matching(frame, view, matchers)?.select(columns)?.distinct()
        };
        let batches = self.ask(view, self.now_us, build).await?;
        let selection = Selection { matchers: matchers.to_vec(), start_ms, end_ms, hints: Default::default() };
        let mut found = BTreeSet::new();
        for gauge in gauges {
            for batch in &batches {
                let rows = whose(batch, labels.len(), gauge)
                    .and_then(|batch| read_rows(&[batch], 0, &gauge.metric, &selection))
                    .map_err(|error| SqlError::Execution(error.to_string()))?;
                found.extend(rows.into_labels());
            }
        }
        Ok(found.into_iter().collect())
    }

    async fn ask(
        &self,
        view: &ViewGauges,
        now_us: i64,
        build: impl FnOnce(DataFrame) -> Result<DataFrame>,
    ) -> Result<Vec<RecordBatch>, SqlError> {
        let over = self.viewing.ask(&view.view, now_us, build, self.rows_max);
        Ok(over.await?.batches)
    }

    /// When a view of now has its sample for a selection; `None` when the selection lies in the past.
    fn now_for(&self, selection: &Selection) -> Option<i64> {
        let now_ms = self.now_us.div_euclid(1000);
        let at_ms = selection.end_ms.min(now_ms);
        (at_ms >= now_ms - NEAR_MS && at_ms >= selection.start_ms).then_some(at_ms)
    }

    /// The windows that start between two moments, milliseconds, inclusive, as far back as every table that the
    /// view reads has windows that are no wider than the view's.
    fn windows(&self, frame: DataFrame, view: &ViewGauges, (from_ms, to_ms): (i64, i64)) -> Result<DataFrame> {
        let (Time::Windows { width_us }, Ok(field)) = (view.time, view.outline.schema.field_with_name(WINDOW_START))
        else {
            return Ok(frame);
        };
        let kept_from = self.kept_from(view, width_us).map_or(i64::MIN, |us| us.div_euclid(1000));
        // Nothing begins before the epoch; bounds of PromQL may lie far beyond.
        let bound = |ms: i64| instant(ms.clamp(0, i64::MAX / 1_000_000)).cast_to(field.data_type()).map(lit);
        let start = || ident(WINDOW_START);
        frame.filter(start().gt_eq(bound(from_ms.max(kept_from))?).and(start().lt_eq(bound(to_ms.max(-1))?)))
    }

    /// Before this, microseconds, some table has only wider windows.
    fn kept_from(&self, view: &ViewGauges, width_us: i64) -> Option<i64> {
        let needs = self.definitions.needs(std::slice::from_ref(&view.view));
        let tables = needs.tables.iter().filter_map(|name| self.snapshot.tables.get(name));
        let cut = tables.filter_map(|table| {
            let rollup = table.rollup.as_ref().filter(|r| r.pane_us.is_some())?;
            let tiers = tiers_of(rollup).into_iter().enumerate();
            let fitting = tiers.filter(|(_, tier)| width_us % tier.pane_us == 0);
            // The widest that fits goes back furthest.
            let (at, _) = fitting.max_by_key(|(_, tier)| tier.pane_us)?;
            table.boundaries.get(at).copied().flatten()
        });
        cut.max()
    }

    /// Samples where they belong, in order.
    fn placed(
        &self,
        labels: Labels,
        samples: Vec<(i64, f64)>,
        place: Place,
        gauge: &Gauge,
        selection: &Selection,
    ) -> Option<Series> {
        let Place::Windows { width_ms } = place else {
            let (times, values): (Vec<i64>, Vec<f64>) = samples.into_iter().unzip();
            return (!times.is_empty()).then(|| Series::floats(labels, times, values));
        };
        let ends: Vec<(i64, f64)> = samples.into_iter().map(|(start_ms, value)| (start_ms + width_ms, value)).collect();
        let hints = &selection.hints;
        let adds_up = matches!(hints.function, Some(Func::Rate | Func::Increase)) && hints.range_ms > 0;
        let is_sum = adds_up && gauge.metric.name.ends_with("_total");
        let ends = match hints.range_ms {
            0 => held(ends, width_ms, self.lookback_ms, selection),
            _ => ends,
        };
        let from_ms = ends.first()?.0;
        let (times, values): (Vec<i64>, Vec<f64>) = ends.into_iter().unzip();
        let series = Series::floats(labels, times, values);
        Some(if is_sum { series.counting(Increments { from_ms, is_histogram: false }) } else { series })
    }
}

#[derive(Debug, Clone, Copy)]
enum Place {
    /// At the ends of windows.
    Windows { width_ms: i64 },
    /// All at one moment.
    At { at_ms: i64 },
}

/// The samples, and at every moment of an instant selector that none of them reaches by lookback the value of the
/// newest window, unless the next one would have ended by then.
pub(super) fn held(ends: Vec<(i64, f64)>, width_ms: i64, lookback_ms: i64, selection: &Selection) -> Vec<(i64, f64)> {
    let is_seen = |time_ms: i64| (selection.start_ms..=selection.end_ms).contains(&time_ms);
    let mut samples: Vec<(i64, f64)> = ends.iter().copied().filter(|(end_ms, _)| is_seen(*end_ms)).collect();
    if width_ms <= lookback_ms {
        return samples;
    }
    let (step_ms, mut moment) = (selection.hints.step_ms, selection.end_ms);
    while moment >= selection.start_ms {
        let newest = ends.partition_point(|(end_ms, _)| *end_ms <= moment).checked_sub(1).and_then(|at| ends.get(at));
        if let Some((end_ms, value)) = newest
            && (lookback_ms..width_ms).contains(&(moment - end_ms))
        {
            samples.push((moment, *value));
        }
        if step_ms <= 0 {
            break;
        }
        moment -= step_ms;
    }
    samples.sort_by_key(|(time_ms, _)| *time_ms);
    samples.dedup_by_key(|(time_ms, _)| *time_ms);
    samples
}

fn instant(ms: i64) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(Some(ms.saturating_mul(1000)), Some("UTC".into()))
}

/// A label that the gauge does not have counts as empty.
fn can_match(gauge: &Gauge, matchers: &[Matcher]) -> bool {
    matchers.iter().all(|matcher| match matcher.name.as_str() {
        "__name__" => matcher.matches(&gauge.metric.name),
        QUANTILE => matcher.matches(gauge.quantile.as_deref().unwrap_or_default()),
        name => gauge.metric.labels.iter().any(|(label, _)| label == name) || matcher.matches(""),
    })
}

/// Columns of all labels that are columns: the same for all gauges of a view.
fn columns_of_labels(gauge: &Gauge) -> Vec<&str> {
    let labels = gauge.metric.labels.iter().filter(|(label, _)| label != QUANTILE);
    labels.map(|(_, column)| column.as_str()).collect()
}

/// Equalities of text, so that less is read; all matchers are held against the labels later.
fn matching(frame: DataFrame, view: &ViewGauges, matchers: &[Matcher]) -> Result<DataFrame> {
    let Some(first) = view.gauges.first() else { return Ok(frame) };
    let equal = matchers.iter().filter(|m| m.op == MatchOp::Equal && !m.value.is_empty());
    let is_plain = |column: &str| view.outline.schema.field_with_name(column).is_ok_and(|f| is_text(f.data_type()));
    let columns = equal.filter_map(|m| {
        let (_, column) = first.metric.labels.iter().find(|(label, _)| *label == m.name && label != QUANTILE)?;
        let of_column = view.outline.schema.field_with_name(column).ok().filter(|_| is_plain(column))?;
        Some((column, ScalarValue::from(m.value.as_str()).cast_to(of_column.data_type())))
    });
    columns.into_iter().try_fold(frame, |frame, (column, value)| frame.filter(ident(column).eq(lit(value?))))
}

/// Time, labels and the one value of a gauge.
fn only(
    batch: &RecordBatch,
    labels: usize,
    value: usize,
    gauge: &Gauge,
) -> std::result::Result<RecordBatch, ArrowError> {
    let mut columns: Vec<ArrayRef> = batch.columns()[..=labels].to_vec();
    columns.extend(quantile_column(gauge, batch.num_rows()));
    columns.push(Arc::clone(batch.column(labels + 1 + value)));
    unnamed(columns)
}

/// Time and labels, without a value.
fn whose(batch: &RecordBatch, labels: usize, gauge: &Gauge) -> std::result::Result<RecordBatch, ArrowError> {
    let mut columns: Vec<ArrayRef> = vec![Arc::clone(batch.column(labels))];
    columns.extend(batch.columns()[..labels].iter().cloned());
    columns.extend(quantile_column(gauge, batch.num_rows()));
    columns.push(arrow::array::new_null_array(&DataType::Null, batch.num_rows()));
    unnamed(columns)
}

fn quantile_column(gauge: &Gauge, rows: usize) -> Option<ArrayRef> {
    let quantile = gauge.quantile.as_deref()?;
    Some(Arc::new(StringArray::from_iter_values(std::iter::repeat_n(quantile, rows))))
}

fn unnamed(columns: Vec<ArrayRef>) -> std::result::Result<RecordBatch, ArrowError> {
    let field = |(at, column): (usize, &ArrayRef)| Field::new(format!("c{at}"), column.data_type().clone(), true);
    let schema = Schema::new(columns.iter().enumerate().map(field).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns)
}

/// Two numbers for one series at one time: neither is the right one.
fn several(view: &ViewGauges, gauge: &Gauge, labels: &Labels, time_ms: i64) -> SqlError {
    SqlError::Query {
        message: format!(
            "the view {} has several rows of {labels} at {time_ms} ms: PromQL takes one per series and time",
            view.view
        ),
        hint: Some(format!(
            "ask for it in SQL, or aggregate {} in a view by the columns that are to be labels",
            gauge.metric.measure
        )),
    }
}

#[cfg(test)]
mod tests;

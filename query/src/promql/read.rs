//! Reads what a selection of PromQL asks for from the tables of a snapshot.
//!
//! Counters and histograms are kept as what each window brought. `rate` and `increase` add these up: the
//! number of events in the range, exact wherever the range's ends are ends of windows, whichever width of
//! windows answers. Every other function sees the running total since the oldest window that is kept.

use super::columns::read_rows;
use super::metrics::{Kind, Metric};
use super::pushed::{self, Naming};
use super::width::{Width, choose};
use crate::results::Stretch;
use crate::snapshot::{Snapshot, SnapshotTable};
use crate::sql::{SqlEngine, SqlError};
use crate::table::{RollupTable, Shape, TierRows};
use crate::tiers::segments;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use datafusion::logical_expr::{Expr, ident};
use datafusion::prelude::lit;
use tidewatch_engine::life_cycle::tiers_of;
use tidewatch_engine::rollup::{MeasureKind, RollupSchema, WINDOW_START};
use tidewatch_engine::time::{DAY_US, window_start};
use tidewatch_promql::parse::functions::Func;
use tidewatch_promql::{Labels, MatchOp, Matcher, SelectHints, Selection, Series};

/// Exclusive end of a window.
const WINDOW_END: &str = "window_end";
/// One bin for all of time.
const ALL_US: i64 = i64::MAX / 4;
/// A counter whose last event lies so far back still counts as one that stands still.
const QUIET_US: i64 = DAY_US;

/// The series of one metric that fit a selection.
///
/// # Errors
/// See [`SqlError`]; among them more than `rows_max` rows.
pub async fn read(
    engine: &SqlEngine,
    snapshot: &Snapshot,
    metric: &Metric,
    selection: &Selection,
    rows_max: usize,
) -> Result<Vec<Series>, SqlError> {
    let Some(table) = snapshot.tables.get(&metric.rollup) else { return Ok(Vec::new()) };
    let Some(rollup) = &table.rollup else { return Ok(Vec::new()) };
    if !can_match(metric, selection) {
        return Ok(Vec::new());
    }
    if metric.state == MeasureKind::Samples {
        return pushed::read(engine, snapshot, Naming::Of(metric), selection, rows_max).await;
    }
    let is_total = metric.kind != Kind::Gauge;
    let width = match is_total && is_said_by_ends(&selection.hints) {
        true => choose(rollup, &table.boundaries, selection),
        false => Width::finest(rollup),
    };
    // Windows that end after the left end of the first range, up to the last moment.
    let from = width.floor(selection.start_ms.saturating_sub(1).saturating_mul(1000));
    let to = width.floor(selection.end_ms.saturating_mul(1000));
    let ask = Ask { engine, metric, rollup, table, selection, rows_max };
    let is_sum_of_range = is_sum_of_range(&selection.hints);
    let windows = ask.windows(width, from, to).await?;
    let before = match (is_total, is_sum_of_range) {
        (false, _) => Vec::new(),
        (true, true) => ask.present(from.saturating_sub(QUIET_US), from).await?,
        (true, false) => ask.totals(from).await?,
    };
    // Windows that were merged on the way have their start, the others their end.
    let later_us = if let Width::Of { us } = width { us } else { 0 };
    let (metric, selection) = (metric.clone(), selection.clone());
    let series = move || {
        let rows = read_rows(&windows, later_us, &metric, &selection)?;
        if !is_total {
            return Ok(rows.into_gauges(&metric, &selection));
        }
        let rows = rows.after(read_rows(&before, 0, &metric, &selection)?);
        Ok(match is_sum_of_range {
            true => rows.into_increments(&metric),
            false => rows.into_totals(&metric, &selection, width.us()),
        })
    };
    // Work for the processor: it must not hold up those who share the runtime.
    let series = tokio::task::spawn_blocking(series).await.map_err(|e| SqlError::Execution(e.to_string()))?;
    series.map_err(|e: ArrowError| SqlError::Execution(e.to_string()))
}

/// The windows that [`read`] looks at, and some beside them: starts, half-open.
pub fn stretch(metric: &Metric, selection: &Selection) -> Stretch {
    let (from, to) = pushed_stretch(selection);
    match metric.kind {
        Kind::Gauge => (from, to),
        _ if is_sum_of_range(&selection.hints) => (from.map(|from| from.saturating_sub(QUIET_US)), to),
        // A running total is of all there was.
        _ => (None, to),
    }
}

/// The windows whose pushed samples [`read`] looks at, and some beside them: starts, half-open, where windows that begin
/// earlier and reach into it belong to it.
pub fn pushed_stretch(selection: &Selection) -> Stretch {
    let from = selection.start_ms.saturating_sub(1).saturating_mul(1000);
    (Some(from), Some(selection.end_ms.saturating_mul(1000).saturating_add(1)))
}

/// Whether what windows brought is added up, and nothing else of them is asked.
fn is_sum_of_range(hints: &SelectHints) -> bool {
    matches!(hints.function, Some(Func::Rate | Func::Increase)) && hints.range_ms > 0
}

/// Whether what is asked of a total says the same of wide windows as of narrow ones: by what it is at the ends of ranges,
/// not by how many samples lie between them, or where.
fn is_said_by_ends(hints: &SelectHints) -> bool {
    let by_ends = [Func::Rate, Func::Increase, Func::LastOverTime, Func::PresentOverTime, Func::AbsentOverTime];
    hints.range_ms == 0 || hints.function.is_some_and(|function| by_ends.contains(&function))
}

/// A label that the metric does not have counts as empty.
fn can_match(metric: &Metric, selection: &Selection) -> bool {
    selection.matchers.iter().all(|matcher| {
        matcher.name == "__name__"
            || metric.labels.iter().any(|(label, _)| *label == matcher.name)
            || matcher.matches("")
    })
}

struct Ask<'a> {
    engine: &'a SqlEngine,
    metric: &'a Metric,
    rollup: &'a RollupSchema,
    table: &'a SnapshotTable,
    selection: &'a Selection,
    rows_max: usize,
}

impl Ask<'_> {
    /// What every window brought: its end (its start, where it is merged from narrower ones), the dimensions, the
    /// value.
    async fn windows(&self, width: Width, from: i64, to: i64) -> Result<Vec<RecordBatch>, SqlError> {
        let measure = Some(self.metric.measure.as_str());
        if let Width::Of { us } = width {
            let tiers = tiers_of(self.rollup);
            let coarsest = tiers.iter().rposition(|tier| us % tier.pane_us == 0).unwrap_or(0);
            let rows = self.tiers(Shape::Windows, coarsest, Some(from), Some(to))?.in_bins(us);
            return self.rows(rows, WINDOW_START, measure).await;
        }
        // Partials of one window are put together with the samples of their series, which is less work than a
        // merge by all dimensions. An average or a newest value is not to be had from partials alone.
        let shape = match self.metric.state {
            MeasureKind::Avg { .. } | MeasureKind::Last { .. } | MeasureKind::Distinct => Shape::Windows,
            _ => Shape::Coded,
        };
        let rows = self.tiers(shape, 0, Some(from), Some(to))?;
        self.rows(rows, WINDOW_END, measure).await
    }

    /// What was counted before `us`, for each series.
    async fn totals(&self, us: i64) -> Result<Vec<RecordBatch>, SqlError> {
        let rows = self.tiers(Shape::Windows, usize::MAX, None, Some(us))?.in_bins(ALL_US);
        self.rows(rows, WINDOW_START, Some(&self.metric.measure)).await
    }

    /// The series that have a window that starts in `[from, to)`, without a value.
    async fn present(&self, from: i64, to: i64) -> Result<Vec<RecordBatch>, SqlError> {
        let rows = self.tiers(Shape::Windows, usize::MAX, Some(from), Some(to))?.in_bins(ALL_US);
        self.rows(rows, WINDOW_START, None).await
    }

    /// Rows of tiers that are no coarser than `coarsest`, of windows that start in `[from, to)`.
    fn tiers(&self, shape: Shape, coarsest: usize, from: Option<i64>, to: Option<i64>) -> Result<TierRows, SqlError> {
        let table = RollupTable::new(self.rollup, self.table, shape);
        let table = table.map_err(|e| SqlError::Execution(e.strip_backtrace()))?;
        let coarsest = coarsest.min(table.tiers().len().saturating_sub(1));
        let segments = segments(table.tiers(), table.boundaries(), coarsest, from, to);
        Ok(TierRows::new(&table, segments, shape))
    }

    /// Time, dimensions and value.
    async fn rows(&self, rows: TierRows, time: &str, value: Option<&str>) -> Result<Vec<RecordBatch>, SqlError> {
        let dimensions = self.metric.labels.iter().map(|(_, column)| column.as_str());
        let columns: Vec<&str> = std::iter::once(time).chain(dimensions).chain(value).collect();
        self.engine.scan(&rows, &columns, &self.matching(), self.rows_max).await
    }

    /// Equalities that a file can be skipped by; all matchers are held against the labels later.
    fn matching(&self) -> Vec<Expr> {
        let equal = self.selection.matchers.iter().filter(|m| m.op == MatchOp::Equal && !m.value.is_empty());
        let column = |matcher: &Matcher| {
            let (_, column) = self.metric.labels.iter().find(|(label, _)| *label == matcher.name)?;
            self.is_text(column).then(|| ident(column).eq(lit(matcher.value.as_str())))
        };
        equal.filter_map(column).collect()
    }

    fn is_text(&self, column: &str) -> bool {
        self.table.schema.field_with_name(column).is_ok_and(|f| *f.data_type() == DataType::Utf8)
    }
}

/// The label sets of one metric that counted something between two moments, milliseconds, inclusive.
///
/// # Errors
/// See [`SqlError`]; among them more than `rows_max` series.
pub async fn series_within(
    engine: &SqlEngine,
    snapshot: &Snapshot,
    metric: &Metric,
    matchers: &[Matcher],
    (start_ms, end_ms): (i64, i64),
    rows_max: usize,
) -> Result<Vec<Labels>, SqlError> {
    let selection =
        &Selection { matchers: matchers.to_vec(), start_ms, end_ms, hints: tidewatch_promql::SelectHints::default() };
    let batches = within(engine, snapshot, metric, selection, rows_max).await?;
    Ok(read_rows(&batches, 0, metric, selection).map_err(|e| SqlError::Execution(e.to_string()))?.into_labels())
}

/// A row for every label set of a metric that counted something in the time of a selection.
async fn within(
    engine: &SqlEngine,
    snapshot: &Snapshot,
    metric: &Metric,
    selection: &Selection,
    rows_max: usize,
) -> Result<Vec<RecordBatch>, SqlError> {
    let Some(table) = snapshot.tables.get(&metric.rollup).filter(|_| can_match(metric, selection)) else {
        return Ok(Vec::new());
    };
    let Some(rollup) = &table.rollup else { return Ok(Vec::new()) };
    let ask = Ask { engine, metric, rollup, table, selection, rows_max };
    let (from, to) = (selection.start_ms.saturating_mul(1000), selection.end_ms.saturating_mul(1000));
    ask.present(reaching(rollup, &table.boundaries, from), to.saturating_add(1)).await
}

/// The start of the window that reaches beyond a moment, in the finest width that is kept for its time.
fn reaching(rollup: &RollupSchema, boundaries: &[Option<i64>], us: i64) -> i64 {
    let tiers = tiers_of(rollup);
    let is_kept = |at: usize| boundaries.get(at).copied().flatten().is_none_or(|boundary| boundary <= us);
    let finest = tiers.iter().enumerate().find(|(at, _)| is_kept(*at)).or(tiers.iter().enumerate().next_back());
    finest.map_or(us, |(_, tier)| window_start(us, tier.pane_us))
}

/// A row for every label set of a metric that counted something between two moments, milliseconds, inclusive: a time, and
/// the labels.
///
/// # Errors
/// See [`SqlError`].
pub async fn rows_within(
    engine: &SqlEngine,
    snapshot: &Snapshot,
    metric: &Metric,
    (start_ms, end_ms): (i64, i64),
) -> Result<Vec<RecordBatch>, SqlError> {
    let hints = tidewatch_promql::SelectHints::default();
    let all = Selection { matchers: Vec::new(), start_ms, end_ms, hints };
    within(engine, snapshot, metric, &all, usize::MAX).await
}

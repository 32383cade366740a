//! Reads what a selection of PromQL asks for from the tables of a snapshot.
//!
//! Counters and histograms are kept as what each window brought. `rate` and `increase` add these up: the
//! number of events in the range, exact wherever the range's ends are ends of windows, whichever width of
//! windows answers. Every other function sees the running total since the oldest window that is kept.

use super::columns::read_rows;
use super::metrics::{Kind, Metric};
use super::pushed::{self, Naming};
use super::width::{Width, choose};
use crate::snapshot::{Snapshot, SnapshotTable};
use crate::sql::{SqlEngine, SqlError};
use crate::table::Shape;
use arrow::array::AsArray;
use arrow::datatypes::{DataType, Int64Type};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::functions::datetime::expr_fn::date_bin;
use datafusion::functions_aggregate::expr_fn::{count, sum};
use datafusion::logical_expr::{Expr, ident};
use datafusion::prelude::{DataFrame, lit};
use tidewatch_engine::rollup::{MeasureKind, RollupSchema, WINDOW_START};
use tidewatch_engine::time::DAY_US;
use tidewatch_promql::parse::functions::Func;
use tidewatch_promql::{Labels, MatchOp, Matcher, Selection, Series};

/// Exclusive end of a window.
const WINDOW_END: &str = "window_end";
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
) -> std::result::Result<Vec<Series>, SqlError> {
    let Some(table) = snapshot.tables.get(&metric.rollup) else { return Ok(Vec::new()) };
    let Some(rollup) = &table.rollup else { return Ok(Vec::new()) };
    if !can_match(metric, selection) {
        return Ok(Vec::new());
    }
    if metric.state == MeasureKind::Samples {
        return pushed::read(engine, snapshot, Naming::Of(metric), selection, rows_max).await;
    }
    let is_total = metric.kind != Kind::Gauge;
    let width = if is_total { choose(rollup, &table.boundaries, selection) } else { Width::finest(rollup) };
    // Windows that end after the left end of the first range, up to the last moment.
    let from = width.floor(selection.start_ms.saturating_sub(1).saturating_mul(1000));
    let to = width.floor(selection.end_ms.saturating_mul(1000));
    let ask = Ask { engine, snapshot, metric, rollup, table, selection, rows_max };
    let is_sum_of_range =
        matches!(selection.hints.function, Some(Func::Rate | Func::Increase)) && selection.hints.range_ms > 0;
    let windows = ask.windows(width, from, to).await?;
    let before = match (is_total, is_sum_of_range) {
        (false, _) => Vec::new(),
        (true, true) => ask.quiet(from).await?,
        (true, false) => ask.totals(from).await?,
    };
    let (metric, selection) = (metric.clone(), selection.clone());
    let series = move || {
        let rows = read_rows(&windows, &metric, &selection)?;
        if !is_total {
            return Ok(rows.into_gauges(&metric, &selection));
        }
        let rows = rows.after(read_rows(&before, &metric, &selection)?);
        Ok(match is_sum_of_range {
            true => rows.into_increments(&metric),
            false => rows.into_totals(&metric, &selection, width.us()),
        })
    };
    // Work for the processor: it must not hold up those who share the runtime.
    let series = tokio::task::spawn_blocking(series).await.map_err(|e| SqlError::Execution(e.to_string()))?;
    series.map_err(|e: ArrowError| SqlError::Execution(e.to_string()))
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
    snapshot: &'a Snapshot,
    metric: &'a Metric,
    rollup: &'a RollupSchema,
    table: &'a SnapshotTable,
    selection: &'a Selection,
    rows_max: usize,
}

impl Ask<'_> {
    /// What every window brought: its end, the dimensions, the value.
    async fn windows(&self, width: Width, from: i64, to: i64) -> std::result::Result<Vec<RecordBatch>, SqlError> {
        // Partials of one window are put together with the samples of their series, which is less work than a
        // merge by all dimensions. An average or a newest value is not to be had from partials alone.
        let shape = match self.metric.state {
            MeasureKind::Avg { .. } | MeasureKind::Last { .. } | MeasureKind::Distinct => Shape::Windows,
            _ if matches!(width, Width::AsKept { .. }) => Shape::Coded,
            _ => Shape::Partials,
        };
        self.rows(shape, |frame| {
            let frame = self.matching(frame)?.filter(at_or_after(from).and(ident(WINDOW_START).lt(instant(to))))?;
            match width {
                Width::AsKept { .. } => {
                    let columns =
                        [vec![ident(WINDOW_END).alias("t")], self.dimensions(), vec![self.value().alias("v")]];
                    frame.select(columns.concat())
                }
                Width::Of { us } => {
                    let start = date_bin(lit(interval(us)), ident(WINDOW_START), instant(0)).alias("t");
                    let keys = [vec![start], self.dimensions()].concat();
                    let frame = frame.aggregate(keys, vec![self.merged().alias("v")])?;
                    let end = ident("t") + lit(interval(us));
                    let columns = [vec![end.alias("t")], self.labels(), vec![ident("v")]];
                    frame.select(columns.concat())
                }
            }
        })
        .await
    }

    /// What was counted before `us`, for each series.
    async fn totals(&self, us: i64) -> std::result::Result<Vec<RecordBatch>, SqlError> {
        self.rows(Shape::Windows, |frame| {
            let frame = self.matching(frame)?.filter(ident(WINDOW_START).lt(instant(us)))?;
            let frame = frame.aggregate(self.dimensions(), vec![self.merged().alias("v")])?;
            frame.select([vec![lit(instant_value(us)).alias("t")], self.labels(), vec![ident("v")]].concat())
        })
        .await
    }

    /// The series that counted something within a day before `us`, without a value.
    async fn quiet(&self, us: i64) -> std::result::Result<Vec<RecordBatch>, SqlError> {
        self.present(at_or_after(us.saturating_sub(QUIET_US)).and(ident(WINDOW_START).lt(instant(us))), us).await
    }

    /// The series that have a window of which the condition holds, without a value.
    async fn present(&self, condition: Expr, us: i64) -> std::result::Result<Vec<RecordBatch>, SqlError> {
        self.rows(Shape::Windows, |frame| {
            let frame = self.matching(frame)?.filter(condition)?.select(self.dimensions())?.distinct()?;
            frame.select(
                [vec![lit(instant_value(us)).alias("t")], self.labels(), vec![lit(ScalarValue::Null).alias("v")]]
                    .concat(),
            )
        })
        .await
    }

    async fn rows(
        &self,
        shape: Shape,
        build: impl FnOnce(DataFrame) -> Result<DataFrame>,
    ) -> std::result::Result<Vec<RecordBatch>, SqlError> {
        Ok(self.engine.over(self.snapshot, &self.rollup.name, shape, build, self.rows_max).await?.batches)
    }

    /// Equalities that a file can be skipped by; all matchers are held against the labels later.
    fn matching(&self, frame: DataFrame) -> Result<DataFrame> {
        self.selection.matchers.iter().filter(|m| m.op == MatchOp::Equal && !m.value.is_empty()).try_fold(
            frame,
            |frame, matcher| match self.metric.labels.iter().find(|(label, _)| *label == matcher.name) {
                Some((_, column)) if self.is_text(column) => {
                    frame.filter(ident(column).eq(lit(matcher.value.as_str())))
                }
                _ => Ok(frame),
            },
        )
    }

    fn is_text(&self, column: &str) -> bool {
        self.table.schema.field_with_name(column).is_ok_and(|f| *f.data_type() == DataType::Utf8)
    }

    fn dimensions(&self) -> Vec<Expr> {
        self.metric.labels.iter().enumerate().map(|(at, (_, column))| ident(column).alias(format!("l{at}"))).collect()
    }

    fn labels(&self) -> Vec<Expr> {
        (0..self.metric.labels.len()).map(|at| ident(format!("l{at}"))).collect()
    }

    fn value(&self) -> Expr {
        ident(&self.metric.measure)
    }

    fn merged(&self) -> Expr {
        match self.metric.state {
            MeasureKind::Hdr { .. } => crate::functions::hdr_merge(self.value()),
            _ => sum(self.value()),
        }
    }
}

fn at_or_after(us: i64) -> Expr {
    ident(WINDOW_START).gt_eq(instant(us))
}

fn instant(us: i64) -> Expr {
    lit(instant_value(us))
}

fn instant_value(us: i64) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(Some(us), Some("UTC".into()))
}

fn interval(us: i64) -> ScalarValue {
    ScalarValue::IntervalMonthDayNano(Some(arrow::datatypes::IntervalMonthDayNano::new(0, 0, us.saturating_mul(1000))))
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
) -> std::result::Result<Vec<Labels>, SqlError> {
    let Some(table) = snapshot.tables.get(&metric.rollup) else { return Ok(Vec::new()) };
    let Some(rollup) = &table.rollup else { return Ok(Vec::new()) };
    let selection =
        &Selection { matchers: matchers.to_vec(), start_ms, end_ms, hints: tidewatch_promql::SelectHints::default() };
    if !can_match(metric, selection) {
        return Ok(Vec::new());
    }
    let ask = Ask { engine, snapshot, metric, rollup, table, selection, rows_max };
    let (from, to) = (start_ms.saturating_mul(1000), end_ms.saturating_mul(1000));
    let batches =
        ask.present(ident(WINDOW_END).gt(instant(from)).and(ident(WINDOW_START).lt_eq(instant(to))), to).await?;
    Ok(read_rows(&batches, metric, selection).map_err(|e| SqlError::Execution(e.to_string()))?.into_labels())
}

/// How many label sets of one metric counted something between two moments, milliseconds, inclusive.
///
/// # Errors
/// See [`SqlError`].
pub async fn count_within(
    engine: &SqlEngine,
    snapshot: &Snapshot,
    metric: &Metric,
    (start_ms, end_ms): (i64, i64),
) -> std::result::Result<u64, SqlError> {
    if !snapshot.tables.contains_key(&metric.rollup) {
        return Ok(0);
    }
    let build = |frame: DataFrame| {
        let (from, to) = (start_ms.saturating_mul(1000), end_ms.saturating_mul(1000));
        let dimensions: Vec<Expr> = metric.labels.iter().map(|(_, column)| ident(column)).collect();
        let frame = frame.filter(ident(WINDOW_END).gt(instant(from)).and(ident(WINDOW_START).lt_eq(instant(to))))?;
        frame.select(dimensions)?.distinct()?.aggregate(vec![], vec![count(lit(1)).alias("series")])
    };
    let answer = engine.over(snapshot, &metric.rollup, Shape::Partials, build, 1).await?;
    let counted = answer.batches.first().filter(|batch| batch.num_rows() == 1);
    let counted = counted.and_then(|batch| batch.column(0).as_primitive_opt::<Int64Type>());
    Ok(counted.map_or(0, |column| column.value(0).unsigned_abs()))
}

//! Range vectors: the samples of selectors and subqueries, ready for windows to slide over.

use std::borrow::Cow;
use std::sync::Arc;

use crate::error::QueryError;
use crate::histogram::{CounterReset, Histogram};
use crate::labels::Labels;
use crate::parse::ast::{At, Expr, ExprKind, Selector, Subquery};
use crate::plan::{Grid, Interrupt, subquery_grid};
use crate::series::{Increments, Series, is_stale};
use crate::value::MatrixSeries;

use super::Evaluator;
use super::rows::{Cell, Row};

/// One series' samples without staleness markers; times ascend within both pairs of columns.
pub struct RangeRow<'a> {
    pub labels: Labels,
    pub counting: Option<Increments>,
    pub drop_name: bool,
    pub times: Cow<'a, [i64]>,
    pub floats: Cow<'a, [f64]>,
    pub histogram_times: Cow<'a, [i64]>,
    pub histograms: Cow<'a, [Arc<Histogram>]>,
}

/// Where the windows of a range vector lie: at each step `(seen - range_ms, seen]`.
#[derive(Clone, Copy)]
pub struct Windows<'a> {
    /// The steps.
    pub grid: Grid,
    /// Width.
    pub range_ms: i64,
    offset_ms: i64,
    fixed_ms: Option<i64>,
    interrupt: &'a dyn Fn() -> Option<Interrupt>,
}

/// After how many windows of one series to ask whether to go on: wide windows take long.
const STEPS_PER_CHECK: usize = 256;

impl Windows<'_> {
    /// Right end of the window at a step, inclusive.
    #[inline]
    pub fn end_ms(&self, step: usize) -> i64 {
        self.fixed_ms.unwrap_or_else(|| self.grid.time(step)).saturating_sub(self.offset_ms)
    }

    /// Whether to leave the rest of the steps. The evaluator asks again before it uses what there is.
    #[inline]
    pub fn stops_at(&self, step: usize) -> bool {
        step % STEPS_PER_CHECK == STEPS_PER_CHECK - 1 && (self.interrupt)().is_some()
    }
}

impl<'a> Evaluator<'a> {
    /// The samples of a range vector and the windows over them.
    pub fn range_vector(&mut self, expr: &Expr, grid: Grid) -> Result<(Vec<RangeRow<'a>>, Windows<'a>), QueryError> {
        match &expr.unwrapped().kind {
            ExprKind::Range { selector, range_ms } => {
                let windows = self.windows(grid, *range_ms, selector.offset_ms, selector.at);
                Ok((self.series_rows(selector), windows))
            }
            ExprKind::Subquery(subquery) => {
                let windows = self.windows(grid, subquery.range_ms, subquery.offset_ms, subquery.at);
                Ok((self.subquery_rows(subquery, grid)?, windows))
            }
            _ => Err(QueryError::Execution("expected a range vector".to_string())),
        }
    }

    fn windows(&self, grid: Grid, range_ms: i64, offset_ms: i64, at: Option<At>) -> Windows<'a> {
        let fixed_ms = at.map(|at| self.times.at(at));
        Windows { grid, range_ms, offset_ms, fixed_ms, interrupt: self.limits.interrupt }
    }

    fn series_rows(&self, selector: &Selector) -> Vec<RangeRow<'a>> {
        self.series_of(selector).iter().map(without_stale).collect()
    }

    fn subquery_rows(&mut self, subquery: &Subquery, grid: Grid) -> Result<Vec<RangeRow<'a>>, QueryError> {
        let inner = subquery_grid(subquery, grid, &self.times, self.options);
        let rows = self.vector(&subquery.expr, inner)?;
        Ok(rows.iter().map(|row| samples_of(row, inner)).collect())
    }

    /// A range vector as it is, at the one instant of `grid`.
    pub fn raw_ranges(&mut self, expr: &Expr, grid: Grid) -> Result<Vec<MatrixSeries>, QueryError> {
        let (rows, windows) = self.range_vector(expr, grid)?;
        let end_ms = windows.end_ms(0);
        let start_ms = end_ms.saturating_sub(windows.range_ms);
        let inside = |times: &[i64]| {
            times.partition_point(|time| *time <= start_ms)..times.partition_point(|time| *time <= end_ms)
        };
        let mut all = Vec::new();
        for row in &rows {
            let (floats, histograms) = (inside(&row.times), inside(&row.histogram_times));
            if floats.is_empty() && histograms.is_empty() {
                continue;
            }
            self.hold(floats.len() + histograms.len())?;
            let pairs = |times: &[i64], values: &[f64]| times.iter().copied().zip(values.iter().copied()).collect();
            all.push(MatrixSeries {
                labels: if row.drop_name { row.labels.without_name() } else { row.labels.clone() },
                floats: pairs(&row.times[floats.clone()], &row.floats[floats]),
                histograms: row.histogram_times[histograms.clone()]
                    .iter()
                    .copied()
                    .zip(row.histograms[histograms].iter().cloned())
                    .collect(),
            });
        }
        all.sort_by(|left, right| left.labels.cmp(&right.labels));
        Ok(all)
    }
}

fn without_stale(series: &Series) -> RangeRow<'_> {
    let (times, floats) = (series.float_times_ms.as_slice(), series.floats.as_slice());
    let (times, floats) = if floats.iter().any(|value| is_stale(*value)) {
        let kept = times.iter().copied().zip(floats.iter().copied()).filter(|(_, value)| !is_stale(*value));
        let (times, floats): (Vec<i64>, Vec<f64>) = kept.unzip();
        (Cow::Owned(times), Cow::Owned(floats))
    } else {
        (Cow::Borrowed(times), Cow::Borrowed(floats))
    };
    let (histogram_times, histograms) = (series.histogram_times_ms.as_slice(), series.histograms.as_slice());
    let (histogram_times, histograms) = if histograms.iter().any(|one| one.is_stale()) {
        let kept = histogram_times.iter().copied().zip(histograms.iter().cloned()).filter(|(_, one)| !one.is_stale());
        let (times, histograms): (Vec<i64>, Vec<Arc<Histogram>>) = kept.unzip();
        (Cow::Owned(times), Cow::Owned(histograms))
    } else {
        (Cow::Borrowed(histogram_times), Cow::Borrowed(histograms))
    };
    RangeRow {
        labels: series.labels.clone(),
        counting: series.counting,
        drop_name: false,
        times,
        floats,
        histogram_times,
        histograms,
    }
}

/// A hint speaks of the stored sample before, which the subquery may have stepped over.
fn without_hint(histogram: &Arc<Histogram>) -> Arc<Histogram> {
    match histogram.counter_reset {
        CounterReset::Unknown | CounterReset::Gauge => histogram.clone(),
        CounterReset::Reset | CounterReset::NotReset => {
            let mut unknown = Histogram::clone(histogram);
            unknown.counter_reset = CounterReset::Unknown;
            Arc::new(unknown)
        }
    }
}

fn samples_of<'a>(row: &Row, grid: Grid) -> RangeRow<'a> {
    let (mut times, mut floats) = (Vec::new(), Vec::new());
    let (mut histogram_times, mut histograms) = (Vec::new(), Vec::new());
    for step in 0..grid.len {
        match row.cells.at(step) {
            Cell::Absent => {}
            Cell::Float(value) => {
                times.push(grid.time(step));
                floats.push(value);
            }
            Cell::Histogram(histogram) => {
                histogram_times.push(grid.time(step));
                histograms.push(without_hint(histogram));
            }
        }
    }
    RangeRow {
        labels: row.labels.clone(),
        counting: None,
        drop_name: row.drop_name,
        times: times.into(),
        floats: floats.into(),
        histogram_times: histogram_times.into(),
        histograms: histograms.into(),
    }
}

//! Instant vector selectors: the last sample within the lookback.

use std::sync::Arc;

use crate::error::QueryError;
use crate::histogram::Histogram;
use crate::parse::ast::Selector;
use crate::plan::Grid;
use crate::series::{Series, is_stale};

use super::Evaluator;
use super::rows::{ABSENT, Cells, Output, Row};

/// What is made of the sample that a selector finds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Take {
    Value,
    Time,
}

impl Evaluator<'_> {
    /// The samples that a selector finds at each step.
    pub fn instant_vector(&mut self, selector: &Selector, grid: Grid) -> Result<Vec<Row>, QueryError> {
        self.look(selector, grid, Take::Value)
    }

    /// The times, in seconds, of the samples that a selector finds at each step.
    pub fn instant_times(&mut self, selector: &Selector, grid: Grid) -> Result<Vec<Row>, QueryError> {
        self.look(selector, grid, Take::Time)
    }

    fn look(&mut self, selector: &Selector, grid: Grid, take: Take) -> Result<Vec<Row>, QueryError> {
        let fixed = selector.at.map(|at| Grid::instant(self.times.at(at)));
        let mut seen = fixed.unwrap_or(grid);
        seen.start_ms = seen.start_ms.saturating_sub(selector.offset_ms);
        let lookback_ms = self.options.lookback_ms;
        let mut rows = Vec::new();
        for series in self.series_of(selector) {
            self.check()?;
            let cells = if series.histograms.as_slice().is_empty() {
                float_cells(series, seen, lookback_ms, take)
            } else {
                mixed_cells(series, seen, lookback_ms, take)
            };
            if cells.is_all_absent() {
                continue;
            }
            let row = Row::new(series.labels.clone(), cells);
            rows.push(if fixed.is_some() && grid.len != 1 { row.spread(grid.len) } else { row });
        }
        Ok(rows)
    }
}

fn float_cells(series: &Series, seen: Grid, lookback_ms: i64, take: Take) -> Cells {
    let (times, values) = (series.float_times_ms.as_slice(), series.floats.as_slice());
    let mut floats = vec![ABSENT; seen.len];
    let mut next = times.partition_point(|time| *time <= seen.start_ms);
    for (step, cell) in floats.iter_mut().enumerate() {
        let now = seen.time(step);
        while next < times.len() && times[next] <= now {
            next += 1;
        }
        if next == 0 || times[next - 1] <= now.saturating_sub(lookback_ms) {
            continue;
        }
        let value = values[next - 1];
        if !is_stale(value) {
            *cell = if take == Take::Value { value } else { times[next - 1] as f64 / 1000.0 };
        }
    }
    Cells { floats, histograms: None }
}

fn mixed_cells(series: &Series, seen: Grid, lookback_ms: i64, take: Take) -> Cells {
    let (times, values) = (series.float_times_ms.as_slice(), series.floats.as_slice());
    let histogram_times = series.histogram_times_ms.as_slice();
    let histograms: &[Arc<Histogram>] = series.histograms.as_slice();
    let mut cells = Cells::absent(seen.len);
    let (mut next, mut next_histogram) = (0, 0);
    for step in 0..seen.len {
        let now = seen.time(step);
        while next < times.len() && times[next] <= now {
            next += 1;
        }
        while next_histogram < histograms.len() && histogram_times[next_histogram] <= now {
            next_histogram += 1;
        }
        let float = next.checked_sub(1).map(|at| (times[at], at));
        let histogram = next_histogram.checked_sub(1).map(|at| (histogram_times[at], at));
        let is_float = float.map(|found| found.0) >= histogram.map(|found| found.0);
        let Some((time, at)) = (if is_float { float } else { histogram }) else { continue };
        let stale = if is_float { is_stale(values[at]) } else { histograms[at].is_stale() };
        if stale || time <= now.saturating_sub(lookback_ms) {
            continue;
        }
        cells.set(
            step,
            match take {
                Take::Time => Output::Float(time as f64 / 1000.0),
                Take::Value if is_float => Output::Float(values[at]),
                Take::Value => Output::Shared(histograms[at].clone()),
            },
        );
    }
    cells
}

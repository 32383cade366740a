//! Calls of functions.

use crate::error::QueryError;
use crate::labels::Labels;
use crate::parse::ast::{Expr, ExprKind};
use crate::parse::functions::Func;
use crate::plan::Grid;
use crate::position::Span;

use super::elements::{date_function, float_function};
use super::increments::counted;
use super::over_time::{Call, over_time, quantile_over_time};
use super::range::RangeRow;
use super::rate::{Rate, extrapolated, instant};
use super::regression::{deriv, double_exponential_smoothing, predict_linear};
use super::rows::{ABSENT, Cell, Cells, Row, Scalars, is_absent, merge_rows};
use super::{Evaluator, Operand};

impl Evaluator<'_> {
    pub fn call(&mut self, function: Func, args: &[Expr], span: Span, grid: Grid) -> Result<Operand, QueryError> {
        if let Some(f) = float_function(function) {
            return self.map_floats(&args[0], grid, f);
        }
        if let Some(f) = date_function(function) {
            return match args.first() {
                Some(arg) => self.map_floats(arg, grid, f),
                None => {
                    let floats = (0..grid.len).map(|at| f(grid.time(at).div_euclid(1000) as f64)).collect();
                    let cells = Cells { floats, histograms: None };
                    Ok(Operand::Vector(vec![Row::new(Labels::empty(), cells)]))
                }
            };
        }
        match function {
            Func::Time => Ok(steps(grid, |at| grid.time(at) as f64 / 1000.0)),
            Func::Pi => Ok(constant(std::f64::consts::PI)),
            Func::Start => Ok(constant(self.times.start_ms as f64 / 1000.0)),
            Func::End => Ok(constant(self.times.end_ms as f64 / 1000.0)),
            Func::Step => Ok(constant(self.times.step_ms as f64 / 1000.0)),
            Func::Range => Ok(constant((self.times.end_ms - self.times.start_ms) as f64 / 1000.0)),
            Func::MinOf | Func::MaxOf => self.min_or_max(function, args, grid),
            Func::Scalar => self.scalar_of(&args[0], grid),
            Func::VectorOf => self.vector_of(&args[0], grid),
            Func::Timestamp => self.timestamp(&args[0], grid),
            Func::Clamp | Func::ClampMin | Func::ClampMax => self.clamp(function, args, grid),
            Func::Round => self.round(args, grid),
            Func::Absent => self.absent(&args[0], grid),
            Func::AbsentOverTime => self.absent_over_time(&args[0], grid),
            Func::LabelReplace => self.label_replace(args, grid),
            Func::LabelJoin => self.label_join(args, grid),
            Func::Sort | Func::SortDesc | Func::SortByLabel | Func::SortByLabelDesc => {
                self.sort(function, args, span, grid)
            }
            Func::HistogramAvg
            | Func::HistogramCount
            | Func::HistogramSum
            | Func::HistogramStddev
            | Func::HistogramStdvar => self.of_histogram(function, &args[0], grid),
            Func::HistogramQuantile => self.histogram_quantile(args, grid),
            Func::HistogramQuantiles => self.histogram_quantiles(args, grid),
            Func::HistogramFraction => self.histogram_fraction(args, grid),
            _ if function.is_own() => self.detect(function, args, grid),
            _ => self.over_range(function, args, grid),
        }
    }

    /// Applies `f` to each float of a vector and takes the name off; histograms go away.
    fn map_floats(&mut self, arg: &Expr, grid: Grid, f: impl Fn(f64) -> f64) -> Result<Operand, QueryError> {
        let rows = self.vector(arg, grid)?;
        self.map_rows(rows, grid, |cells| cells.map_floats(&f))
    }

    /// Applies `f` to the cells of each row, takes the names off, joins what became the same series.
    pub fn map_rows(
        &mut self,
        mut rows: Vec<Row>,
        grid: Grid,
        mut f: impl FnMut(&mut Cells),
    ) -> Result<Operand, QueryError> {
        for row in &mut rows {
            self.check()?;
            f(&mut row.cells);
            self.drop_name(row);
        }
        rows.retain(|row| !row.cells.is_all_absent());
        Ok(Operand::Vector(merge_rows(rows, grid.len)?))
    }

    fn over_range(&mut self, function: Func, args: &[Expr], grid: Grid) -> Result<Operand, QueryError> {
        let at = usize::from(function == Func::QuantileOverTime);
        // Annotations point at what stands within parentheses.
        let range = args[at].unwrapped();
        let mut scalars = Vec::new();
        for (place, arg) in args.iter().enumerate() {
            if place != at {
                scalars.push(self.scalar(arg, grid)?);
            }
        }
        let (ranges, windows) = self.range_vector(range, grid)?;
        let keeps_name = matches!(function, Func::LastOverTime | Func::FirstOverTime);
        let mut rows = Vec::with_capacity(ranges.len());
        for one in &ranges {
            self.check()?;
            let mut call = Call { function, windows: &windows, span: range.span, annotations: &mut self.annotations };
            let cells = match function {
                Func::QuantileOverTime => quantile_over_time(one, &scalars[0], args[0].unwrapped().span, &mut call),
                Func::PredictLinear => predict_linear(one, &scalars[0], &mut call),
                Func::DoubleExponentialSmoothing => {
                    double_exponential_smoothing(one, &scalars[0], &scalars[1], &mut call)?
                }
                _ => range_function(one, call),
            };
            if cells.is_all_absent() {
                continue;
            }
            let mut row = Row { labels: one.labels.clone(), drop_name: one.drop_name, cells };
            if !keeps_name {
                self.drop_name(&mut row);
            }
            rows.push(row);
        }
        self.check()?;
        Ok(Operand::Vector(merge_rows(rows, grid.len)?))
    }

    fn min_or_max(&mut self, function: Func, args: &[Expr], grid: Grid) -> Result<Operand, QueryError> {
        let (left, right) = (self.scalar(&args[0], grid)?, self.scalar(&args[1], grid)?);
        let pick = if function == Func::MinOf { go_min } else { go_max };
        Ok(Operand::Scalar(left.zip(&right, grid.len, pick)))
    }

    /// The one float there is at each step, NaN with none or several.
    fn scalar_of(&mut self, arg: &Expr, grid: Grid) -> Result<Operand, QueryError> {
        let rows = self.vector(arg, grid)?;
        let mut values = vec![ABSENT; grid.len];
        for row in &rows {
            for (value, found) in values.iter_mut().zip(&row.cells.floats) {
                if !is_absent(*found) {
                    *value = if is_absent(*value) { *found } else { f64::NAN };
                }
            }
        }
        let known = |value: f64| if is_absent(value) { f64::NAN } else { value };
        Ok(Operand::Scalar(Scalars::Steps(values.into_iter().map(known).collect())))
    }

    fn vector_of(&mut self, arg: &Expr, grid: Grid) -> Result<Operand, QueryError> {
        let scalars = self.scalar(arg, grid)?;
        let floats = (0..grid.len).map(|at| scalars.at(at)).collect();
        let cells = Cells { floats, histograms: None };
        Ok(Operand::Vector(vec![Row::new(Labels::empty(), cells)]))
    }

    /// The times of a selector's samples, of anything else the times of evaluation.
    fn timestamp(&mut self, arg: &Expr, grid: Grid) -> Result<Operand, QueryError> {
        let rows = match &arg.unwrapped().kind {
            ExprKind::Selector(selector) => self.instant_times(selector, grid)?,
            _ => {
                let mut rows = self.vector(arg, grid)?;
                for row in &mut rows {
                    for at in 0..grid.len {
                        if row.cells.is_present(at) {
                            row.cells.clear(at);
                            row.cells.floats[at] = grid.time(at) as f64 / 1000.0;
                        }
                    }
                }
                rows
            }
        };
        self.map_rows(rows, grid, |cells| cells.histograms = None)
    }

    fn clamp(&mut self, function: Func, args: &[Expr], grid: Grid) -> Result<Operand, QueryError> {
        let rows = self.vector(&args[0], grid)?;
        let (min, max) = match function {
            Func::ClampMin => (self.scalar(&args[1], grid)?, Scalars::Constant(f64::INFINITY)),
            Func::ClampMax => (Scalars::Constant(f64::NEG_INFINITY), self.scalar(&args[1], grid)?),
            _ => (self.scalar(&args[1], grid)?, self.scalar(&args[2], grid)?),
        };
        self.map_rows(rows, grid, |cells| {
            cells.histograms = None;
            for (at, value) in cells.floats.iter_mut().enumerate() {
                if !is_absent(*value) {
                    let (min, max) = (min.at(at), max.at(at));
                    *value = if max < min { ABSENT } else { go_max(min, go_min(max, *value)) };
                }
            }
        })
    }

    /// Rounds to the nearest multiple, halves upwards.
    fn round(&mut self, args: &[Expr], grid: Grid) -> Result<Operand, QueryError> {
        let rows = self.vector(&args[0], grid)?;
        let nearest = match args.get(1) {
            Some(arg) => self.scalar(arg, grid)?,
            None => Scalars::Constant(1.0),
        };
        self.map_rows(rows, grid, |cells| {
            cells.histograms = None;
            for (at, value) in cells.floats.iter_mut().enumerate() {
                if !is_absent(*value) {
                    // The inverse is more exact for multiples such as 0.1.
                    let inverse = 1.0 / nearest.at(at);
                    *value = (*value * inverse + 0.5).floor() / inverse;
                }
            }
        })
    }

    /// Applies a function of a histogram to each histogram; floats go away.
    fn of_histogram(&mut self, function: Func, arg: &Expr, grid: Grid) -> Result<Operand, QueryError> {
        let rows = self.vector(arg, grid)?;
        self.map_rows(rows, grid, |cells| {
            let mut floats = vec![ABSENT; cells.len()];
            for (at, float) in floats.iter_mut().enumerate() {
                let Cell::Histogram(histogram) = cells.at(at) else { continue };
                *float = match function {
                    Func::HistogramCount => histogram.count,
                    Func::HistogramSum => histogram.sum,
                    Func::HistogramAvg => histogram.mean(),
                    Func::HistogramStddev => histogram.variance().sqrt(),
                    _ => histogram.variance(),
                };
            }
            *cells = Cells { floats, histograms: None };
        })
    }
}

fn range_function(row: &RangeRow<'_>, mut call: Call<'_, '_>) -> Cells {
    let Call { function, windows, span, .. } = call;
    match function {
        Func::Rate | Func::Increase if let Some(counting) = row.counting => {
            counted(function == Func::Rate, row, counting, windows)
        }
        Func::Rate => extrapolated(Rate::PerSecond, row, windows, span, call.annotations),
        Func::Increase => extrapolated(Rate::Increase, row, windows, span, call.annotations),
        Func::Delta => extrapolated(Rate::Delta, row, windows, span, call.annotations),
        Func::Irate => instant(true, row, windows, span, call.annotations),
        Func::Idelta => instant(false, row, windows, span, call.annotations),
        Func::Deriv => deriv(row, &mut call),
        _ => over_time(row, &mut call),
    }
}

fn constant(value: f64) -> Operand {
    Operand::Scalar(Scalars::Constant(value))
}

fn steps(grid: Grid, f: impl Fn(usize) -> f64) -> Operand {
    Operand::Scalar(Scalars::Steps((0..grid.len).map(f).collect()))
}

/// The lesser of the two, NaN when one is.
fn go_min(left: f64, right: f64) -> f64 {
    if left.is_nan() || right.is_nan() { f64::NAN } else { left.min(right) }
}

/// The greater of the two, NaN when one is.
fn go_max(left: f64, right: f64) -> f64 {
    if left.is_nan() || right.is_nan() { f64::NAN } else { left.max(right) }
}

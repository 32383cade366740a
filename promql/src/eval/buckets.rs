//! `histogram_quantile` and `histogram_fraction`, of native histograms and of classic buckets.

use hashbrown::HashMap;

use crate::error::QueryError;
use crate::histogram::Histogram;
use crate::histogram::classic::{self, Classic};
use crate::histogram::estimate::NanEffect;
use crate::labels::{BUCKET, Labels};
use crate::number::plain;
use crate::parse::ast::Expr;
use crate::plan::Grid;
use crate::position::Span;

use super::rows::{ABSENT, Cell, Cells, Row, Scalars, is_absent, merge_rows};
use super::{Evaluator, Operand};

/// A classic histogram: the rows of its buckets.
struct ClassicRows {
    labels: Labels,
    drop_name: bool,
    /// Upper bound and number of the row.
    buckets: Vec<(f64, usize)>,
}

/// Native and classic histograms of a vector.
struct Histograms {
    rows: Vec<Row>,
    classic: Vec<ClassicRows>,
}

/// What is asked of each histogram.
#[derive(Clone, Copy)]
enum Asked<'a> {
    Quantile { q: &'a Scalars, remarks: Span, forced: Span },
    Fraction { lower: &'a Scalars, upper: &'a Scalars, remarks: Span },
}

impl Evaluator<'_> {
    pub fn histogram_quantile(&mut self, args: &[Expr], grid: Grid) -> Result<Operand, QueryError> {
        let q = self.scalar(&args[0], grid)?;
        self.check_quantile(&q, args[0].unwrapped().span, grid);
        let histograms = self.histograms(&args[1], grid)?;
        let asked = Asked::Quantile { q: &q, remarks: args[0].unwrapped().span, forced: args[1].unwrapped().span };
        let rows = self.ask(&histograms, asked, grid)?;
        Ok(Operand::Vector(merge_rows(rows, grid.len)?))
    }

    pub fn histogram_fraction(&mut self, args: &[Expr], grid: Grid) -> Result<Operand, QueryError> {
        let (lower, upper) = (self.scalar(&args[0], grid)?, self.scalar(&args[1], grid)?);
        let histograms = self.histograms(&args[2], grid)?;
        let asked = Asked::Fraction { lower: &lower, upper: &upper, remarks: args[0].unwrapped().span };
        let rows = self.ask(&histograms, asked, grid)?;
        Ok(Operand::Vector(merge_rows(rows, grid.len)?))
    }

    /// Several quantiles at once, told apart by a label.
    pub fn histogram_quantiles(&mut self, args: &[Expr], grid: Grid) -> Result<Operand, QueryError> {
        let histograms = self.histograms(&args[0], grid)?;
        let label = self.text(&args[1])?.text;
        let mut all = Vec::new();
        for arg in &args[2..] {
            let q = self.scalar(arg, grid)?;
            self.check_quantile(&q, arg.unwrapped().span, grid);
            let asked = Asked::Quantile { q: &q, remarks: args[0].unwrapped().span, forced: args[0].unwrapped().span };
            for row in self.ask(&histograms, asked, grid)? {
                all.extend(labelled(&row, &label, &q, grid));
            }
        }
        Ok(Operand::Vector(merge_rows(all, grid.len)?))
    }

    fn check_quantile(&mut self, q: &Scalars, span: Span, grid: Grid) {
        for step in 0..grid.len {
            if !(0.0..=1.0).contains(&q.at(step)) {
                self.annotations.invalid_quantile(q.at(step), span);
            }
        }
    }

    /// Sorts the rows of a vector into native histograms and buckets of classic ones.
    fn histograms(&mut self, arg: &Expr, grid: Grid) -> Result<Histograms, QueryError> {
        let mut rows = self.vector(arg, grid)?;
        let mut place_of: HashMap<Labels, usize> = HashMap::new();
        let mut classic: Vec<ClassicRows> = Vec::new();
        for (at, row) in rows.iter().enumerate() {
            if row.cells.floats.iter().all(|value| is_absent(*value)) {
                continue;
            }
            let text = row.labels.get(BUCKET);
            let Some(upper) = crate::number::parse(text) else {
                self.annotations.bad_bucket(row.labels.metric_name(), text, arg.unwrapped().span);
                continue;
            };
            let labels = row.labels.filter(|name| name != BUCKET);
            let place = *place_of.entry(labels).or_insert_with_key(|labels| {
                let drop_name = row.drop_name;
                classic.push(ClassicRows { labels: labels.clone(), drop_name, buckets: Vec::new() });
                classic.len() - 1
            });
            classic[place].buckets.push((upper, at));
        }
        self.drop_conflicts(&mut rows, &classic, &place_of, arg.unwrapped().span, grid);
        Ok(Histograms { rows, classic })
    }

    /// Where a native and a classic histogram of the same name stand side by side, neither is asked.
    fn drop_conflicts(
        &mut self,
        rows: &mut [Row],
        classic: &[ClassicRows],
        place_of: &HashMap<Labels, usize>,
        span: Span,
        grid: Grid,
    ) {
        for at in 0..rows.len() {
            if rows[at].cells.histograms.is_none() {
                continue;
            }
            let labels = rows[at].labels.filter(|name| name != BUCKET);
            let Some(place) = place_of.get(&labels) else { continue };
            for step in 0..grid.len {
                let buckets = &classic[*place].buckets;
                let has_buckets = buckets.iter().any(|(_, row)| !is_absent(rows[*row].cells.floats[step]));
                if has_buckets && matches!(rows[at].cells.at(step), Cell::Histogram(_)) {
                    self.annotations.mixed_classic_native(labels.metric_name(), span);
                    rows[at].cells.clear(step);
                    buckets.iter().for_each(|(_, row)| rows[*row].cells.clear(step));
                }
            }
        }
    }

    fn ask(&mut self, histograms: &Histograms, asked: Asked<'_>, grid: Grid) -> Result<Vec<Row>, QueryError> {
        let mut result = Vec::new();
        for row in histograms.rows.iter().filter(|row| row.cells.histograms.is_some()) {
            self.check()?;
            let mut floats = vec![ABSENT; grid.len];
            for (step, float) in floats.iter_mut().enumerate() {
                if let Cell::Histogram(histogram) = row.cells.at(step) {
                    *float = self.ask_native(histogram, asked, step, row.labels.metric_name());
                }
            }
            result.push(Row {
                labels: row.labels.clone(),
                drop_name: row.drop_name,
                cells: Cells { floats, histograms: None },
            });
        }
        let mut buckets = Vec::new();
        for classic in &histograms.classic {
            self.check()?;
            let mut floats = vec![ABSENT; grid.len];
            for (step, float) in floats.iter_mut().enumerate() {
                buckets.clear();
                buckets.extend(classic.buckets.iter().filter_map(|(upper, row)| {
                    let count = histograms.rows[*row].cells.floats[step];
                    (!is_absent(count)).then_some(Classic { upper: *upper, count })
                }));
                if !buckets.is_empty() {
                    *float = self.ask_classic(&mut buckets, asked, step, grid, &classic.labels);
                }
            }
            let labels = classic.labels.clone();
            result.push(Row { labels, drop_name: classic.drop_name, cells: Cells { floats, histograms: None } });
        }
        result.retain(|row| !row.cells.is_all_absent());
        for row in &mut result {
            self.drop_name(row);
        }
        Ok(result)
    }

    fn ask_native(&mut self, histogram: &Histogram, asked: Asked<'_>, step: usize, metric: &str) -> f64 {
        match asked {
            Asked::Quantile { q, remarks, .. } => {
                let estimate = histogram.quantile(q.at(step));
                match estimate.nan {
                    NanEffect::None => {}
                    NanEffect::Result => self.annotations.nan_quantile_result(metric, remarks),
                    NanEffect::Skew => self.annotations.nan_quantile_skew(metric, remarks),
                }
                estimate.value
            }
            Asked::Fraction { lower, upper, remarks } => {
                let estimate = histogram.fraction(lower.at(step), upper.at(step));
                if estimate.nan != NanEffect::None {
                    self.annotations.nan_fraction(metric, remarks);
                }
                estimate.value
            }
        }
    }

    fn ask_classic(
        &mut self,
        buckets: &mut Vec<Classic>,
        asked: Asked<'_>,
        step: usize,
        grid: Grid,
        labels: &Labels,
    ) -> f64 {
        match asked {
            Asked::Fraction { lower, upper, .. } => classic::fraction(lower.at(step), upper.at(step), buckets),
            Asked::Quantile { q, forced: span, .. } => {
                let quantile = classic::quantile(q.at(step), buckets);
                if let Some(forced) = quantile.forced {
                    let metric = if self.options.delayed_name_removal { labels.metric_name() } else { "" };
                    self.annotations.forced_monotonic(metric, forced, grid.time(step), span);
                }
                quantile.value
            }
        }
    }
}

/// The row with a label for its quantile: one row, unless the quantile changes from step to step.
fn labelled(row: &Row, label: &str, q: &Scalars, grid: Grid) -> Vec<Row> {
    let mut rows: Vec<(u64, Row)> = Vec::new();
    for step in 0..grid.len {
        if !row.cells.is_present(step) {
            continue;
        }
        let bits = q.at(step).to_bits();
        let place = rows.iter().position(|(known, _)| *known == bits).unwrap_or_else(|| {
            let labels = row.labels.with(label, &open_metrics(q.at(step)));
            rows.push((bits, Row { labels, drop_name: row.drop_name, cells: Cells::absent(grid.len) }));
            rows.len() - 1
        });
        rows[place].1.cells.copy(step, &row.cells);
    }
    rows.into_iter().map(|(_, row)| row).collect()
}

/// A number as OpenMetrics writes it: whole ones with `.0`.
fn open_metrics(value: f64) -> String {
    let text = plain(value);
    let whole = value.is_finite() && !text.contains('.');
    if whole { format!("{text}.0") } else { text }
}

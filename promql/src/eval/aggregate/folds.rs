//! What an aggregation keeps per group and step while rows pass by.

use std::sync::Arc;

use crate::annotations::Annotations;
use crate::histogram::Histogram;
use crate::kahan::{self, Mean};
use crate::position::Span;

use super::super::over_time_histogram::Sum;
use super::super::rows::{ABSENT, Cells, Row, is_absent};

/// The state of one group over all steps.
pub trait Fold {
    /// Takes the floats of one row, one per step.
    fn floats(&mut self, values: &[f64]);

    /// Takes one histogram; whether it was of use.
    fn histogram(
        &mut self,
        step: usize,
        histogram: &Arc<Histogram>,
        row: &Row,
        span: Span,
        annotations: &mut Annotations,
    ) -> bool;

    /// The group's cells.
    fn finish(self, span: Span, annotations: &mut Annotations) -> Cells;
}

/// `sum` and `avg`.
pub struct Total {
    floats: Floats,
    /// One per step once a histogram has come.
    histograms: Vec<Histograms>,
    is_mean: bool,
    len: usize,
}

enum Floats {
    /// Sums, [`ABSENT`] before the first value, and what they lost.
    Sums(Vec<f64>, Vec<f64>),
    Means(Vec<Mean>),
}

#[derive(Clone)]
enum Histograms {
    None,
    Sum(Box<Sum>),
    /// Layouts that cannot be added.
    Incompatible,
}

impl Total {
    pub fn new(len: usize, is_mean: bool) -> Total {
        let floats = if is_mean {
            Floats::Means(vec![Mean::default(); len])
        } else {
            Floats::Sums(vec![ABSENT; len], vec![0.0; len])
        };
        Total { floats, histograms: Vec::new(), is_mean, len }
    }
}

impl Fold for Total {
    fn floats(&mut self, values: &[f64]) {
        match &mut self.floats {
            Floats::Sums(sums, lows) => {
                for ((value, sum), low) in values.iter().zip(sums).zip(lows) {
                    if is_absent(*value) {
                        continue;
                    }
                    if is_absent(*sum) {
                        *sum = *value;
                    } else {
                        kahan::add(*value, sum, low);
                    }
                }
            }
            Floats::Means(means) => {
                for (value, mean) in values.iter().zip(means) {
                    if !is_absent(*value) {
                        mean.add(*value);
                    }
                }
            }
        }
    }

    fn histogram(
        &mut self,
        step: usize,
        histogram: &Arc<Histogram>,
        row: &Row,
        span: Span,
        annotations: &mut Annotations,
    ) -> bool {
        if self.histograms.is_empty() {
            self.histograms = vec![Histograms::None; self.len];
        }
        let state = &mut self.histograms[step];
        match state {
            Histograms::None => *state = Histograms::Sum(Box::new(Sum::new(histogram, self.is_mean))),
            Histograms::Incompatible => {}
            Histograms::Sum(sum) => {
                if sum.add(histogram).is_err() {
                    annotations.mixed_layouts(row.labels.metric_name(), span);
                    *state = Histograms::Incompatible;
                }
            }
        }
        true
    }

    fn finish(self, span: Span, annotations: &mut Annotations) -> Cells {
        let floats = match self.floats {
            Floats::Sums(mut sums, lows) => {
                for (sum, low) in sums.iter_mut().zip(&lows) {
                    if !is_absent(*sum) {
                        *sum = kahan::total(*sum, *low);
                    }
                }
                sums
            }
            Floats::Means(means) => means.iter().map(|mean| mean.value().unwrap_or(ABSENT)).collect(),
        };
        let mut cells = Cells { floats, histograms: None };
        for (step, state) in self.histograms.into_iter().enumerate() {
            let has_float = !is_absent(cells.floats[step]);
            match state {
                Histograms::None => {}
                _ if has_float => {
                    annotations.mixed_aggregation(span);
                    cells.clear(step);
                }
                Histograms::Incompatible => {}
                Histograms::Sum(sum) => {
                    let sum = if self.is_mean { sum.into_mean() } else { *sum };
                    sum.remark(span, annotations);
                    let mut histogram = sum.histogram;
                    histogram.compact();
                    cells.set_histogram(step, Arc::new(histogram));
                }
            }
        }
        cells
    }
}

/// `min` and `max`: NaN only when there is nothing else.
pub struct Extreme {
    best: Vec<f64>,
    better: fn(f64, f64) -> bool,
}

impl Extreme {
    pub fn new(len: usize, better: fn(f64, f64) -> bool) -> Extreme {
        Extreme { best: vec![ABSENT; len], better }
    }
}

impl Fold for Extreme {
    fn floats(&mut self, values: &[f64]) {
        for (value, best) in values.iter().zip(&mut self.best) {
            if !is_absent(*value) && ((self.better)(*value, *best) || best.is_nan()) {
                *best = *value;
            }
        }
    }

    fn histogram(&mut self, _: usize, _: &Arc<Histogram>, _: &Row, _: Span, _: &mut Annotations) -> bool {
        false
    }

    fn finish(self, _: Span, _: &mut Annotations) -> Cells {
        Cells { floats: self.best, histograms: None }
    }
}

/// `stddev` and `stdvar` (Welford's recurrence).
pub struct Spread {
    count: Vec<f64>,
    mean: Vec<f64>,
    squares: Vec<f64>,
    finish: fn(f64) -> f64,
}

impl Spread {
    pub fn new(len: usize, finish: fn(f64) -> f64) -> Spread {
        Spread { count: vec![0.0; len], mean: vec![0.0; len], squares: vec![0.0; len], finish }
    }
}

impl Fold for Spread {
    fn floats(&mut self, values: &[f64]) {
        for (step, value) in values.iter().enumerate() {
            if is_absent(*value) {
                continue;
            }
            self.count[step] += 1.0;
            let difference = value - self.mean[step];
            self.mean[step] += difference / self.count[step];
            // Of one value that is not finite the spread is not known either.
            self.squares[step] += difference * (value - self.mean[step]);
        }
    }

    fn histogram(&mut self, _: usize, _: &Arc<Histogram>, _: &Row, _: Span, _: &mut Annotations) -> bool {
        false
    }

    fn finish(self, _: Span, _: &mut Annotations) -> Cells {
        let values = self.count.iter().zip(&self.squares);
        let floats = values
            .map(|(count, squares)| if *count == 0.0 { ABSENT } else { (self.finish)(squares / count) })
            .collect();
        Cells { floats, histograms: None }
    }
}

/// `count`.
pub struct Count {
    count: Vec<f64>,
}

impl Count {
    pub fn new(len: usize) -> Count {
        Count { count: vec![0.0; len] }
    }
}

impl Fold for Count {
    fn floats(&mut self, values: &[f64]) {
        for (value, count) in values.iter().zip(&mut self.count) {
            *count += f64::from(u8::from(!is_absent(*value)));
        }
    }

    fn histogram(&mut self, step: usize, _: &Arc<Histogram>, _: &Row, _: Span, _: &mut Annotations) -> bool {
        self.count[step] += 1.0;
        true
    }

    fn finish(self, _: Span, _: &mut Annotations) -> Cells {
        let floats = self.count.into_iter().map(|count| if count == 0.0 { ABSENT } else { count }).collect();
        Cells { floats, histograms: None }
    }
}

/// `group`.
pub struct Ones {
    ones: Vec<f64>,
}

impl Ones {
    pub fn new(len: usize) -> Ones {
        Ones { ones: vec![ABSENT; len] }
    }
}

impl Fold for Ones {
    fn floats(&mut self, values: &[f64]) {
        for (value, one) in values.iter().zip(&mut self.ones) {
            if !is_absent(*value) {
                *one = 1.0;
            }
        }
    }

    fn histogram(&mut self, step: usize, _: &Arc<Histogram>, _: &Row, _: Span, _: &mut Annotations) -> bool {
        self.ones[step] = 1.0;
        true
    }

    fn finish(self, _: Span, _: &mut Annotations) -> Cells {
        Cells { floats: self.ones, histograms: None }
    }
}

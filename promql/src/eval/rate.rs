//! `rate`, `increase`, `delta`, `irate`, `idelta`.
//!
//! Formula: Prometheus' extrapolation. The increase between the first and the last sample of a window is
//! stretched to the window's ends, to an end only if it is less than 1.1 average intervals away, else by half
//! an interval; a counter is not stretched beyond the point where it would have been zero.

use std::sync::Arc;

use crate::annotations::Annotations;
use crate::histogram::{CounterReset, Histogram};
use crate::position::Span;

use super::range::{RangeRow, Windows};
use super::rows::{Cells, Output};
use super::window::{Window, slide};

/// Which of the functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    PerSecond,
    Increase,
    Delta,
}

impl Rate {
    fn is_counter(self) -> bool {
        self != Rate::Delta
    }
}

/// Beyond how many average intervals an end of the window is too far to stretch to.
const STRETCH_MAX: f64 = 1.1;

/// `rate`, `increase` or `delta` of one series.
pub fn extrapolated(
    rate: Rate,
    row: &RangeRow<'_>,
    windows: &Windows<'_>,
    span: Span,
    annotations: &mut Annotations,
) -> Cells {
    let metric = row.labels.metric_name();
    let range_s = windows.range_ms as f64 / 1000.0;
    // Places where the counter began anew: few as a rule, so that each window adds up its own exactly.
    let resets: Vec<usize> = if rate.is_counter() {
        let pairs = row.floats.windows(2).enumerate();
        pairs.filter(|(_, pair)| pair[1] < pair[0]).map(|(at, _)| at).collect()
    } else {
        Vec::new()
    };
    let facts = Facts::of(&row.histograms);
    let mut next_reset = 0;
    let mut mixed = false;
    let cells = slide(row, windows, |window| {
        if window.is_mixed() {
            mixed = true;
            return Output::Absent;
        }
        if window.floats.len() > 1 {
            let last = window.first + window.floats.len() - 1;
            while next_reset < resets.len() && resets[next_reset] < window.first {
                next_reset += 1;
            }
            let lost = resets[next_reset..].iter().take_while(|at| **at < last).map(|at| row.floats[*at]);
            return Output::Float(float_rate(rate, window, lost, range_s));
        }
        if window.histograms.len() > 1 {
            let mut remarks = Remarks { metric, span, annotations: &mut *annotations };
            return match histogram_increase(rate, window, &facts, &mut remarks) {
                Some(increase) => Output::Histogram(stretch_histogram(rate, window, increase, range_s)),
                None => Output::Absent,
            };
        }
        Output::Absent
    });
    if mixed {
        annotations.mixed_range(metric, span);
    }
    let has_suffix = ["_total", "_sum", "_count", "_bucket"].iter().any(|suffix| metric.ends_with(suffix));
    if rate.is_counter() && !metric.is_empty() && !has_suffix {
        let some_float = cells.floats.iter().any(|value| !super::rows::is_absent(*value));
        if some_float {
            annotations.possibly_no_counter(metric, span);
        }
    }
    cells
}

#[inline]
fn float_rate(rate: Rate, window: &Window<'_>, lost: impl Iterator<Item = f64>, range_s: f64) -> f64 {
    let (first, last) = (window.floats[0], window.floats[window.floats.len() - 1]);
    let mut increase = last - first;
    for before in lost {
        increase += before;
    }
    let zero_after = if increase > 0.0 && first >= 0.0 { Some(first / increase) } else { None };
    increase * factor(rate, window, window.times, zero_after, range_s)
}

fn stretch_histogram(rate: Rate, window: &Window<'_>, mut increase: Histogram, range_s: f64) -> Histogram {
    let first = &window.histograms[0];
    let counted = increase.count > 0.0 && first.count >= 0.0;
    let zero_after = counted.then(|| first.count / increase.count);
    increase.multiply(factor(rate, window, window.histogram_times, zero_after, range_s));
    increase
}

/// What the increase between the first and the last sample is multiplied by. `zero_after` is the time to the
/// counter's zero before the first sample, in units of the time between the first and the last.
#[inline]
fn factor(rate: Rate, window: &Window<'_>, times: &[i64], zero_after: Option<f64>, range_s: f64) -> f64 {
    let (first, last) = (times[0], times[times.len() - 1]);
    let seconds = |milliseconds: i64| milliseconds as f64 / 1000.0;
    let sampled_s = seconds(last - first);
    let interval_s = sampled_s / (times.len() - 1) as f64;
    let threshold_s = interval_s * STRETCH_MAX;
    let mut to_start_s = seconds(first - window.start_ms);
    if to_start_s >= threshold_s {
        to_start_s = interval_s / 2.0;
    }
    if rate.is_counter()
        && let Some(zero_after) = zero_after
    {
        let to_zero_s = sampled_s * zero_after;
        if to_zero_s < to_start_s {
            to_start_s = to_zero_s;
        }
    }
    let mut to_end_s = seconds(window.end_ms - last);
    if to_end_s >= threshold_s {
        to_end_s = interval_s / 2.0;
    }
    let factor = (sampled_s + to_start_s + to_end_s) / sampled_s;
    if rate == Rate::PerSecond { factor / range_s } else { factor }
}

/// What holds between the histograms of a series, found once and not once per window.
struct Facts {
    /// Places after which the counter began anew.
    resets: Vec<usize>,
    /// Number of gauges before each place, and in all.
    gauges: Vec<u32>,
    /// Whether all histograms have the same layout.
    uniform: bool,
}

impl Facts {
    fn of(histograms: &[Arc<Histogram>]) -> Facts {
        if histograms.is_empty() {
            return Facts { resets: Vec::new(), gauges: Vec::new(), uniform: true };
        }
        let pairs = histograms.windows(2).enumerate();
        let resets = pairs.filter(|(_, pair)| pair[1].is_reset_after(&pair[0])).map(|(at, _)| at).collect();
        let mut gauges = vec![0];
        for one in histograms {
            let before = gauges[gauges.len() - 1];
            gauges.push(before + u32::from(one.counter_reset == CounterReset::Gauge));
        }
        Facts { resets, gauges, uniform: histograms.windows(2).all(|pair| pair[0].layout == pair[1].layout) }
    }
}

/// Where the remarks about a series go.
struct Remarks<'a> {
    metric: &'a str,
    span: Span,
    annotations: &'a mut Annotations,
}

/// The increase between the first and the last histogram, as a gauge; `None` when their layouts do not fit.
fn histogram_increase(rate: Rate, window: &Window<'_>, facts: &Facts, remarks: &mut Remarks<'_>) -> Option<Histogram> {
    let histograms = window.histograms;
    let (begin, end) = (window.first_histogram, window.first_histogram + histograms.len());
    let (first, last) = (&histograms[0], &histograms[histograms.len() - 1]);
    let is_counter = rate.is_counter();
    if is_counter && facts.gauges[begin] != facts.gauges[end] {
        remarks.annotations.not_counter(remarks.metric, remarks.span);
    }
    let next = facts.resets.partition_point(|at| *at < begin);
    let mut resets = facts.resets[next..].iter().take_while(|at| **at < end - 1).peekable();
    // After a reset the first histogram is not looked at, so its layout does not matter either.
    let nothing = Histogram::empty(histograms[1].layout.clone());
    let ignores_first = is_counter && resets.next_if(|at| **at == begin).is_some();
    let start: &Histogram = if ignores_first { &nothing } else { first };
    let mut increase = Histogram::clone(last);
    if !facts.uniform {
        let between = if is_counter { &histograms[1..] } else { std::slice::from_ref(last) };
        if between.iter().any(|one| one.is_custom() != start.is_custom()) {
            remarks.annotations.mixed_layouts(remarks.metric, remarks.span);
            return None;
        }
        let coarsest = between.iter().map(|one| one.schema()).min().unwrap_or(increase.schema());
        increase.reduce(coarsest.min(start.schema()));
    }
    if increase.subtract(start).ok()?.bounds_reconciled {
        remarks.annotations.bounds_reconciled("subtraction", remarks.span);
    }
    if is_counter {
        for before in resets {
            if increase.add(&histograms[before - begin]).ok()?.bounds_reconciled {
                remarks.annotations.bounds_reconciled("addition", remarks.span);
            }
        }
    } else if first.counter_reset != CounterReset::Gauge || last.counter_reset != CounterReset::Gauge {
        remarks.annotations.not_gauge(remarks.metric, remarks.span);
    }
    increase.counter_reset = CounterReset::Gauge;
    increase.compact();
    Some(increase)
}

/// The last two samples of a window, whichever columns they are in.
enum Pair<'r> {
    Floats { before: f64, last: f64 },
    Histograms { before: &'r Histogram, last: &'r Histogram },
    Mixed,
}

/// `irate` (`per_second`) or `idelta` of one series: the difference between the last two samples.
pub fn instant(
    per_second: bool,
    row: &RangeRow<'_>,
    windows: &Windows<'_>,
    span: Span,
    annotations: &mut Annotations,
) -> Cells {
    let metric = row.labels.metric_name();
    slide(row, windows, |window| {
        let Some((pair, interval_ms)) = last_two(window) else { return Output::Absent };
        let interval_s = interval_ms as f64 / 1000.0;
        match pair {
            Pair::Mixed => {
                annotations.mixed_range(metric, span);
                Output::Absent
            }
            Pair::Floats { before, last } => {
                let reset = per_second && last < before;
                let difference = if reset { last } else { last - before };
                Output::Float(if per_second { difference / interval_s } else { difference })
            }
            Pair::Histograms { before, last } => {
                match histogram_difference(per_second, before, last, metric, span, annotations) {
                    None => Output::Absent,
                    Some(mut difference) => {
                        if per_second {
                            difference.divide(interval_s);
                        }
                        Output::Histogram(difference)
                    }
                }
            }
        }
    })
}

/// The last two samples and the milliseconds between them.
fn last_two<'r>(window: &Window<'r>) -> Option<(Pair<'r>, i64)> {
    let (floats, histograms) = (window.floats.len(), window.histograms.len());
    let float_time = |back: usize| floats.checked_sub(back).map(|at| window.times[at]);
    let histogram_time = |back: usize| histograms.checked_sub(back).map(|at| window.histogram_times[at]);
    let (pair, interval_ms) = match (float_time(1), histogram_time(1)) {
        (None, None) => return None,
        (float, histogram) if float > histogram && float_time(2) >= histogram => (
            Pair::Floats { before: window.floats[floats.checked_sub(2)?], last: window.floats[floats - 1] },
            float? - float_time(2)?,
        ),
        (float, histogram) if histogram > float && histogram_time(2) >= float => (
            Pair::Histograms {
                before: &window.histograms[histograms.checked_sub(2)?],
                last: &window.histograms[histograms - 1],
            },
            histogram? - histogram_time(2)?,
        ),
        (float, histogram) => (Pair::Mixed, (float? - histogram?).abs()),
    };
    (interval_ms != 0).then_some((pair, interval_ms))
}

fn histogram_difference(
    per_second: bool,
    before: &Histogram,
    last: &Histogram,
    metric: &str,
    span: Span,
    annotations: &mut Annotations,
) -> Option<Histogram> {
    let gauges = [before, last].iter().filter(|one| one.counter_reset == CounterReset::Gauge).count();
    if per_second && gauges > 0 {
        annotations.not_counter(metric, span);
    }
    if !per_second && gauges < 2 {
        annotations.not_gauge(metric, span);
    }
    let mut difference = last.clone();
    if !per_second || !last.is_reset_after(before) {
        match difference.subtract(before) {
            Ok(combined) if combined.bounds_reconciled => annotations.bounds_reconciled("subtraction", span),
            Ok(_) => {}
            Err(_) => {
                annotations.mixed_layouts(metric, span);
                return None;
            }
        }
    }
    difference.counter_reset = CounterReset::Gauge;
    difference.compact();
    Some(difference)
}

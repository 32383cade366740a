//! The `*_over_time` functions, `changes` and `resets`.

use std::collections::VecDeque;

use crate::annotations::Annotations;
use crate::kahan;
use crate::parse::functions::Func;
use crate::position::Span;

use super::elements::quantile_of;
use super::over_time_histogram::{mean_of, sum_of};
use super::range::{RangeRow, Windows};
use super::rows::{Cells, Output, Scalars};
use super::window::{Window, slide};

/// From how many samples per window on the minimum and maximum are carried along instead of searched anew.
const CARRY_FROM: usize = 32;

/// What a function over time needs besides the samples.
pub struct Call<'a, 'e> {
    pub function: Func,
    pub windows: &'a Windows<'a>,
    /// What stands in the query as the range vector.
    pub span: Span,
    pub annotations: &'e mut Annotations,
}

/// One series' values of a function over time that takes nothing but the range vector.
pub fn over_time(row: &RangeRow<'_>, call: &mut Call<'_, '_>) -> Cells {
    match call.function {
        Func::SumOverTime | Func::AvgOverTime => sum_or_mean(row, call),
        Func::MinOverTime | Func::MaxOverTime => extreme(row, call),
        Func::TsOfMinOverTime => floats(row, call, |window| time_of_extreme(window, |value, best| value <= best)),
        Func::TsOfMaxOverTime => floats(row, call, |window| time_of_extreme(window, |value, best| value >= best)),
        Func::StddevOverTime => floats(row, call, |window| kahan::variance(window.floats).sqrt()),
        Func::StdvarOverTime => floats(row, call, |window| kahan::variance(window.floats)),
        Func::MadOverTime => floats(row, call, |window| median_deviation(window.floats)),
        Func::Changes => counted(row, call.windows, is_change, |before, now| !now.same(before)),
        Func::Resets => {
            counted(row, call.windows, |before, now| now < before, |before, now| now.is_reset_after(before))
        }
        Func::CountOverTime => {
            slide(row, call.windows, |window| Output::Float((window.floats.len() + window.histograms.len()) as f64))
        }
        Func::FirstOverTime => slide(row, call.windows, first_sample),
        Func::LastOverTime => slide(row, call.windows, last_sample),
        Func::TsOfFirstOverTime => slide(row, call.windows, |window| {
            let first = window.times.first().into_iter().chain(window.histogram_times.first()).min();
            first.map_or(Output::Absent, |time| Output::Float(*time as f64 / 1000.0))
        }),
        Func::TsOfLastOverTime => slide(row, call.windows, |window| {
            let last = window.times.last().into_iter().chain(window.histogram_times.last()).max();
            last.map_or(Output::Absent, |time| Output::Float(*time as f64 / 1000.0))
        }),
        // Whether there is anything at all: also the base of `absent_over_time`.
        _ => slide(row, call.windows, |_| Output::Float(1.0)),
    }
}

/// `quantile_over_time`; `q` is a fraction from 0 to 1.
pub fn quantile_over_time(row: &RangeRow<'_>, q: &Scalars, q_span: Span, call: &mut Call<'_, '_>) -> Cells {
    let metric = row.labels.metric_name();
    let mut values = Vec::new();
    let annotations = &mut *call.annotations;
    slide(row, call.windows, |window| {
        if window.floats.is_empty() {
            return Output::Absent;
        }
        let q = q.at(window.step);
        if !(0.0..=1.0).contains(&q) {
            annotations.invalid_quantile(q, q_span);
        }
        if window.is_mixed() {
            annotations.ignored_in_range(metric, q_span);
        }
        values.clear();
        values.extend_from_slice(window.floats);
        Output::Float(quantile_of(q, &mut values))
    })
}

/// Applies `f` to windows with floats; remarks when histograms beside them are passed over.
pub fn floats<'r>(row: &'r RangeRow<'_>, call: &mut Call<'_, '_>, mut f: impl FnMut(&Window<'r>) -> f64) -> Cells {
    let mut mixed = false;
    let cells = slide(row, call.windows, |window| {
        mixed |= window.is_mixed();
        if window.floats.is_empty() { Output::Absent } else { Output::Float(f(window)) }
    });
    if mixed {
        call.annotations.ignored_in_range(row.labels.metric_name(), call.span);
    }
    cells
}

fn sum_or_mean(row: &RangeRow<'_>, call: &mut Call<'_, '_>) -> Cells {
    let is_sum = call.function == Func::SumOverTime;
    let (metric, span) = (row.labels.metric_name(), call.span);
    let annotations = &mut *call.annotations;
    slide(row, call.windows, |window| {
        if window.is_mixed() {
            annotations.mixed_range(metric, span);
            return Output::Absent;
        }
        if window.has_floats_only() {
            return if is_sum {
                Output::Float(kahan::sum(window.floats.iter().copied()))
            } else {
                kahan::mean(window.floats).map_or(Output::Absent, Output::Float)
            };
        }
        let histograms = window.histograms.iter().map(|one| &**one);
        let result = if is_sum { sum_of(histograms) } else { mean_of(histograms) };
        match result {
            Ok(sum) => {
                sum.remark(span, annotations);
                Output::Histogram(sum.histogram)
            }
            Err(_) => {
                annotations.mixed_layouts(metric, span);
                Output::Absent
            }
        }
    })
}

/// The least or greatest value, NaN only when there is nothing else; of equal values the earliest, which
/// matters for the sign of zero.
fn extreme(row: &RangeRow<'_>, call: &mut Call<'_, '_>) -> Cells {
    let is_max = call.function == Func::MaxOverTime;
    let better = move |value: f64, than: f64| if is_max { value > than } else { value < than };
    // Candidates in order of place, each better than those after it; `next` is the first place not yet seen.
    let mut candidates: VecDeque<usize> = VecDeque::new();
    let mut next = 0;
    let values: &[f64] = &row.floats;
    floats(row, call, |window| {
        if window.floats.len() < CARRY_FROM {
            return search_extreme(window.floats, better);
        }
        let end = window.first + window.floats.len();
        if next < window.first {
            candidates.clear();
            next = window.first;
        }
        for place in next..end {
            if values[place].is_nan() {
                continue;
            }
            while candidates.back().is_some_and(|last| better(values[place], values[*last])) {
                candidates.pop_back();
            }
            candidates.push_back(place);
        }
        next = end;
        while candidates.front().is_some_and(|first| *first < window.first) {
            candidates.pop_front();
        }
        candidates.front().map_or(f64::NAN, |place| values[*place])
    })
}

fn search_extreme(values: &[f64], better: impl Fn(f64, f64) -> bool) -> f64 {
    let mut best = values[0];
    for value in values {
        if better(*value, best) || best.is_nan() {
            best = *value;
        }
    }
    best
}

/// The time, in seconds, of the last sample that is as good as the best.
fn time_of_extreme(window: &Window<'_>, as_good: impl Fn(f64, f64) -> bool) -> f64 {
    let (mut best, mut time) = (window.floats[0], window.times[0]);
    for (value, at) in window.floats.iter().zip(window.times) {
        if as_good(*value, best) || best.is_nan() {
            (best, time) = (*value, *at);
        }
    }
    time as f64 / 1000.0
}

/// The median of the distances from the median, NaN when a value is.
fn median_deviation(values: &[f64]) -> f64 {
    if values.iter().any(|value| value.is_nan()) {
        return f64::NAN;
    }
    let mut values = values.to_vec();
    let median = quantile_of(0.5, &mut values);
    for value in &mut values {
        *value = (*value - median).abs();
    }
    quantile_of(0.5, &mut values)
}

#[inline]
fn is_change(before: f64, now: f64) -> bool {
    now != before && !(now.is_nan() && before.is_nan())
}

/// How often neighbouring samples of a window differ in a way; changing between float and histogram counts.
fn counted(
    row: &RangeRow<'_>,
    windows: &Windows<'_>,
    floats_differ: impl Fn(f64, f64) -> bool,
    histograms_differ: impl Fn(&crate::Histogram, &crate::Histogram) -> bool,
) -> Cells {
    if row.histograms.is_empty() {
        // Differences before each place: a window's count is the difference of two of them.
        let mut before = vec![0_u32; row.floats.len()];
        for at in 1..row.floats.len() {
            before[at] = before[at - 1] + u32::from(floats_differ(row.floats[at - 1], row.floats[at]));
        }
        return slide(row, windows, |window| {
            let last = window.first + window.floats.len() - 1;
            Output::Float(f64::from(before[last] - before[window.first]))
        });
    }
    slide(row, windows, |window| {
        let mut samples: Vec<(i64, Result<f64, &crate::Histogram>)> =
            window.times.iter().zip(window.floats).map(|(time, value)| (*time, Ok(*value))).collect();
        samples.extend(window.histogram_times.iter().zip(window.histograms).map(|(time, one)| (*time, Err(&**one))));
        samples.sort_by_key(|(time, _)| *time);
        let differences = samples.windows(2).filter(|pair| match (&pair[0].1, &pair[1].1) {
            (Ok(before), Ok(now)) => floats_differ(*before, *now),
            (Err(before), Err(now)) => histograms_differ(before, now),
            _ => true,
        });
        Output::Float(differences.count() as f64)
    })
}

fn first_sample(window: &Window<'_>) -> Output {
    match (window.times.first(), window.histogram_times.first()) {
        (Some(float), histogram) if histogram.is_none_or(|histogram| float < histogram) => {
            Output::Float(window.floats[0])
        }
        _ => Output::Shared(window.histograms[0].clone()),
    }
}

fn last_sample(window: &Window<'_>) -> Output {
    match (window.times.last(), window.histogram_times.last()) {
        (Some(float), histogram) if histogram.is_none_or(|histogram| histogram < float) => {
            Output::Float(window.floats[window.floats.len() - 1])
        }
        _ => Output::Shared(window.histograms[window.histograms.len() - 1].clone()),
    }
}

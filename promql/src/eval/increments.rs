//! `rate` and `increase` of what was counted piece by piece: the sum of the pieces within the range.
//!
//! Nothing is extrapolated: where the ends of a range are ends of pieces, the answer is the number of events in
//! it. A running total in twice the precision makes each window's sum a difference of two places.

use std::ops::Range;
use std::sync::Arc;

use crate::histogram::{CounterReset, Histogram};
use crate::kahan;
use crate::series::Increments;

use super::range::{RangeRow, Windows};
use super::rows::{Cells, Output};

/// `increase` of one series, or `rate` when it is to be per second.
pub fn counted(per_second: bool, row: &RangeRow<'_>, counting: Increments, windows: &Windows<'_>) -> Cells {
    let mut cells = Cells::absent(windows.grid.len);
    let scale = if per_second { 1000.0 / windows.range_ms as f64 } else { 1.0 };
    let totals = if counting.is_histogram { Vec::new() } else { running(&row.floats) };
    let mut inside = Inside::default();
    for step in 0..windows.grid.len {
        let end_ms = windows.end_ms(step);
        if end_ms < counting.from_ms {
            continue;
        }
        if windows.stops_at(step) {
            break;
        }
        let start_ms = end_ms.saturating_sub(windows.range_ms);
        if counting.is_histogram {
            let inside = inside.of(&row.histogram_times, start_ms, end_ms);
            if let Some(mut sum) = sum_of(&row.histograms[inside]) {
                sum.multiply(scale);
                sum.counter_reset = CounterReset::Gauge;
                cells.set(step, Output::Histogram(sum));
            }
        } else {
            let inside = inside.of(&row.times, start_ms, end_ms);
            let (from, to) = (totals[inside.start], totals[inside.end]);
            cells.set(step, Output::Float(((to.0 - from.0) + (to.1 - from.1)) * scale));
        }
    }
    cells
}

/// Ranges that only move forward: both ends are looked for from where they were.
#[derive(Debug, Default)]
struct Inside {
    from: usize,
    to: usize,
}

impl Inside {
    /// The places of times in `(start_ms, end_ms]`.
    fn of(&mut self, times: &[i64], start_ms: i64, end_ms: i64) -> Range<usize> {
        self.from = passed(times, self.from, start_ms);
        self.to = passed(times, self.to.max(self.from), end_ms);
        self.from..self.to
    }
}

/// The first place at or after `from` whose time is after `ms`: a few steps on as a rule, and never a long walk.
fn passed(times: &[i64], from: usize, ms: i64) -> usize {
    let (mut from, mut stride) = (from, 1);
    while times.get(from + stride - 1).is_some_and(|time| *time <= ms) {
        from += stride;
        stride *= 2;
    }
    let to = times.len().min(from + stride);
    from + times[from..to].partition_point(|time| *time <= ms)
}

/// The total before each place and of all, as two numbers whose sum it is.
fn running(values: &[f64]) -> Vec<(f64, f64)> {
    let mut totals = Vec::with_capacity(values.len() + 1);
    let (mut high, mut low) = (0.0f64, 0.0f64);
    totals.push((high, low));
    for &value in values {
        kahan::add(value, &mut high, &mut low);
        totals.push((high, low));
    }
    totals
}

/// All of one layout; `None` of none.
fn sum_of(histograms: &[Arc<Histogram>]) -> Option<Histogram> {
    let (first, others) = histograms.split_first()?;
    let mut sum = Histogram::clone(first);
    for other in others {
        // Pieces of one series have one layout; what does not fit cannot be added up.
        sum.add(other).ok()?;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::Labels;
    use crate::{Grammar, Limits, Options, Query, Sample, Selection, Series, Storage, StorageError, Value};

    struct One(Series);

    impl Storage for One {
        fn select(&self, _: &Selection) -> Result<Vec<Series>, StorageError> {
            Ok(vec![self.0.clone()])
        }
    }

    fn ask(query: &str, at_s: i64, series: &Series) -> Option<f64> {
        let query = Query::parse(query, Grammar::default()).unwrap();
        let answer =
            query.instant(at_s * 1000, &Options::default()).run(&One(series.clone()), &Limits::none()).unwrap();
        let Value::Vector(samples) = answer.value else { panic!("{answer:?}") };
        match samples.first().map(|s| s.value.clone()) {
            Some(Sample::Float(value)) => Some(value),
            None => None,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn ranges_add_up_what_they_hold_and_nothing_else() {
        let labels = Labels::new([("__name__", "events_total")]);
        let times: Vec<i64> = vec![10_000, 20_000, 60_000];
        let counting = Increments { from_ms: 10_000, is_histogram: false };
        let series = Series::floats(labels, times, vec![3.0, 4.0, 0.5]).counting(counting);
        assert_eq!(ask("increase(x[20s])", 20, &series), Some(7.0));
        assert_eq!(ask("increase(x[10s])", 20, &series), Some(4.0), "open on the left");
        assert_eq!(ask("rate(x[50s])", 60, &series), Some(4.5 / 50.0));
        assert_eq!(ask("increase(x[10s])", 50, &series), Some(0.0), "it stands still");
        assert_eq!(ask("increase(x[10s])", 9, &series), None, "it has not begun");
    }

    #[test]
    fn ranges_that_move_on_are_found_from_where_they_were() {
        let times: Vec<i64> =
            (0..1000).map(|n| n * n % 977 + n * 10).collect::<std::collections::BTreeSet<_>>().into_iter().collect();
        for step_ms in [1, 7, 100, 5_000] {
            let mut inside = Inside::default();
            for end_ms in (-10..11_000).step_by(step_ms) {
                let start_ms = end_ms - 300;
                let at = |ms| times.partition_point(|time| *time <= ms);
                assert_eq!(inside.of(&times, start_ms, end_ms), at(start_ms)..at(end_ms), "{step_ms} {end_ms}");
            }
        }
    }

    #[test]
    fn sums_of_money_leave_no_residue() {
        let values: Vec<f64> = (0..100_000).map(|n| f64::from(n) * 0.1).chain([0.3]).collect();
        let totals = running(&values);
        let (from, to) = (totals[100_000], totals[100_001]);
        assert_eq!((to.0 - from.0) + (to.1 - from.1), 0.3);
    }
}

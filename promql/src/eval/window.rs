//! Slides a window over a series: two moving ends per column, so each sample is passed twice in all.

use std::ops::Range;
use std::sync::Arc;

use crate::histogram::Histogram;

use super::range::{RangeRow, Windows};
use super::rows::{Cells, Output};

/// The samples within the window of one step. At least one of the columns has samples.
pub struct Window<'r> {
    /// Number of the step.
    pub step: usize,
    /// Time of evaluation, which offsets and `@` do not move.
    pub eval_ms: i64,
    /// Left end, exclusive.
    pub start_ms: i64,
    /// Right end, inclusive.
    pub end_ms: i64,
    pub times: &'r [i64],
    pub floats: &'r [f64],
    /// Place of the first float in the whole series.
    pub first: usize,
    /// Place of the first histogram in the whole series.
    pub first_histogram: usize,
    pub histogram_times: &'r [i64],
    pub histograms: &'r [Arc<Histogram>],
}

impl Window<'_> {
    pub fn is_mixed(&self) -> bool {
        !self.floats.is_empty() && !self.histograms.is_empty()
    }

    pub fn has_floats_only(&self) -> bool {
        self.histograms.is_empty()
    }
}

/// Calls `kernel` for each step whose window holds samples, and collects what it gives.
#[inline]
pub fn slide<'r>(row: &'r RangeRow<'_>, windows: &Windows<'_>, mut kernel: impl FnMut(&Window<'r>) -> Output) -> Cells {
    let mut cells = Cells::absent(windows.grid.len);
    let mut floats = Ends::new(&row.times);
    let mut histograms = Ends::new(&row.histogram_times);
    for step in 0..windows.grid.len {
        if windows.stops_at(step) {
            break;
        }
        let end_ms = windows.end_ms(step);
        let start_ms = end_ms.saturating_sub(windows.range_ms);
        let inside = floats.advance(start_ms, end_ms);
        let inside_histograms = histograms.advance(start_ms, end_ms);
        if inside.is_empty() && inside_histograms.is_empty() {
            continue;
        }
        let output = kernel(&Window {
            step,
            eval_ms: windows.grid.time(step),
            start_ms,
            end_ms,
            times: &row.times[inside.clone()],
            floats: &row.floats[inside.clone()],
            first: inside.start,
            first_histogram: inside_histograms.start,
            histogram_times: &row.histogram_times[inside_histograms.clone()],
            histograms: &row.histograms[inside_histograms],
        });
        cells.set(step, output);
    }
    cells
}

/// The two ends of a window in one column.
struct Ends<'r> {
    times: &'r [i64],
    start: usize,
    end: usize,
    begun: bool,
}

impl<'r> Ends<'r> {
    fn new(times: &'r [i64]) -> Ends<'r> {
        Ends { times, start: 0, end: 0, begun: false }
    }

    /// The places of the samples in `(start_ms, end_ms]`; both bounds only ever grow.
    #[inline]
    fn advance(&mut self, start_ms: i64, end_ms: i64) -> Range<usize> {
        if !self.begun {
            // The series may begin long before the first window.
            self.begun = true;
            self.start = self.times.partition_point(|time| *time <= start_ms);
            self.end = self.start;
        }
        while self.start < self.times.len() && self.times[self.start] <= start_ms {
            self.start += 1;
        }
        self.end = self.end.max(self.start);
        while self.end < self.times.len() && self.times[self.end] <= end_ms {
            self.end += 1;
        }
        self.start..self.end
    }
}

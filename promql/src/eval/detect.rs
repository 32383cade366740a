//! Detectors over range vectors: `spike_…` and `silence_…`, which are ours.
//!
//! The number at an instant follows from the samples of its range alone, as with every function: the detector is
//! replayed over them. A sample at time T is the count of the window that ends at T.
//!
//! - **Width of a window**: the step of a subquery, else the distance of neighbouring samples. Either divides an hour;
//!   samples lie on multiples of it, or all equally far behind them.
//! - **Counts** are rounded to whole ones, as `increase` gives fractions. A sample that is missing, negative, NaN or a
//!   histogram is a window of which nothing is known, not one without events. After an hour of such windows a spike is
//!   over and silence is unknown.
//! - **Where a replay begins**: not at the left end of the range but at the first whole day within it; in ranges of less
//!   than 28 days at the first whole hour, in ranges of less than 28 hours at the first window. So the steps of a day
//!   share one replay, bit for bit the one that each of them would have alone: an instant query, a range query and a
//!   backtest give the same number for the same instant. A range of `29d` has all four weeks of the baseline at any time
//!   of day.
//!
//! A state that were carried along from step to step would be cheaper still, and differ from that of a range alone: what
//! a detector has forgotten is not exactly what has left its range (`detect/src/lib.rs`, "State").

use tidewatch_detect::silence::{self, Reporter};
use tidewatch_detect::spike::{self, Detector, UNKNOWN_MAX_MS};
use tidewatch_detect::zone::{HOUR_MS, Zone};

use crate::error::QueryError;
use crate::parse::ast::{Expr, ExprKind};
use crate::parse::detectors::{self, Awaited, is_width};
use crate::parse::functions::Func;
use crate::plan::Grid;

use super::over_time::{Call, floats};
use super::range::RangeRow;
use super::rows::{ABSENT, Cells, Row, merge_rows};
use super::window::Window;
use super::{Evaluator, Operand};

/// A replay begins on a whole day or hour when that leaves out at most this part of the range.
const LEFT_OUT_MAX: i64 = 28;

impl Evaluator<'_> {
    /// The value of one of our own functions, as [`Func::is_own`] says.
    pub fn detect(&mut self, function: Func, args: &[Expr], grid: Grid) -> Result<Operand, QueryError> {
        let (mut awaited, wrong) = detectors::awaited(args, None);
        if let Some((_, message)) = wrong.into_iter().next() {
            return Err(QueryError::BadData(message));
        }
        let is_by_label = detectors::is_by_label(args);
        let range = args[0].unwrapped();
        let step_ms = match &range.kind {
            ExprKind::Subquery(subquery) => Some(subquery.step_ms.unwrap_or(self.options.subquery_step_ms)),
            _ => None,
        };
        if let Some(step_ms) = step_ms.filter(|step_ms| !is_width(*step_ms)) {
            let message = format!("expected a subquery step that divides an hour, got {step_ms} ms: write one");
            return Err(QueryError::BadData(message));
        }
        let (ranges, windows) = self.range_vector(range, grid)?;
        let mut rows = Vec::with_capacity(ranges.len());
        for one in &ranges {
            self.check()?;
            if is_by_label {
                let (of_labels, wrong) = detectors::awaited(args, Some(&one.labels));
                awaited = of_labels;
                for (span, message) in wrong {
                    self.annotations.calendar_of_label(&message, span);
                }
            }
            let mut call = Call { function, windows: &windows, span: range.span, annotations: &mut self.annotations };
            let cells = match function {
                Func::SilenceExpected | Func::SilenceSeconds => {
                    over_windows(one, step_ms, &mut call, |width_ms| Silence::new(function, width_ms, &awaited))
                }
                _ => {
                    let zone = awaited.calendar.zone;
                    over_windows(one, step_ms, &mut call, |width_ms| Spikes::new(function, width_ms, zone))
                }
            };
            if cells.is_all_absent() {
                continue;
            }
            let mut row = Row { labels: one.labels.clone(), drop_name: one.drop_name, cells };
            self.drop_name(&mut row);
            rows.push(row);
        }
        self.check()?;
        Ok(Operand::Vector(merge_rows(rows, grid.len)?))
    }
}

/// What a replay feeds. Times are multiples of the width.
trait Replayed: Sized {
    /// Takes the next window of which something is known.
    fn observe(&mut self, start_ms: i64, count: u64);

    /// The function's value at `now_ms`, where the newest window of the range ends, known or not; times that it tells
    /// are `phase_ms` later.
    fn value(&self, now_ms: i64, phase_ms: i64) -> f64;
}

/// A replay that steps of one anchor share.
struct Replay<D> {
    anchor_ms: i64,
    spacing: Spacing,
    /// Place of the first sample that was not fed yet.
    next: usize,
    detector: D,
}

/// Where samples lie: at multiples of the width, and as much later as the phase says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spacing {
    width_ms: i64,
    phase_ms: i64,
}

fn over_windows<D: Replayed>(
    row: &RangeRow<'_>,
    step_ms: Option<i64>,
    call: &mut Call<'_, '_>,
    new: impl Fn(i64) -> Option<D>,
) -> Cells {
    let mut replay: Option<Replay<D>> = None;
    let mut irregular = false;
    let cells = floats(row, call, |window| {
        let spacing = match step_ms {
            Some(width_ms) => Some(Spacing { width_ms, phase_ms: 0 }),
            // One sample alone has no distance, and tells nothing.
            None if window.times.len() < 2 => return ABSENT,
            None => Spacing::of(window.times),
        };
        let Some(spacing) = spacing else {
            irregular = true;
            return ABSENT;
        };
        let Spacing { width_ms, phase_ms } = spacing;
        let anchor_ms = anchor_ms(window, spacing);
        let begun = replay.take().filter(|begun| begun.anchor_ms == anchor_ms && begun.spacing == spacing);
        let begun = begun.or_else(|| {
            let next = row.times.partition_point(|time| time - phase_ms - width_ms < anchor_ms);
            new(width_ms).map(|detector| Replay { anchor_ms, spacing, next, detector })
        });
        let Some(mut begun) = begun else { return ABSENT };
        let end = window.first + window.floats.len();
        for place in begun.next..end {
            if let Some(count) = whole(row.floats[place]) {
                begun.detector.observe(row.times[place] - phase_ms - width_ms, count);
            }
        }
        begun.next = begun.next.max(end);
        let now_ms = (window.end_ms - phase_ms).div_euclid(width_ms) * width_ms;
        let value = begun.detector.value(now_ms, phase_ms);
        replay = Some(begun);
        value
    });
    if irregular {
        call.annotations.irregular_counts(row.labels.metric_name(), call.span);
    }
    cells
}

/// Start of the first window of a replay, in times without the phase.
fn anchor_ms(window: &Window<'_>, spacing: Spacing) -> i64 {
    let range_ms = window.end_ms.saturating_sub(window.start_ms);
    let whole = [24 * HOUR_MS, HOUR_MS].into_iter().find(|whole| range_ms / LEFT_OUT_MAX >= *whole);
    let whole = whole.unwrap_or(spacing.width_ms);
    let left_ms = window.start_ms.saturating_sub(spacing.phase_ms);
    let before_ms = left_ms.saturating_sub(left_ms.rem_euclid(whole));
    if before_ms == left_ms { before_ms } else { before_ms.saturating_add(whole) }
}

impl Spacing {
    /// Of samples that came one by one; none when they lie anyhow.
    fn of(times: &[i64]) -> Option<Spacing> {
        let width_ms = times.windows(2).map(|pair| pair[1] - pair[0]).min().filter(|width_ms| is_width(*width_ms))?;
        let phase_ms = times.first()?.rem_euclid(width_ms);
        let is_regular = times.iter().all(|time| time.rem_euclid(width_ms) == phase_ms);
        is_regular.then_some(Spacing { width_ms, phase_ms })
    }
}

/// The count that a sample stands for.
fn whole(value: f64) -> Option<u64> {
    let rounded = value.round();
    // -0.4 is as good as 0.
    (rounded.is_finite() && rounded >= 0.0).then_some(rounded as u64)
}

struct Spikes {
    function: Func,
    detector: Detector,
    /// End of the last window that was seen, and what was expected of it.
    last: Option<(i64, Option<f64>)>,
}

impl Spikes {
    fn new(function: Func, width_ms: i64, zone: Zone) -> Option<Spikes> {
        let settings = spike::Settings { zone, ..spike::Settings::of_windows(width_ms) };
        Some(Spikes { function, detector: Detector::new(settings).ok()?, last: None })
    }
}

impl Replayed for Spikes {
    fn observe(&mut self, start_ms: i64, count: u64) {
        // Windows come in order and aligned, so none is refused.
        if let Ok(verdict) = self.detector.observe(start_ms, count) {
            self.last = Some((start_ms + self.detector.settings().window_ms, verdict.expected));
        }
    }

    fn value(&self, now_ms: i64, phase_ms: i64) -> f64 {
        let Some((last_ms, expected)) = self.last else { return ABSENT };
        if self.function == Func::SpikeExpected {
            let unknown = || self.detector.peek(now_ms - self.detector.settings().window_ms, 0).ok()?.expected;
            return if now_ms == last_ms { expected } else { unknown() }.unwrap_or(ABSENT);
        }
        let Some(spike) = self.detector.open().filter(|_| now_ms - last_ms <= UNKNOWN_MAX_MS) else { return ABSENT };
        match self.function {
            Func::SpikeLift => spike.lift(),
            Func::SpikeExcess => spike.excess(),
            _ => (spike.start_ms + phase_ms) as f64 / 1000.0,
        }
    }
}

struct Silence {
    function: Func,
    reporter: Reporter,
    width_ms: i64,
    /// End of the last window that was seen.
    last_ms: Option<i64>,
}

impl Silence {
    fn new(function: Func, width_ms: i64, awaited: &Awaited) -> Option<Silence> {
        let Awaited { calendar, declared } = awaited.clone();
        let settings = silence::Settings { window_ms: width_ms, calendar, declared, ..silence::Settings::default() };
        Some(Silence { function, reporter: Reporter::new(settings).ok()?, width_ms, last_ms: None })
    }
}

impl Replayed for Silence {
    fn observe(&mut self, start_ms: i64, count: u64) {
        if self.reporter.observe(start_ms, count).is_ok() {
            self.last_ms = Some(start_ms + self.width_ms);
        }
    }

    fn value(&self, now_ms: i64, _: i64) -> f64 {
        let Some(last_ms) = self.last_ms.filter(|last_ms| now_ms - last_ms <= UNKNOWN_MAX_MS) else { return ABSENT };
        let silence::Verdict::Silent(numbers) = self.reporter.at(last_ms) else { return ABSENT };
        match self.function {
            Func::SilenceSeconds => numbers.open_ms as f64 / 1000.0,
            _ => numbers.expected.unwrap_or(ABSENT),
        }
    }
}

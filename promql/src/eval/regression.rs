//! `deriv`, `predict_linear` and `double_exponential_smoothing`.

use crate::error::QueryError;
use crate::kahan;

use super::over_time::{Call, floats};
use super::range::RangeRow;
use super::rows::{ABSENT, Cells, Scalars};
use super::window::Window;

/// Slope per second, by least squares.
pub fn deriv(row: &RangeRow<'_>, call: &mut Call<'_, '_>) -> Cells {
    floats(row, call, |window| match window.floats.len() {
        0 | 1 => ABSENT,
        _ => line(window, window.times[0]).slope,
    })
}

/// The value `ahead_s` seconds after the time of evaluation, on the line of least squares.
pub fn predict_linear(row: &RangeRow<'_>, ahead_s: &Scalars, call: &mut Call<'_, '_>) -> Cells {
    floats(row, call, |window| {
        if window.floats.len() < 2 {
            return ABSENT;
        }
        let line = line(window, window.eval_ms);
        line.slope * ahead_s.at(window.step) + line.intercept
    })
}

struct Line {
    slope: f64,
    /// Value at the origin.
    intercept: f64,
}

/// The line of least squares through the floats, with times counted from `origin_ms`.
fn line(window: &Window<'_>, origin_ms: i64) -> Line {
    let first = window.floats[0];
    if window.floats.iter().all(|value| *value == first) {
        return if first.is_infinite() {
            Line { slope: f64::NAN, intercept: f64::NAN }
        } else {
            Line { slope: 0.0, intercept: first }
        };
    }
    let n = window.floats.len() as f64;
    let (mut x, mut x_low, mut y, mut y_low) = (0.0, 0.0, 0.0, 0.0);
    let (mut xy, mut xy_low, mut xx, mut xx_low) = (0.0, 0.0, 0.0, 0.0);
    for (time, value) in window.times.iter().zip(window.floats) {
        let seconds = (time - origin_ms) as f64 / 1000.0;
        kahan::add(seconds, &mut x, &mut x_low);
        kahan::add(*value, &mut y, &mut y_low);
        kahan::add(seconds * value, &mut xy, &mut xy_low);
        kahan::add(seconds * seconds, &mut xx, &mut xx_low);
    }
    let (x, y, xy, xx) = (x + x_low, y + y_low, xy + xy_low, xx + xx_low);
    let slope = (xy - x * y / n) / (xx - x * x / n);
    Line { slope, intercept: y / n - slope * x / n }
}

/// Double exponential smoothing (Holt's linear method); both factors lie between 0 and 1, exclusive.
pub fn double_exponential_smoothing(
    row: &RangeRow<'_>,
    smoothing: &Scalars,
    trend: &Scalars,
    call: &mut Call<'_, '_>,
) -> Result<Cells, QueryError> {
    let mut wrong = None;
    let cells = floats(row, call, |window| {
        let (smoothing, trend) = (smoothing.at(window.step), trend.at(window.step));
        for (name, letters, factor) in [("smoothing", "sf", smoothing), ("trend", "tf", trend)] {
            if factor <= 0.0 || factor >= 1.0 {
                let message = format!("invalid {name} factor. Expected: 0 < {letters} < 1, got: {factor:.6}");
                wrong.get_or_insert(QueryError::Execution(message));
            }
        }
        if window.floats.len() < 2 { ABSENT } else { smooth(window.floats, smoothing, trend) }
    });
    match wrong {
        Some(error) => Err(error),
        None => Ok(cells),
    }
}

fn smooth(values: &[f64], smoothing: f64, trend: f64) -> f64 {
    let (mut before, mut level, mut slope) = (0.0, values[0], values[1] - values[0]);
    for (at, value) in values.iter().enumerate().skip(1) {
        if at > 1 {
            slope = trend * (level - before) + (1.0 - trend) * slope;
        }
        let next = smoothing * value + (1.0 - smoothing) * (level + slope);
        (before, level) = (level, next);
    }
    level
}

//! Forecasts of evenly spaced values, and how good they were.
//!
//! | function | model | needs |
//! |---|---|---|
//! | [`linear`] | least squares; ŷ ± t·s·√(1 + 1/n + (x − x̄)²/Sxx) | [`LINEAR_MIN`] values |
//! | [`seasonal_linear`] | values ÷ seasonal factors (ratio to centred moving average), a line, multiplied back | two periods |
//! | [`holt_winters`] | additive level, trend and season (Holt 1957, Winters 1960); smoothing by grid on one-step errors | two periods |

use crate::tail;
use crate::trend::{Trend, trend};
use serde::Serialize;

/// Fewer values give no line.
pub const LINEAR_MIN: usize = 8;
const GRID: [f64; 9] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

/// One forecast value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Forecast {
    /// What is expected.
    pub predicted: f64,
    /// Below it with half of what the confidence leaves.
    pub lower: f64,
    /// Above it likewise.
    pub upper: f64,
}

/// The next `ahead` values of a straight line; `confidence` of the interval is between 0 and 1.
pub fn linear(values: &[f64], ahead: usize, confidence: f64) -> Option<Vec<Forecast>> {
    let line = line(values)?;
    let t = tail::student_quantile(confidence, line.n as f64 - 2.0);
    Some((0..ahead).map(|step| on(&line, (values.len() + step) as f64, t)).collect())
}

fn line(values: &[f64]) -> Option<Trend> {
    let points: Vec<(f64, f64)> = values.iter().enumerate().map(|(x, y)| (x as f64, *y)).collect();
    trend(&points).filter(|line| line.n >= LINEAR_MIN)
}

fn on(line: &Trend, x: f64, t: f64) -> Forecast {
    let away = x - line.x_mean;
    let margin = t * line.residual * (1.0 + 1.0 / line.n as f64 + away * away / line.x_squares).sqrt();
    let predicted = line.at(x);
    Forecast { predicted, lower: predicted - margin, upper: predicted + margin }
}

/// A straight line with a season of `period` values. None with fewer than two periods or [`LINEAR_MIN`] values, or
/// where an average of a period is not above zero: factors are ratios.
pub fn seasonal_linear(values: &[f64], period: usize, ahead: usize, confidence: f64) -> Option<Vec<Forecast>> {
    let factors = seasonal_factors(values, period)?;
    let factor = |at: usize| factors.get(at % period).copied().unwrap_or(1.0);
    let plain: Vec<f64> = values.iter().enumerate().map(|(at, y)| y / factor(at)).collect();
    let line = line(&plain)?;
    let t = tail::student_quantile(confidence, line.n as f64 - 2.0);
    let forecast = |at: usize| {
        let Forecast { predicted, lower, upper } = on(&line, at as f64, t);
        Forecast { predicted: predicted * factor(at), lower: lower * factor(at), upper: upper * factor(at) }
    };
    Some((values.len()..values.len() + ahead).map(forecast).collect())
}

/// Mean ratio of each place in the period to the centred moving average, scaled to a mean of 1.
fn seasonal_factors(values: &[f64], period: usize) -> Option<Vec<f64>> {
    if period < 2 || values.len() < 2 * period {
        return None;
    }
    let half = period / 2;
    let mut ratios = vec![(0.0, 0.0); period];
    for at in half..values.len() - half {
        let around = values.get(at - half..=at + half)?;
        // Of an even period, both ends count half.
        let ends = if period.is_multiple_of(2) { 0.5 * (around.first()? + around.last()?) } else { 0.0 };
        let average = (around.iter().sum::<f64>() - ends) / period as f64;
        if average <= 0.0 {
            return None;
        }
        let (sum, n) = ratios.get_mut(at % period)?;
        *sum += values.get(at)? / average;
        *n += 1.0;
    }
    let factors: Vec<f64> = ratios.iter().map(|(sum, n)| sum / n).collect();
    let mean = factors.iter().sum::<f64>() / period as f64;
    let usable = factors.iter().all(|factor| factor.is_finite() && *factor > 0.0);
    usable.then(|| factors.iter().map(|factor| factor / mean).collect())
}

/// Additive Holt-Winters; the interval is that of the one-step errors, widened by the square root of the steps.
pub fn holt_winters(values: &[f64], period: usize, ahead: usize, confidence: f64) -> Option<Vec<Forecast>> {
    if period < 2 || values.len() < 2 * period {
        return None;
    }
    let mut best: Option<Smoothed> = None;
    for level in GRID {
        for slope in GRID {
            for season in GRID {
                let smoothed = smooth(values, period, [level, slope, season])?;
                if best.as_ref().is_none_or(|best| smoothed.squares < best.squares) {
                    best = Some(smoothed);
                }
            }
        }
    }
    let best = best?;
    let n = (values.len() - period) as f64;
    let t = tail::student_quantile(confidence, (n - 3.0).max(1.0));
    let error = (best.squares / n).sqrt();
    let forecast = |step: usize| {
        let season = best.seasons.get((values.len() + step - 1) % period).copied().unwrap_or_default();
        let predicted = best.level + step as f64 * best.slope + season;
        let margin = t * error * (step as f64).sqrt();
        Forecast { predicted, lower: predicted - margin, upper: predicted + margin }
    };
    Some((1..=ahead).map(forecast).collect())
}

struct Smoothed {
    level: f64,
    slope: f64,
    seasons: Vec<f64>,
    squares: f64,
}

fn smooth(values: &[f64], period: usize, [alpha, beta, gamma]: [f64; 3]) -> Option<Smoothed> {
    let (first, second) = (values.get(..period)?, values.get(period..2 * period)?);
    let mean = |values: &[f64]| values.iter().sum::<f64>() / period as f64;
    let mut slope = (mean(second) - mean(first)) / period as f64;
    // The mean of the first period is the level of its middle.
    let middle = (period as f64 - 1.0) / 2.0;
    let mut seasons: Vec<f64> =
        first.iter().enumerate().map(|(at, y)| y - (mean(first) + slope * (at as f64 - middle))).collect();
    let mut level = mean(first) + slope * middle;
    let mut squares = 0.0;
    for (at, y) in values.iter().enumerate().skip(period) {
        let season = seasons.get_mut(at % period)?;
        let predicted = level + slope + *season;
        squares += (y - predicted) * (y - predicted);
        let before = level;
        level = alpha * (y - *season) + (1.0 - alpha) * (level + slope);
        slope = beta * (level - before) + (1.0 - beta) * slope;
        *season = gamma * (y - level) + (1.0 - gamma) * *season;
    }
    Some(Smoothed { level, slope, seasons, squares })
}

/// How good forecasts were.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Accuracy {
    /// 1 − Σ|actual − predicted| ÷ Σ|actual| (1 − WAPE).
    pub accuracy: f64,
    /// Mean of |actual − predicted| ÷ |actual| where the actual is not 0; none where all are.
    pub mape: Option<f64>,
    /// Σ(predicted − actual) ÷ Σ|actual|: above 0 the forecasts were too high.
    pub bias: f64,
}

/// Accuracy of (actual, predicted); none where nothing actual came.
pub fn accuracy(pairs: &[(f64, f64)]) -> Option<Accuracy> {
    let actual: f64 = pairs.iter().map(|(actual, _)| actual.abs()).sum();
    let absolute: f64 = pairs.iter().map(|(actual, predicted)| (actual - predicted).abs()).sum();
    let signed: f64 = pairs.iter().map(|(actual, predicted)| predicted - actual).sum();
    let relative = pairs.iter().filter(|(actual, _)| *actual != 0.0).map(|(a, p)| ((a - p) / a).abs());
    let (sum, n) = relative.fold((0.0, 0.0), |(sum, n), error| (sum + error, n + 1.0));
    let mape = (n > 0.0).then(|| sum / n);
    (actual > 0.0).then(|| Accuracy { accuracy: 1.0 - absolute / actual, mape, bias: signed / actual })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_on_and_its_interval_holds_what_it_says() {
        let exact: Vec<f64> = (0..10).map(|x| 3.0 + 2.0 * f64::from(x)).collect();
        let forecast = linear(&exact, 2, 0.8).unwrap();
        assert!((forecast[1].predicted - 25.0).abs() < 1e-9 && forecast[1].upper - forecast[1].lower < 1e-6);
        assert_eq!(linear(&exact[..7], 1, 0.8), None);
        // Of many noisy lines, eighty in a hundred come to lie in the interval.
        let mut state = 1_u64;
        let mut noise = || {
            // Twelve uniform numbers add up to nearly a normal one.
            (0..12)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (state >> 11) as f64 / (1_u64 << 53) as f64
                })
                .sum::<f64>()
                - 6.0
        };
        let inside = (0..2000).filter(|_| {
            let values: Vec<f64> = (0..12).map(|x| f64::from(x) + noise()).collect();
            let next = 12.0 + noise();
            let forecast = linear(&values, 1, 0.8).unwrap()[0];
            (forecast.lower..forecast.upper).contains(&next)
        });
        let inside = inside.count();
        assert!((1550..1650).contains(&inside), "{inside} of 2000");
    }

    #[test]
    fn seasons_come_back() {
        let week = [1.0, 1.1, 1.2, 1.0, 0.9, 0.5, 1.3];
        let multiplied: Vec<f64> = (0..35).map(|x| (100.0 + x as f64) * week[x % 7]).collect();
        for (at, forecast) in (35..).zip(seasonal_linear(&multiplied, 7, 7, 0.8).unwrap()) {
            let truth = (100.0 + at as f64) * week[at % 7];
            assert!((forecast.predicted / truth - 1.0).abs() < 0.02, "{at}: {forecast:?}, truly {truth}");
        }
        let added: Vec<f64> = (0..48).map(|x| 50.0 + 2.0 * x as f64 + 10.0 * week[x % 4]).collect();
        for (at, forecast) in (48..).zip(holt_winters(&added, 4, 4, 0.8).unwrap()) {
            let truth = 50.0 + 2.0 * at as f64 + 10.0 * week[at % 4];
            assert!((forecast.predicted - truth).abs() < 1e-6, "{at}: {forecast:?}, truly {truth}");
        }
        assert_eq!(holt_winters(&added[..7], 4, 1, 0.8), None);
        assert_eq!(seasonal_linear(&[0.0; 20], 4, 1, 0.8), None);
    }

    #[test]
    fn accuracy_by_hand() {
        let found = accuracy(&[(100.0, 90.0), (50.0, 60.0), (0.0, 5.0)]).unwrap();
        assert!((found.accuracy - (1.0 - 25.0 / 150.0)).abs() < 1e-12);
        assert!((found.mape.unwrap() - 0.15).abs() < 1e-12);
        assert!((found.bias - 5.0 / 150.0).abs() < 1e-12);
        assert_eq!(accuracy(&[(0.0, 1.0)]), None);
    }
}

//! Small detectors of unusual values, for gauges and daily numbers.

use crate::baseline::median;
use serde::Serialize;

/// Above this robust z a value is worth an alert, above [`MARK`] a mark on a chart (CATALOG 7.4).
pub const ALERT: f64 = 5.0;
/// See [`ALERT`].
pub const MARK: f64 = 3.5;

/// 0.6745·(x − median) ÷ MAD of the history, the MAD at least `mad_min` (Iglewicz and Hoaglin, 1993). None without
/// history, or where MAD and `mad_min` are 0.
pub fn robust_z(x: f64, history: &[f64], mad_min: f64) -> Option<f64> {
    let middle = median(history.to_vec())?;
    let mad = median(history.iter().map(|value| (value - middle).abs()).collect())?.max(mad_min);
    (mad > 0.0).then(|| 0.6745 * (x - middle) / mad)
}

/// Where a mean has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ChangePoint {
    /// Index at which it was sure.
    pub found: usize,
    /// Index of the first value of the run that made it sure: where it probably began.
    pub began: usize,
    /// Whether the mean rose.
    pub up: bool,
}

/// First change of the mean by a two-sided cumulative sum (Page, Biometrika 41 (1954), 100), with k = 0.5 and h = 5
/// standard deviations: a shift by one is found after ten values, a false alarm comes about once in 465.
pub fn change_point(values: &[f64], mean: f64, deviation: f64) -> Option<ChangePoint> {
    const K: f64 = 0.5;
    const H: f64 = 5.0;
    let (mut up, mut down) = ((0.0, 0), (0.0, 0));
    for (found, value) in values.iter().enumerate() {
        let z = (value - mean) / deviation;
        for (sum, step, is_up) in [(&mut up, z - K, true), (&mut down, -z - K, false)] {
            if sum.0 == 0.0 {
                sum.1 = found;
            }
            sum.0 = f64::max(0.0, sum.0 + step);
            if sum.0 > H {
                return Some(ChangePoint { found, began: sum.1, up: is_up });
            }
        }
    }
    None
}

/// How many of the last values are the same, if that is more than `allowed` and there were different ones before: a
/// gauge that used to vary and is stuck.
pub fn flat_line(values: &[f64], allowed: usize) -> Option<usize> {
    let last = values.last()?;
    let same = values.iter().rev().take_while(|value| *value == last).count();
    (same > allowed && same < values.len()).then_some(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn robust_z_is_not_moved_by_outliers() {
        let history = [10.0, 12.0, 11.0, 9.0, 10.0, 1000.0, 11.0];
        // Median 11, deviations 1 1 0 2 1 989 0: MAD 1.
        assert!((robust_z(21.0, &history, 0.0).unwrap() - 6.745).abs() < 1e-12);
        assert_eq!(robust_z(1.0, &[3.0; 5], 0.0), None);
        assert_eq!(robust_z(4.0, &[3.0; 5], 0.6745), Some(1.0));
        assert_eq!(robust_z(1.0, &[], 1.0), None);
    }

    #[test]
    fn a_shift_by_one_is_found_after_about_ten() {
        let values: Vec<f64> = (0..40).map(|i| if i < 20 { 0.0 } else { -1.0 }).collect();
        let found = change_point(&values, 0.0, 1.0).unwrap();
        assert_eq!(found, ChangePoint { found: 30, began: 20, up: false });
        assert_eq!(change_point(&values[..20], 0.0, 1.0), None);
    }

    #[test]
    fn a_gauge_that_is_stuck() {
        let mut values = vec![1.0, 2.0, 3.0];
        values.extend([4.0; 21]);
        assert_eq!(flat_line(&values, 20), Some(21));
        assert_eq!(flat_line(&values, 21), None);
        assert_eq!(flat_line(&[4.0; 30], 20), None, "it never varied");
    }
}

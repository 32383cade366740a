//! Whether something grows: slope with its significance, compound growth, and the words for a card.

use crate::tail;
use serde::Serialize;

/// Fewer observations show no trend.
pub const OBSERVATIONS_MIN: usize = 5;
/// Above this chance of a slope from nothing, the direction is steady.
pub const SIGNIFICANCE: f64 = 0.05;
/// Changes below this, either way, are flat.
const FLAT: f64 = 0.005;

/// Where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// It grows.
    Up,
    /// It falls.
    Down,
    /// Neither is sure.
    Steady,
}

/// A straight line through observations, by ordinary least squares.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Trend {
    /// Per unit of x.
    pub slope: f64,
    /// At x = 0.
    pub intercept: f64,
    /// Share of the variance that the line explains; 1 where there is none.
    pub r2: f64,
    /// Chance of at least this slope, either way, were there none (Student's t, n − 2).
    pub p_value: f64,
    /// Standard deviation of the residuals, over n − 2.
    pub residual: f64,
    /// Mean of x.
    pub x_mean: f64,
    /// Σ(x − x̄)².
    pub x_squares: f64,
    /// Observations.
    pub n: usize,
}

impl Trend {
    /// The line at x.
    pub fn at(&self, x: f64) -> f64 {
        self.intercept + self.slope * x
    }

    /// Up or down only where the slope is significant.
    pub fn direction(&self) -> Direction {
        match self.slope {
            slope if self.p_value >= SIGNIFICANCE || slope == 0.0 => Direction::Steady,
            slope if slope > 0.0 => Direction::Up,
            _ => Direction::Down,
        }
    }
}

/// The trend of (x, y); none with fewer than [`OBSERVATIONS_MIN`], or where all x are the same.
pub fn trend(points: &[(f64, f64)]) -> Option<Trend> {
    let count = points.len();
    if count < OBSERVATIONS_MIN {
        return None;
    }
    let n = count as f64;
    let x_mean = points.iter().map(|p| p.0).sum::<f64>() / n;
    let y_mean = points.iter().map(|p| p.1).sum::<f64>() / n;
    let sum = |f: &dyn Fn(f64, f64) -> f64| points.iter().map(|p| f(p.0 - x_mean, p.1 - y_mean)).sum::<f64>();
    let (x_squares, y_squares, products) = (sum(&|x, _| x * x), sum(&|_, y| y * y), sum(&|x, y| x * y));
    if x_squares <= 0.0 {
        return None;
    }
    let slope = products / x_squares;
    let unexplained = sum(&|x, y| (y - slope * x) * (y - slope * x));
    let residual = (unexplained / (n - 2.0)).sqrt();
    let t = if slope == 0.0 { 0.0 } else { slope / (residual / x_squares.sqrt()) };
    Some(Trend {
        slope,
        intercept: y_mean - slope * x_mean,
        r2: if y_squares > 0.0 { 1.0 - unexplained / y_squares } else { 1.0 },
        p_value: tail::student_two_sided(t, n - 2.0),
        residual,
        x_mean,
        x_squares,
        n: count,
    })
}

/// Compound growth per period from the first value to the last, so many periods later; none unless both are above 0.
pub fn compound_growth(first: f64, last: f64, periods: u32) -> Option<f64> {
    let known = first > 0.0 && last > 0.0 && periods > 0;
    known.then(|| libm::exp(libm::log(last / first) / f64::from(periods)) - 1.0)
}

/// The words of a card: `+12.5 % from last month`, `flat from last month`, `new`, `no comparison`.
pub fn label(current: Option<f64>, previous: Option<f64>, period: &str) -> String {
    let (Some(current), Some(previous)) = (current, previous) else { return "no comparison".to_owned() };
    if previous == 0.0 && current != 0.0 {
        return "new".to_owned();
    }
    let growth = if previous == 0.0 { 0.0 } else { (current - previous) / previous.abs() };
    if growth.abs() < FLAT {
        return format!("flat from last {period}");
    }
    format!("{:+.1} % from last {period}", growth * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Anscombe's first and fourth sets (The American Statistician 27 (1973), 17): y = 3.00 + 0.500·x, r² = 0.667,
    /// t = 4.24 with 9 degrees of freedom, p = 0.00217.
    const ANSCOMBE: [[(f64, f64); 11]; 2] = [
        [
            (10.0, 8.04),
            (8.0, 6.95),
            (13.0, 7.58),
            (9.0, 8.81),
            (11.0, 8.33),
            (14.0, 9.96),
            (6.0, 7.24),
            (4.0, 4.26),
            (12.0, 10.84),
            (7.0, 4.82),
            (5.0, 5.68),
        ],
        [
            (8.0, 6.58),
            (8.0, 5.76),
            (8.0, 7.71),
            (8.0, 8.84),
            (8.0, 8.47),
            (8.0, 7.04),
            (8.0, 5.25),
            (19.0, 12.50),
            (8.0, 5.56),
            (8.0, 7.91),
            (8.0, 6.89),
        ],
    ];

    #[test]
    fn slopes_are_those_of_anscombe() {
        for set in ANSCOMBE {
            let trend = trend(&set).unwrap();
            assert!((trend.slope - 0.500).abs() < 6e-4 && (trend.intercept - 3.00).abs() < 6e-3, "{trend:?}");
            assert!((trend.r2 - 0.667).abs() < 1e-3 && (trend.p_value - 0.00217).abs() < 3e-5, "{trend:?}");
            assert_eq!(trend.direction(), Direction::Up);
        }
    }

    #[test]
    fn what_is_not_significant_is_steady() {
        let wobble: Vec<_> = (0..12).map(|i| (f64::from(i), f64::from(i * 7 % 5))).collect();
        assert_eq!(trend(&wobble).unwrap().direction(), Direction::Steady);
        let flat: Vec<_> = (0..6).map(|i| (f64::from(i), 3.0)).collect();
        assert_eq!(trend(&flat).unwrap().direction(), Direction::Steady);
        let line: Vec<_> = (0..6).map(|i| (f64::from(i), f64::from(-i))).collect();
        assert_eq!(trend(&line).unwrap().direction(), Direction::Down);
        assert_eq!(trend(&line[..4]), None);
        assert_eq!(trend(&[(1.0, 2.0); 9]), None);
    }

    #[test]
    fn words_of_cards() {
        assert_eq!(label(Some(112.5), Some(100.0), "month"), "+12.5 % from last month");
        assert_eq!(label(Some(-50.0), Some(-40.0), "week"), "-25.0 % from last week");
        assert_eq!(label(Some(100.4), Some(100.0), "day"), "flat from last day");
        assert_eq!(label(Some(3.0), Some(0.0), "day"), "new");
        assert_eq!(label(Some(3.0), None, "day"), "no comparison");
        assert!((compound_growth(100.0, 121.0, 2).unwrap() - 0.1).abs() < 1e-12);
        assert_eq!(compound_growth(0.0, 5.0, 2), None);
    }
}

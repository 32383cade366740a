//! Detectors to compare with.

/// The windowed Gaussian of the Numenta Anomaly Benchmark: two-sided tail of the last 6,400 rows, which slide by a
/// hundred. Score: one minus the tail probability.
pub fn windowed_gaussian(values: &[u64]) -> Vec<f64> {
    const ROWS: usize = 6_400;
    const STEP: usize = 100;
    let (mut window, mut waiting): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
    let (mut mean, mut deviation) = (0.0, 1.0);
    let mut scores = Vec::with_capacity(values.len());
    let (mut sum, mut squares) = (0_u128, 0_u128);
    for &value in values {
        let x = value as f64;
        let z: f64 = (x - mean) / deviation;
        scores.push(if window.is_empty() { 0.0 } else { 1.0 - 0.5 * libm::erfc(z.abs() / core::f64::consts::SQRT_2) });
        if window.len() < ROWS {
            window.push(x);
            sum += u128::from(value);
            squares += u128::from(value) * u128::from(value);
        } else {
            waiting.push(x);
            if waiting.len() < STEP {
                continue;
            }
            window.drain(..STEP);
            window.append(&mut waiting);
            sum = window.iter().map(|x| *x as u128).sum();
            squares = window.iter().map(|x| (*x as u128) * (*x as u128)).sum();
        }
        let n = window.len() as f64;
        mean = sum as f64 / n;
        let variance = (squares as f64 - sum as f64 * sum as f64 / n) / n;
        deviation = if variance > 0.0 { variance.sqrt() } else { 0.000_001 };
    }
    scores
}

/// Standard deviations above the mean of everything before.
pub fn z_score(values: &[u64]) -> Vec<f64> {
    let (mut n, mut mean, mut squares) = (0.0, 0.0, 0.0);
    values
        .iter()
        .map(|&value| {
            let x = value as f64;
            let deviation = if n > 1.0 { f64::sqrt(squares / n) } else { 0.0 };
            let score = if deviation > 0.0 { (x - mean) / deviation } else { 0.0 };
            n += 1.0;
            let before = mean;
            mean += (x - mean) / n;
            squares += (x - before) * (x - mean);
            score
        })
        .collect()
}

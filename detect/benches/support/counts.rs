//! Counts of quiet weeks: a rhythm of day and week, and a rate that wavers (negative binomial counts).

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::{Rng, SeedableRng};

/// A quiet source.
#[derive(Debug, Clone, Copy)]
pub struct Quiet {
    /// Mean per window over a week.
    pub rate: f64,
    /// α of the variance μ + αμ².
    pub overdispersion: f64,
    /// How long the wavering of the rate lasts, in windows; 1 is independent from window to window.
    pub memory_windows: usize,
    pub window_ms: i64,
}

impl Quiet {
    /// Mean of the window that starts at `at_ms`: nights have a fifth of the noon, weekends six tenths of workdays.
    pub fn mean(&self, at_ms: i64) -> f64 {
        let hours = at_ms as f64 / 3_600_000.0;
        let day = 1.0 - 0.667 * (std::f64::consts::TAU * hours / 24.0).cos();
        // 1970-01-01 was a Thursday: days 2 and 3 are the weekend.
        let weekend = (at_ms.div_euclid(86_400_000)).rem_euclid(7);
        let week = if weekend == 2 || weekend == 3 { 0.677 } else { 1.129 };
        self.rate * day * week
    }

    /// Counts of so many windows from `start_ms`.
    pub fn counts(&self, start_ms: i64, windows: usize, seed: u64) -> Vec<u64> {
        let mut random = Random(Pcg64Mcg::seed_from_u64(seed));
        let mut wavering = 1.0;
        (0..windows)
            .map(|at| {
                if at % self.memory_windows == 0 && self.overdispersion > 0.0 {
                    let shape = 1.0 / self.overdispersion;
                    wavering = random.gamma(shape) / shape;
                }
                random.poisson(wavering * self.mean(start_ms + at as i64 * self.window_ms))
            })
            .collect()
    }
}

/// Random numbers of a few distributions.
#[derive(Debug)]
pub struct Random(pub Pcg64Mcg);

impl Random {
    pub fn seeded(seed: u64) -> Self {
        Self(Pcg64Mcg::seed_from_u64(seed))
    }

    pub fn uniform(&mut self) -> f64 {
        ((self.0.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Marsaglia and Tsang (2000), with their step for shapes below one.
    pub fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            return self.gamma(shape + 1.0) * self.uniform().powf(1.0 / shape);
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && self.uniform().ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v;
            }
        }
    }

    /// By multiplication for small means; larger ones are split: Poisson(m) is Poisson(m/2) twice, and
    /// beyond a thousand the rounded normal distribution is as good.
    pub fn poisson(&mut self, mean: f64) -> u64 {
        if mean > 1000.0 {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0) as u64;
        }
        if mean > 30.0 {
            return self.poisson(mean / 2.0) + self.poisson(mean / 2.0);
        }
        let limit = (-mean).exp();
        let (mut product, mut count) = (self.uniform(), 0);
        while product > limit {
            product *= self.uniform();
            count += 1;
        }
        count
    }
}

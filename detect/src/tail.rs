//! Tail probabilities of counts, exact to about 1e-12 and the same on every machine (all functions are `libm`'s).
//!
//! | function | of | formula |
//! |---|---|---|
//! | [`upper`] | P(X ≥ x), X negative binomial | I(x, r; μ / (μ + r)), r = 1/α |
//! | [`nothing`] | P(X = 0) | (1 + α·μ)^(−1/α) |
//! | [`student_two_sided`] | P(\|T\| ≥ \|t\|) | I(ν/2, ½; ν / (ν + t²)) |
//!
//! μ is the mean and α the overdispersion: the variance is μ + α·μ². α = 0 is the Poisson distribution. I is the
//! regularised incomplete beta function (NIST DLMF 8.17; its continued fraction 8.17.22 by the modified Lentz
//! method). DLMF 8.17.24 connects it with the negative binomial distribution.

/// Where a continued fraction stops. In the tails that are asked for here it converges in tens of steps.
const STEPS_MAX: u32 = 20_000;
/// Below this overdispersion the negative binomial is told from Poisson by nothing but rounding.
const POISSON_BELOW: f64 = 1e-9;
/// Keeps Lentz' method from dividing by nothing.
const TINY: f64 = 1e-300;
const PRECISION: f64 = 1e-15;

/// log₁₀ P(X ≥ `count`) of a negative binomial X with this mean and overdispersion. 0 for a count of 0.
///
/// The logarithm does not underflow: a viral spike may have a probability of 10⁻⁴⁰⁰.
pub fn log10_upper(count: u64, mean: f64, overdispersion: f64) -> f64 {
    if count == 0 {
        return 0.0;
    }
    if mean <= 0.0 {
        return f64::NEG_INFINITY;
    }
    let x = count as f64;
    let ln = if overdispersion < POISSON_BELOW {
        ln_gamma_lower(x, mean)
    } else {
        let size = 1.0 / overdispersion;
        ln_beta_regularised(x, size, mean / (mean + size), size / (mean + size))
    };
    (ln / core::f64::consts::LN_10).min(0.0)
}

/// P(X ≥ `count`); 0 where it is too small for an `f64`.
pub fn upper(count: u64, mean: f64, overdispersion: f64) -> f64 {
    libm::exp(log10_upper(count, mean, overdispersion) * core::f64::consts::LN_10)
}

/// log₁₀ P(X = 0): that nothing comes where `mean` was expected.
pub fn log10_nothing(mean: f64, overdispersion: f64) -> f64 {
    let mean = mean.max(0.0);
    let ln = if overdispersion < POISSON_BELOW { -mean } else { -libm::log1p(overdispersion * mean) / overdispersion };
    ln / core::f64::consts::LN_10
}

/// P(X = 0).
pub fn nothing(mean: f64, overdispersion: f64) -> f64 {
    libm::exp(log10_nothing(mean, overdispersion) * core::f64::consts::LN_10)
}

/// P(|T| ≥ |t|) of Student's distribution; of no degrees of freedom, 1.
pub fn student_two_sided(t: f64, degrees_of_freedom: f64) -> f64 {
    if degrees_of_freedom <= 0.0 || t.is_nan() {
        return 1.0;
    }
    if t.is_infinite() {
        return 0.0;
    }
    let square = t * t;
    let whole = degrees_of_freedom + square;
    libm::exp(ln_beta_regularised(degrees_of_freedom / 2.0, 0.5, degrees_of_freedom / whole, square / whole))
}

/// t with P(|T| ≤ t) = `confidence` (0 to 1, exclusive), by bisection.
pub fn student_quantile(confidence: f64, degrees_of_freedom: f64) -> f64 {
    let outside = 1.0 - confidence;
    let (mut low, mut high) = (0.0, 1.0);
    while student_two_sided(high, degrees_of_freedom) > outside && high < 1e12 {
        high *= 2.0;
    }
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if student_two_sided(middle, degrees_of_freedom) > outside {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// ln I(a, b; x), with y = 1 − x given apart, so that neither loses digits.
fn ln_beta_regularised(a: f64, b: f64, x: f64, y: f64) -> f64 {
    if x <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if y <= 0.0 {
        return 0.0;
    }
    let ln_front = a * libm::log(x) + b * libm::log(y) - ln_beta(a, b);
    if x < (a + 1.0) / (a + b + 2.0) {
        ln_front - libm::log(a) + libm::log(beta_fraction(a, b, x))
    } else {
        let other = libm::exp(ln_front - libm::log(b) + libm::log(beta_fraction(b, a, y)));
        libm::log1p(-other.min(1.0))
    }
}

fn ln_beta(a: f64, b: f64) -> f64 {
    libm::lgamma(a) + libm::lgamma(b) - libm::lgamma(a + b)
}

/// The continued fraction of DLMF 8.17.22.
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    let mut c = 1.0;
    let mut d = 1.0 / off_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut value = d;
    for step in 1..STEPS_MAX {
        let m = f64::from(step);
        for coefficient in [
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0)),
        ] {
            d = 1.0 / off_zero(1.0 + coefficient * d);
            c = off_zero(1.0 + coefficient / c);
            value *= c * d;
        }
        if (c * d - 1.0).abs() < PRECISION {
            break;
        }
    }
    value
}

/// ln P(a, x), the lower regularised incomplete gamma function: P(Poisson(x) ≥ a). DLMF 8.7.1 and 8.9.2.
fn ln_gamma_lower(a: f64, x: f64) -> f64 {
    let ln_front = a * libm::log(x) - x - libm::lgamma(a);
    if x < a + 1.0 {
        let (mut term, mut sum) = (1.0 / a, 1.0 / a);
        for step in 1..STEPS_MAX {
            term *= x / (a + f64::from(step));
            sum += term;
            if term < sum * PRECISION {
                break;
            }
        }
        ln_front + libm::log(sum)
    } else {
        let mut b = x + 1.0 - a;
        let mut c = 1.0 / TINY;
        let mut d = 1.0 / off_zero(b);
        let mut value = d;
        for step in 1..STEPS_MAX {
            let i = f64::from(step);
            let coefficient = -i * (i - a);
            b += 2.0;
            d = 1.0 / off_zero(coefficient * d + b);
            c = off_zero(b + coefficient / c);
            value *= c * d;
            if (c * d - 1.0).abs() < PRECISION {
                break;
            }
        }
        libm::log1p(-libm::exp(ln_front + libm::log(value)).min(1.0))
    }
}

fn off_zero(x: f64) -> f64 {
    if x.abs() < TINY { TINY } else { x }
}

#[cfg(test)]
mod tests;

use super::*;

/// The tail by adding up the probabilities themselves, largest terms included, from the recurrence
/// P(k+1)/P(k) = μα(k + r)/((k + 1)(1 + αμ)).
fn upper_by_sum(count: u64, mean: f64, overdispersion: f64) -> f64 {
    let poisson = overdispersion == 0.0;
    let r = 1.0 / overdispersion;
    let mut ln = if poisson { -mean } else { -r * (overdispersion * mean).ln_1p() };
    let mut sum = 0.0;
    for k in 0..200_000_u64 {
        if k >= count {
            sum += ln.exp();
        }
        let step = k as f64;
        ln += if poisson { (mean / (step + 1.0)).ln() } else { (mean / (mean + r) * (step + r) / (step + 1.0)).ln() };
    }
    sum
}

#[test]
fn the_upper_tail_is_the_sum_of_its_probabilities() {
    for mean in [0.3, 2.0, 50.0, 2000.0] {
        for overdispersion in [0.0, 0.01, 0.1, 1.0, 3.0] {
            for factor in [0.5, 1.0, 1.2, 2.0, 5.0, 10.0] {
                let count = ((mean * factor) as u64).max(1);
                let expected = upper_by_sum(count, mean, overdispersion);
                if expected < 1e-280 {
                    continue;
                }
                let found = upper(count, mean, overdispersion);
                assert!(
                    (found / expected - 1.0).abs() < 1e-8,
                    "P(X >= {count} | mean {mean}, overdispersion {overdispersion}): {found:e}, by sum {expected:e}"
                );
            }
        }
    }
}

#[test]
fn far_tails_do_not_underflow() {
    // P(X >= 1000 | Poisson 1) is nearly its first term, e^-1 / 1000!, log10(1000!) = 2567.6046442221…
    let found = log10_upper(1000, 1.0, 0.0);
    let first = -2_567.604_644_222_133 - core::f64::consts::LOG10_E;
    assert!((found - first).abs() < 1e-3, "{found} {first}");
    assert_eq!(upper(1000, 1.0, 0.0), 0.0);
    assert!(log10_upper(10_000_000, 1000.0, 0.01) < -400.0);
}

#[test]
fn nothing_is_the_complement_of_something() {
    for (mean, overdispersion) in [(0.1, 0.0), (3.0, 0.0), (3.0, 0.5), (40.0, 0.1)] {
        let (nothing, something) = (nothing(mean, overdispersion), upper(1, mean, overdispersion));
        assert!((nothing + something - 1.0).abs() < 1e-12, "{nothing} + {something}");
    }
    // 40 expected, α = 0.1: (1 + 4)^-10.
    assert!((nothing(40.0, 0.1) / 5.0_f64.powi(-10) - 1.0).abs() < 1e-9);
}

#[test]
fn student_has_the_values_of_printed_tables() {
    // Two-sided 5 %: 12.706 (1), 2.228 (10), 2.042 (30); 80 %: 1.440 (6).
    for (confidence, degrees, t) in [(0.95, 1.0, 12.706), (0.95, 10.0, 2.228), (0.95, 30.0, 2.042), (0.8, 6.0, 1.440)] {
        let found = student_quantile(confidence, degrees);
        assert!((found - t).abs() < 6e-4, "{confidence} {degrees}: {found}");
    }
    assert!((student_two_sided(1.0, 1.0) - 0.5).abs() < 1e-12, "Cauchy: quartile at 1");
    assert_eq!(student_two_sided(0.0, 5.0), 1.0);
}

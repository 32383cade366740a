use super::{Mean, mean, sum, variance};

#[test]
fn small_terms_survive_beside_large_ones() {
    assert_eq!(sum([1.0, 1e100, 1.0, -1e100]), 2.0);
    assert_eq!(mean(&[1.0, 1e100, 1.0, -1e100]), Some(0.5));
}

#[test]
fn infinities_and_overflow() {
    assert_eq!(sum([f64::INFINITY, 1.0]), f64::INFINITY);
    assert!(sum([f64::INFINITY, f64::NEG_INFINITY]).is_nan());
    assert_eq!(sum([f64::MAX, f64::MAX]), f64::INFINITY);
    assert!(mean(&[f64::MAX; 3]).is_some_and(|mean| (mean / f64::MAX - 1.0).abs() < 1e-15));
    assert_eq!(mean(&[f64::INFINITY, 0.0]), Some(f64::INFINITY));
    assert_eq!(mean(&[]), None);
}

#[test]
fn the_running_mean_is_the_mean() {
    let terms: Vec<f64> = (0..1000).map(|at| f64::from(at) * 0.1).collect();
    let mut running = Mean::default();
    terms.iter().for_each(|term| running.add(*term));
    assert_eq!(running.value(), mean(&terms));
}

#[test]
fn equal_terms_do_not_vary() {
    assert_eq!(variance(&[1.599_050_563_727_786_8; 3]), 0.0);
    assert!((variance(&[0.0, 8.0, 8.0, 2.0, 3.0]) - 10.56).abs() < 1e-12);
    assert!(variance(&[1.0, f64::INFINITY]).is_nan());
}

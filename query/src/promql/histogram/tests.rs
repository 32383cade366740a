use super::*;

#[test]
fn quantiles_are_those_of_the_state_within_the_width_of_a_bucket() {
    let mut sketch = HdrSketch::new(2);
    (1..=1000u64).for_each(|value| sketch.record_n(value * value, 1));
    let histogram = native(&sketch, 1000.0);
    assert_eq!(histogram.count, 1000.0);
    for q in [0.01, 0.5, 0.95, 0.999, 1.0] {
        let (ours, exact) = (histogram.quantile(q).value, sketch.quantile(q).unwrap() as f64 / 1000.0);
        assert!((ours / exact - 1.0).abs() < 0.008, "{q}: {ours} {exact}");
    }
    assert!((histogram.sum / (1..=1000u64).map(|v| (v * v) as f64 / 1000.0).sum::<f64>() - 1.0).abs() < 0.005);
}

#[test]
fn zero_has_a_bucket_of_its_own() {
    let mut sketch = HdrSketch::new(2);
    sketch.record_n(0, 3);
    let histogram = native(&sketch, 1000.0);
    assert_eq!((histogram.count, histogram.zero_count, histogram.sum), (3.0, 3.0, 0.0));
}

use super::*;
use proptest::prelude::*;

fn of(range: std::ops::Range<u64>) -> DistinctSketch {
    let mut sketch = DistinctSketch::new();
    range.for_each(|i| sketch.insert_hash(hash_value(&i.to_le_bytes())));
    sketch
}

#[test]
fn is_exact_up_to_the_bound_and_close_beyond() {
    assert_eq!(of(0..1024).estimate(), 1024);
    assert!(of(0..1024).is_exact());
    assert!(!of(0..1025).is_exact());
    for n in [2_000u64, 10_000, 50_000, 200_000, 1_000_000] {
        let error = of(0..n).estimate() as f64 / n as f64 - 1.0;
        assert!(error.abs() < 0.025, "{n}: {error}"); // three standard errors
    }
}

#[test]
fn bytes_round_trip_and_bad_ones_are_refused() {
    for sketch in [of(0..0), of(0..7), of(0..5000)] {
        assert_eq!(DistinctSketch::from_bytes(&sketch.to_bytes()), Ok(sketch));
    }
    for bad in [&[][..], &[9], &[TAG_EXACT, 1, 2], &[TAG_REGISTERS, 0]] {
        assert!(DistinctSketch::from_bytes(bad).is_err());
    }
}

proptest! {
    #[test]
    fn depends_only_on_the_set_of_values(a in 0u64..3000, b in 0u64..3000, c in 0u64..3000) {
        let (a, c) = (a.min(c), a.max(c));
        let whole = of(0..c.max(b));
        let mut merged = of(b.min(c)..c.max(b));
        merged.merge(&of(a..c));
        merged.merge_bytes(&of(0..b.max(a)).to_bytes()).unwrap();
        prop_assert_eq!(merged.to_bytes(), whole.to_bytes());
    }
}

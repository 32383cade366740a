use super::*;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};
use proptest::prelude::*;

fn reference(digits: u8, values: &[u64]) -> hdrhistogram::Histogram<u64> {
    let mut histogram = hdrhistogram::Histogram::new(digits).unwrap();
    for &value in values {
        histogram.record(value).unwrap();
    }
    histogram
}

fn ours(digits: u8, values: &[u64]) -> HdrSketch {
    let mut sketch = HdrSketch::new(digits);
    for &value in values {
        sketch.record_n(value, 1);
    }
    sketch
}

fn values() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec((0u64..1 << 62, 0u32..62).prop_map(|(v, shift)| v >> shift), 1..400)
}

proptest! {
    #[test]
    fn agrees_with_the_reference_library(values in values(), digits in 1u8..=3, q in 0.0f64..=1.0) {
        let (theirs, ours) = (reference(digits, &values), ours(digits, &values));
        prop_assert_eq!(ours.quantile(q), Some(theirs.value_at_quantile(q)));
        let mut bytes = Vec::new();
        V2Serializer::new().serialize(&theirs, &mut bytes).unwrap();
        let read = HdrSketch::from_v2(&bytes).unwrap();
        prop_assert_eq!(read.to_v2(), ours.to_v2());
        let back: hdrhistogram::Histogram<u64> =
            Deserializer::new().deserialize(&mut ours.to_v2().as_slice()).unwrap();
        prop_assert_eq!(back.len(), theirs.len());
        prop_assert_eq!(back.value_at_quantile(q), theirs.value_at_quantile(q));
        prop_assert_eq!(back.max(), theirs.max());
    }

    #[test]
    fn is_within_its_bound_of_the_exact_order_statistic(mut values in values(), digits in 1u8..=3, permille in 0u32..=1000) {
        let sketch = ours(digits, &values);
        values.sort_unstable();
        let rank = (values.len() as u64 * u64::from(permille)).div_ceil(1000).max(1) as usize;
        let exact = values[rank - 1];
        let answer = sketch.quantile(f64::from(permille) / 1000.0).unwrap();
        prop_assert!(answer >= exact);
        prop_assert!((answer - exact) as f64 <= exact as f64 / 10f64.powi(i32::from(digits)));
    }

    #[test]
    fn bytes_do_not_depend_on_order_or_merging(values in values(), cut in 0usize..400, digits in 1u8..=3) {
        let cut = cut.min(values.len());
        let mut reversed: Vec<u64> = values[cut..].to_vec();
        reversed.reverse();
        let mut merged = ours(digits, &reversed);
        merged.merge_v2(&ours(digits, &values[..cut]).to_v2()).unwrap();
        let mut other = ours(digits, &values[..cut]);
        other.merge(&ours(digits, &reversed)).unwrap();
        prop_assert_eq!(merged.to_v2(), ours(digits, &values).to_v2());
        prop_assert_eq!(other.to_v2(), merged.to_v2());
    }

    #[test]
    fn damaged_bytes_are_an_error_not_a_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..120), tail in any::<u8>()) {
        let _ = HdrSketch::from_v2(&bytes);
        let mut good = ours(2, &[1, 5, 900, 70_000]).to_v2();
        good.truncate(good.len().saturating_sub(usize::from(tail) % 60 + 1));
        prop_assert!(HdrSketch::from_v2(&good).is_err());
        bytes.splice(0..0, ours(2, &[1]).to_v2().into_iter().take(40));
        let _ = HdrSketch::from_v2(&bytes);
    }
}

#[test]
fn empty_answers_nothing_and_round_trips() {
    let empty = HdrSketch::new(2);
    assert_eq!(empty.quantile(0.5), None);
    assert_eq!(HdrSketch::from_v2(&empty.to_v2()).unwrap().count(), 0);
}

#[test]
fn counts_without_end_are_counted() {
    let mut theirs = hdrhistogram::Histogram::<u64>::new(2).unwrap();
    let mut ours = HdrSketch::new(2);
    for (value, count) in [(5, LISTED_MAX), (900, 3), (5, 1), (70_000, 1 << 60), (900, LISTED_MAX)] {
        theirs.record_n(value, count).unwrap();
        ours.record_n(value, count);
        assert_eq!(HdrSketch::from_v2(&ours.to_v2()).unwrap().to_v2(), ours.to_v2());
        let buckets: Vec<(u64, u64)> = ours.bounded_buckets().map(|(_, highest, count)| (highest, count)).collect();
        let expected: Vec<(u64, u64)> = theirs
            .iter_recorded()
            .map(|b| (theirs.highest_equivalent(b.value_iterated_to()), b.count_at_value()))
            .collect();
        assert_eq!(buckets, expected);
    }
    assert_eq!(ours.count(), theirs.len());
}

#[test]
fn unlike_layouts_are_refused() {
    let mut two = HdrSketch::new(2);
    assert_eq!(two.merge(&HdrSketch::new(3)), Err(SketchError::Layout(2, 3)));
    assert_eq!(two.merge_v2(&HdrSketch::new(3).to_v2()), Err(SketchError::Layout(2, 3)));
}

#[test]
fn fifty_buckets_stay_below_six_hundred_bytes() {
    let values: Vec<u64> = (0..50).map(|i| 1000 + i * 37).collect();
    assert!(ours(2, &values).to_v2().len() <= 600);
}

#[test]
fn values_up_to_a_bound_are_counted_with_those_of_its_bucket() {
    let mut sketch = HdrSketch::new(2);
    for value in [0, 5, 255, 256, 257, 1_000_000] {
        sketch.record_n(value, 1);
    }
    let counted = [0, 4, 5, 254, 255, 256, 300, 1_000_000, u64::MAX].map(|v| sketch.count_at_or_below(v));
    assert_eq!(counted, [1, 1, 2, 2, 3, 5, 5, 6, 6]);
    assert_eq!(HdrSketch::new(2).count_at_or_below(7), 0);
}

//! Sets of samples: what goes in comes out, bit for bit, in whatever order and company.

use super::*;
use proptest::prelude::*;

fn stale() -> f64 {
    f64::from_bits(STALE_BITS)
}

fn bits(set: &SampleSet) -> Vec<(i64, u64)> {
    set.floats().iter().map(|&(time, value)| (time, value.to_bits())).collect()
}

fn values() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (-1_000_000i64..1_000_000).prop_map(|v| v as f64),
        4 => (-1_000_000i64..1_000_000).prop_map(|v| v as f64 / 100.0),
        3 => any::<f64>(),
        1 => any::<u64>().prop_map(f64::from_bits),
        1 => prop_oneof![Just(f64::from_bits(STALE_BITS)), Just(-0.0), Just(f64::INFINITY), Just(f64::NAN), Just(f64::MAX), Just(9_007_199_254_740_993.0)],
    ]
}

fn histograms() -> impl Strategy<Value = NativeHistogram> {
    let buckets = || prop::collection::btree_map(-500i32..500, 0u32..9999, 0..12);
    (-4i32..=8, 0u8..4, buckets(), buckets(), any::<f64>(), any::<bool>()).prop_map(
        |(schema, reset, positive, negative, sum, is_whole)| {
            let scale = if is_whole { 1.0 } else { 0.25 };
            let list = |m: std::collections::BTreeMap<i32, u32>| {
                m.into_iter().map(|(i, c)| (i, f64::from(c) * scale)).collect::<Vec<_>>()
            };
            let (positive, negative) = (list(positive), list(negative));
            let zero_count = 3.0 * scale;
            let count = positive.iter().chain(&negative).map(|b| b.1).sum::<f64>() + zero_count;
            let reset =
                [ResetHint::Unknown, ResetHint::Reset, ResetHint::NotReset, ResetHint::Gauge][usize::from(reset)];
            let bounds = if schema == 0 { vec![0.5, 1.5, f64::MAX] } else { Vec::new() };
            NativeHistogram {
                schema,
                reset,
                count,
                sum,
                zero_threshold: 1e-128,
                zero_count,
                positive,
                negative,
                bounds,
            }
        },
    )
}

proptest! {
    #[test]
    fn floats_come_back_bit_for_bit(samples in prop::collection::btree_map(any::<i64>(), values(), 0..200)) {
        let mut set = SampleSet::new();
        samples.iter().for_each(|(&time, &value)| set.insert(time, value));
        let bytes = set.to_bytes();
        let read = SampleSet::from_bytes(&bytes).unwrap();
        prop_assert_eq!(bits(&read), samples.iter().map(|(&t, v)| (t, v.to_bits())).collect::<Vec<_>>());
        prop_assert_eq!(read.to_bytes(), bytes.clone());
        prop_assert_eq!(SampleSet::count_of(&bytes).unwrap(), samples.len() as u64);
    }

    #[test]
    fn histograms_come_back(histogram in histograms()) {
        let bytes = histogram.to_bytes();
        prop_assert!(bytes.len() > 8);
        let read = NativeHistogram::from_bytes(&bytes).unwrap();
        prop_assert_eq!(read.to_bytes(), bytes);
        prop_assert_eq!(read.sum.to_bits(), histogram.sum.to_bits());
        prop_assert_eq!(NativeHistogram { sum: 0.0, ..read }, NativeHistogram { sum: 0.0, ..histogram });
    }

    /// Union: dealt to sets in any way, in any order, some of it twice, the bytes are those of one set.
    #[test]
    fn union_is_commutative_associative_and_idempotent(
        samples in prop::collection::vec((0i64..50, values(), prop::option::of(histograms()), 0usize..4, any::<u32>()), 0..80),
        again in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let insert = |set: &mut SampleSet, sample: &(i64, f64, Option<NativeHistogram>, usize, u32)| match &sample.2 {
            Some(histogram) => set.insert_histogram(sample.0, &histogram.to_bytes()),
            None => set.insert(sample.0, sample.1),
        };
        let mut whole = SampleSet::new();
        samples.iter().for_each(|sample| insert(&mut whole, sample));
        let mut dealt: Vec<_> = samples.clone();
        if !samples.is_empty() {
            dealt.extend(again.iter().map(|index| samples[index.index(samples.len())].clone()));
        }
        dealt.sort_by_key(|sample| sample.4);
        let mut parts = vec![SampleSet::new(); 4];
        dealt.iter().for_each(|sample| insert(&mut parts[sample.3], sample));
        let mut merged = SampleSet::new();
        for part in parts.iter().rev() {
            merged.merge_bytes(&part.to_bytes()).unwrap();
        }
        prop_assert_eq!(merged.to_bytes(), whole.to_bytes());
        let mut twice = SampleSet::from_bytes(&merged.to_bytes()).unwrap();
        twice.merge_bytes(&merged.to_bytes()).unwrap();
        prop_assert_eq!(twice.to_bytes(), merged.to_bytes());
    }

    #[test]
    fn damaged_bytes_are_refused_or_read_but_never_more(mut bytes in prop::collection::vec(any::<u8>(), 0..60), version in any::<bool>()) {
        if let (Some(first), true) = (bytes.first_mut(), version) {
            *first = 1;
        }
        let mut set = SampleSet::new();
        set.insert(5, 1.0);
        if set.merge_bytes(&bytes).is_err() {
            prop_assert_eq!(set.floats(), &[(5, 1.0)]);
        }
        let _ = NativeHistogram::from_bytes(&bytes);
    }
}

#[test]
fn of_two_values_for_one_time_the_greater_stays() {
    let histogram = NativeHistogram { count: 1.0, ..NativeHistogram::default() }.to_bytes();
    let mut set = SampleSet::new();
    for value in [3.0, f64::INFINITY, stale(), -1.0] {
        set.insert(10, value);
    }
    set.insert(20, 7.0);
    set.insert_histogram(20, &histogram);
    set.insert(5, 1.0);
    let set = SampleSet::from_bytes(&set.to_bytes()).unwrap();
    assert_eq!(bits(&set), [(5, 1f64.to_bits()), (10, STALE_BITS)]);
    assert_eq!(set.histograms().iter().map(|h| h.0).collect::<Vec<_>>(), [20]);
}

#[test]
fn regular_series_take_two_bytes_a_sample_and_noise_takes_nine() {
    let of = |value: &dyn Fn(i64) -> f64| {
        let mut set = SampleSet::new();
        (0..240).for_each(|at| set.insert(1_700_000_000_000 + at * 15_000, value(at)));
        set.to_bytes().len() as f64 / 240.0
    };
    assert!(of(&|_| 42.0) < 2.2);
    assert!(of(&|at| (at * 3) as f64) < 2.2, "a counter");
    assert!(of(&|at| 20.0 + (at % 7) as f64 / 10.0) < 2.2, "a gauge of one digit");
    assert!(of(&|at| (at as f64).sin()) < 9.5);
}

#[test]
fn an_encoded_sample_is_a_float_or_a_histogram() {
    let mut set = SampleSet::new();
    set.insert_encoded(1, &2.5f64.to_le_bytes()).unwrap();
    set.insert_encoded(2, &NativeHistogram::default().to_bytes()).unwrap();
    assert!(set.insert_encoded(3, b"short").is_err());
    assert_eq!((set.floats().len(), set.histograms().len()), (1, 1));
}

#[test]
fn metadata_has_a_bound() {
    let book = metadata::MetadataBook::default();
    let of = |help: &str| metadata::MetricMetadata { kind: "gauge", help: help.to_owned(), unit: String::new() };
    for at in 0..metadata::METRICS_MAX {
        assert!(book.note(&format!("m{at}"), of("x")));
    }
    assert!(!book.note("another", of("x")));
    assert!(book.note("m7", of(&"ä".repeat(1000))));
    assert_eq!(book.get("m7").unwrap().help.len(), metadata::HELP_BYTES_MAX);
}

/// `cargo test --workspace --lib -- --ignored samples::tests::decoding_speed --nocapture`
#[test]
#[ignore = "a measurement"]
#[expect(clippy::disallowed_methods, reason = "it measures")]
fn decoding_speed() {
    for (name, value) in [("counter", (|at| (at * 3) as f64) as fn(i64) -> f64), ("noise", |at| (at as f64).sin())] {
        let mut set = SampleSet::new();
        (0..240).for_each(|at| set.insert(1_700_000_000_000 + at * 15_000, value(at)));
        let (bytes, rounds) = (set.to_bytes(), 4000);
        let start = std::time::Instant::now();
        let mut sum = 0.0;
        for _ in 0..rounds {
            sum += SampleSet::from_bytes(&bytes).unwrap().floats()[100].1;
        }
        let decoding = start.elapsed().as_nanos() as f64 / f64::from(rounds) / 240.0;
        let start = std::time::Instant::now();
        (0..rounds).for_each(|_| sum += set.to_bytes().len() as f64);
        let encoding = start.elapsed().as_nanos() as f64 / f64::from(rounds) / 240.0;
        println!(
            "{name}: {} bytes/240, decode {decoding:.1} ns, encode {encoding:.1} ns per sample ({sum})",
            bytes.len()
        );
    }
}

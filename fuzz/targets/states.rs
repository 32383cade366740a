//! Any bytes as a stored state: it is refused, or merges with itself and is written as bytes that read the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tidewatch_engine::samples::SampleSet;
use tidewatch_engine::sketch::{DistinctSketch, HdrSketch};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(state) = HdrSketch::from_v2(bytes) {
        let again = HdrSketch::from_v2(&state.to_v2()).expect("what was written");
        assert_eq!((again.count(), again.quantile(0.5)), (state.count(), state.quantile(0.5)));
        let mut twice = HdrSketch::new(state.digits());
        twice.merge_v2(bytes).expect("what was read");
        assert_eq!(twice.count(), state.count());
    }
    if let Ok(state) = DistinctSketch::from_bytes(bytes) {
        let again = DistinctSketch::from_bytes(&state.to_bytes()).expect("what was written");
        assert_eq!(again.estimate(), state.estimate());
        let mut merged = state.clone();
        merged.merge(&again);
        assert_eq!(merged.estimate(), state.estimate());
    }
    if let Ok(state) = SampleSet::from_bytes(bytes) {
        let written = state.to_bytes();
        let again = SampleSet::from_bytes(&written).expect("what was written");
        assert_eq!(again.to_bytes(), written);
        let _ = SampleSet::count_of(bytes);
    }
});

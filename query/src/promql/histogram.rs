//! HDR states as native histograms.
//!
//! A bucket of HDR becomes the bucket of schema 8 (256 per power of two, 0.27 % wide) that its highest value
//! lies in: a quantile is never below the exact one by more than that width, nor above it by more than that
//! and the bound of the state itself.

use tidewatch_engine::sketch::HdrSketch;
use tidewatch_promql::Histogram;
use tidewatch_promql::histogram::SCHEMA_MAX;

/// The native histogram of a state whose values are divided by `scale`.
pub fn native(sketch: &HdrSketch, scale: f64) -> Histogram {
    // Without the sum itself, the middle of a bucket stands for its values.
    let middle = |(lowest, highest, count): (u64, u64, u64)| (lowest as f64 + highest as f64) / 2.0 * count as f64;
    let sum = sketch.bounded_buckets().map(middle).sum::<f64>() / scale;
    let observations = sketch.bounded_buckets().map(|(_, highest, count)| (highest as f64 / scale, count as f64));
    Histogram::exponential(SCHEMA_MAX, observations, sum)
}

#[cfg(test)]
mod tests;

//! What a native histogram tells about its observations: quantiles, fractions, variance.
//!
//! Within an exponential bucket observations are taken to be spread evenly on the logarithmic scale, within
//! the zero bucket and within custom buckets evenly on the linear one, as Prometheus does since 3.0.

use super::{Bucket, Histogram, Place};
use crate::kahan;

/// An estimate, and whether observations of the value NaN took part in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// Effect of NaN observations.
    pub nan: NanEffect,
}

/// How observations of the value NaN, which count but fall into no bucket, bear on an estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NanEffect {
    /// There are none, or they do not matter.
    None,
    /// They stand where the result would be: it is NaN.
    Result,
    /// They are counted as the greatest values, or not at all in a fraction.
    Skew,
}

impl Histogram {
    /// The quantile `q` (0 to 1): -Inf below, +Inf above, NaN without observations or for NaN.
    pub fn quantile(&self, q: f64) -> Estimate {
        let plain = |value| Estimate { value, nan: NanEffect::None };
        if q < 0.0 {
            return plain(f64::NEG_INFINITY);
        }
        if q > 1.0 {
            return plain(f64::INFINITY);
        }
        if self.count == 0.0 || q.is_nan() {
            return plain(f64::NAN);
        }
        // NaN observations are in no bucket, so ranks only hold when counted from below.
        let forward = self.sum.is_nan() || q < 0.5;
        let mut rank = if forward { q * self.count } else { (1.0 - q) * self.count };
        let walk: &mut dyn Iterator<Item = Place> = if forward { &mut self.places() } else { &mut self.places().rev() };
        let (mut count, mut last) = (0.0, None);
        for place in &mut *walk {
            last = Some(place);
            count += self.count_at(place);
            if count >= rank {
                break;
            }
        }
        // Only the bucket that was found needs its bounds.
        let mut found = last.map_or_else(|| self.zero_bucket(), |place| self.bucket_at(place));
        if self.is_custom() {
            if found.lower == f64::NEG_INFINITY {
                if found.upper <= 0.0 {
                    return plain(found.upper);
                }
                found.lower = 0.0;
            } else if found.upper == f64::INFINITY {
                return plain(found.lower);
            }
        } else {
            self.narrow_zero(&mut found);
        }
        count = count.min(self.count);
        if count < rank {
            return if self.sum.is_nan() {
                Estimate { value: f64::NAN, nan: NanEffect::Result }
            } else {
                plain(found.upper)
            };
        }
        rank = if forward { rank - (count - found.count) } else { count - rank };
        let skewed = self.sum.is_nan() && count + walk.map(|place| self.count_at(place)).sum::<f64>() < self.count;
        let value = self.interpolate(&found, rank / found.count);
        Estimate { value, nan: if skewed { NanEffect::Skew } else { NanEffect::None } }
    }

    /// With observations on one side of zero only, the zero bucket reaches no further than zero on the other.
    fn narrow_zero(&self, bucket: &mut Bucket) {
        if bucket.lower < 0.0 && bucket.upper > 0.0 {
            if self.negative.is_empty() && !self.positive.is_empty() {
                bucket.lower = 0.0;
            } else if self.positive.is_empty() && !self.negative.is_empty() {
                bucket.upper = 0.0;
            }
        }
    }

    fn interpolate(&self, bucket: &Bucket, fraction: f64) -> f64 {
        if self.is_custom() || bucket.lower <= 0.0 && bucket.upper >= 0.0 {
            return bucket.lower + (bucket.upper - bucket.lower) * fraction;
        }
        let (lower, upper) = (bucket.lower.abs().log2(), bucket.upper.abs().log2());
        if bucket.lower > 0.0 {
            (lower + (upper - lower) * fraction).exp2()
        } else {
            -(upper + (lower - upper) * (1.0 - fraction)).exp2()
        }
    }

    /// The fraction of observations between `lower` and `upper`: NaN without observations or for a NaN
    /// bound, 0 when the bounds leave no room.
    pub fn fraction(&self, lower: f64, upper: f64) -> Estimate {
        let plain = |value| Estimate { value, nan: NanEffect::None };
        if self.count == 0.0 || lower.is_nan() || upper.is_nan() {
            return plain(f64::NAN);
        }
        if lower >= upper {
            return plain(0.0);
        }
        let in_buckets: f64 = self.buckets().map(|bucket| bucket.count).sum();
        let skewed = self.sum.is_nan() && in_buckets < self.count;
        let count = if self.sum.is_nan() { in_buckets } else { self.count };
        let below = |bound: f64| self.rank_of(bound).unwrap_or(count).min(count);
        let value = (below(upper) - below(lower)) / self.count;
        Estimate { value, nan: if skewed { NanEffect::Skew } else { NanEffect::None } }
    }

    /// Observations below `bound`, `None` when all buckets are.
    fn rank_of(&self, bound: f64) -> Option<f64> {
        let mut rank = 0.0;
        for mut bucket in self.buckets() {
            let around_zero = bucket.lower <= 0.0 && bucket.upper >= 0.0;
            if around_zero {
                self.narrow_zero(&mut bucket);
            }
            if bucket.lower >= bound {
                return Some(rank);
            }
            if bucket.upper > bound {
                let fraction = if self.is_custom() || around_zero {
                    if bucket.lower == f64::NEG_INFINITY {
                        return Some(bucket.count);
                    }
                    (bound - bucket.lower) / (bucket.upper - bucket.lower)
                } else {
                    let (lower, upper) = (bucket.lower.abs().log2(), bucket.upper.abs().log2());
                    let at = bound.abs().log2();
                    if bound > 0.0 { (at - lower) / (upper - lower) } else { 1.0 - (at - upper) / (lower - upper) }
                };
                return Some(rank + bucket.count * fraction);
            }
            rank += bucket.count;
        }
        None
    }

    /// The mean of the observations.
    pub fn mean(&self) -> f64 {
        self.sum / self.count
    }

    /// The population variance, each bucket standing at its middle: the geometric mean of its bounds, the
    /// arithmetic one for custom bounds, zero for the zero bucket.
    pub fn variance(&self) -> f64 {
        let mean = self.mean();
        let squares = self.buckets().map(|bucket| {
            let middle = if self.is_custom() {
                (bucket.upper + bucket.lower) / 2.0
            } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
                0.0
            } else {
                (bucket.upper * bucket.lower).sqrt().copysign(bucket.upper)
            };
            bucket.count * (middle - mean) * (middle - mean)
        });
        kahan::sum(squares) / self.count
    }
}

//! Classic histograms: cumulative counts by upper bound, one series per bucket.

/// One classic bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Classic {
    /// Upper bound, inclusive: the value of the `le` label.
    pub upper: f64,
    /// Observations up to it, cumulative.
    pub count: f64,
}

/// A quantile of a classic histogram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantile {
    /// The estimate, by linear interpolation within the bucket.
    pub value: f64,
    /// Set when counts fell from one bucket to the next higher and were raised.
    pub forced: Option<Forced>,
}

/// Which buckets had to be raised so that cumulative counts never fall.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forced {
    /// Lowest upper bound of a raised bucket.
    pub bucket_min: f64,
    /// Highest upper bound of a raised bucket.
    pub bucket_max: f64,
    /// The most that was added.
    pub difference_max: f64,
}

/// Relative difference up to which two neighbouring counts are taken to be equal.
const SMALL: f64 = 1e-12;

/// The quantile `q` (0 to 1) of `buckets`, which are sorted and mended in place. NaN when the highest bucket
/// is not +Inf, with fewer than two buckets or without observations. A quantile in the highest bucket is its
/// lower bound; the lowest bucket begins at 0 unless it ends there or below.
pub fn quantile(q: f64, buckets: &mut Vec<Classic>) -> Quantile {
    let plain = |value| Quantile { value, forced: None };
    if q.is_nan() {
        return plain(f64::NAN);
    }
    if q < 0.0 {
        return plain(f64::NEG_INFINITY);
    }
    if q > 1.0 {
        return plain(f64::INFINITY);
    }
    if !sort_and_join(buckets) {
        return plain(f64::NAN);
    }
    let forced = make_monotonic(buckets);
    let last = buckets.len() - 1;
    let observations = buckets[last].count;
    if last == 0 || observations == 0.0 || observations.is_nan() {
        return plain(f64::NAN);
    }
    let rank = q * observations;
    let at = buckets[..last].partition_point(|bucket| bucket.count < rank);
    let value = if at == last {
        buckets[last - 1].upper
    } else if at == 0 && buckets[0].upper <= 0.0 {
        buckets[0].upper
    } else {
        let (start, below) = if at == 0 { (0.0, 0.0) } else { (buckets[at - 1].upper, buckets[at - 1].count) };
        start + (buckets[at].upper - start) * ((rank - below) / (buckets[at].count - below))
    };
    Quantile { value, forced }
}

/// The fraction of observations between `lower` and `upper`; NaN as for [`quantile`] and for NaN bounds.
pub fn fraction(lower: f64, upper: f64, buckets: &mut Vec<Classic>) -> f64 {
    if !sort_and_join(buckets) {
        return f64::NAN;
    }
    let count = buckets[buckets.len() - 1].count;
    if count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    (rank_of(upper, buckets).min(count) - rank_of(lower, buckets).min(count)) / count
}

fn rank_of(bound: f64, buckets: &[Classic]) -> f64 {
    let mut start = if buckets[0].upper <= 0.0 { f64::NEG_INFINITY } else { 0.0 };
    let mut below = 0.0;
    for bucket in buckets {
        if start >= bound {
            return below;
        }
        if bucket.upper > bound {
            return if start == f64::NEG_INFINITY {
                bucket.count
            } else {
                below + (bucket.count - below) * (bound - start) / (bucket.upper - start)
            };
        }
        (start, below) = (bucket.upper, bucket.count);
    }
    f64::INFINITY
}

/// Sorts by bound and adds up buckets with the same bound; whether there is a bucket up to +Inf.
fn sort_and_join(buckets: &mut Vec<Classic>) -> bool {
    buckets.sort_by(|left, right| left.upper.total_cmp(&right.upper));
    buckets.dedup_by(|later, earlier| {
        let same = later.upper == earlier.upper;
        if same {
            earlier.count += later.count;
        }
        same
    });
    buckets.last().is_some_and(|last| last.upper == f64::INFINITY)
}

/// Makes counts non-decreasing: tiny differences are noise of an earlier calculation, falls are data that was
/// scraped or rated at slightly different times.
fn make_monotonic(buckets: &mut [Classic]) -> Option<Forced> {
    let mut forced: Option<Forced> = None;
    let mut previous = buckets[0].count;
    for bucket in &mut buckets[1..] {
        let fell = previous - bucket.count;
        let scale = previous.abs() + bucket.count.abs();
        if fell == 0.0 {
            continue;
        }
        if fell.abs() < SMALL * scale.min(f64::MAX) {
            bucket.count = previous;
        } else if fell > 0.0 {
            bucket.count = previous;
            let known =
                forced.unwrap_or(Forced { bucket_min: bucket.upper, bucket_max: bucket.upper, difference_max: 0.0 });
            forced = Some(Forced {
                bucket_min: known.bucket_min.min(bucket.upper),
                bucket_max: known.bucket_max.max(bucket.upper),
                difference_max: known.difference_max.max(fell),
            });
        } else {
            previous = bucket.count;
        }
    }
    forced
}

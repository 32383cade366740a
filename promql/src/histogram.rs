//! Native histograms as values: exponential and custom bucket layouts.
//!
//! A bucket's count is its own, not cumulative. Buckets that are not listed are empty. The arithmetic is in
//! [`mod@arithmetic`], the estimates are in [`mod@estimate`], classic (`le`) buckets in [`mod@classic`].

pub mod arithmetic;
pub mod classic;
pub mod estimate;
pub mod reset;

use std::fmt;
use std::sync::Arc;

use crate::number::general;

/// Schema number that Prometheus gives to custom bounds.
pub const CUSTOM_SCHEMA: i32 = -53;
/// Coarsest exponential schema: each bucket is 65,536 times as wide as the one before.
pub const SCHEMA_MIN: i32 = -4;
/// Finest exponential schema: 256 buckets per power of two.
pub const SCHEMA_MAX: i32 = 8;

/// What is known about a counter reset between the histogram before and this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum CounterReset {
    /// Nothing: whoever needs to know must compare the two.
    #[default]
    Unknown,
    /// The counter began anew.
    Reset,
    /// The counter went on.
    NotReset,
    /// The histogram is a gauge, so the question makes no sense.
    Gauge,
}

/// Where the bounds of the buckets lie.
#[derive(Debug, Clone, PartialEq)]
pub enum Layout {
    /// Bucket `i` holds `(b^(i-1), b^i]` with `b = 2^(2^-schema)`, and its mirror image below zero.
    Exponential {
        /// From [`SCHEMA_MIN`] to [`SCHEMA_MAX`], not checked.
        schema: i32,
    },
    /// Bucket `i` holds `(bounds[i-1], bounds[i]]`; the first begins at -Inf, one after the last ends at +Inf.
    Custom {
        /// Upper bounds, ascending, inclusive, without +Inf.
        bounds: Arc<[f64]>,
    },
}

/// One bucket's place and count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Indexed {
    /// Place in the layout.
    pub index: i32,
    /// Observations, possibly fractional.
    pub count: f64,
}

/// Where a bucket stands.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    Negative(Indexed),
    Zero,
    Positive(Indexed),
}

/// A native histogram with floating-point counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// Where the bounds lie.
    pub layout: Layout,
    /// What is known about a counter reset before this histogram.
    pub counter_reset: CounterReset,
    /// All observations, those of the value NaN included.
    pub count: f64,
    /// Sum of all observed values.
    pub sum: f64,
    /// Half width of the zero bucket, which holds `[-zero_threshold, zero_threshold]`.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// Buckets above zero (all buckets of a custom layout), ascending by index.
    pub positive: Vec<Indexed>,
    /// Buckets below zero, ascending by index, that is by distance from zero.
    pub negative: Vec<Indexed>,
}

/// One bucket with its bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Lower bound.
    pub lower: f64,
    /// Upper bound.
    pub upper: f64,
    /// Whether an observation equal to `lower` belongs here.
    pub lower_inclusive: bool,
    /// Whether an observation equal to `upper` belongs here.
    pub upper_inclusive: bool,
    /// Observations.
    pub count: f64,
}

impl Histogram {
    /// A histogram without observations.
    pub fn empty(layout: Layout) -> Histogram {
        Histogram {
            layout,
            counter_reset: CounterReset::Unknown,
            count: 0.0,
            sum: 0.0,
            zero_threshold: 0.0,
            zero_count: 0.0,
            positive: Vec::new(),
            negative: Vec::new(),
        }
    }

    /// A histogram with custom bounds: `counts[i]` observations in `(bounds[i-1], bounds[i]]`, and one more
    /// count for everything above the last bound. Missing counts are zero.
    pub fn custom(bounds: impl Into<Arc<[f64]>>, counts: &[f64], sum: f64) -> Histogram {
        let positive: Vec<Indexed> = (0..).zip(counts).map(|(index, count)| Indexed { index, count: *count }).collect();
        let mut histogram = Histogram::empty(Layout::Custom { bounds: bounds.into() });
        histogram.count = counts.iter().sum();
        histogram.sum = sum;
        histogram.positive = positive;
        histogram.compact();
        histogram
    }

    /// A histogram with exponential buckets, filled with `(value, count)` pairs in any order: each value
    /// stands for all its observations, as in a recorded HDR state. Zeros go to the zero bucket; values that
    /// are not finite are counted but fall into no bucket.
    pub fn exponential(schema: i32, observations: impl IntoIterator<Item = (f64, f64)>, sum: f64) -> Histogram {
        let schema = schema.clamp(SCHEMA_MIN, SCHEMA_MAX);
        let mut histogram = Histogram::empty(Layout::Exponential { schema });
        histogram.sum = sum;
        for (value, count) in observations {
            histogram.count += count;
            if value == 0.0 {
                histogram.zero_count += count;
            } else if value.is_finite() {
                let side = if value > 0.0 { &mut histogram.positive } else { &mut histogram.negative };
                add_at(side, index_of(value.abs(), schema), count);
            }
        }
        histogram.compact();
        histogram
    }

    /// Whether the bounds are custom.
    pub fn is_custom(&self) -> bool {
        matches!(self.layout, Layout::Custom { .. })
    }

    /// The schema number as Prometheus counts.
    pub fn schema(&self) -> i32 {
        match self.layout {
            Layout::Exponential { schema } => schema,
            Layout::Custom { .. } => CUSTOM_SCHEMA,
        }
    }

    /// Forgets empty buckets.
    pub fn compact(&mut self) {
        self.positive.retain(|bucket| bucket.count != 0.0);
        self.negative.retain(|bucket| bucket.count != 0.0);
    }

    /// Whether the histogram stands for "the series has ended".
    pub fn is_stale(&self) -> bool {
        crate::series::is_stale(self.sum)
    }

    /// Whether some number in it is infinite.
    pub fn overflows(&self) -> bool {
        self.zero_count.is_infinite()
            || self.count.is_infinite()
            || self.sum.is_infinite()
            || self.positive.iter().chain(&self.negative).any(|bucket| bucket.count.is_infinite())
    }

    /// Whether both have the same layout and the same numbers in every bucket; reset hints do not matter.
    pub fn same(&self, other: &Histogram) -> bool {
        let buckets =
            |list: &[Indexed]| -> Vec<Indexed> { list.iter().filter(|bucket| bucket.count != 0.0).copied().collect() };
        self.layout == other.layout
            && self.count == other.count
            && (self.sum == other.sum || self.sum.to_bits() == other.sum.to_bits())
            && self.zero_count == other.zero_count
            && (self.is_custom() || self.zero_threshold == other.zero_threshold)
            && buckets(&self.positive) == buckets(&other.positive)
            && buckets(&self.negative) == buckets(&other.negative)
    }

    /// The buckets with observations (or less than none, after a subtraction), from the lowest to the highest.
    pub fn buckets(&self) -> impl DoubleEndedIterator<Item = Bucket> + '_ {
        self.places().map(|place| self.bucket_at(place))
    }

    /// The same without the bounds, which take time to calculate.
    pub(crate) fn places(&self) -> impl DoubleEndedIterator<Item = Place> + '_ {
        let negative = self.negative.iter().rev().map(|at| Place::Negative(*at));
        let zero = (self.zero_count != 0.0).then_some(Place::Zero);
        let positive = self.positive.iter().map(|at| Place::Positive(*at));
        negative.chain(zero).chain(positive).filter(|place| self.count_at(*place) != 0.0)
    }

    pub(crate) fn count_at(&self, place: Place) -> f64 {
        match place {
            Place::Negative(at) | Place::Positive(at) => at.count,
            Place::Zero => self.zero_count,
        }
    }

    pub(crate) fn bucket_at(&self, place: Place) -> Bucket {
        match place {
            Place::Negative(at) => self.negative_bucket(at),
            Place::Zero => self.zero_bucket(),
            Place::Positive(at) => self.positive_bucket(at),
        }
    }

    /// The bucket around zero.
    pub fn zero_bucket(&self) -> Bucket {
        Bucket {
            lower: -self.zero_threshold,
            upper: self.zero_threshold,
            lower_inclusive: true,
            upper_inclusive: true,
            count: self.zero_count,
        }
    }

    pub(crate) fn positive_bucket(&self, at: Indexed) -> Bucket {
        let (lower, upper) = (self.upper_bound(at.index - 1), self.upper_bound(at.index));
        let lower_inclusive = lower == f64::NEG_INFINITY;
        Bucket { lower, upper, lower_inclusive, upper_inclusive: true, count: at.count }
    }

    pub(crate) fn negative_bucket(&self, at: Indexed) -> Bucket {
        let (lower, upper) = (-self.upper_bound(at.index), -self.upper_bound(at.index - 1));
        Bucket { lower, upper, lower_inclusive: true, upper_inclusive: false, count: at.count }
    }

    fn upper_bound(&self, index: i32) -> f64 {
        match &self.layout {
            Layout::Exponential { schema } => exponential_bound(index, *schema),
            Layout::Custom { .. } if index < 0 => f64::NEG_INFINITY,
            Layout::Custom { bounds } => bounds.get(index as usize).copied().unwrap_or(f64::INFINITY),
        }
    }
}

/// Adds to the bucket at `index`, in its place in the ascending list.
pub(crate) fn add_at(buckets: &mut Vec<Indexed>, index: i32, count: f64) {
    match buckets.binary_search_by_key(&index, |bucket| bucket.index) {
        Ok(at) => buckets[at].count += count,
        Err(at) => buckets.insert(at, Indexed { index, count }),
    }
}

/// Upper bound of exponential bucket `index`: `2^(index / 2^schema)`. The last finite bucket ends at the
/// greatest finite number, so that only +Inf itself lies above.
pub fn exponential_bound(index: i32, schema: i32) -> f64 {
    let bound = if schema < 0 {
        2_f64.powi(index.saturating_mul(1 << -schema))
    } else {
        let (whole, part) = (index >> schema, index & ((1 << schema) - 1));
        let fraction = f64::from(part) / f64::from(1 << schema);
        fraction.exp2() * 2_f64.powi(whole)
    };
    let exponent = f64::from(index) * 2_f64.powi(-schema);
    if bound.is_infinite() && exponent == 1024.0 { f64::MAX } else { bound }
}

/// Index of the exponential bucket that holds `value`, which is above zero.
fn index_of(value: f64, schema: i32) -> i32 {
    let mut index = (value.log2() * 2_f64.powi(schema)).ceil() as i32;
    // The logarithm may be off by its last digit, so the bounds decide.
    while exponential_bound(index - 1, schema) >= value {
        index -= 1;
    }
    while exponential_bound(index, schema) < value {
        index += 1;
    }
    index
}

/// `[-2,-1):3`, as Prometheus prints a bucket.
impl fmt::Display for Bucket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = if self.lower_inclusive { '[' } else { '(' };
        let close = if self.upper_inclusive { ']' } else { ')' };
        write!(formatter, "{open}{},{}{close}:{}", general(self.lower), general(self.upper), general(self.count))
    }
}

/// `{count:3, sum:4.5, (1,2]:3}`: what `count_values` makes of a histogram.
impl fmt::Display for Histogram {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{{count:{}, sum:{}", general(self.count), general(self.sum))?;
        for bucket in self.buckets() {
            write!(formatter, ", {bucket}")?;
        }
        formatter.write_str("}")
    }
}

#[cfg(test)]
mod tests;

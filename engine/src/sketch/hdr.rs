//! HDR histogram: counts by bucket, with a relative error fixed by its significant digits.
//!
//! One layout per column: lowest discernible value 1, growing upward without limit, so any two
//! histograms of a column merge exactly. Few distinct buckets are kept as a sorted list, many as an
//! array; which of the two is in use never shows in the result. Layout and bucket arithmetic follow
//! HdrHistogram (Gil Tene); [`super::hdr_v2`] has the bytes that its other implementations read.

use super::SketchError;

/// Largest value with a bucket: what the reference implementations can hold.
pub const VALUE_MAX: u64 = i64::MAX as u64;

/// From this many distinct buckets on, an array is smaller or faster than the list.
const DENSE_FROM_BUCKETS: usize = 96;

/// Bucket arithmetic for a number of significant digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub digits: u8,
    /// log2 of half the sub-buckets.
    half_magnitude: u8,
}

impl Layout {
    pub fn new(digits: u8) -> Result<Self, SketchError> {
        // The smallest power of two of sub-buckets that resolves 2 × 10^digits: 32, 256, 2048.
        let half_magnitude = match digits {
            1 => 4,
            2 => 7,
            3 => 10,
            other => return Err(SketchError::Digits(other)),
        };
        Ok(Self { digits, half_magnitude })
    }

    /// Index of the bucket that counts `value`.
    #[inline]
    pub fn index_of(self, value: u64) -> usize {
        let sub_mask = (2u64 << self.half_magnitude) - 1;
        let exponent = 63 - u64::from((value | sub_mask).leading_zeros()) - u64::from(self.half_magnitude);
        let sub = value >> exponent;
        (((exponent + 1) << self.half_magnitude) + sub - (1 << self.half_magnitude)) as usize
    }

    /// Largest value that falls into the same bucket as the values of `index`.
    pub fn highest_equivalent(self, index: usize) -> u64 {
        let half = 1usize << self.half_magnitude;
        let (exponent, sub) = if index < 2 * half { (0, index) } else { (index / half - 1, index % half + half) };
        let lowest = (sub as u64) << exponent;
        lowest + ((1u64 << exponent) - 1)
    }

    /// Number of buckets needed to count `value` in the reference's array, which grows by doubling.
    pub fn array_len(self, value: u64) -> usize {
        let half = 1usize << self.half_magnitude;
        (self.index_of(value) / half + 1).max(2) * half
    }
}

/// Bits of a count in the list; the index of its bucket is above them.
const COUNT_BITS: u32 = 48;
/// The greatest count in the list; with one beyond it the list goes over to the array.
const LISTED_MAX: u64 = (1 << COUNT_BITS) - 1;

const _: () = assert!(super::hdr_v2::BUCKETS_MAX <= 1 << (u64::BITS - COUNT_BITS));

#[derive(Debug, Clone)]
enum Counts {
    /// Index of the bucket, which 16 bits hold, and count in one word; sorted.
    Sparse(Vec<u64>),
    /// Indexed by bucket.
    Dense(Vec<u64>),
}

/// Counts of non-negative integers by bucket. See the module page.
#[derive(Debug, Clone)]
pub struct HdrSketch {
    layout: Layout,
    counts: Counts,
    total: u64,
}

impl HdrSketch {
    /// An empty histogram of 1 to 3 significant digits; other numbers are brought into that range.
    pub fn new(digits: u8) -> Self {
        let digits = digits.clamp(1, 3);
        let half_magnitude = [4, 7, 10][usize::from(digits) - 1];
        Self::with_layout(Layout { digits, half_magnitude })
    }

    pub(super) fn with_layout(layout: Layout) -> Self {
        Self { layout, counts: Counts::Sparse(Vec::new()), total: 0 }
    }

    /// Significant decimal digits kept.
    pub fn digits(&self) -> u8 {
        self.layout.digits
    }

    pub(super) fn layout(&self) -> Layout {
        self.layout
    }

    /// Number of values counted.
    pub fn count(&self) -> u64 {
        self.total
    }

    /// Counts `value` `count` times. Values above [`VALUE_MAX`] count as that.
    #[inline]
    pub fn record_n(&mut self, value: u64, count: u64) {
        self.add(self.layout.index_of(value.min(VALUE_MAX)), count);
    }

    #[inline]
    pub(super) fn add(&mut self, index: usize, count: u64) {
        self.total = self.total.saturating_add(count);
        match &mut self.counts {
            Counts::Dense(array) => {
                if index >= array.len() {
                    array.resize(index + 1, 0);
                }
                array[index] = array[index].saturating_add(count);
            }
            Counts::Sparse(list) => {
                let place = list.binary_search_by_key(&(index as u64), |&word| word >> COUNT_BITS);
                let listed = place.map_or(0, |at| list[at] & LISTED_MAX);
                let word = match listed.checked_add(count) {
                    Some(sum) if sum <= LISTED_MAX => ((index as u64) << COUNT_BITS) | sum,
                    _ => return self.add_to_array(index, count),
                };
                match place {
                    Ok(at) => list[at] = word,
                    Err(at) => {
                        list.insert(at, word);
                        if list.len() >= DENSE_FROM_BUCKETS {
                            self.make_dense();
                        }
                    }
                }
            }
        }
    }

    /// Adds a count that the list has no bits for.
    #[cold]
    fn add_to_array(&mut self, index: usize, count: u64) {
        let length = self.buckets().last().map_or(0, |(last, _)| last).max(index) + 1;
        let mut array = vec![0u64; length];
        self.buckets().for_each(|(index, count)| array[index] = count);
        array[index] = array[index].saturating_add(count);
        self.counts = Counts::Dense(array);
    }

    /// Goes over to the array, unless the values lie so far apart that the list stays smaller.
    fn make_dense(&mut self) {
        let Counts::Sparse(list) = &self.counts else { return };
        let Some(last) = list.last().map(|&word| bucket(word).0) else { return };
        if last + 1 > list.len() * 16 {
            return;
        }
        let mut array = vec![0; last + 1];
        for (index, count) in list.iter().copied().map(bucket) {
            array[index] = count;
        }
        self.counts = Counts::Dense(array);
    }

    /// Buckets with a count, by ascending value.
    pub fn buckets(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        let (list, array) = match &self.counts {
            Counts::Sparse(list) => (list.as_slice(), [].as_slice()),
            Counts::Dense(array) => ([].as_slice(), array.as_slice()),
        };
        list.iter().copied().map(bucket).chain(array.iter().copied().enumerate()).filter(|&(_, count)| count > 0)
    }

    /// Lowest and highest value and count of every bucket with a count, by ascending value.
    pub fn bounded_buckets(&self) -> impl Iterator<Item = (u64, u64, u64)> + '_ {
        self.buckets().map(|(index, count)| {
            let lowest = index.checked_sub(1).map_or(0, |below| self.layout.highest_equivalent(below) + 1);
            (lowest, self.layout.highest_equivalent(index), count)
        })
    }

    /// Adds all counts of `other`.
    pub fn merge(&mut self, other: &Self) -> Result<(), SketchError> {
        if self.layout != other.layout {
            return Err(SketchError::Layout(self.digits(), other.digits()));
        }
        for (index, count) in other.buckets() {
            self.add(index, count);
        }
        Ok(())
    }

    /// Value at rank ⌈q·n⌉ (rank 1 for q = 0): the largest value of its bucket, so at most
    /// 10^-digits above the exact order statistic and never below. `None` when nothing was counted.
    pub fn quantile(&self, q: f64) -> Option<u64> {
        if self.total == 0 || q.is_nan() {
            return None;
        }
        // The product may come out a hair above an integer it should equal; HdrHistogram guards the
        // same way, by taking the percentile one ulp lower.
        let exact = q.clamp(0.0, 1.0) * self.total as f64;
        let rank = (exact.next_down().ceil().max(1.0) as u64).min(self.total);
        let mut seen = 0u64;
        self.buckets().find_map(|(index, count)| {
            seen = seen.saturating_add(count);
            (seen >= rank).then(|| self.layout.highest_equivalent(index))
        })
    }

    /// How many values were at most `value`, or fell into its bucket: none is missing, and none counted
    /// is more than 10^-digits above `value`.
    pub fn count_at_or_below(&self, value: u64) -> u64 {
        let last = self.layout.index_of(value.min(VALUE_MAX));
        self.buckets().take_while(|&(index, _)| index <= last).fold(0, |sum, (_, count)| sum.saturating_add(count))
    }

    /// Heap and inline bytes in use.
    pub fn size_bytes(&self) -> usize {
        size_of::<Self>()
            + match &self.counts {
                Counts::Sparse(list) => list.capacity() * size_of::<u64>(),
                Counts::Dense(array) => array.capacity() * size_of::<u64>(),
            }
    }
}

/// Index and count of a word of the list.
fn bucket(word: u64) -> (usize, u64) {
    ((word >> COUNT_BITS) as usize, word & LISTED_MAX)
}

#[cfg(test)]
mod tests;

//! Native histograms as samples: the numbers of Prometheus' `histogram.proto` in as few bytes as they need.

use super::varint::{Reader, put, put_signed};
use crate::sketch::SketchError;

/// First byte. Nine bytes at least follow, so that no histogram is as short as a float.
const VERSION: u8 = 1;
/// All counts are whole numbers, written as such.
const WHOLE: u8 = 8;
/// Schema of histograms with bounds of their own.
pub const SCHEMA_CUSTOM: i32 = -53;
/// Up to here every integer is a float.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// What the sender knows about a counter reset before the histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ResetHint {
    /// Nothing.
    #[default]
    Unknown,
    /// The counter began anew.
    Reset,
    /// The counter went on.
    NotReset,
    /// It is no counter.
    Gauge,
}

/// A native histogram. Counts are those of each bucket, not cumulative.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NativeHistogram {
    /// −4 to 8: bucket *i* ends at 2^(i·2^−schema), inclusive; [`SCHEMA_CUSTOM`]: at `bounds[i]`.
    pub schema: i32,
    /// Hint.
    pub reset: ResetHint,
    /// All observations.
    pub count: f64,
    /// Sum of all observed values, bit for bit; the stale NaN where the series ended.
    pub sum: f64,
    /// Half width of the zero bucket.
    pub zero_threshold: f64,
    /// Observations in it.
    pub zero_count: f64,
    /// Index and count, ascending.
    pub positive: Vec<(i32, f64)>,
    /// Index by distance from zero and count, ascending.
    pub negative: Vec<(i32, f64)>,
    /// Upper bounds of [`SCHEMA_CUSTOM`], ascending, inclusive, without +Inf.
    pub bounds: Vec<f64>,
}

impl NativeHistogram {
    /// Canonical bytes: equal numbers, equal bytes. See FORMAT.md, "Samples".
    pub fn to_bytes(&self) -> Vec<u8> {
        let counts = [self.count, self.zero_count].into_iter();
        let mut counts = counts.chain(self.positive.iter().chain(&self.negative).map(|b| b.1));
        let is_whole =
            counts.all(|c| c.to_bits() != (-0.0f64).to_bits() && (0.0..=EXACT_MAX).contains(&c) && c.fract() == 0.0);
        let mut out = Vec::with_capacity(32 + 3 * (self.positive.len() + self.negative.len()));
        out.push(VERSION);
        out.push(self.reset as u8 | if is_whole { WHOLE } else { 0 });
        put_signed(&mut out, i64::from(self.schema));
        out.extend_from_slice(&self.sum.to_le_bytes());
        out.extend_from_slice(&self.zero_threshold.to_le_bytes());
        let put_count = |out: &mut Vec<u8>, count: f64| match is_whole {
            true => put(out, count as u64),
            false => out.extend_from_slice(&count.to_le_bytes()),
        };
        put_count(&mut out, self.count);
        put_count(&mut out, self.zero_count);
        for buckets in [&self.positive, &self.negative] {
            put(&mut out, buckets.len() as u64);
            let mut before = 0i32;
            for &(index, count) in buckets {
                put_signed(&mut out, i64::from(index) - i64::from(before));
                put_count(&mut out, count);
                before = index;
            }
        }
        put(&mut out, self.bounds.len() as u64);
        self.bounds.iter().for_each(|bound| out.extend_from_slice(&bound.to_le_bytes()));
        out
    }

    /// Reads what [`Self::to_bytes`] has written.
    ///
    /// # Errors
    /// The bytes are of another version, damaged or end early.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SketchError> {
        let mut reader = Reader(bytes);
        match reader.byte()? {
            VERSION => {}
            other => return Err(SketchError::Unknown(format!("a histogram sample of version {other}"))),
        }
        let flags = reader.byte()?;
        let reset = match flags & 7 {
            0 => ResetHint::Unknown,
            1 => ResetHint::Reset,
            2 => ResetHint::NotReset,
            3 => ResetHint::Gauge,
            other => return Err(SketchError::Unknown(format!("a histogram sample with reset hint {other}"))),
        };
        let is_whole = flags & WHOLE != 0;
        let narrow = |number: i64| {
            i32::try_from(number).map_err(|_| SketchError::Damaged("a bucket of a histogram sample lies nowhere"))
        };
        let schema = narrow(reader.signed()?)?;
        let (sum, zero_threshold) = (reader.float()?, reader.float()?);
        let count = |reader: &mut Reader<'_>| match is_whole {
            true => reader.number().map(|n| n as f64),
            false => reader.float(),
        };
        let mut histogram = Self { schema, reset, sum, zero_threshold, ..Self::default() };
        histogram.count = count(&mut reader)?;
        histogram.zero_count = count(&mut reader)?;
        for buckets in [&mut histogram.positive, &mut histogram.negative] {
            let (many, mut index) = (reader.count(2)?, 0i64);
            buckets.reserve(many);
            for _ in 0..many {
                index = index.saturating_add(reader.signed()?);
                buckets.push((narrow(index)?, count(&mut reader)?));
            }
            if buckets.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
                return Err(SketchError::Damaged("buckets of a histogram sample do not ascend"));
            }
        }
        for _ in 0..reader.count(8)? {
            histogram.bounds.push(reader.float()?);
        }
        if reader.0.is_empty() {
            Ok(histogram)
        } else {
            Err(SketchError::Damaged("a histogram sample goes on behind its end"))
        }
    }
}

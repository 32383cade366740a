//! Samples of one series in one window: the set of (time → value), merged by union.
//!
//! Of two values for one time the greater one stays: floats in IEEE 754 total order (so that NaN, the mark
//! "the series ended here" among them, does not depend on the order of arrival), any histogram above any
//! float, histograms by their bytes. That makes the union commutative and idempotent: a sample that is sent
//! twice is there once.

mod chunk;
mod histogram;
pub mod metadata;
mod varint;

pub use histogram::{NativeHistogram, ResetHint, SCHEMA_CUSTOM};

use crate::sketch::SketchError;

/// Name of the built-in rollup that holds samples which others push. Its dimensions [`METRIC`] and [`LABELS`]
/// name the series; every other rollup names its series by its dimensions.
pub const SAMPLES: &str = "samples";
/// Dimension of [`SAMPLES`]: name of the metric.
pub const METRIC: &str = "metric";
/// Dimension of [`SAMPLES`]: the other labels as a JSON object of strings, keys ascending, without blanks.
pub const LABELS: &str = "labels";
/// Whose samples they are when the sender does not say. It shows in the column `tenant`, not as a label.
pub const NO_TENANT: &str = "anonymous";

/// Bits of the NaN that says "the series ended here".
pub const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;

/// A set of samples. Times are milliseconds since the Unix epoch.
#[derive(Debug, Default, Clone)]
pub struct SampleSet {
    floats: Vec<(i64, f64)>,
    histograms: Vec<(i64, Box<[u8]>)>,
    /// Whether both lists ascend strictly by time and no time stands in both.
    is_unsorted: bool,
}

impl SampleSet {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads what [`Self::to_bytes`] has written.
    ///
    /// # Errors
    /// The bytes are of another version, damaged or end early.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SketchError> {
        let mut set = Self::new();
        set.merge_bytes(bytes)?;
        Ok(set)
    }

    /// Adds a float, bit for bit.
    pub fn insert(&mut self, time_ms: i64, value: f64) {
        self.is_unsorted |= self.last_ms().is_some_and(|last| last >= time_ms);
        self.floats.push((time_ms, value));
    }

    /// Adds a histogram as [`NativeHistogram::to_bytes`] writes it; the bytes are not looked at.
    pub fn insert_histogram(&mut self, time_ms: i64, bytes: &[u8]) {
        self.is_unsorted |= self.last_ms().is_some_and(|last| last >= time_ms);
        self.histograms.push((time_ms, bytes.into()));
    }

    /// Adds an encoded sample: eight little-endian bytes are a float, anything longer is a histogram.
    ///
    /// # Errors
    /// Shorter bytes are no sample.
    pub fn insert_encoded(&mut self, time_ms: i64, sample: &[u8]) -> Result<(), SketchError> {
        match <[u8; 8]>::try_from(sample) {
            Ok(bits) => self.insert(time_ms, f64::from_le_bytes(bits)),
            Err(_) if sample.len() > 8 => self.insert_histogram(time_ms, sample),
            Err(_) => return Err(SketchError::Truncated("a sample has at least eight bytes")),
        }
        Ok(())
    }

    /// Union with a stored set.
    ///
    /// # Errors
    /// The bytes are of another version, damaged or end early; nothing of them is added then.
    pub fn merge_bytes(&mut self, bytes: &[u8]) -> Result<(), SketchError> {
        let (floats, histograms) = (self.floats.len(), self.histograms.len());
        let last = self.last_ms();
        if let Err(error) = chunk::read(bytes, &mut self.floats, &mut self.histograms) {
            self.floats.truncate(floats);
            self.histograms.truncate(histograms);
            return Err(error);
        }
        let firsts = [self.floats.get(floats).map(|f| f.0), self.histograms.get(histograms).map(|h| h.0)];
        let added_both = firsts.iter().all(Option::is_some);
        let first = firsts.into_iter().flatten().min();
        // Within one stored set no time comes twice; between sets it may.
        self.is_unsorted |= first.zip(last).is_some_and(|(first, last)| first <= last);
        self.is_unsorted |= added_both && last.is_some();
        Ok(())
    }

    /// The set as canonical bytes: equal sets, equal bytes. See FORMAT.md, "Samples".
    pub fn to_bytes(&self) -> Vec<u8> {
        if self.is_unsorted {
            let mut sorted = self.clone();
            sorted.normalize();
            return chunk::write(&sorted.floats, &sorted.histograms);
        }
        chunk::write(&self.floats, &self.histograms)
    }

    /// Sorts by time and leaves one value for each.
    pub fn normalize(&mut self) {
        if !std::mem::take(&mut self.is_unsorted) {
            return;
        }
        self.floats.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| b.1.total_cmp(&a.1)));
        self.floats.dedup_by_key(|f| f.0);
        self.histograms.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| b.1.cmp(&a.1)));
        self.histograms.dedup_by(|later, earlier| later.0 == earlier.0);
        if !self.histograms.is_empty() {
            let histograms = &self.histograms;
            self.floats.retain(|f| histograms.binary_search_by_key(&f.0, |h| h.0).is_err());
        }
    }

    /// Floats by time, once normalized.
    pub fn floats(&self) -> &[(i64, f64)] {
        &self.floats
    }

    /// Histograms by time, once normalized; see [`NativeHistogram::from_bytes`].
    pub fn histograms(&self) -> &[(i64, Box<[u8]>)] {
        &self.histograms
    }

    /// Samples in a stored set, read from its first bytes where it holds floats alone.
    ///
    /// # Errors
    /// The bytes are of another version, damaged or end early.
    pub fn count_of(bytes: &[u8]) -> Result<u64, SketchError> {
        let set = Self::from_bytes(bytes)?;
        Ok((set.floats.len() + set.histograms.len()) as u64)
    }

    /// Is nothing in it?
    pub fn is_empty(&self) -> bool {
        self.floats.is_empty() && self.histograms.is_empty()
    }

    /// Heap bytes in use.
    pub fn size_bytes(&self) -> usize {
        let histograms: usize = self.histograms.iter().map(|h| h.1.len()).sum();
        self.floats.capacity() * size_of::<(i64, f64)>()
            + self.histograms.capacity() * size_of::<(i64, Box<[u8]>)>()
            + histograms
    }

    fn last_ms(&self) -> Option<i64> {
        self.floats.last().map(|f| f.0).max(self.histograms.last().map(|h| h.0))
    }
}

#[cfg(test)]
mod tests;

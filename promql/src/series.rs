//! Samples as they come in: one series is columns of times and values.

use std::fmt;
use std::sync::Arc;

use crate::histogram::Histogram;
use crate::labels::Labels;

/// Bits of the NaN that says "the series has ended here". No calculation gives it.
pub const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The value that says "the series has ended here".
pub const STALE: f64 = f64::from_bits(STALE_BITS);

/// Whether `value` says "the series has ended here".
#[inline]
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_BITS
}

/// A shared, immutable column: a `Vec`, an Arrow buffer, anything that can be seen as a slice.
pub struct Column<T>(Arc<dyn AsRef<[T]> + Send + Sync>);

impl<T> Column<T> {
    /// Wraps whatever holds the values, without copying.
    pub fn new(values: impl AsRef<[T]> + Send + Sync + 'static) -> Column<T> {
        Column(Arc::new(values))
    }

    /// The values.
    pub fn as_slice(&self) -> &[T] {
        (*self.0).as_ref()
    }
}

impl<T> Clone for Column<T> {
    fn clone(&self) -> Column<T> {
        Column(self.0.clone())
    }
}

impl<T: Send + Sync + 'static> From<Vec<T>> for Column<T> {
    fn from(values: Vec<T>) -> Column<T> {
        Column::new(values)
    }
}

impl<T: Send + Sync + 'static> Default for Column<T> {
    fn default() -> Column<T> {
        Column::new(Vec::new())
    }
}

impl<T: fmt::Debug> fmt::Debug for Column<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(formatter)
    }
}

/// A series whose samples are not readings of a counter but what was counted between two of them.
///
/// A storage that counts by windows may give `rate` and `increase` these: they are added up, without
/// extrapolation. For other functions it must give readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Increments {
    /// From this time on the series is there, also where it brings no sample; milliseconds since the epoch.
    pub from_ms: i64,
    /// Whether it counts histograms.
    pub is_histogram: bool,
}

/// One series' samples. Times are milliseconds since the Unix epoch, strictly ascending within each of the
/// two columns; a time stands in one of them only.
#[derive(Debug, Clone)]
pub struct Series {
    /// The name of the metric is the label `__name__`.
    pub labels: Labels,
    /// Times of `floats`.
    pub float_times_ms: Column<i64>,
    /// Floating-point samples; [`STALE`] where the series ended.
    pub floats: Column<f64>,
    /// Times of `histograms`.
    pub histogram_times_ms: Column<i64>,
    /// Histogram samples; a sum of [`STALE`] where the series ended.
    pub histograms: Column<Arc<Histogram>>,
    /// What the samples are, if they are no readings.
    pub counting: Option<Increments>,
}

impl Series {
    /// A series of floats. Times and values have the same length, not checked.
    pub fn floats(labels: Labels, times_ms: impl Into<Column<i64>>, values: impl Into<Column<f64>>) -> Series {
        Series {
            labels,
            float_times_ms: times_ms.into(),
            floats: values.into(),
            histogram_times_ms: Column::default(),
            histograms: Column::default(),
            counting: None,
        }
    }

    /// A series of histograms. Times and values have the same length, not checked.
    pub fn histograms(
        labels: Labels,
        times_ms: impl Into<Column<i64>>,
        values: impl Into<Column<Arc<Histogram>>>,
    ) -> Series {
        Series {
            labels,
            float_times_ms: Column::default(),
            floats: Column::default(),
            histogram_times_ms: times_ms.into(),
            histograms: values.into(),
            counting: None,
        }
    }

    /// The same samples as increments. See [`Increments`].
    #[must_use]
    pub fn counting(self, counting: Increments) -> Series {
        Series { counting: Some(counting), ..self }
    }
}

//! Sums and means of native histograms, over time and over series.

use crate::annotations::Annotations;
use crate::histogram::arithmetic::Incompatible;
use crate::histogram::{CounterReset, Histogram};
use crate::position::Span;

/// A sum of histograms and what there is to say about it.
#[derive(Debug, Clone)]
pub struct Sum {
    pub histogram: Histogram,
    reset_seen: bool,
    no_reset_seen: bool,
    bounds_reconciled: bool,
    /// How many were added; what the incremental mean divides by.
    count: f64,
    /// Whether `histogram` is the mean, because the sum would have been infinite.
    incremental: bool,
    is_mean: bool,
}

impl Sum {
    /// Begins with one histogram. A sum that will be asked for its mean (`is_mean`) avoids infinite totals.
    pub fn new(first: &Histogram, is_mean: bool) -> Sum {
        let mut sum = Sum {
            histogram: first.clone(),
            reset_seen: false,
            no_reset_seen: false,
            bounds_reconciled: false,
            count: 1.0,
            incremental: false,
            is_mean,
        };
        sum.see(first);
        sum
    }

    fn see(&mut self, histogram: &Histogram) {
        match histogram.counter_reset {
            CounterReset::Reset => self.reset_seen = true,
            CounterReset::NotReset => self.no_reset_seen = true,
            CounterReset::Unknown | CounterReset::Gauge => {}
        }
    }

    /// Adds one more.
    ///
    /// # Errors
    /// [`Incompatible`] layouts.
    pub fn add(&mut self, histogram: &Histogram) -> Result<(), Incompatible> {
        self.see(histogram);
        self.count += 1.0;
        if !self.incremental {
            let before = if self.is_mean { Some(self.histogram.clone()) } else { None };
            self.bounds_reconciled |= self.histogram.add(histogram)?.bounds_reconciled;
            let Some(mut before) = before.filter(|_| self.histogram.overflows()) else { return Ok(()) };
            self.incremental = true;
            before.divide(self.count - 1.0);
            self.histogram = before;
        }
        self.histogram.multiply((self.count - 1.0) / self.count);
        let mut share = histogram.clone();
        share.divide(self.count);
        self.bounds_reconciled |= self.histogram.add(&share)?.bounds_reconciled;
        Ok(())
    }

    /// Turns the sum into the mean.
    pub fn into_mean(mut self) -> Sum {
        if !self.incremental {
            self.histogram.divide(self.count);
        }
        self
    }

    /// Says what there is to say.
    pub fn remark(&self, span: Span, annotations: &mut Annotations) {
        if self.reset_seen && self.no_reset_seen {
            annotations.reset_collision("aggregation", span);
        }
        if self.bounds_reconciled {
            annotations.bounds_reconciled("aggregation", span);
        }
    }
}

/// The sum of at least one histogram.
///
/// # Errors
/// [`Incompatible`] layouts, or none at all.
pub fn sum_of<'a>(histograms: impl Iterator<Item = &'a Histogram>) -> Result<Sum, Incompatible> {
    fold(histograms, false)
}

/// The mean of at least one histogram.
///
/// # Errors
/// [`Incompatible`] layouts, or none at all.
pub fn mean_of<'a>(histograms: impl Iterator<Item = &'a Histogram>) -> Result<Sum, Incompatible> {
    fold(histograms, true).map(Sum::into_mean)
}

fn fold<'a>(mut histograms: impl Iterator<Item = &'a Histogram>, is_mean: bool) -> Result<Sum, Incompatible> {
    let mut sum = Sum::new(histograms.next().ok_or(Incompatible)?, is_mean);
    for histogram in histograms {
        sum.add(histogram)?;
    }
    Ok(sum)
}

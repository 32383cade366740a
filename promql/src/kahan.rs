//! Summation that does not lose small terms beside large ones (Kahan, with Neumaier's improvement).

/// Adds `term` to the running `sum`, whose lost low part is `compensation`. The total is given by [`total`].
///
/// The lost part is exact and found without comparing the two (Knuth's TwoSum), so that nothing waits for a
/// branch. An infinite sum makes it meaningless, but then the sum stays infinite or becomes NaN.
#[inline]
pub fn add(term: f64, sum: &mut f64, compensation: &mut f64) {
    let total = *sum + term;
    let added = total - *sum;
    *compensation += (*sum - (total - added)) + (term - added);
    *sum = total;
}

/// The sum of `terms`.
#[inline]
pub fn sum(terms: impl IntoIterator<Item = f64>) -> f64 {
    let (mut sum, mut compensation) = (0.0, 0.0);
    for term in terms {
        add(term, &mut sum, &mut compensation);
    }
    total(sum, compensation)
}

/// What a running sum amounts to.
#[inline]
pub fn total(sum: f64, compensation: f64) -> f64 {
    if sum.is_finite() { sum + compensation } else { sum }
}

/// The mean of `terms`, `None` without any. The sum is divided once at the end; only if it would overflow,
/// the mean is carried along term by term instead.
#[inline]
pub fn mean(terms: &[f64]) -> Option<f64> {
    let (mut sum, mut compensation) = (0.0, 0.0);
    for term in terms {
        add(*term, &mut sum, &mut compensation);
    }
    let count = terms.len() as f64;
    if sum.is_finite() && count > 0.0 {
        return Some(sum / count + compensation / count);
    }
    let mut mean = Mean::default();
    for term in terms {
        mean.add(*term);
    }
    mean.value()
}

/// The population variance of `terms`, NaN without any. Differences are taken from the first term, so that
/// equal terms give exactly zero.
#[inline]
pub fn variance(terms: &[f64]) -> f64 {
    let Some(first) = terms.first() else { return f64::NAN };
    let count = terms.len() as f64;
    let mean = sum(terms.iter().map(|term| term - first)) / count;
    sum(terms.iter().map(|term| (term - first - mean) * (term - first - mean))) / count
}

/// A running mean.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mean {
    count: f64,
    /// The sum, or the mean once `incremental`.
    value: f64,
    compensation: f64,
    incremental: bool,
}

impl Mean {
    /// Takes one more term.
    #[inline]
    pub fn add(&mut self, term: f64) {
        self.count += 1.0;
        if self.count == 1.0 {
            self.value = term;
            return;
        }
        if !self.incremental {
            let (mut sum, mut compensation) = (self.value, self.compensation);
            add(term, &mut sum, &mut compensation);
            if !sum.is_infinite() {
                (self.value, self.compensation) = (sum, compensation);
                return;
            }
            self.incremental = true;
            self.value /= self.count - 1.0;
            self.compensation /= self.count - 1.0;
        }
        let kept = (self.count - 1.0) / self.count;
        self.value *= kept;
        self.compensation *= kept;
        add(term / self.count, &mut self.value, &mut self.compensation);
    }

    /// The mean so far, `None` before the first term.
    #[inline]
    pub fn value(&self) -> Option<f64> {
        if self.count == 0.0 {
            None
        } else if self.incremental {
            Some(total(self.value, self.compensation))
        } else {
            Some(total(self.value / self.count, self.compensation / self.count))
        }
    }
}

#[cfg(test)]
mod tests;

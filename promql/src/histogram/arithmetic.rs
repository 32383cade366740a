//! Adding, subtracting and scaling histograms, whose layouts need not agree.

use std::sync::Arc;

use super::{CounterReset, Histogram, Indexed, Layout, add_at};

/// Why two histograms have no sum: one has exponential buckets and the other custom ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("histograms with exponential and custom buckets cannot be combined")]
pub struct Incompatible;

/// What a caller may want to tell about a sum or difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Combined {
    /// One hint said "reset", the other "not reset".
    pub reset_collision: bool,
    /// Custom bounds differed; only those that both have were kept.
    pub bounds_reconciled: bool,
}

impl Histogram {
    /// Adds `other`. The result has the coarser resolution and the wider zero bucket of the two.
    ///
    /// # Errors
    /// [`Incompatible`] layouts; `self` is then unchanged.
    pub fn add(&mut self, other: &Histogram) -> Result<Combined, Incompatible> {
        self.combine(other, 1.0)
    }

    /// Subtracts `other`, with the same rules as [`Histogram::add`].
    ///
    /// # Errors
    /// [`Incompatible`] layouts; `self` is then unchanged.
    pub fn subtract(&mut self, other: &Histogram) -> Result<Combined, Incompatible> {
        self.combine(other, -1.0)
    }

    fn combine(&mut self, other: &Histogram, sign: f64) -> Result<Combined, Incompatible> {
        let mut combined = Combined::default();
        match (&self.layout, &other.layout) {
            (Layout::Exponential { schema: left }, Layout::Exponential { schema: right }) => {
                let schema = *left.min(right);
                self.reduce(schema);
                self.combine_exponential(other, schema, sign);
            }
            (Layout::Custom { bounds: left }, Layout::Custom { bounds: right }) => {
                if left == right {
                    merge(&mut self.positive, &other.positive, sign);
                } else {
                    combined.bounds_reconciled = true;
                    let common = common_bounds(left, right);
                    self.remap(&common);
                    let mut other = other.clone();
                    other.remap(&common);
                    merge(&mut self.positive, &other.positive, sign);
                }
            }
            _ => return Err(Incompatible),
        }
        combined.reset_collision = self.adopt_hint(other.counter_reset);
        self.count += sign * other.count;
        self.sum += sign * other.sum;
        Ok(combined)
    }

    fn combine_exponential(&mut self, other: &Histogram, schema: i32, sign: f64) {
        if self.zero_threshold == other.zero_threshold && other.schema() == schema {
            self.zero_count += sign * other.zero_count;
            merge(&mut self.positive, &other.positive, sign);
            merge(&mut self.negative, &other.negative, sign);
            return;
        }
        let mut other = other.clone();
        other.reduce(schema);
        while self.zero_threshold != other.zero_threshold {
            if self.zero_threshold < other.zero_threshold {
                self.widen_zero(other.zero_threshold);
            } else {
                other.widen_zero(self.zero_threshold);
            }
        }
        self.zero_count += sign * other.zero_count;
        merge(&mut self.positive, &other.positive, sign);
        merge(&mut self.negative, &other.negative, sign);
    }

    /// Multiplies every count and the sum. A negative factor makes the histogram a gauge.
    pub fn multiply(&mut self, factor: f64) {
        self.scale(factor, |number, factor| number * factor);
    }

    /// Divides every count and the sum. Dividing by zero leaves no buckets, since no bucket can hold what
    /// the division gives.
    pub fn divide(&mut self, divisor: f64) {
        self.scale(divisor, |number, divisor| number / divisor);
        if divisor == 0.0 {
            self.positive.clear();
            self.negative.clear();
        }
    }

    fn scale(&mut self, by: f64, apply: impl Fn(f64, f64) -> f64) {
        self.zero_count = apply(self.zero_count, by);
        self.count = apply(self.count, by);
        self.sum = apply(self.sum, by);
        for bucket in self.positive.iter_mut().chain(&mut self.negative) {
            bucket.count = apply(bucket.count, by);
        }
        if by < 0.0 {
            self.counter_reset = CounterReset::Gauge;
        }
    }

    /// Lowers the resolution to `schema` (no effect when it is that low already, or custom).
    pub fn reduce(&mut self, schema: i32) {
        let Layout::Exponential { schema: own } = self.layout else { return };
        if schema >= own {
            return;
        }
        let shift = (own - schema).min(31);
        for side in [&mut self.positive, &mut self.negative] {
            let mut reduced: Vec<Indexed> = Vec::with_capacity(side.len());
            for bucket in side.iter() {
                let index = ((bucket.index - 1) >> shift) + 1;
                match reduced.last_mut() {
                    Some(last) if last.index == index => last.count += bucket.count,
                    _ => reduced.push(Indexed { index, count: bucket.count }),
                }
            }
            *side = reduced;
        }
        self.layout = Layout::Exponential { schema };
    }

    /// Widens the zero bucket to `threshold`, or further to the end of the populated bucket that
    /// `threshold` falls into.
    pub(super) fn widen_zero(&mut self, threshold: f64) {
        let threshold = self.widened_threshold(threshold);
        let mut absorbed = 0.0;
        let positive = std::mem::take(&mut self.positive);
        let negative = std::mem::take(&mut self.negative);
        for (side, kept) in [(&positive, true), (&negative, false)] {
            for bucket in side {
                // Both sides mirror each other, so the distance from zero is the positive bucket's bound.
                if self.positive_bucket(*bucket).lower < threshold {
                    absorbed += bucket.count;
                } else if kept {
                    self.positive.push(*bucket);
                } else {
                    self.negative.push(*bucket);
                }
            }
        }
        self.zero_count += absorbed;
        self.zero_threshold = threshold;
    }

    fn widened_threshold(&self, mut threshold: f64) -> f64 {
        loop {
            let inside = self.positive.iter().chain(&self.negative).find_map(|bucket| {
                let bounds = self.positive_bucket(*bucket);
                let cut = bounds.lower < threshold && threshold < bounds.upper && bucket.count != 0.0;
                cut.then_some(bounds.upper)
            });
            match inside {
                Some(wider) => threshold = wider,
                None => return threshold,
            }
        }
    }

    /// Moves the observations of a custom layout to `bounds`, a subset of its own.
    pub(super) fn remap(&mut self, bounds: &Arc<[f64]>) {
        let Layout::Custom { bounds: own } = &self.layout else { return };
        let mut moved: Vec<Indexed> = Vec::with_capacity(self.positive.len());
        for bucket in &self.positive {
            let upper = own.get(bucket.index as usize).copied().unwrap_or(f64::INFINITY);
            let index = bounds.partition_point(|bound| *bound < upper) as i32;
            add_at(&mut moved, index, bucket.count);
        }
        self.positive = moved;
        self.layout = Layout::Custom { bounds: bounds.clone() };
    }

    /// Combines the reset hints; whether they contradicted each other.
    fn adopt_hint(&mut self, other: CounterReset) -> bool {
        use CounterReset::{Gauge, NotReset, Reset, Unknown};
        let (hint, collision) = match (self.counter_reset, other) {
            (left, right) if left == right => (left, false),
            (Gauge, _) | (_, Gauge) => (Gauge, false),
            (Unknown, _) | (_, Unknown) => (Unknown, false),
            (Reset | NotReset, _) => (Unknown, true),
        };
        self.counter_reset = hint;
        collision
    }
}

/// The bounds that both lists have.
pub(super) fn common_bounds(left: &[f64], right: &[f64]) -> Arc<[f64]> {
    left.iter().filter(|bound| right.contains(bound)).copied().collect()
}

/// Adds `sign` times the counts of `right`; both lists are ascending.
fn merge(left: &mut Vec<Indexed>, right: &[Indexed], sign: f64) {
    let same_places =
        left.len() == right.len() && left.iter().zip(right).all(|(left, right)| left.index == right.index);
    if same_places {
        for (left, right) in left.iter_mut().zip(right) {
            left.count += sign * right.count;
        }
        return;
    }
    let mut merged = Vec::with_capacity(left.len().max(right.len()));
    let (mut lefts, mut rights) = (left.iter().peekable(), right.iter().peekable());
    loop {
        let index = match (lefts.peek(), rights.peek()) {
            (Some(left), Some(right)) => left.index.min(right.index),
            (Some(left), None) => left.index,
            (None, Some(right)) => right.index,
            (None, None) => break,
        };
        let mut count = 0.0;
        if let Some(left) = lefts.next_if(|left| left.index == index) {
            count += left.count;
        }
        if let Some(right) = rights.next_if(|right| right.index == index) {
            count += sign * right.count;
        }
        merged.push(Indexed { index, count });
    }
    *left = merged;
}

//! Telling whether a counter began anew between two histograms.

use super::arithmetic::common_bounds;
use super::{CounterReset, Histogram, Indexed, Layout};

impl Histogram {
    /// Whether the counter began anew after `previous`. The hint is believed when it says so; otherwise a
    /// count that fell, in any bucket, or a resolution that rose is a reset.
    pub fn is_reset_after(&self, previous: &Histogram) -> bool {
        match self.counter_reset {
            CounterReset::Reset => return true,
            CounterReset::NotReset => return false,
            CounterReset::Unknown | CounterReset::Gauge => {}
        }
        if self.count < previous.count {
            return true;
        }
        match (&self.layout, &previous.layout) {
            (Layout::Custom { bounds: now }, Layout::Custom { bounds: before }) if now == before => {
                fell(&self.positive, &previous.positive)
            }
            (Layout::Custom { bounds: now }, Layout::Custom { bounds: before }) => {
                let common = common_bounds(now, before);
                let (mut left, mut right) = (self.clone(), previous.clone());
                left.remap(&common);
                right.remap(&common);
                fell(&left.positive, &right.positive)
            }
            (Layout::Exponential { schema: now }, Layout::Exponential { schema: before }) => {
                now > before || self.exponential_reset(previous, *now)
            }
            _ => true,
        }
    }

    fn exponential_reset(&self, previous: &Histogram, schema: i32) -> bool {
        if self.zero_threshold < previous.zero_threshold {
            return true;
        }
        if previous.schema() == schema && self.zero_threshold == previous.zero_threshold {
            return self.zero_count < previous.zero_count
                || fell(&self.positive, &previous.positive)
                || fell(&self.negative, &previous.negative);
        }
        let mut previous = previous.clone();
        if self.zero_threshold > previous.zero_threshold {
            previous.widen_zero(self.zero_threshold);
            if previous.zero_threshold != self.zero_threshold {
                // The new threshold cuts through what was a populated bucket: only a new start explains it.
                return true;
            }
        }
        previous.reduce(schema);
        self.zero_count < previous.zero_count
            || fell(&self.positive, &previous.positive)
            || fell(&self.negative, &previous.negative)
    }
}

/// Whether some bucket of `before` holds less `now`.
fn fell(now: &[Indexed], before: &[Indexed]) -> bool {
    let mut now = now.iter().peekable();
    before.iter().any(|before| {
        while now.next_if(|now| now.index < before.index).is_some() {}
        let count = now.peek().filter(|now| now.index == before.index).map_or(0.0, |now| now.count);
        count < before.count
    })
}

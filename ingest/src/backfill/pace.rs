//! How fast a backfill may read.

use std::time::Duration;

/// What is left over from a slow moment is made up for within this time, not more.
const BURST: Duration = Duration::from_millis(200);

/// Lets so many records through per second.
#[derive(Debug)]
pub(super) struct Pace {
    /// Records per second; `None`: as many as there are.
    rate: Option<f64>,
    allowance: f64,
    last: Option<Duration>,
}

impl Pace {
    pub fn new(rate: Option<f64>) -> Self {
        Self { rate, allowance: 0.0, last: None }
    }

    /// How many of `records_max` may be read at `now` (a monotonic time).
    pub fn allowed(&mut self, records_max: usize, now: Duration) -> usize {
        let Some(rate) = self.rate else { return records_max };
        let elapsed = now.saturating_sub(self.last.unwrap_or(now)).as_secs_f64();
        self.last = Some(now);
        // At least one whole record must fit, however slow the pace.
        let most = (rate * BURST.as_secs_f64()).max(1.0);
        self.allowance = (self.allowance + rate * elapsed).min(most);
        records_max.min(self.allowance as usize)
    }

    /// Notes how many were read.
    pub fn used(&mut self, records: usize) {
        self.allowance -= records as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_rate_is_no_limit() {
        assert_eq!(Pace::new(None).allowed(4096, Duration::ZERO), 4096);
    }

    #[test]
    fn so_many_per_second_come_through_and_a_pause_is_not_made_up_for() {
        for rate in [0.5, 100.0, 10_000.0] {
            let mut pace = Pace::new(Some(rate));
            let mut total = 0;
            for tick in 0..2000u64 {
                let now = Duration::from_millis(tick * 10);
                let allowed = pace.allowed(4096, now);
                pace.used(allowed);
                total += allowed;
            }
            let expected = rate * 20.0;
            assert!((total as f64 - expected).abs() <= expected * 0.01 + 1.0, "{total} at {rate}");
            assert!(pace.allowed(100_000, Duration::from_secs(3600)) <= (rate * 0.2).max(1.0) as usize);
        }
    }
}

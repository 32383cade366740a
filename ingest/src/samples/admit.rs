//! How many series a tenant may push in a day. Beyond it new series are refused, for samples of several series
//! folded into one would make no series. Kept in memory: after a restart whoever comes first is admitted.

use std::collections::{HashMap, HashSet};

/// Tenants that are told apart; more are refused.
pub(super) const TENANTS_MAX: usize = 10_000;

/// Series by tenant, of the day that is.
#[derive(Debug)]
pub(super) struct Admitted {
    series_max: usize,
    day: i64,
    tenants: HashMap<String, HashSet<u64>>,
}

impl Admitted {
    /// `series_max` per tenant and day; 0 for no limit.
    pub fn new(series_max: usize) -> Self {
        Self { series_max, day: i64::MIN, tenants: HashMap::new() }
    }

    /// Which of these series (hashes) have room; `day` is the number of the day of arrival, UTC.
    pub fn admit(&mut self, tenant: &str, day: i64, series: impl Iterator<Item = u64>) -> Vec<bool> {
        if self.series_max == 0 {
            return series.map(|_| true).collect();
        }
        if day != self.day {
            self.day = day;
            self.tenants.clear();
        }
        if !self.tenants.contains_key(tenant) {
            if self.tenants.len() >= TENANTS_MAX {
                return series.map(|_| false).collect();
            }
            self.tenants.insert(tenant.to_owned(), HashSet::new());
        }
        let Some(known) = self.tenants.get_mut(tenant) else { return Vec::new() };
        let max = self.series_max;
        series.map(|hash| known.contains(&hash) || (known.len() < max && known.insert(hash))).collect()
    }

    /// Series of all tenants.
    pub fn len(&self) -> usize {
        self.tenants.values().map(HashSet::len).sum()
    }
}

//! Budgets of series: how many combinations of dimensions one tenant may have in one rollup and day.
//!
//! A series that is admitted keeps its name for the day. Beyond the budget, further ones are folded into
//! `__other__`, and the row that takes them counts how many distinct ones it took. Who comes first is a
//! matter of arrival, so the decision is written down with the rows ([`Admissions::take_fresh`]) and a
//! restart goes on from it ([`Admissions::restore`]). One tenant's explosion leaves the others alone.

use crate::time::DAY_US;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::BuildHasherDefault;

/// What stands in for a folded text.
pub const OTHER: &str = "__other__";

/// Days whose admissions are remembered, the newest included; later ones of older days start anew.
pub const DAYS_REMEMBERED: i64 = 3;

/// Admitted series of all rollups of a worker.
#[derive(Debug)]
pub struct Admissions {
    series_max: usize,
    tables: Vec<String>,
    scopes: HashMap<Scope, Admitted>,
    newest_day: i64,
    folded: BTreeMap<usize, u64>,
}

/// Whose budget it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Scope {
    table: usize,
    /// Hash of the tenant's name; 0 for rollups without tenants.
    tenant: u64,
    /// Days since the epoch, UTC, of the window.
    day: i64,
}

#[derive(Debug, Default)]
struct Admitted {
    tenant: Option<String>,
    series: HashSet<u64, BuildHasherDefault<Identity>>,
    fresh: Vec<u64>,
}

/// Series that were admitted since the last commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreshSeries {
    /// The rollup's table.
    pub table: String,
    /// The tenant; `None` for rollups without tenants.
    pub tenant: Option<String>,
    /// Start of the day, microseconds since the epoch.
    pub day_us: i64,
    /// Hashes of the series, ascending.
    pub series: Vec<u64>,
}

/// Series are hashes already.
#[derive(Debug, Default, Clone, Copy)]
struct Identity(u64);

impl std::hash::Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _bytes: &[u8]) {}
    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

impl Admissions {
    /// Nothing admitted yet; `series_max` per tenant, rollup and day, 0 for no limit.
    pub fn new(series_max: usize) -> Self {
        let (tables, scopes, folded) = (Vec::new(), HashMap::new(), BTreeMap::new());
        Self { series_max, tables, scopes, newest_day: i64::MIN, folded }
    }

    /// No limit: for merges of what was decided before.
    pub fn unlimited() -> Self {
        Self::new(0)
    }

    /// The number of a table in calls of [`Self::admit`].
    pub fn table(&mut self, name: &str) -> usize {
        match self.tables.iter().position(|t| t == name) {
            Some(index) => index,
            None => {
                self.tables.push(name.to_owned());
                self.tables.len() - 1
            }
        }
    }

    /// May this series have rows of its own? `tenant_hash` is that of `tenant`, which is asked for only
    /// when the tenant is new. Rows that take folded series (`is_fold`) have as much room again.
    pub fn admit(
        &mut self,
        table: usize,
        (tenant_hash, tenant): (u64, impl FnOnce() -> Option<String>),
        window_us: i64,
        series: u64,
        is_fold: bool,
    ) -> bool {
        if self.series_max == 0 {
            return true;
        }
        let room = if is_fold { self.series_max.saturating_mul(2) } else { self.series_max };
        let day = window_us.div_euclid(DAY_US);
        self.note_day(day);
        let admitted = self
            .scopes
            .entry(Scope { table, tenant: tenant_hash, day })
            .or_insert_with(|| Admitted { tenant: tenant(), ..Admitted::default() });
        if admitted.series.contains(&series) {
            return true;
        }
        if admitted.series.len() >= room {
            return false;
        }
        admitted.series.insert(series);
        admitted.fresh.push(series);
        true
    }

    /// Notes that so many events were folded.
    pub(crate) fn note_folded(&mut self, table: usize, events: u64) {
        *self.folded.entry(table).or_default() += events;
    }

    /// Events folded since the last call, by table.
    pub fn take_folded(&mut self) -> impl Iterator<Item = (&str, u64)> {
        std::mem::take(&mut self.folded).into_iter().map(|(table, events)| (self.tables[table].as_str(), events))
    }

    fn note_day(&mut self, day: i64) {
        if day > self.newest_day {
            self.newest_day = day;
            let oldest = day.saturating_sub(DAYS_REMEMBERED - 1);
            // What is not written down yet must stay until it is.
            self.scopes.retain(|scope, admitted| scope.day >= oldest || !admitted.fresh.is_empty());
        }
    }

    /// What was decided since the last call, to be committed with the rows it led to.
    pub fn take_fresh(&mut self) -> Vec<FreshSeries> {
        let mut fresh: Vec<FreshSeries> = self
            .scopes
            .iter_mut()
            .filter(|(_, admitted)| !admitted.fresh.is_empty())
            .map(|(scope, admitted)| {
                let mut series = std::mem::take(&mut admitted.fresh);
                series.sort_unstable();
                let (table, day_us) = (self.tables[scope.table].clone(), scope.day * DAY_US);
                FreshSeries { table, tenant: admitted.tenant.clone(), day_us, series }
            })
            .collect();
        fresh.sort_by(|a, b| (&a.table, &a.tenant, a.day_us).cmp(&(&b.table, &b.tenant, b.day_us)));
        fresh
    }

    /// Takes over what was decided before, by this worker or another one.
    pub fn restore(&mut self, decided: &FreshSeries) {
        let table = self.table(&decided.table);
        let tenant = decided.tenant.as_deref().map_or(0, tenant_hash);
        let day = decided.day_us.div_euclid(DAY_US);
        self.note_day(day);
        if day > self.newest_day - DAYS_REMEMBERED {
            let admitted = self.scopes.entry(Scope { table, tenant, day }).or_default();
            admitted.tenant = decided.tenant.clone();
            admitted.series.extend(&decided.series);
        }
    }

    /// Forgets everything: before [`Self::restore`] of what is committed.
    pub fn clear(&mut self) {
        self.scopes.clear();
        self.folded.clear();
        self.newest_day = i64::MIN;
    }

    /// Series remembered, all days together.
    pub fn len(&self) -> usize {
        self.scopes.values().map(|a| a.series.len()).sum()
    }

    /// Is nothing remembered?
    pub fn is_empty(&self) -> bool {
        self.scopes.is_empty()
    }

    /// Heap bytes in use.
    pub fn size_bytes(&self) -> usize {
        let of = |a: &Admitted| a.series.capacity() * (size_of::<u64>() + 1) + a.fresh.capacity() * size_of::<u64>();
        self.scopes.values().map(of).sum::<usize>() + self.scopes.capacity() * size_of::<(Scope, Admitted)>()
    }
}

/// The hash by which a tenant's budget is found.
pub(crate) fn tenant_hash(tenant: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(tenant.as_bytes())
}

#[cfg(test)]
mod tests;

//! Asks for a series that has no row yet whether its tenant's budget has room, and folds it otherwise.

use crate::cardinality::Admissions;
use crate::rollup::{DimensionType, RollupPlan};
use crate::series::Interner;
use arrow::array::{Array, AsArray};

/// The number that [`crate::cardinality::OTHER`] has in every interner of texts: it is the first one.
const OTHER_NUMBER: u32 = 1;

pub(super) struct Gate<'a> {
    pub table: usize,
    pub admissions: &'a mut Admissions,
    plan: &'a RollupPlan,
    interners: &'a [Interner],
}

impl<'a> Gate<'a> {
    pub fn new(plan: &'a RollupPlan, interners: &'a [Interner], admissions: &'a mut Admissions) -> Self {
        Self { table: admissions.table(&plan.schema.name), admissions, plan, interners }
    }

    /// Rewrites the key of a series that has no room; returns the hash of the series then.
    pub fn ask(&mut self, window_us: i64, key: &mut [u32]) -> Option<u64> {
        let folding = self.plan.folding.as_ref()?;
        let series = self.hash(key);
        if self.admit(window_us, key, series, false) {
            return None;
        }
        for &dimension in &folding.folded {
            key[dimension] = self.other(dimension);
        }
        let fold = self.hash(key);
        if !self.admit(window_us, key, fold, true) {
            for dimension in (0..key.len()).filter(|&d| folding.tenant != Some(d)) {
                key[dimension] = self.other(dimension);
            }
        }
        Some(series)
    }

    fn admit(&mut self, window_us: i64, key: &[u32], series: u64, is_fold: bool) -> bool {
        let tenant = self.plan.folding.as_ref().and_then(|f| f.tenant).map(|d| (self.interner(d), key[d]));
        let hash = tenant.map_or(0, |(interner, number)| interner.hash_of(number));
        let name = || {
            let (interner, number) = tenant?;
            let column = interner.resolve(std::iter::once(number));
            column.as_string_opt::<i32>().filter(|c| !c.is_empty()).map(|c| c.value(0).to_owned())
        };
        self.admissions.admit(self.table, (hash, name), window_us, series, is_fold)
    }

    fn interner(&self, dimension: usize) -> &'a Interner {
        &self.interners[self.plan.dimensions[dimension]]
    }

    fn other(&self, dimension: usize) -> u32 {
        match self.plan.schema.dimensions[dimension].value {
            DimensionType::Utf8 => OTHER_NUMBER,
            // Numbers and truth values have none to spare.
            _ => 0,
        }
    }

    /// A hash of the values, the same in every process and flush.
    fn hash(&self, key: &[u32]) -> u64 {
        key.iter().enumerate().fold(0, |hash, (dimension, &number)| {
            (hash ^ self.interner(dimension).hash_of(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
        })
    }
}

//! The table `digests`: which events each table has counted, by minute, as numbers that do not depend on
//! their order. A replay of the same events gives the same digests; a missing or doubled event does not.

use super::combine::Branch;
use super::validate::ValidatedMeasure;
use super::{Dimension, DimensionType, Measure, MeasureKind, RollupSchema, options};
use crate::time::MINUTE_US;
use datafusion::logical_expr::ident;
use datafusion::prelude::lit;

/// Name of the table.
pub const DIGESTS: &str = "digests";

/// The envelope column that a digest sums up.
const EVENT_HASH: &str = "event_hash";

/// Per table and minute: how many events were counted into it, and the sum of their hashes.
pub fn digests_schema() -> RollupSchema {
    let measure = |name: &str, kind| Measure { name: name.to_owned(), kind };
    RollupSchema {
        name: DIGESTS.to_owned(),
        sources: Vec::new(),
        pane_us: Some(MINUTE_US),
        dimensions: vec![Dimension { name: "rollup".to_owned(), value: DimensionType::Utf8 }],
        measures: vec![measure("events", MeasureKind::Count), measure("digest", MeasureKind::Sum { scale: 0 })],
        definition: "count and sum of event_hash by rollup".to_owned(),
        tiers: options::default_tiers(MINUTE_US),
        retain_us: None,
    }
}

/// What one branch of a table brings to the digests.
pub(super) fn digest_of(table: &str, branch: &Branch) -> Branch {
    let measure = |arguments| Some(ValidatedMeasure { arguments, filter: None });
    Branch {
        source: branch.source.clone(),
        dimensions: vec![lit(table)],
        measures: vec![measure(Vec::new()), measure(vec![ident(EVENT_HASH)])],
        predicate: branch.predicate.clone(),
        folding: None,
    }
}

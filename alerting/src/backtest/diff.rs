//! What another set of rules would have done differently.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use tidewatch_promql::Labels;

use super::Backtest;
use crate::ledger::{Change, changes};

/// An alert that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The rule's group.
    pub group: String,
    /// The rule's name.
    pub rule: String,
    /// Labels of the alert.
    #[serde(with = "crate::state::label_map")]
    pub labels: Labels,
    /// What differs, seen from the first set of rules.
    pub change: Change,
}

type Key = (String, String, Labels);

fn firings(backtest: &Backtest) -> BTreeMap<Key, Vec<(i64, Option<i64>)>> {
    let mut found: BTreeMap<Key, Vec<(i64, Option<i64>)>> = BTreeMap::new();
    for report in &backtest.rules {
        for interval in &report.intervals {
            if let Some(fired_at_ms) = interval.fired_at_ms {
                let key = (report.group.clone(), report.rule.clone(), interval.labels.clone());
                found.entry(key).or_default().push((fired_at_ms, interval.ended_at_ms));
            }
        }
    }
    found
}

/// What `second` does otherwise than `first`; alerts are the same when group, rule and labels are.
pub fn diff(first: &Backtest, second: &Backtest) -> Vec<Difference> {
    let (old, new) = (firings(first), firings(second));
    let keys: BTreeSet<&Key> = old.keys().chain(new.keys()).collect();
    let none = Vec::new();
    let of = |key: &Key| changes(old.get(key).unwrap_or(&none), new.get(key).unwrap_or(&none));
    keys.into_iter()
        .flat_map(|key| {
            of(key).into_iter().map(move |change| Difference {
                group: key.0.clone(),
                rule: key.1.clone(),
                labels: key.2.clone(),
                change,
            })
        })
        .collect()
}

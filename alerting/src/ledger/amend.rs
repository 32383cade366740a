//! What late data changes: verdicts of the past against verdicts on the data as it is now.
//!
//! An amendment says that something would have been otherwise. It is for the record and for messages already sent to
//! be corrected; it never pages anyone, and nothing here makes an alert.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidewatch_promql::Labels;

use super::Entry;
use crate::state::{Phase, RuleName};

/// What would have been otherwise. Times are milliseconds since the Unix epoch; ends are exclusive, and `None`
/// where the alert still fired at the last instant looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It fired, and would not have.
    WouldNotHaveFired {
        /// When it began to fire.
        fired_at_ms: i64,
        /// When it ended.
        ended_at_ms: Option<i64>,
    },
    /// It did not fire, and should have.
    ShouldHaveFired {
        /// When it should have begun to.
        fired_at_ms: i64,
        /// When it would have ended.
        ended_at_ms: Option<i64>,
    },
    /// It fired, but at another time.
    WouldHaveFiredAt {
        /// When it began to fire.
        fired_at_ms: i64,
        /// When it ended.
        ended_at_ms: Option<i64>,
        /// When it would have begun to.
        amended_fired_at_ms: i64,
        /// When it would have ended.
        amended_ended_at_ms: Option<i64>,
    },
}

/// A correction of the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amendment {
    /// Which rule.
    pub rule: RuleName,
    /// The alert's fingerprint.
    pub fingerprint: String,
    /// The alert's labels.
    #[serde(with = "crate::state::label_map")]
    pub labels: Labels,
    /// What would have been otherwise.
    pub change: Change,
}

/// Compares the verdicts that were taken with those that the same rules give now. Both ledgers hold the decisions
/// from the same instant to the same instant, begun from the same state.
pub fn amend(taken: &[Entry], again: &[Entry]) -> Vec<Amendment> {
    let (then, now) = (intervals(taken), intervals(again));
    let keys: std::collections::BTreeSet<_> = then.keys().chain(now.keys()).cloned().collect();
    let none = Vec::new();
    let mut amendments = Vec::new();
    for key in keys {
        let (rule, labels) = then.get(&key).or(now.get(&key)).map(|found| (found.0.clone(), found.1.clone())).unzip();
        let (Some(rule), Some(labels)) = (rule, labels) else { continue };
        let old = then.get(&key).map_or(&none, |found| &found.2);
        let new = now.get(&key).map_or(&none, |found| &found.2);
        let changes = compare(old, new).into_iter();
        amendments.extend(changes.map(|change| Amendment {
            rule: rule.clone(),
            fingerprint: key.2.clone(),
            labels: labels.clone(),
            change,
        }));
    }
    amendments
}

type Interval = (i64, Option<i64>);
type Key = (String, String, String);

/// When each alert fired.
fn intervals(entries: &[Entry]) -> BTreeMap<Key, (RuleName, Labels, Vec<Interval>)> {
    let mut sorted: Vec<&Entry> = entries.iter().collect();
    sorted.sort_by_key(|entry| entry.time_ms);
    let mut found: BTreeMap<Key, (RuleName, Labels, Vec<Interval>)> = BTreeMap::new();
    for entry in sorted {
        let key = (entry.rule.group.to_string(), entry.rule.rule.to_string(), entry.fingerprint.clone());
        let (_, _, list) = found.entry(key).or_insert_with(|| (entry.rule.clone(), entry.labels.clone(), Vec::new()));
        let is_open = list.last().is_some_and(|interval| interval.1.is_none());
        match (entry.to == Some(Phase::Firing), is_open) {
            (true, false) => list.push((entry.time_ms, None)),
            (false, true) => {
                if let Some(last) = list.last_mut() {
                    last.1 = Some(entry.time_ms);
                }
            }
            _ => {}
        }
    }
    found
}

/// What differs. Two intervals that share an instant are the same alert, moved; one may have become several, and
/// several one.
pub(crate) fn compare(old: &[Interval], new: &[Interval]) -> Vec<Change> {
    let end = |interval: &Interval| interval.1.unwrap_or(i64::MAX);
    let meet = |one: &Interval, other: &Interval| one.0 < end(other) && other.0 < end(one);
    let mut changes = Vec::new();
    for interval in old {
        let (fired_at_ms, ended_at_ms) = *interval;
        let mut is_there = false;
        for other in new.iter().filter(|other| meet(interval, other)) {
            is_there = true;
            if other != interval {
                let (amended_fired_at_ms, amended_ended_at_ms) = *other;
                changes.push(Change::WouldHaveFiredAt {
                    fired_at_ms,
                    ended_at_ms,
                    amended_fired_at_ms,
                    amended_ended_at_ms,
                });
            }
        }
        if !is_there {
            changes.push(Change::WouldNotHaveFired { fired_at_ms, ended_at_ms });
        }
    }
    let missed = new.iter().filter(|other| !old.iter().any(|interval| meet(interval, other)));
    changes.extend(missed.map(|(fired_at_ms, ended_at_ms)| Change::ShouldHaveFired {
        fired_at_ms: *fired_at_ms,
        ended_at_ms: *ended_at_ms,
    }));
    changes
}

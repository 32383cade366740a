//! When each rule, as it is, was evaluated: what fired or did not while nobody looked says nothing about the numbers.

use super::judge::Stretch;
use super::units::Unit;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tidewatch_alerting::rules::group::RuleResult;

/// Stretches that are remembered for each rule; before the oldest it counts as never evaluated.
const GAPS_MAX: usize = 100;

/// When a rule was evaluated. Times are milliseconds since the epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// The first evaluation of the rule as it is; `None`: there was none yet.
    pub since_ms: Option<i64>,
    /// Stretches without, oldest first.
    pub gaps: Vec<Stretch>,
    /// The last evaluation before they stopped or began to fail, unless they go on.
    pub broken_ms: Option<i64>,
}

impl Watch {
    /// Takes an evaluation; says whether there is anything new to write down.
    fn evaluated(&mut self, last_ms: Option<i64>, at_ms: i64, slack_ms: i64) -> bool {
        if self.since_ms.is_none() {
            *self = Self { since_ms: Some(at_ms), ..Self::default() };
            return true;
        }
        let late = last_ms.filter(|last_ms| at_ms.saturating_sub(*last_ms) > slack_ms);
        let Some(from_ms) = self.broken_ms.take().or(late) else { return false };
        self.gaps.push((from_ms, at_ms));
        if self.gaps.len() > GAPS_MAX {
            self.since_ms = Some(self.gaps.remove(0).1);
        }
        true
    }

    /// Takes a failure, or a stop after the evaluation at `last_ms`; says whether there is anything new to write down.
    fn broke(&mut self, last_ms: i64) -> bool {
        let is_new = self.since_ms.is_some() && self.broken_ms.is_none();
        if is_new {
            self.broken_ms = Some(last_ms);
        }
        is_new
    }

    /// When it was not evaluated, those last that go on.
    pub fn unwatched(&self) -> Vec<Stretch> {
        let before = (i64::MIN, self.since_ms.unwrap_or(i64::MAX).saturating_sub(1));
        let broken = self.broken_ms.map(|from_ms| (from_ms, i64::MAX));
        std::iter::once(before).chain(self.gaps.iter().copied()).chain(broken).collect()
    }
}

/// A unit that is watched.
#[derive(Debug)]
struct Watched {
    meaning: u64,
    rules: BTreeMap<usize, Vec<usize>>,
    /// Longest time between two evaluations that is none to speak of, in milliseconds.
    slack_ms: i64,
    /// Last evaluation by book.
    last_ms: HashMap<usize, i64>,
}

/// What is known about the evaluation of all units.
#[derive(Debug, Default)]
pub struct Watches {
    units: Vec<Watched>,
    by_meaning: BTreeMap<u64, Watch>,
}

impl Watches {
    /// What was written down.
    pub fn new(by_meaning: BTreeMap<u64, Watch>) -> Self {
        Self { units: Vec::new(), by_meaning }
    }

    /// Goes on with these units; `last_ms` is the last evaluation of a book. What is no more is forgotten: under a rule
    /// that comes back another time begins. Returns what has changed, `None` for what is forgotten.
    pub fn adopt(
        &mut self,
        units: &[Unit],
        last_ms: impl Fn(usize) -> Option<i64>,
        now_ms: i64,
    ) -> Vec<(u64, Option<Watch>)> {
        let kept: BTreeSet<u64> = units.iter().map(|unit| unit.meaning).collect();
        let mut changes: Vec<(u64, Option<Watch>)> = Vec::new();
        changes
            .extend(self.by_meaning.keys().filter(|meaning| !kept.contains(meaning)).map(|meaning| (*meaning, None)));
        self.by_meaning.retain(|meaning, _| kept.contains(meaning));
        self.units.clear();
        for unit in units {
            let watch = self.by_meaning.entry(unit.meaning).or_default();
            let last: HashMap<usize, i64> =
                unit.watched.keys().filter_map(|place| Some((*place, last_ms(*place)?))).collect();
            // As for pending alerts: a stop of at most an interval is none.
            let stopped_ms = last.values().copied().min();
            let stopped_ms = stopped_ms.filter(|last_ms| now_ms.saturating_sub(*last_ms) > unit.interval_ms);
            if stopped_ms.is_some_and(|stopped_ms| watch.broke(stopped_ms)) {
                changes.push((unit.meaning, Some(watch.clone())));
            }
            self.units.push(Watched {
                meaning: unit.meaning,
                rules: unit.watched.clone(),
                slack_ms: unit.interval_ms.saturating_add(unit.tolerance_ms),
                last_ms: last,
            });
        }
        changes
    }

    /// Takes an evaluation of the book at `place`; returns what has changed.
    pub fn evaluated(&mut self, place: usize, results: &[RuleResult], at_ms: i64) -> Vec<(u64, Watch)> {
        let mut changes = Vec::new();
        for unit in &mut self.units {
            let Some(rules) = unit.rules.get(&place) else { continue };
            let failed = rules.iter().any(|rule| results.get(*rule).is_none_or(|result| result.error.is_some()));
            let last_ms = unit.last_ms.get(&place).copied();
            let watch = self.by_meaning.entry(unit.meaning).or_default();
            let is_new = match failed {
                true => watch.broke(last_ms.unwrap_or(at_ms)),
                false => watch.evaluated(last_ms, at_ms, unit.slack_ms),
            };
            if !failed {
                unit.last_ms.insert(place, at_ms);
            }
            if is_new {
                changes.push((unit.meaning, watch.clone()));
            }
        }
        changes
    }

    /// What is known about a unit.
    pub fn of(&self, meaning: u64) -> Watch {
        self.by_meaning.get(&meaning).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;

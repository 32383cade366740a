//! What counted late, and what of it waits to be looked at.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt::Debug;

/// Stretches of one source that are no further apart are one, in milliseconds.
const MERGE_MS: i64 = 60_000;

/// News of the past: what was counted after its time.
pub trait Late: Debug + Send + Sync {
    /// The stretches in which something was counted late since the last call.
    fn take(&self) -> Vec<LateStretch>;

    /// Whether any of these metrics (`None`: of any name) is made of what `source` brings.
    fn concerns(&self, source: &str, metrics: Option<&BTreeSet<String>>) -> bool;

    /// Whether what these metrics (`None`: of any name) were at a time of the past can be read: of what tells of the
    /// present only, every look back finds nothing, whatever there was. Blocks.
    fn has_past(&self, metrics: Option<&BTreeSet<String>>) -> bool {
        let _ = metrics;
        true
    }
}

/// A stretch of event time, milliseconds since the epoch, that counts otherwise than it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateStretch {
    /// Whose events came late.
    pub source: String,
    /// From here, inclusive.
    pub from_ms: i64,
    /// To here, exclusive.
    pub to_ms: i64,
}

/// Nothing is ever late.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoLate;

impl Late for NoLate {
    fn take(&self) -> Vec<LateStretch> {
        Vec::new()
    }

    fn concerns(&self, _: &str, _: Option<&BTreeSet<String>>) -> bool {
        false
    }
}

/// A stretch that waits to be looked at. Times are milliseconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// What has changed.
    pub stretch: LateStretch,
    /// When the first of it was heard of.
    pub first_ms: i64,
    /// When the last of it was.
    pub last_ms: i64,
    /// Not before this, where some of it was looked at.
    pub again_ms: Option<i64>,
    /// Rules that are still to be looked at, as group and name; `None`: all that read it.
    pub rules: Option<BTreeSet<(String, String)>>,
    /// Times that looking at it failed.
    pub failures: u32,
}

impl Pending {
    /// Key in the store.
    pub fn key(&self) -> String {
        format!("{}\0{:020}", self.stretch.source, self.stretch.from_ms)
    }

    fn touches(&self, other: &LateStretch) -> bool {
        self.stretch.source == other.source
            && other.from_ms <= self.stretch.to_ms.saturating_add(MERGE_MS)
            && self.stretch.from_ms <= other.to_ms.saturating_add(MERGE_MS)
    }

    /// When it is to be looked at.
    pub fn due_ms(&self, settings: &super::AmendSettings) -> i64 {
        self.again_ms.unwrap_or_else(|| {
            let quiet_ms = self.last_ms.saturating_add(settings.delay_ms);
            quiet_ms.min(self.first_ms.saturating_add(settings.wait_max_ms))
        })
    }
}

/// What waits, and what was not taken.
#[derive(Debug, Default)]
pub struct Queue {
    /// No two of one source touch each other.
    pub pending: Vec<Pending>,
}

/// A stretch that was taken in, for itself or as part of others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// Keys of those that it was joined with.
    pub joined: Vec<String>,
    /// What waits now.
    pub now: Pending,
    /// What had to go at the bound.
    pub dropped: Option<Pending>,
}

impl Queue {
    /// Takes a stretch in that was heard of at `now_ms`; `None`: it lies too far back.
    pub fn note(&mut self, stretch: LateStretch, now_ms: i64, settings: &super::AmendSettings) -> Option<Noted> {
        if stretch.to_ms < now_ms.saturating_sub(settings.age_max_ms) {
            return None;
        }
        let joins = |one: &mut Pending| one.touches(&stretch);
        let joined: Vec<Pending> = self.pending.extract_if(.., joins).collect();
        let ends = joined.iter().map(|one| &one.stretch);
        let now = Pending {
            stretch: LateStretch {
                from_ms: ends
                    .clone()
                    .map(|one| one.from_ms)
                    .min()
                    .map_or(stretch.from_ms, |ms| ms.min(stretch.from_ms)),
                to_ms: ends.map(|one| one.to_ms).max().map_or(stretch.to_ms, |ms| ms.max(stretch.to_ms)),
                source: stretch.source,
            },
            // What was looked at once begins anew.
            first_ms: joined
                .iter()
                .filter(|one| one.again_ms.is_none())
                .map(|one| one.first_ms)
                .min()
                .unwrap_or(now_ms),
            last_ms: now_ms,
            again_ms: None,
            rules: None,
            failures: 0,
        };
        let oldest = || self.pending.iter().enumerate().min_by_key(|(_, one)| one.first_ms).map(|(at, _)| at);
        let at_bound = self.pending.len() >= settings.stretches_max.max(1);
        let dropped = at_bound.then(oldest).flatten().map(|at| self.pending.remove(at));
        self.pending.push(now.clone());
        Some(Noted { joined: joined.iter().map(Pending::key).collect(), now, dropped })
    }

    /// Those that are due at `now_ms`.
    pub fn due(&self, now_ms: i64, settings: &super::AmendSettings) -> Vec<Pending> {
        self.pending.iter().filter(|one| one.due_ms(settings) <= now_ms).cloned().collect()
    }

    /// Replaces what was looked at, unless more came late meanwhile: by what is left of it, or by nothing. Says whether
    /// it did.
    pub fn settle(&mut self, looked_at: &Pending, left: Option<Pending>) -> bool {
        let Some(at) = self.pending.iter().position(|one| one == looked_at) else { return false };
        match left {
            Some(left) => self.pending[at] = left,
            None => _ = self.pending.remove(at),
        }
        true
    }
}

#[cfg(test)]
mod tests;

//! Which events a table does not have, and in which jobs they are filled in. No I/O.
//!
//! A rollup that is defined later begins where the other tables stand, and so does a measure that is
//! added later. What lies before is a gap: the offsets up to where it *begins*, less those that are
//! *filled* already. A job fills gaps of one table beside the live path, which never hears of it.
//!
//! ```text
//! partition   0 ········ filled ──────── begins ━━━━━━━━ offset ─▶
//!               a job has    a job is to     the live path has
//! ```
//!
//! A measure with a beginning of its own is filled by its own job over its own gap. The rollup's job
//! leaves it alone, so that no event is counted twice, in whatever order rollup and measures came.

use crate::commit::{BEFORE_FIRST, TopicPartition};
use crate::time::window_start;
use std::collections::{BTreeMap, BTreeSet};

/// What begins later than its table's partitions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// All measures, but for those with a beginning of their own.
    Rollup,
    /// One measure that was added later.
    Measure(String),
    /// What the table of digests notes of one rollup's events. It begins where the rollup does and is
    /// filled with it.
    Digest(String),
}

/// Everything that a table records about offsets, at one version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    /// Last offset that the live path has covered.
    pub offsets: BTreeMap<TopicPartition, i64>,
    /// Watermarks of the live path, microseconds since the epoch.
    pub watermarks: BTreeMap<TopicPartition, i64>,
    /// Last offset that the live path has *not* counted, because the scope came later.
    pub begins: BTreeMap<Scope, BTreeMap<TopicPartition, i64>>,
    /// Last offset that backfills have covered.
    pub filled: BTreeMap<Scope, BTreeMap<TopicPartition, i64>>,
    /// Exclusive bound of the event times before the beginnings, microseconds since the epoch; `None` when
    /// nothing began later.
    pub begins_time_us: Option<i64>,
}

/// Where something that is defined later begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Start {
    /// Last offset that it will not count, per partition.
    pub positions: BTreeMap<TopicPartition, i64>,
    /// Newest watermark of these partitions, microseconds since the epoch.
    pub watermark_us: Option<i64>,
    /// How far events may lie beyond a watermark, microseconds.
    pub disorder_us: i64,
}

/// What is still to be filled, for readers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfilled {
    /// Windows that start before it may lack events, microseconds since the epoch.
    pub until_us: i64,
    /// What is missing and how it is filled.
    pub reason: String,
}

/// Offsets `(from, to]` of a partition that a scope does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The partition.
    pub partition: TopicPartition,
    /// Last offset filled; [`BEFORE_FIRST`] when no backfill has begun.
    pub from: i64,
    /// Last offset to fill.
    pub to: i64,
}

/// Scopes that lack the same offsets, and so are filled in one go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// What is filled: the rollup alone, or measures.
    pub scopes: Vec<Scope>,
    /// Where; at least one.
    pub gaps: Vec<Gap>,
}

impl Records {
    /// What a scope does not have.
    pub fn gaps(&self, scope: &Scope) -> Vec<Gap> {
        let filled = |p| self.filled.get(scope).and_then(|f| f.get(p)).copied().unwrap_or(BEFORE_FIRST);
        let begins = self.begins.get(scope).into_iter().flatten();
        let gaps = begins.map(|(p, &to)| Gap { partition: p.clone(), from: filled(p), to });
        gaps.filter(|gap| gap.from < gap.to).collect()
    }

    /// What readers of the table must know of its gaps; `None` when it has none.
    pub fn unfilled(&self, table: &str) -> Option<Unfilled> {
        let jobs = self.jobs(None, |_| true);
        let measures: Vec<&str> = jobs.iter().flat_map(|job| job.measures()).collect();
        let lacking = match jobs.first()?.scopes.contains(&Scope::Rollup) {
            true => table.to_owned(),
            false => format!("{} of {table}", measures.join(", ")),
        };
        // Jobs may lack the same offsets; what is missing most is told.
        let offsets = |job: &Job| job.gaps.iter().map(|gap| gap.to - gap.from).sum::<i64>();
        let most = jobs.iter().map(offsets).max().unwrap_or(0);
        Some(Unfilled {
            until_us: self.begins_time_us.unwrap_or(i64::MAX),
            reason: format!("{lacking} began later: `tidewatch backfill --rollup {table}` fills {most} offsets"),
        })
    }

    /// The bound of event times after something else begins as well: gaps that are there keep theirs.
    pub fn begins_time_with(&self, bound_us: i64) -> i64 {
        match self.jobs(None, |_| true).is_empty() {
            true => bound_us,
            false => self.begins_time_us.map_or(bound_us, |known| known.max(bound_us)),
        }
    }

    /// Measures that have a beginning of their own.
    pub fn late_measures(&self) -> BTreeSet<&str> {
        let measures = self.begins.keys().filter_map(|scope| match scope {
            Scope::Measure(name) => Some(name.as_str()),
            Scope::Rollup | Scope::Digest(_) => None,
        });
        measures.collect()
    }

    /// The jobs that close the gaps of some partitions: of the rollup and of every measure, or of one
    /// measure alone. The rollup's job comes first.
    pub fn jobs(&self, measure: Option<&str>, is_wanted: impl Fn(&TopicPartition) -> bool) -> Vec<Job> {
        let mut jobs: Vec<Job> = Vec::new();
        let is_named = |scope: &Scope| measure.is_none_or(|m| *scope == Scope::Measure(m.to_owned()));
        for scope in self.begins.keys().filter(|s| is_named(s)) {
            let gaps: Vec<Gap> = self.gaps(scope).into_iter().filter(|g| is_wanted(&g.partition)).collect();
            if gaps.is_empty() {
                continue;
            }
            match jobs.iter_mut().find(|j| *scope != Scope::Rollup && j.scopes[0] != Scope::Rollup && j.gaps == gaps) {
                Some(job) => job.scopes.push(scope.clone()),
                None => jobs.push(Job { scopes: vec![scope.clone()], gaps }),
            }
        }
        jobs
    }
}

impl Start {
    /// Exclusive bound of the event times that lie before it, microseconds since the epoch; `None` while no
    /// event is known.
    pub fn event_time_us(&self) -> Option<i64> {
        self.watermark_us.map(|watermark| event_time_bound_us(watermark, self.disorder_us))
    }
}

/// The first event time that nothing before a watermark has reached, microseconds since the epoch.
pub fn event_time_bound_us(watermark_us: i64, disorder_us: i64) -> i64 {
    watermark_us.saturating_add(disorder_us).saturating_add(1)
}

impl Job {
    /// Measures that are filled by themselves.
    pub fn measures(&self) -> impl Iterator<Item = &str> {
        self.scopes.iter().filter_map(|scope| match scope {
            Scope::Measure(name) => Some(name.as_str()),
            Scope::Rollup | Scope::Digest(_) => None,
        })
    }

    /// Does the job set this measure of its table?
    pub fn fills(&self, measure: &str, late_measures: &BTreeSet<&str>) -> bool {
        self.scopes.iter().any(|scope| match scope {
            Scope::Rollup => !late_measures.contains(measure),
            Scope::Measure(name) => name == measure,
            Scope::Digest(_) => false,
        })
    }
}

/// What a partition still holds, as the broker or the file tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retained {
    /// First offset that exists.
    pub first: i64,
    /// Offset that the next record will get.
    pub end: i64,
}

/// The offsets `(from, to]` that a job reads of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The partition.
    pub partition: TopicPartition,
    /// Offset before the first one that is read.
    pub from: i64,
    /// Last offset that is read.
    pub to: i64,
    /// From after this offset on, `from` at most, records are read for their ids alone: events that were
    /// filled before may have copies in what is to be filled.
    pub ids_from: i64,
    /// Offsets of the gap that do not exist any more.
    pub deleted: i64,
}

impl Span {
    /// How much of a gap can be read. `start` is the first offset that is asked for; only a job that has
    /// not begun yet listens to it. `None`: the partition ends before the gap does, so it is another one.
    pub fn of(gap: &Gap, retained: Retained, start: Option<i64>) -> Option<Self> {
        if gap.to >= retained.end {
            return None;
        }
        let wanted = match start {
            Some(start) if gap.from == BEFORE_FIRST => start.max(0),
            _ => gap.from + 1,
        };
        let deleted = (retained.first.min(gap.to + 1) - wanted).max(0);
        let from = (wanted.max(retained.first) - 1).clamp(gap.from, gap.to);
        Some(Self { partition: gap.partition.clone(), from, to: gap.to, ids_from: from, deleted })
    }

    /// The same, with the ids of the records after `offset` remembered.
    pub fn with_ids_from(self, offset: i64) -> Self {
        Self { ids_from: offset.clamp(BEFORE_FIRST, self.from), ..self }
    }

    /// Offsets to fill.
    pub fn len(&self) -> i64 {
        self.to - self.from
    }

    /// Is there nothing to read?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The first window of which every event was read, when partitions had lost their beginning: the one after
/// the newest of their first event times, for events come up to `disorder_us` late. Microseconds.
pub fn whole_from(first_event_times_us: &[i64], disorder_us: i64, pane_us: Option<i64>) -> Option<i64> {
    let safe = first_event_times_us.iter().max()?.saturating_add(disorder_us);
    let Some(pane_us) = pane_us else { return Some(safe) };
    let start = window_start(safe, pane_us);
    Some(if start == safe { safe } else { start.saturating_add(pane_us) })
}

#[cfg(test)]
mod tests;

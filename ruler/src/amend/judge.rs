//! What of the record would have been otherwise, given what the rules find now. Pure.
//!
//! A look back is not the same as having been there: it sees closed windows only, so that an alert comes up to a window
//! later, and it looks at other instants. What differs by less than the tolerance is therefore no difference, and a
//! rule is looked at on two grids of instants: the record stands when either of them confirms it, and something was
//! missed only where both find it.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Labels of an alert, without those of this server.
pub type Labels = BTreeMap<String, String>;

/// A stretch of time, milliseconds since the epoch, both ends inclusive.
pub type Stretch = (i64, i64);

/// A time that an alert fired. Milliseconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firing {
    /// The alert's labels.
    pub labels: Labels,
    /// Since when its condition held; `i64::MIN` where nobody knows.
    pub active_ms: i64,
    /// When it began to fire; `i64::MIN` where nobody knows.
    pub fired_ms: i64,
    /// When it ended, exclusive; `None`: it goes on.
    pub ended_ms: Option<i64>,
}

impl Firing {
    fn end(&self) -> i64 {
        self.ended_ms.unwrap_or(i64::MAX)
    }

    /// Whether two of them have an instant in common, give or take.
    fn meets(&self, other: &Self, tolerance_ms: i64) -> bool {
        self.fired_ms < other.end().saturating_add(tolerance_ms)
            && other.fired_ms < self.end().saturating_add(tolerance_ms)
    }

    /// Whether it was going on in one of them. What ends as one begins is over.
    fn lies_in(&self, stretches: &[Stretch]) -> bool {
        stretches.iter().any(|(from, to)| self.active_ms.min(self.fired_ms) <= *to && *from < self.end())
    }
}

/// What is held to be true of a time that an alert fired, or did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It fired, rightly.
    Stands,
    /// It fired, and would not have.
    WouldNotHaveFired,
    /// It fired, and would have at another time.
    WouldHaveFiredAt {
        /// When it would have begun to.
        fired_ms: i64,
        /// When it would have ended; `None`: no other time is known.
        ended_ms: Option<i64>,
    },
    /// It did not fire, and should have.
    ShouldHaveFired,
    /// It did not fire, rightly, though another verdict was given before.
    RightlySilent,
}

/// A verdict that was written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The rule's group.
    pub group: String,
    /// The rule's name.
    pub rule: String,
    /// The alert's labels.
    pub labels: Labels,
    /// The alert's fingerprint, as the API shows it.
    pub alert: String,
    /// When it began to fire, or should have, milliseconds since the epoch.
    pub fired_ms: i64,
    /// When that ended.
    pub ended_ms: Option<i64>,
    /// The verdict.
    pub verdict: Verdict,
    /// When it was given, milliseconds since the epoch.
    pub at_ms: i64,
    /// How many verdicts were given about it.
    pub turn: u32,
    /// Whether messages speak of it, of this verdict or of one before that it takes back.
    pub is_told: bool,
}

/// What is compared.
#[derive(Debug, Clone, Copy)]
pub struct Looked<'a> {
    /// What fired, by the record.
    pub taken: &'a [Firing],
    /// What fires when the rule is run again, on each grid of instants; the first grid is that of the rule's group.
    pub again: &'a [Vec<Firing>],
    /// The last verdicts that were given about the rule's alerts.
    pub said: &'a [Said],
    /// Only alerts that began to fire in here are judged.
    pub zone: Stretch,
    /// First instant of the look back, milliseconds since the epoch.
    pub start_ms: i64,
    /// Last instant of the look back.
    pub end_ms: i64,
    /// When the rule, as it is, was not evaluated: what fired meanwhile is not judged.
    pub unwatched: &'a [Stretch],
    /// What differs by no more is the same.
    pub tolerance_ms: i64,
}

/// A verdict that is new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The alert's labels.
    pub labels: Labels,
    /// When it began to fire, or should have, milliseconds since the epoch.
    pub fired_ms: i64,
    /// When that ended.
    pub ended_ms: Option<i64>,
    /// The verdict.
    pub verdict: Verdict,
    /// How many verdicts this makes.
    pub turn: u32,
    /// Whether messages speak of it, or have to: of this verdict, or of one before that it takes back.
    pub is_told: bool,
}

/// What came out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judged {
    /// New verdicts.
    pub findings: Vec<Finding>,
    /// Some alert had not ended: it can be judged when it has.
    pub is_open: bool,
}

/// Judges everything that began to fire in the zone.
pub fn judge(looked: &Looked<'_>) -> Judged {
    let mut labels: BTreeSet<&Labels> = looked.taken.iter().map(|one| &one.labels).collect();
    labels.extend(looked.again.iter().flatten().map(|one| &one.labels));
    labels.extend(looked.said.iter().map(|one| &one.labels));
    let mut judged = Judged::default();
    for labels in labels {
        let own =
            |list: &[Firing]| -> Vec<Firing> { list.iter().filter(|one| one.labels == *labels).cloned().collect() };
        let alert = OneAlert {
            labels,
            looked,
            taken: own(looked.taken),
            again: looked.again.iter().map(|list| own(list)).collect(),
            said: looked.said.iter().filter(|said| said.labels == *labels).collect(),
        };
        alert.what_fired(&mut judged);
        alert.what_did_not(&mut judged);
        alert.what_was_missed_no_more(&mut judged);
    }
    judged
}

/// One alert, whenever it fired.
struct OneAlert<'a> {
    labels: &'a Labels,
    looked: &'a Looked<'a>,
    taken: Vec<Firing>,
    again: Vec<Vec<Firing>>,
    said: Vec<&'a Said>,
}

impl OneAlert<'_> {
    fn is_in_zone(&self, fired_ms: i64) -> bool {
        let (from, to) = self.looked.zone;
        (from..=to).contains(&fired_ms)
    }

    fn tolerance(&self) -> i64 {
        self.looked.tolerance_ms
    }

    /// Whether it is too early to say what became of it.
    fn is_open(&self, firing: &Firing) -> bool {
        firing.end().saturating_add(self.tolerance()) > self.looked.end_ms
    }

    /// Those of a grid that meet it.
    fn meeting<'f>(&self, grid: &'f [Firing], firing: &Firing) -> Vec<&'f Firing> {
        grid.iter().filter(|other| other.meets(firing, self.tolerance())).collect()
    }

    /// Whether it held as the look back began: then nobody knows since when.
    fn begins_unseen(&self, again: &Firing) -> bool {
        again.active_ms <= self.looked.start_ms.saturating_add(self.tolerance())
    }

    fn what_fired(&self, judged: &mut Judged) {
        for taken in &self.taken {
            let met: Vec<Vec<&Firing>> = self.again.iter().map(|grid| self.meeting(grid, taken)).collect();
            let begins_in_zone = |found: &Vec<&Firing>| found.iter().any(|one| self.is_in_zone(one.fired_ms));
            if !self.is_in_zone(taken.fired_ms) && !met.first().is_some_and(begins_in_zone) {
                continue;
            }
            if taken.fired_ms == i64::MIN || taken.lies_in(self.looked.unwatched) {
                continue;
            }
            if self.is_open(taken) {
                judged.is_open = true;
                continue;
            }
            let verdict = match met.iter().all(Vec::is_empty) {
                true if self.is_in_zone(taken.fired_ms) => Verdict::WouldNotHaveFired,
                true => continue,
                false => self.moved(taken, &met),
            };
            let said = self.said.iter().find(|said| said.fired_ms == taken.fired_ms && !is_silence(said.verdict));
            self.find(judged, taken.fired_ms, taken.ended_ms, verdict, said.copied());
        }
    }

    /// It fired, and fires again: at the same time?
    fn moved(&self, taken: &Firing, met: &[Vec<&Firing>]) -> Verdict {
        let far = |one: i64, other: i64| one.abs_diff(other) > self.tolerance().unsigned_abs();
        // Beginnings and ends that nobody has seen are no other ones.
        let first = |grid: &Vec<&Firing>| {
            let first = grid.iter().min_by_key(|one| one.fired_ms)?;
            let is_known = !self.begins_unseen(first) && !first.lies_in(self.looked.unwatched);
            is_known.then_some(first.fired_ms)
        };
        let last = |grid: &Vec<&Firing>| {
            let end_ms = grid.iter().map(|one| one.end()).max()?;
            (end_ms.saturating_add(self.tolerance()) <= self.looked.end_ms).then_some(end_ms)
        };
        let begins_otherwise = met.iter().all(|grid| first(grid).is_some_and(|ms| far(ms, taken.fired_ms)));
        let ends_otherwise = met.iter().all(|grid| last(grid).is_some_and(|ms| far(ms, taken.end())));
        if !begins_otherwise && !ends_otherwise {
            return Verdict::Stands;
        }
        let grid = met.first();
        Verdict::WouldHaveFiredAt {
            fired_ms: grid.and_then(first).filter(|_| begins_otherwise).unwrap_or(taken.fired_ms),
            ended_ms: grid.and_then(last).filter(|_| ends_otherwise).or(taken.ended_ms),
        }
    }

    fn what_did_not(&self, judged: &mut Judged) {
        let Some((grid, others)) = self.again.split_first() else { return };
        for again in grid.iter().filter(|one| self.is_in_zone(one.fired_ms)) {
            let is_doubtful = !self.meeting(&self.taken, again).is_empty()
                || others.iter().any(|grid| self.meeting(grid, again).is_empty())
                || self.begins_unseen(again)
                || again.lies_in(self.looked.unwatched);
            if is_doubtful {
                continue;
            }
            if self.is_open(again) {
                judged.is_open = true;
                continue;
            }
            // So short that who looked at other instants may have missed it.
            if again.end().saturating_sub(again.fired_ms) <= self.tolerance() {
                continue;
            }
            let same = |said: &&&Said| is_silence(said.verdict) && of_silence(said).meets(again, self.tolerance());
            let said = self.said.iter().find(same).copied();
            let fired_ms = said.map_or(again.fired_ms, |said| said.fired_ms);
            self.find(judged, fired_ms, again.ended_ms, Verdict::ShouldHaveFired, said);
        }
    }

    /// What was held to be missed and does not fire any more.
    fn what_was_missed_no_more(&self, judged: &mut Judged) {
        for said in self.said.iter().filter(|said| said.verdict == Verdict::ShouldHaveFired) {
            let missed = of_silence(said);
            let is_seen = self.is_in_zone(missed.fired_ms) && !self.is_open(&missed);
            let is_there = || self.again.iter().any(|grid| !self.meeting(grid, &missed).is_empty());
            if is_seen && !missed.lies_in(self.looked.unwatched) && !is_there() {
                self.find(judged, said.fired_ms, said.ended_ms, Verdict::RightlySilent, Some(said));
            }
        }
    }

    /// Takes a verdict that says something else than the last one.
    fn find(&self, judged: &mut Judged, fired_ms: i64, ended_ms: Option<i64>, verdict: Verdict, said: Option<&Said>) {
        let before = said.map(|said| said.verdict);
        if self.is_same(before.unwrap_or(Verdict::Stands), verdict) {
            return;
        }
        let turn = said.map_or(1, |said| said.turn.saturating_add(1));
        let is_told = verdict == Verdict::WouldNotHaveFired || said.is_some_and(|said| said.is_told);
        judged.findings.push(Finding { labels: self.labels.clone(), fired_ms, ended_ms, verdict, turn, is_told });
    }

    fn is_same(&self, one: Verdict, other: Verdict) -> bool {
        let near = |one: i64, other: i64| one.abs_diff(other) <= self.tolerance().unsigned_abs();
        match (one, other) {
            (
                Verdict::WouldHaveFiredAt { fired_ms, ended_ms },
                Verdict::WouldHaveFiredAt { fired_ms: other_fired_ms, ended_ms: other_ended_ms },
            ) => {
                near(fired_ms, other_fired_ms) && near(ended_ms.unwrap_or(i64::MAX), other_ended_ms.unwrap_or(i64::MAX))
            }
            (one, other) => one == other,
        }
    }
}

/// Whether a verdict is about something that did not fire.
fn is_silence(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::ShouldHaveFired | Verdict::RightlySilent)
}

/// What should have fired, by a verdict.
fn of_silence(said: &Said) -> Firing {
    let (fired_ms, ended_ms) = (said.fired_ms, said.ended_ms);
    Firing { labels: said.labels.clone(), active_ms: fired_ms, fired_ms, ended_ms }
}

#[cfg(test)]
mod tests;

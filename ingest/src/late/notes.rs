//! Event times that came late, by source, in bounded memory.

use std::collections::{BTreeMap, BTreeSet};

/// Event times are noted by panes of this width, in microseconds.
const PANE_US: i64 = 60_000_000;
/// Panes that are noted one by one for a source until somebody takes them; with more, all that lies between the first and
/// the last counts as late.
const PANES_MAX: usize = 1000;

/// A stretch of event time of which something was counted late. Microseconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LateEvents {
    /// The source of the events.
    pub source: String,
    /// From here, inclusive.
    pub from_us: i64,
    /// To here, exclusive.
    pub to_us: i64,
}

/// Stretches that wait to be taken.
#[derive(Debug, Default)]
pub struct LateNotes {
    sources: BTreeMap<String, Panes>,
}

impl LateNotes {
    /// An event of a source came late; microseconds since the epoch.
    pub fn note(&mut self, source: &str, event_time_us: i64) {
        self.add(source, event_time_us.div_euclid(PANE_US));
    }

    /// Events of a stretch did.
    pub fn note_stretch(&mut self, late: &LateEvents) {
        let last = late.to_us.saturating_sub(1).max(late.from_us).div_euclid(PANE_US);
        let first = late.from_us.div_euclid(PANE_US);
        // What is longer than can be noted one by one needs its ends only.
        let step = usize::try_from((last - first) / PANES_MAX as i64 + 1).unwrap_or(usize::MAX);
        (first..=last).step_by(step).chain([last]).for_each(|pane| self.add(&late.source, pane));
    }

    fn add(&mut self, source: &str, pane: i64) {
        match self.sources.get_mut(source) {
            Some(panes) => panes.add(pane),
            None => self.sources.entry(source.to_owned()).or_default().add(pane),
        }
    }

    /// What came late since the last call: per source the stretches, none of which touch.
    pub fn take(&mut self) -> Vec<LateEvents> {
        let stretches = std::mem::take(&mut self.sources).into_iter().flat_map(|(source, panes)| {
            panes.stretches().into_iter().map(move |(first, last)| LateEvents {
                source: source.clone(),
                from_us: first.saturating_mul(PANE_US),
                to_us: last.saturating_add(1).saturating_mul(PANE_US),
            })
        });
        stretches.collect()
    }
}

/// Panes of one source, by number.
#[derive(Debug, Default)]
struct Panes {
    single: BTreeSet<i64>,
    /// First and last of those that are not told apart.
    span: Option<(i64, i64)>,
}

impl Panes {
    fn add(&mut self, pane: i64) {
        if self.span.is_none() {
            self.single.insert(pane);
            if self.single.len() <= PANES_MAX {
                return;
            }
        }
        for pane in std::mem::take(&mut self.single).into_iter().chain([pane]) {
            self.span = Some(self.span.map_or((pane, pane), |(first, last)| (first.min(pane), last.max(pane))));
        }
    }

    /// Stretches of panes, both ends inclusive.
    fn stretches(self) -> Vec<(i64, i64)> {
        let mut stretches: Vec<(i64, i64)> = self.span.into_iter().collect();
        for pane in self.single {
            match stretches.last_mut() {
                Some((_, last)) if *last + 1 == pane => *last = pane,
                _ => stretches.push((pane, pane)),
            }
        }
        stretches
    }
}

#[cfg(test)]
mod tests;

//! Tells others in the process that something was counted, so that they need not ask, and what of it came late.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// Event times that came late are noted by panes of this width, in microseconds.
const LATE_PANE_US: i64 = 60_000_000;
/// Panes that are noted one by one for a source until somebody takes them; with more, all that lies between the first and
/// the last counts as late.
const LATE_PANES_MAX: usize = 1000;

/// Shared by all workers of a process; cheap to clone.
#[derive(Debug, Clone)]
pub struct News {
    count: Arc<watch::Sender<u64>>,
    late: Arc<Mutex<BTreeMap<String, LatePanes>>>,
}

impl Default for News {
    fn default() -> Self {
        Self { count: Arc::new(watch::channel(0).0), late: Arc::default() }
    }
}

/// A stretch of event time of which something was counted late. Microseconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateEvents {
    /// The source of the events.
    pub source: String,
    /// From here, inclusive.
    pub from_us: i64,
    /// To here, exclusive.
    pub to_us: i64,
}

/// Panes of one source, by number.
#[derive(Debug, Default)]
struct LatePanes {
    single: BTreeSet<i64>,
    /// First and last of those that are not told apart.
    span: Option<(i64, i64)>,
}

impl LatePanes {
    fn add(&mut self, pane: i64) {
        if self.span.is_none() {
            self.single.insert(pane);
            if self.single.len() <= LATE_PANES_MAX {
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

impl News {
    /// Something was counted.
    pub(crate) fn note(&self) {
        self.count.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Events were counted after their time: of which source, and when they happened, in panes.
    pub(crate) fn note_late<'s>(&self, late: impl IntoIterator<Item = (&'s str, i64)>) {
        let mut all = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        for (source, pane) in late {
            match all.get_mut(source) {
                Some(panes) => panes.add(pane),
                None => all.entry(source.to_owned()).or_default().add(pane),
            }
        }
    }

    /// What came late since the last call.
    pub fn take_late(&self) -> Vec<LateEvents> {
        let all = std::mem::take(&mut *self.late.lock().unwrap_or_else(PoisonError::into_inner));
        let stretches = all.into_iter().flat_map(|(source, panes)| {
            panes.stretches().into_iter().map(move |(first, last)| LateEvents {
                source: source.clone(),
                from_us: first.saturating_mul(LATE_PANE_US),
                to_us: last.saturating_add(1).saturating_mul(LATE_PANE_US),
            })
        });
        stretches.collect()
    }

    /// Hears of everything that is counted from now on.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.count.subscribe()
    }
}

/// The pane of an event time in microseconds since the epoch.
pub(crate) fn late_pane(event_time_us: i64) -> i64 {
    event_time_us.div_euclid(LATE_PANE_US)
}

#[cfg(test)]
mod tests;

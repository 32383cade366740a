//! Flapping: an alert that changes too often is told once as flapping and then held as firing until it is stable.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::config::extensions::FlappingConfig;
use crate::route::alert::{Alert, Timestamp};
use crate::route::labels::Fingerprint;

/// Changes of one alert.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Track {
    firing: bool,
    /// Times of the last changes, oldest first; never more than the limit.
    changes: VecDeque<Timestamp>,
    flapping: bool,
}

/// Changes of all alerts that have changed lately.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Flapping {
    #[serde(with = "crate::notification_log::pairs")]
    tracks: BTreeMap<Fingerprint, Track>,
}

impl Flapping {
    /// Takes note of an alert's state; call it for every message about the alert.
    pub fn observe(&mut self, config: &FlappingConfig, alert: &Alert, now: Timestamp) {
        let firing = !alert.resolved_at(now);
        let track =
            self.tracks.entry(alert.fingerprint()).or_insert_with(|| Track { firing: !firing, ..Track::default() });
        if track.firing == firing {
            return;
        }
        track.firing = firing;
        track.changes.push_back(now);
        let limit = usize::try_from(config.changes).unwrap_or(usize::MAX);
        while track.changes.len() > limit {
            track.changes.pop_front();
        }
        let within = track.changes.front().is_some_and(|first| now - *first <= config.within.delta());
        track.flapping |= within && track.changes.len() == limit;
    }

    /// Whether an alert flaps at `now`.
    pub fn is_flapping(&self, config: &FlappingConfig, alert: Fingerprint, now: Timestamp) -> bool {
        let stable = |track: &Track| track.changes.back().is_none_or(|last| now - *last >= config.stable_for.delta());
        self.tracks.get(&alert).is_some_and(|track| track.flapping && !stable(track))
    }

    /// How often an alert changed within the window.
    pub fn changes(&self, config: &FlappingConfig, alert: Fingerprint, now: Timestamp) -> usize {
        let recent = |track: &Track| track.changes.iter().filter(|at| now - **at <= config.within.delta()).count();
        self.tracks.get(&alert).map_or(0, recent)
    }

    /// Ends flapping that is over and forgets alerts that have not changed within the window; the bound of this memory
    /// is the bound on alerts. Returns those that are stable now, each with the time of its last change.
    pub fn tidy(&mut self, config: &FlappingConfig, now: Timestamp) -> Vec<(Fingerprint, Timestamp)> {
        let longest = config.within.delta().max(config.stable_for.delta());
        let mut stable = Vec::new();
        for (alert, track) in &mut self.tracks {
            let Some(last) = track.changes.back().copied() else { continue };
            if track.flapping && now - last >= config.stable_for.delta() {
                track.flapping = false;
                track.changes.clear();
                stable.push((*alert, last));
            }
        }
        let recent = |track: &Track| track.changes.back().is_some_and(|last| now - *last < longest);
        self.tracks.retain(|_, track| track.flapping || recent(track) || track.firing);
        stable
    }
}

#[cfg(test)]
mod tests;

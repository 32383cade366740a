//! Mute times: by the calendar, not by people.

use serde::{Deserialize, Serialize};

use crate::route::alert::Timestamp;
use crate::route::tree::Settings;

pub mod interval;

pub use interval::TimeInterval;

/// A named list of time intervals; it contains what any of them contains.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NamedIntervals {
    /// As routes name it.
    pub name: String,
    /// Any of these.
    #[serde(deserialize_with = "crate::config::scalar::null_default")]
    pub time_intervals: Vec<TimeInterval>,
}

/// What the calendar says about a route at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Calendar {
    /// Notifications may go out.
    Open,
    /// Inside these mute time intervals.
    Muted(Vec<String>),
    /// Outside all of these active time intervals.
    Inactive(Vec<String>),
}

impl Calendar {
    /// Names of the intervals that hold notifications back.
    pub fn names(&self) -> &[String] {
        match self {
            Self::Open => &[],
            Self::Muted(names) | Self::Inactive(names) => names,
        }
    }
}

/// Which of `names` contain `now`.
pub fn containing(intervals: &[NamedIntervals], names: &[String], now: Timestamp) -> Vec<String> {
    let contains = |name: &&String| {
        intervals.iter().any(|named| named.name == **name && named.time_intervals.iter().any(|i| i.contains(now)))
    };
    names.iter().filter(contains).cloned().collect()
}

/// What the calendar says about a route with these settings.
pub fn calendar(intervals: &[NamedIntervals], settings: &Settings, now: Timestamp) -> Calendar {
    let active = &settings.active_time_intervals;
    if !active.is_empty() && containing(intervals, active, now).is_empty() {
        return Calendar::Inactive(active.clone());
    }
    match containing(intervals, &settings.mute_time_intervals, now) {
        muted if muted.is_empty() => Calendar::Open,
        muted => Calendar::Muted(muted),
    }
}

#[cfg(test)]
mod tests;

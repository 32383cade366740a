//! What a spike is, and which windows are taken.

use crate::zone::{HOUR_MS, Zone};
use serde::{Deserialize, Serialize};

/// What a spike is. The defaults are for "viral": tell on-call people about it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Length of a window; divides an hour.
    pub window_ms: i64,
    /// Whose clock the rhythm of the week follows.
    pub zone: Zone,
    /// Score to open: 8 is one window in a hundred million, were the counts as modelled.
    pub score_open: f64,
    /// Lift to open.
    pub lift_open: f64,
    /// Count of the window, below which nothing opens.
    pub count_min: u64,
    /// So many bursts as large in the last four weeks make it a usual one, which opens nothing: with 4, what comes
    /// about once a week is usual.
    pub as_large_max: usize,
    /// Below this lift a window is calm.
    pub lift_close: f64,
    /// So long calm ends a spike.
    pub hold_ms: i64,
    /// So long open makes it the new normal.
    pub accept_ms: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            window_ms: 60_000,
            zone: Zone::UTC,
            score_open: 8.0,
            lift_open: 3.0,
            count_min: 10,
            as_large_max: 4,
            lift_close: 1.5,
            hold_ms: 15 * 60_000,
            accept_ms: 24 * HOUR_MS,
        }
    }
}

impl Settings {
    /// The defaults with windows of this length.
    pub fn of_windows(window_ms: i64) -> Self {
        Self { window_ms, ..Self::default() }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        if self.window_ms <= 0 || HOUR_MS % self.window_ms != 0 {
            return Err(Error::Width(self.window_ms));
        }
        Ok(())
    }
}

/// Why a window was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Windows divide an hour.
    #[error("expected windows that divide an hour, found {0} ms: take 60000 or another divisor of 3600000")]
    Width(i64),
    /// Windows come aligned.
    #[error("expected the start of a window of {window_ms} ms, found {found_ms}: round it down to a multiple")]
    Unaligned {
        /// Start that was given.
        found_ms: i64,
        /// Length of a window.
        window_ms: i64,
    },
    /// Windows come in order and once each.
    #[error(
        "expected a window after {last_ms}, found {found_ms}: windows come in order, once each, when they are \
         complete; after amendments replay the stored ones"
    )]
    NotAfter {
        /// Start that was given.
        found_ms: i64,
        /// Start of the last window taken.
        last_ms: i64,
    },
}

/// Refuses what is not the start of a later window.
pub(crate) fn admit(window_ms: i64, last_ms: Option<i64>, found_ms: i64) -> Result<(), Error> {
    if found_ms.rem_euclid(window_ms) != 0 {
        return Err(Error::Unaligned { found_ms, window_ms });
    }
    match last_ms {
        Some(last_ms) if found_ms <= last_ms => Err(Error::NotAfter { found_ms, last_ms }),
        _ => Ok(()),
    }
}

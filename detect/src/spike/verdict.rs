//! What is said of windows and spikes.

use crate::baseline::Basis;
use crate::bits;
use serde::{Deserialize, Serialize};

/// Why a spike is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Calm for the hold.
    Calm,
    /// Open for so long that it is what is expected from now on.
    NewNormal,
    /// More than an hour of windows was unknown.
    Unknown,
}

/// One spike, so far or whole. Times are in ms since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spike {
    /// Start of the first elevated window.
    pub start_ms: i64,
    /// Start of the window in which it opened.
    pub opened_ms: i64,
    /// End of the last elevated window so far, exclusive.
    pub end_ms: i64,
    /// Start of the window with the highest count.
    pub peak_ms: i64,
    /// Its count.
    pub peak_count: u64,
    /// What was expected of it.
    #[serde(with = "bits::one")]
    pub peak_expected: f64,
    /// Counted from start to end.
    pub observed: u64,
    /// Expected from start to end.
    #[serde(with = "bits::one")]
    pub expected: f64,
    /// Highest score of its windows.
    #[serde(with = "bits::one")]
    pub score: f64,
}

impl Spike {
    /// Observed ÷ expected.
    pub fn lift(&self) -> f64 {
        self.observed as f64 / self.expected
    }

    /// Observed − expected: what would not have come otherwise.
    pub fn excess(&self) -> f64 {
        self.observed as f64 - self.expected
    }

    /// Count ÷ expected of the window with the highest count.
    pub fn peak_lift(&self) -> f64 {
        self.peak_count as f64 / self.peak_expected
    }
}

/// What a window means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum State {
    /// Too little history to expect anything.
    Learning,
    /// Nothing to tell.
    Quiet,
    /// A spike opens with this window.
    Opened(Spike),
    /// A spike goes on.
    Open(Spike),
    /// The spike is over; this window is not part of it.
    Ended(Spike, End),
}

/// What is said of one window.
#[derive(Debug, Clone, Copy, PartialEq)]
#[must_use]
pub struct Verdict {
    /// Start of the window, inclusive.
    pub window_start_ms: i64,
    /// What it counted.
    pub count: u64,
    /// What was expected of it, as the thresholds see it; none while learning.
    pub expected: Option<f64>,
    /// −log₁₀ of the tail probability; 0 where nothing is above the expected.
    pub score: f64,
    /// Bursts of the last four weeks that were as large; counted for windows that are a spike by score, lift and count.
    pub as_large: usize,
    /// History behind the expectation; none while learning.
    pub basis: Option<Basis>,
    /// What it means.
    pub state: State,
}

impl Verdict {
    /// Counted ÷ expected; none while learning.
    pub fn lift(&self) -> Option<f64> {
        self.expected.map(|expected| self.count as f64 / expected)
    }

    /// Whether a spike is open after this window.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Opened(_) | State::Open(_))
    }
}

//! The life of stored rows: many small files become few, fine tiers become coarse ones, old rows go.
//!
//! ```text
//! appended (tier 0, fresh) ─▶ roll ─▶ (tier 0, rolled up) ─▶ merge ─▶ one file per bucket of time ─▶ expire
//!                               └───▶ (tier 1, fresh) ─▶ roll ─▶ …
//! ```
//!
//! Every event is in exactly one *fresh* row over all tiers; its rows in finer tiers are *rolled up*. So
//! the whole of a tier is all its own rows and the fresh rows of finer ones. All of it is decided here,
//! from a listing of files and a `now`; whoever carries a [`Task`] out replaces its files by
//! [`outputs`] in one commit.

mod outputs;
mod plan;

pub use outputs::{Output, outputs};
pub use plan::next_task;

use crate::rollup::{RollupSchema, Tier};
use crate::time::{DAY_US, HOUR_US, MINUTE_US, window_start};

/// A live file, as far as decisions need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileInfo {
    /// Index of its tier; `None` in a table without tiers, and for a width that the definition does not know.
    pub tier: Option<usize>,
    /// Are its rows also part of the next tier?
    pub rolled_up: bool,
    /// Smallest and largest value of the time column, inclusive, microseconds since the epoch.
    pub times: Option<(i64, i64)>,
    /// Number of rows.
    pub rows: u64,
    /// Size.
    pub bytes: u64,
}

/// How a table lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Life {
    /// Windows in several widths.
    Windows {
        /// Finest first, at least one.
        tiers: Vec<Tier>,
        /// Per tier the recorded boundary: older rows of it do not count.
        boundaries: Vec<Option<i64>>,
    },
    /// One row per key.
    Keys {
        /// How long a key without events is kept, microseconds; `None`: for ever.
        retain_us: Option<i64>,
        /// Keys without events since then were dropped last time.
        dropped_before: Option<i64>,
    },
    /// Rows that do not merge, such as dead letters.
    Log {
        /// How long a row is kept by its time column, microseconds; `None`: for ever.
        retain_us: Option<i64>,
        /// Rows are joined within stretches of this length.
        bucket_us: i64,
    },
}

/// When a task is worth its work, and how large it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LifeLimits {
    /// So many fresh files of the first tier are rolled up, half as many of the others.
    pub fresh_files: usize,
    /// Fresh files are rolled up when their newest window is so old, however few they are. Microseconds.
    pub fresh_age_us: i64,
    /// So many files of like size are merged.
    pub merge_files: usize,
    /// Files of this size are merged no more.
    pub file_bytes: u64,
    /// What one task reads at most, unless a single file is larger.
    pub task_bytes: u64,
    /// Rows that one task reads at most, unless a single file has more.
    pub task_rows: u64,
}

impl Default for LifeLimits {
    fn default() -> Self {
        Self {
            fresh_files: 8,
            fresh_age_us: 15 * MINUTE_US,
            merge_files: 4,
            file_bytes: 128 << 20,
            task_bytes: 256 << 20,
            task_rows: 4_000_000,
        }
    }
}

/// One piece of work. Files are indexes into the listing it was decided from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// Fresh rows of a tier are merged, kept as rolled up, and added to the next tier.
    Roll {
        /// The tier they are in.
        tier: usize,
        /// The files.
        files: Vec<usize>,
    },
    /// Files of one kind and stretch of time become one.
    Merge {
        /// Their tier.
        tier: Option<usize>,
        /// Their kind.
        rolled_up: bool,
        /// The files.
        files: Vec<usize>,
        /// Rows (for a keyed table: keys) that are older are left out.
        drop_before: Option<i64>,
        /// All of the table is in it, so that leaving out keys is final and to be recorded.
        is_whole: bool,
    },
    /// Files whose every row is too old go.
    Expire {
        /// Their tier.
        tier: Option<usize>,
        /// New boundary of the tier, to be recorded; `None` when the recorded one stays.
        boundary: Option<i64>,
        /// The files.
        files: Vec<usize>,
    },
}

impl Task {
    /// The files it replaces.
    pub fn files(&self) -> &[usize] {
        match self {
            Self::Roll { files, .. } | Self::Merge { files, .. } | Self::Expire { files, .. } => files,
        }
    }

    /// Its name in metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Roll { .. } => "roll",
            Self::Merge { .. } => "merge",
            Self::Expire { .. } => "expire",
        }
    }
}

/// The tiers of a rollup's table; for a definition without tiers its own width, kept for ever. Empty for
/// a keyed table.
pub fn tiers_of(schema: &RollupSchema) -> Vec<Tier> {
    match (schema.tiers.is_empty(), schema.pane_us) {
        (true, Some(pane_us)) => vec![Tier { pane_us, retain_us: None }],
        _ => schema.tiers.clone(),
    }
}

/// Files of a tier are merged within stretches of this length: few files per tier, each a small part of
/// what a query of that width reads.
pub fn bucket_us(pane_us: i64) -> i64 {
    if pane_us < MINUTE_US {
        6 * HOUR_US
    } else if pane_us < HOUR_US {
        DAY_US
    } else if pane_us < DAY_US {
        30 * DAY_US
    } else {
        365 * DAY_US
    }
}

/// Where a tier is cut at `now_us`: windows that start before it have been kept long enough. Boundaries lie
/// on windows of the coarsest tier, so that readers can change the tier there.
pub fn boundary(tiers: &[Tier], tier: usize, now_us: i64) -> Option<i64> {
    let coarsest = tiers.last()?.pane_us;
    let retain_us = tiers.get(tier)?.retain_us?;
    Some(window_start(now_us.saturating_sub(retain_us), coarsest))
}

#[cfg(test)]
mod tests;

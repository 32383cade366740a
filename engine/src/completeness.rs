//! Is a window all there? `complete`, `partial` or `unknown`, with the reason.
//!
//! Complete: every partition that the table reads has passed the end of the window, or is idle. Partial:
//! events of it are still expected. Unknown: nobody here can tell, for a partition is read elsewhere or
//! stands still. Lateness does not come into it: a late event changes a complete window all the same. What
//! began later and is not filled yet makes every window partial that may lack events of before.

use crate::backfill::Unfilled;
use crate::commit::TopicPartition;
use crate::live::LiveProgress;
use std::collections::BTreeMap;

/// What is known of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Every partition has passed its end.
    Complete,
    /// Events are still expected.
    Partial,
    /// Cannot be told.
    Unknown,
}

impl Status {
    /// The word of the column `completeness`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Partial => "partial",
            Self::Unknown => "unknown",
        }
    }
}

/// Judges windows of one table by where they end. Times are microseconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completeness {
    /// Windows that end at or before it are complete.
    pub complete_until_us: i64,
    /// Windows that end after it are still open: no partition has come so far.
    pub open_after_us: i64,
    /// What the windows in between are, and why.
    pub between: (Status, String),
    /// Why the windows after `open_after_us` are partial, or unknown.
    pub after: (Status, String),
    /// What a backfill is still to fill.
    pub unfilled: Option<Unfilled>,
}

impl Completeness {
    /// From what readers know of the table's partitions: `committed` watermarks that the table records, and
    /// the `live` progress of the workers in this process, which is newer for the partitions they read.
    pub fn of(committed: &BTreeMap<TopicPartition, Option<i64>>, live: &[LiveProgress]) -> Self {
        let mut laggard: Option<(i64, &TopicPartition, bool)> = None;
        let mut newest = i64::MIN;
        // A worker whose partitions are all idle holds nobody back either: the others have gone on without it.
        let active = live.iter().filter(|p| !p.is_idle).filter_map(|p| p.watermark).min();
        let beside_idle = active.or_else(|| live.iter().filter_map(|p| p.watermark).max());
        for (partition, recorded) in committed {
            let own = live.iter().find(|p| p.watermarks.contains_key(partition));
            let watermark = own.and_then(|p| p.watermarks.get(partition).copied().flatten()).or(*recorded);
            let Some(watermark) = watermark else { continue };
            newest = newest.max(watermark);
            let until = match own {
                // An idle partition holds nobody back: its worker has gone on without it.
                Some(progress) => {
                    let beside = beside_idle.filter(|_| progress.is_idle);
                    [progress.watermark, beside].into_iter().flatten().fold(watermark, i64::max)
                }
                None => watermark,
            };
            if laggard.is_none_or(|(least, ..)| until < least) {
                laggard = Some((until, partition, own.is_some()));
            }
        }
        let Some((complete_until_us, partition, is_own)) = laggard else { return Self::unknown() };
        let at = instant(complete_until_us);
        let between = match is_own {
            true => (Status::Partial, format!("{partition} has come to {at}")),
            false => (
                Status::Unknown,
                format!("{partition} was committed up to {at}; whether more is to come only its reader knows"),
            ),
        };
        let open_after_us = newest.max(complete_until_us);
        let after = (Status::Partial, format!("event time has come to {}", instant(open_after_us)));
        Self { complete_until_us, open_after_us, between, after, unfilled: None }
    }

    /// Nothing is known of any partition.
    pub fn unknown() -> Self {
        let nothing = (Status::Unknown, "nothing was read yet".to_owned());
        let (between, after) = (nothing.clone(), nothing);
        Self { complete_until_us: i64::MIN, open_after_us: i64::MIN, between, after, unfilled: None }
    }

    /// The same, with what is not filled yet.
    pub fn with(self, unfilled: Option<Unfilled>) -> Self {
        Self { unfilled, ..self }
    }

    /// Judges a window by its start and end; the reason is empty for a complete one.
    pub fn judge(&self, window_start_us: i64, window_end_us: i64) -> (Status, &str) {
        if let Some(gap) = self.unfilled.as_ref().filter(|gap| window_start_us < gap.until_us) {
            return (Status::Partial, &gap.reason);
        }
        if window_end_us <= self.complete_until_us {
            return (Status::Complete, "");
        }
        let (status, reason) = if window_end_us > self.open_after_us { &self.after } else { &self.between };
        (*status, reason)
    }
}

/// RFC 3339 in whole seconds, for messages.
fn instant(time_us: i64) -> String {
    crate::time::format_rfc3339(time_us)
}

#[cfg(test)]
mod tests;

//! May these rows be appended? The one place that decides it, without I/O.

use super::{BEFORE_FIRST, OffsetRange, TopicPartition};
use std::collections::BTreeMap;

/// What the committer must do with rows that cover some offset ranges of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendDecision {
    /// Every range starts where the table ends: publish.
    Append,
    /// The table has all of it already (an earlier attempt succeeded unheard): publish nothing.
    AlreadyCommitted,
    /// Another writer moved the table on, or offsets are missing in between: the rows must be thrown
    /// away and their events replayed from the table's own position.
    MustReplay {
        /// The first partition that does not fit.
        partition: TopicPartition,
        /// Where the table stands.
        position: i64,
        /// What was to be appended.
        range: OffsetRange,
    },
}

/// Decides about an append of rows covering `ranges` to a table that has reached `positions`.
///
/// Rows that cover no offsets at all are always appended.
///
/// Mixed cases, where some partitions are committed and others are not, are refused as a whole:
/// the rows of a piece cannot be told apart by partition any more.
pub fn decide_append(
    positions: &BTreeMap<TopicPartition, i64>,
    ranges: &BTreeMap<TopicPartition, OffsetRange>,
) -> AppendDecision {
    let position = |p| positions.get(p).copied().unwrap_or(BEFORE_FIRST);
    if !ranges.is_empty() && ranges.iter().all(|(p, r)| position(p) >= r.to) {
        return AppendDecision::AlreadyCommitted;
    }
    match ranges.iter().find(|(p, r)| position(p) != r.from) {
        None => AppendDecision::Append,
        Some((p, &range)) => AppendDecision::MustReplay { partition: p.clone(), position: position(p), range },
    }
}

#[cfg(test)]
mod tests;

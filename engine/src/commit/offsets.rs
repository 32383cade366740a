//! Where a record came from, and which records a commit covers.

use std::fmt;
use std::sync::Arc;

/// Position of a partition of which nothing was consumed yet.
pub const BEFORE_FIRST: i64 = -1;

/// One partition of one topic (or one replayed file, as partition 0 of a topic named after it).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// Topic name.
    pub topic: Arc<str>,
    /// Partition number.
    pub partition: i32,
}

impl TopicPartition {
    /// Names one partition.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// Offsets `(from, to]` of one partition: `from` is the last offset covered before, `to` the last
/// one covered by this range. Gaps inside (compaction, transaction markers) belong to the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetRange {
    /// Exclusive lower end, [`BEFORE_FIRST`] at the very beginning.
    pub from: i64,
    /// Inclusive upper end.
    pub to: i64,
}

impl OffsetRange {
    /// Does the range cover no offset?
    pub fn is_empty(&self) -> bool {
        self.to <= self.from
    }

    /// The union with a range that starts where this one ends, or `None` if there is a gap or an overlap.
    pub fn join(self, next: Self) -> Option<Self> {
        (self.to == next.from).then_some(Self { from: self.from, to: next.to })
    }
}

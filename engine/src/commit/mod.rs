//! Offsets and the decision whether a commit may be made.

mod decide;
mod offsets;

pub use decide::{AppendDecision, decide_append};
pub use offsets::{BEFORE_FIRST, OffsetRange, TopicPartition};

//! The name of a letter: where its record lies.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use thiserror::Error;
use tidewatch_engine::commit::TopicPartition;

/// Written as `TOPIC/PARTITION/OFFSET`; the topic may hold slashes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LetterId {
    /// Topic of the record.
    pub topic: Arc<str>,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
}

/// Not the name of a letter.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected TOPIC/PARTITION/OFFSET, found `{0}`")]
pub struct LetterIdError(String);

impl LetterId {
    /// Names a letter.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32, offset: i64) -> Self {
        Self { topic: topic.into(), partition, offset }
    }

    /// The partition that its record lies in.
    pub fn topic_partition(&self) -> TopicPartition {
        TopicPartition { topic: Arc::clone(&self.topic), partition: self.partition }
    }
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.topic, self.partition, self.offset)
    }
}

impl FromStr for LetterId {
    type Err = LetterIdError;

    fn from_str(text: &str) -> Result<Self, LetterIdError> {
        let read = || {
            let (rest, offset) = text.rsplit_once('/')?;
            let (topic, partition) = rest.rsplit_once('/')?;
            let id = Self::new(topic, partition.parse().ok()?, offset.parse().ok()?);
            (!topic.is_empty() && id.partition >= 0 && id.offset >= 0).then_some(id)
        };
        read().ok_or_else(|| LetterIdError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_even_with_slashes_in_the_topic() {
        for text in ["orders.events.v1/0/17", "file:a/b.ndjson.gz/1/0", "redrive:journal/0/3"] {
            assert_eq!(text.parse::<LetterId>().unwrap().to_string(), text);
        }
        for text in ["", "orders", "orders/1", "orders/x/1", "orders/0/-1", "/0/1", "orders/0/1.5"] {
            assert!(text.parse::<LetterId>().is_err(), "{text}");
        }
    }
}

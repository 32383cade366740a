//! Names of the application transactions: what a table has consumed, how far event time has come, and
//! how far back its tiers are kept.

use tidewatch_engine::commit::TopicPartition;

const OFFSET: &str = "tidewatch/offset/";
const WATERMARK: &str = "tidewatch/watermark/";
const RETAINED: &str = "tidewatch/retained/";

/// What an application transaction of ours records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Recorded {
    /// Last offset covered.
    Offset(TopicPartition),
    /// Watermark in microseconds since the epoch.
    Watermark(TopicPartition),
    /// Boundary of the named tier in microseconds since the epoch: older rows of it do not count.
    Retained(String),
}

pub(crate) fn offset_id(partition: &TopicPartition) -> String {
    format!("{OFFSET}{partition}")
}

pub(crate) fn watermark_id(partition: &TopicPartition) -> String {
    format!("{WATERMARK}{partition}")
}

pub(crate) fn retained_id(tier: &str) -> String {
    format!("{RETAINED}{tier}")
}

/// Reads a name; `None` when it is not ours.
pub(crate) fn parse(app_id: &str) -> Option<Recorded> {
    let partition = |text: &str| {
        let (topic, number) = text.rsplit_once('/')?;
        Some(TopicPartition::new(topic, number.parse().ok()?))
    };
    if let Some(tier) = app_id.strip_prefix(RETAINED) {
        return Some(Recorded::Retained(tier.to_owned()));
    }
    match (app_id.strip_prefix(OFFSET), app_id.strip_prefix(WATERMARK)) {
        (Some(text), _) => partition(text).map(Recorded::Offset),
        (_, Some(text)) => partition(text).map(Recorded::Watermark),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_even_with_slashes_in_the_topic() {
        for topic in ["orders.events.v1", "file:a/b.ndjson.gz"] {
            let partition = TopicPartition::new(topic, 12);
            assert_eq!(parse(&offset_id(&partition)), Some(Recorded::Offset(partition.clone())));
            assert_eq!(parse(&watermark_id(&partition)), Some(Recorded::Watermark(partition)));
        }
        assert_eq!(parse(&retained_id("10s")), Some(Recorded::Retained("10s".to_owned())));
        assert_eq!(parse("spark-query-7"), None);
    }
}

//! What a cluster looks like from here, without joining a group: brokers, topics, and which records exist.

use super::{KafkaSettings, KafkaSource, client};
use crate::clock::Clock;
use rdkafka::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tidewatch_engine::commit::TopicPartition;

/// The cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KafkaReport {
    /// Addresses of the brokers, as they name themselves.
    pub brokers: Vec<String>,
    /// The topics that were asked for, in this order.
    pub topics: Vec<TopicReport>,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicReport {
    /// Its name.
    pub name: String,
    /// Its partitions, or why they are not known.
    pub partitions: Result<Vec<PartitionReport>, String>,
}

/// Which records a partition has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionReport {
    /// The partition.
    pub partition: TopicPartition,
    /// Offset of the first record that is kept.
    pub first: i64,
    /// Offset that the next record will have.
    pub end: i64,
}

/// Keeps what the library says when a question has no answer: it knows more than "timed out".
#[derive(Debug, Default)]
struct Listening(Mutex<Vec<String>>);

impl ClientContext for Listening {
    fn error(&self, _: KafkaError, reason: &str) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() < SAID_MAX && !said.iter().any(|one| one == reason) {
            said.push(reason.to_owned());
        }
    }
}

impl ConsumerContext for Listening {}

/// Looks for complaints after a question that had no answer, and how long each waits.
const POLLS: u32 = 20;
const POLL_WAIT: Duration = Duration::from_millis(10);

/// Different complaints that are kept.
const SAID_MAX: usize = 3;

impl KafkaSource {
    /// Asks the brokers about the topics, for `timeout` at most. Blocks its thread.
    ///
    /// Errors: no broker answers; why, in the library's words.
    pub fn diagnose(settings: &KafkaSettings, timeout: Duration, clock: &dyn Clock) -> Result<KafkaReport, String> {
        let until = clock.monotonic() + timeout;
        let left = || until.saturating_sub(clock.monotonic()).max(Duration::from_millis(1));
        let created: Result<BaseConsumer<Listening>, _> = client(settings).create_with_context(Listening::default());
        let consumer = created.map_err(|error| error.to_string())?;
        let mut report = KafkaReport::default();
        for topic in &settings.topics {
            let metadata = match consumer.fetch_metadata(Some(topic), left()) {
                Ok(metadata) => metadata,
                Err(error) => {
                    // What it has to say comes with polls.
                    for _ in 0..POLLS {
                        let _ = consumer.poll(POLL_WAIT);
                    }
                    let said = consumer.context().0.lock().unwrap_or_else(PoisonError::into_inner).join("; ");
                    return Err(if said.is_empty() { error.to_string() } else { said });
                }
            };
            report.brokers = metadata.brokers().iter().map(|b| format!("{}:{}", b.host(), b.port())).collect();
            let found = metadata.topics().iter().find(|t| t.name() == topic);
            let partitions = match found {
                None => Err("the brokers do not know it".to_owned()),
                Some(found) => match found.error() {
                    Some(error) => Err(KafkaError::MetadataFetch(error.into()).to_string()),
                    None => found
                        .partitions()
                        .iter()
                        .map(|p| {
                            let (first, end) = consumer
                                .fetch_watermarks(topic, p.id(), left())
                                .map_err(|error| format!("partition {}: {error}", p.id()))?;
                            Ok(PartitionReport { partition: TopicPartition::new(topic.as_str(), p.id()), first, end })
                        })
                        .collect(),
                },
            };
            report.topics.push(TopicReport { name: topic.clone(), partitions });
        }
        Ok(report)
    }
}

//! A Kafka broker inside this process, for the demo and for tests.
//!
//! It is librdkafka's mock cluster: producers, consumer groups and offsets work over real sockets on
//! localhost. It keeps everything in memory, and of each partition only about the last 5 MB: consumers
//! must keep up. It answers no admin requests, and it proves nothing about compatibility with Kafka.

#[cfg(test)]
mod tests;

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer};
use std::fmt;

/// A running broker. It stops, and forgets everything, when dropped.
pub struct DemoBroker {
    /// The cluster belongs to a client that was made to start it. (Unlike a cluster of one's own, a client
    /// can be sent to another thread.)
    _client: BaseProducer,
    bootstrap_servers: String,
}

/// Why the broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// No cluster.
    #[error("the in-process broker did not start: {0}")]
    Start(KafkaError),
    /// No such topic can be made.
    #[error("topic {topic} with {partitions} partitions: the in-process broker refused it: {source}")]
    Topic {
        /// Name of the topic.
        topic: String,
        /// Partitions asked for.
        partitions: i32,
        /// What it said.
        source: KafkaError,
    },
}

impl DemoBroker {
    /// Starts a broker with these topics, each with its number of partitions.
    pub fn start(topics: &[(&str, i32)]) -> Result<Self, BrokerError> {
        let mut config = ClientConfig::new();
        config.set("test.mock.num.brokers", "1");
        // The client says that its brokers are replaced by the mock ones; that is what is wanted.
        config.set_log_level(rdkafka::config::RDKafkaLogLevel::Error);
        let client: BaseProducer = config.create().map_err(BrokerError::Start)?;
        let bootstrap_servers = Self::create(&client, topics)?;
        Ok(Self { _client: client, bootstrap_servers })
    }

    /// Address for a client's `bootstrap.servers`.
    pub fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }

    fn create(client: &BaseProducer, topics: &[(&str, i32)]) -> Result<String, BrokerError> {
        let cluster = client.client().mock_cluster();
        let cluster = cluster.ok_or(BrokerError::Start(KafkaError::MockCluster(RDKafkaErrorCode::Fail)))?;
        for (topic, partitions) in topics {
            cluster.create_topic(topic, *partitions, 1).map_err(|source| BrokerError::Topic {
                topic: (*topic).to_owned(),
                partitions: *partitions,
                source,
            })?;
        }
        Ok(cluster.bootstrap_servers())
    }
}

impl fmt::Debug for DemoBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DemoBroker").field("bootstrap_servers", &self.bootstrap_servers).finish_non_exhaustive()
    }
}

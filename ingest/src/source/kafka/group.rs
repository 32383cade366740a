//! What the group asks of a member.

use crate::source::SourceEvent;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Statistics, TopicPartitionList};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use tidewatch_engine::commit::TopicPartition;

/// Notes what the group asks for.
#[derive(Debug, Default)]
pub(super) struct Context {
    pub(super) pending: Mutex<VecDeque<SourceEvent>>,
    pub(super) closing: AtomicBool,
    /// Last offset of each partition, from the library's statistics.
    pub(super) end_offsets: Mutex<BTreeMap<TopicPartition, i64>>,
}

impl ClientContext for Context {
    fn stats(&self, statistics: Statistics) {
        let mut ends = self.end_offsets.lock().unwrap_or_else(PoisonError::into_inner);
        for (topic, partitions) in &statistics.topics {
            for (number, partition) in partitions.partitions.iter().filter(|(n, p)| **n >= 0 && p.hi_offset >= 0) {
                ends.insert(TopicPartition::new(topic.as_str(), *number), partition.hi_offset - 1);
            }
        }
    }

    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::warn!(facility, message, "librdkafka");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if matches!(error, KafkaError::Global(RDKafkaErrorCode::PartitionEOF)) {
            return;
        }
        tracing::warn!(%error, reason, "kafka client");
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let named: Vec<_> =
            partitions.elements().iter().map(|e| TopicPartition::new(e.topic(), e.partition())).collect();
        let event = match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => SourceEvent::Assigned(named),
            _ if self.closing.load(Ordering::Acquire) => {
                // The client is about to go; an error has nobody left to tell.
                let _ = match consumer.rebalance_protocol() {
                    RebalanceProtocol::Cooperative => consumer.incremental_unassign(partitions),
                    _ => consumer.unassign(),
                };
                return;
            }
            _ if consumer.assignment_lost() => SourceEvent::Lost(named),
            _ => SourceEvent::Revoked(named),
        };
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).push_back(event);
    }
}

//! Whole batches past librdkafka, which keeps the group: it is told to fetch nothing, and who leads a partition is
//! asked of it.

use super::group::Context;
use super::{BROKER_TIMEOUT, DEFAULTS, KafkaSource, heed};
use crate::decode::{Headers, RawRecord};
use crate::source::{Polled, SourceError, SourceEvent, SourceRecord};
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tidewatch_engine::commit::TopicPartition;
use tidewatch_kafka::{FetchSettings, Leader, Leaders, Partition, ReadError, Record, RecordHeaders};

/// Properties that either do not concern fetching, or that [`fetch_settings`] knows. Any other, as of TLS, of SASL
/// or of replicas nearby, is librdkafka's to obey, and so is the fetching.
const KNOWN: [&str; 27] = [
    "bootstrap.servers",
    "check.crcs",
    "client.id",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "fetch.min.bytes",
    "fetch.queue.backoff.ms",
    "fetch.wait.max.ms",
    "group.id",
    "group.instance.id",
    "heartbeat.interval.ms",
    "isolation.level",
    "log_level",
    "max.partition.fetch.bytes",
    "max.poll.interval.ms",
    "metadata.broker.list",
    "metadata.max.age.ms",
    "partition.assignment.strategy",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "receive.message.max.bytes",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "security.protocol",
    "session.timeout.ms",
    "statistics.interval.ms",
    "topic.metadata.refresh.interval.ms",
];

/// A response is not made larger than this, so that it is still in the processor's cache when it is read.
const RESPONSE_BYTES: i64 = 1 << 20;
/// Nor so small that asking costs more than reading.
const RESPONSE_BYTES_MIN: i64 = 64 << 10;

/// How to fetch by these properties; `None` leaves it to librdkafka.
pub(super) fn fetch_settings(properties: &BTreeMap<String, String>) -> Option<FetchSettings> {
    let is_plain =
        properties.get("security.protocol").is_none_or(|protocol| protocol.eq_ignore_ascii_case("plaintext"));
    if !is_plain || properties.keys().any(|key| !KNOWN.contains(&key.as_str())) {
        return None;
    }
    let text = |key: &str| {
        let default = || DEFAULTS.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
        properties.get(key).map(String::as_str).or_else(default)
    };
    // The library has checked that they are numbers in its bounds.
    let number =
        |keys: [&str; 2], default: i64| keys.into_iter().find_map(text).map_or(Some(default), |text| text.parse().ok());
    let queue_bytes = number(["queued.max.messages.kbytes"; 2], 65_536)?.saturating_mul(1 << 10);
    // The response that is read, one that waits, and one that comes, each with room to spare.
    let response_bytes = (queue_bytes / 4).clamp(RESPONSE_BYTES_MIN, RESPONSE_BYTES);
    let bytes_max = number(["fetch.max.bytes"; 2], 52_428_800)?.min(response_bytes);
    Some(FetchSettings {
        client: text("client.id").unwrap_or_default().to_owned(),
        wait: Duration::from_millis(number(["fetch.wait.max.ms"; 2], 500)?.try_into().ok()?),
        bytes_min: number(["fetch.min.bytes"; 2], 1)?.try_into().ok()?,
        bytes_max: bytes_max.try_into().ok()?,
        partition_bytes_max: number(["max.partition.fetch.bytes", "fetch.message.max.bytes"], 1 << 20)?
            .try_into()
            .ok()?,
        frame_bytes_max: number(["receive.message.max.bytes"; 2], 100_000_000)?.try_into().ok()?,
        read_committed: !text("isolation.level").is_some_and(|level| level.eq_ignore_ascii_case("read_uncommitted")),
    })
}

/// Asks librdkafka, as long as there is a consumer.
pub(super) struct Cluster(pub Weak<BaseConsumer<Context>>);

impl Leaders for Cluster {
    fn leaders(&self, topics: &HashSet<Arc<str>>) -> Result<Vec<Leader>, String> {
        let Some(consumer) = self.0.upgrade() else { return Ok(Vec::new()) };
        let mut leaders = Vec::new();
        for topic in topics {
            let metadata = consumer.fetch_metadata(Some(topic), BROKER_TIMEOUT).map_err(|error| error.to_string())?;
            for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
                let Some(broker) = metadata.brokers().iter().find(|broker| broker.id() == partition.leader()) else {
                    continue;
                };
                leaders.push(Leader {
                    partition: Partition { topic: Arc::clone(topic), number: partition.id() },
                    broker: broker.id(),
                    host: broker.host().to_owned(),
                    port: u16::try_from(broker.port()).map_err(|_| "a port that cannot be".to_owned())?,
                });
            }
        }
        Ok(leaders)
    }
}

impl KafkaSource {
    /// As [`Source::poll`](crate::source::Source::poll), by the reader of batches.
    pub(super) fn poll_batches(
        &mut self,
        records_max: usize,
        timeout: Duration,
        sink: &mut dyn FnMut(&SourceRecord<'_>),
    ) -> Result<Polled, SourceError> {
        // The group is kept by being asked. Nothing is fetched by it: a record that comes nevertheless is one of
        // before it was told so, and comes by the reader again.
        let wait = if self.paused { timeout } else { Duration::ZERO };
        if let Some(Err(error)) = self.consumer.poll(wait) {
            heed(error)?;
        }
        if let Some(event) = self.next_event() {
            if let (SourceEvent::Lost(_), Some(reader)) = (&event, &self.reader) {
                reader.reconnect();
            }
            return Ok(Polled::Event(event));
        }
        let Some(reader) = self.reader.as_mut().filter(|_| !self.paused) else { return Ok(Polled::Records(0)) };
        let slots = &mut self.slots;
        let read = reader.read(records_max, timeout, &mut |slot, record: &Record<'_>| {
            slots.handed_out[slot] = true;
            let partition = &slots.partitions[slot];
            let raw = RawRecord {
                topic: Some(&partition.topic),
                payload: record.value.unwrap_or_default(),
                timestamp_us: (record.timestamp_ms > 0).then(|| record.timestamp_ms.checked_mul(1000)).flatten(),
                headers: &BatchHeaders(record.headers),
            };
            sink(&SourceRecord { slot, partition, offset: record.offset, raw });
        });
        match read {
            Ok(0) if self.is_at_end() => Ok(Polled::Event(SourceEvent::Finished)),
            Ok(count) => Ok(Polled::Records(count)),
            Err(error) => self.out_of_range(error),
        }
    }

    fn out_of_range(&mut self, error: ReadError) -> Result<Polled, SourceError> {
        let ReadError::OutOfRange { partition, wanted, is_start } = error else { return Err(error.into()) };
        let key = (partition.topic.to_string(), partition.number);
        if is_start && self.started.get(&key) == Some(&0) {
            // It was to be read from its beginning, which has moved since.
            tracing::info!(%partition, wanted, "records were deleted while the partition was assigned; reading from what is left");
            crate::source::Source::start_after(self, &BTreeMap::from([(TopicPartition::new(key.0, key.1), -1)]))?;
            return Ok(Polled::Records(0));
        }
        Err(SourceError::OffsetsMoved)
    }

    /// Per partition the offset before that which is next.
    pub(super) fn before(&self, next: impl Fn(usize) -> Option<i64>) -> BTreeMap<TopicPartition, i64> {
        let partitions = self.slots.partitions.iter().enumerate();
        partitions.filter_map(|(slot, partition)| Some((partition.clone(), next(slot)? - 1))).collect()
    }
}

#[derive(Debug)]
struct BatchHeaders<'a>(RecordHeaders<'a>);

impl Headers for BatchHeaders<'_> {
    fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes()))?.1
    }
}

#[cfg(test)]
mod tests;

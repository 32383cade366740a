//! Kafka through librdkafka. Group membership is the library's; positions are ours.
//!
//! The library's rebalance callback only notes what it is asked for. The worker then drains and
//! answers outside of it, which librdkafka allows: it waits until the assignment is confirmed.

mod by_hand;
mod diagnose;

pub use diagnose::{KafkaReport, PartitionReport, TopicReport};

use super::{Polled, Source, SourceError, SourceEvent, SourceRecord};
use crate::decode::{Headers, RawRecord};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Headers as _, Message, Timestamp};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, Statistics, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tidewatch_engine::commit::TopicPartition;

/// How long one question to the broker may take.
const BROKER_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a question is repeated while brokers are away, and how long the pause is.
const PATIENCE: u32 = 10;
const PATIENCE_WAIT: Duration = Duration::from_secs(1);

/// How to reach the cluster.
#[derive(Debug, Clone, Default)]
pub struct KafkaSettings {
    /// Topics to read.
    pub topics: Vec<String>,
    /// Any librdkafka property.
    pub properties: BTreeMap<String, String>,
    /// Go on at the first record that exists when the next one wanted was deleted unread. Otherwise that
    /// is an error: numbers would miss events without anybody having decided so.
    pub skip_missing: bool,
    /// Finish once every partition was read to its end, instead of waiting for more.
    pub until_end: bool,
}

/// A member of a consumer group.
pub struct KafkaSource {
    consumer: BaseConsumer<Context>,
    partitions: Vec<TopicPartition>,
    slots: HashMap<(String, i32), usize>,
    /// By slot: did a record come since the partition was last started?
    handed_out: Vec<bool>,
    /// Slot of the partition of the last record: neighbours usually share it.
    last_slot: usize,
    paused: bool,
    until_end: bool,
    skip_missing: bool,
    /// First offset wanted of each partition.
    started: HashMap<(String, i32), i64>,
    /// Partitions read to their end.
    ended: BTreeSet<(String, i32)>,
}

impl fmt::Debug for KafkaSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSource")
            .field("partitions", &self.partitions)
            .field("paused", &self.paused)
            .finish_non_exhaustive()
    }
}

/// Properties that are ours: without them numbers would be wrong.
const FIXED: [(&str, &str); 3] = [
    // The broker's group offset is a gauge for lag tools only.
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    // A missing offset must be an error: silently jumping would lose or repeat events.
    ("auto.offset.reset", "error"),
];

/// Defaults that settings may override.
const DEFAULTS: [(&str, &str); 7] = [
    ("group.id", "tidewatch"),
    ("client.id", "tidewatch"),
    ("partition.assignment.strategy", "cooperative-sticky"),
    ("fetch.wait.max.ms", "50"),
    ("queued.max.messages.kbytes", "32768"),
    // A full queue is drained in less than the usual pause of a second: fetching would stand still.
    ("fetch.queue.backoff.ms", "20"),
    ("statistics.interval.ms", "2000"),
];

/// How a client of these settings is configured.
fn client(settings: &KafkaSettings) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set_log_level(RDKafkaLogLevel::Warning);
    let set = |config: &mut ClientConfig, key: &str, value: &str| {
        config.set(key, value);
    };
    DEFAULTS.iter().for_each(|(key, value)| set(&mut config, key, value));
    settings.properties.iter().for_each(|(key, value)| set(&mut config, key, value));
    FIXED.iter().for_each(|(key, value)| set(&mut config, key, value));
    config
}

impl KafkaSource {
    /// Joins the group.
    pub fn new(settings: &KafkaSettings) -> Result<Self, SourceError> {
        let source = Self::connect(settings)?;
        let topics: Vec<&str> = settings.topics.iter().map(String::as_str).collect();
        source.consumer.subscribe(&topics)?;
        Ok(source)
    }

    fn connect(settings: &KafkaSettings) -> Result<Self, SourceError> {
        let mut config = client(settings);
        if settings.until_end {
            config.set("enable.partition.eof", "true");
        }
        let consumer: BaseConsumer<Context> = config.create_with_context(Context::default())?;
        Ok(Self {
            consumer,
            partitions: Vec::new(),
            slots: HashMap::new(),
            handed_out: Vec::new(),
            last_slot: 0,
            paused: false,
            until_end: settings.until_end,
            skip_missing: settings.skip_missing,
            started: HashMap::new(),
            ended: BTreeSet::new(),
        })
    }

    /// All partitions of the topics, as the brokers know them. A topic that does not exist has none.
    pub fn partitions(settings: &KafkaSettings) -> Result<Vec<TopicPartition>, SourceError> {
        let consumer = Self::connect(settings)?.consumer;
        let mut partitions = Vec::new();
        for topic in &settings.topics {
            let metadata = consumer.fetch_metadata(Some(topic), BROKER_TIMEOUT)?;
            let found = metadata.topics().iter().flat_map(|t| t.partitions());
            partitions.extend(found.map(|p| TopicPartition::new(topic.as_str(), p.id())));
        }
        Ok(partitions)
    }

    /// Checks names and values of properties without connecting; the error says what is wrong.
    pub fn check_properties(properties: &BTreeMap<String, String>) -> Result<(), String> {
        let mut config = ClientConfig::new();
        properties.iter().for_each(|(key, value)| {
            config.set(key, value);
        });
        config.create_native_config().map(|_| ()).map_err(|error| error.to_string())
    }

    /// Which of the given properties this module sets itself.
    pub fn is_fixed_property(name: &str) -> bool {
        FIXED.iter().any(|(key, _)| *key == name)
    }

    fn next_event(&self) -> Option<SourceEvent> {
        self.consumer.context().pending.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// The binding says the number of the partition whose end was reached, but not its topic; the
    /// positions do.
    fn note_ends(&mut self, number: i32) {
        let Ok(positions) = self.consumer.position() else { return };
        for element in positions.elements().iter().filter(|e| e.partition() == number) {
            let key = (element.topic().to_owned(), number);
            if self.ended.contains(&key) {
                continue;
            }
            let watermarks = self.consumer.fetch_watermarks(element.topic(), number, BROKER_TIMEOUT);
            let is_end = watermarks.is_ok_and(|(first, end)| match element.offset() {
                Offset::Offset(next) => next >= end,
                // Nothing read yet: at the end only if there is nothing after the start.
                _ => self.started.get(&key).is_some_and(|&next| next.max(first) >= end),
            });
            if is_end {
                self.ended.insert(key);
            }
        }
    }

    fn is_at_end(&self) -> bool {
        self.until_end
            && self.consumer.assignment().is_ok_and(|assigned| {
                let assigned = assigned.elements();
                !assigned.is_empty()
                    && assigned.iter().all(|e| self.ended.contains(&(e.topic().to_owned(), e.partition())))
            })
    }

    /// Where to start: after `position`, unless that would leave a hole or belongs to another life of the topic.
    fn start_offset(&self, partition: &TopicPartition, position: i64) -> Result<Offset, SourceError> {
        let (first, end) =
            with_patience(|| self.consumer.fetch_watermarks(&partition.topic, partition.partition, BROKER_TIMEOUT))?;
        let wanted = position + 1;
        let hint = if position >= 0 && wanted < first {
            if self.skip_missing {
                tracing::error!(%partition, wanted, first, "records were deleted before they were read; going on without them");
                return Ok(Offset::Offset(first));
            }
            "records were deleted before they were read; kafka.missing_records = \"skip\" goes on without them"
        } else if wanted > end {
            "the topic was deleted and made anew; give it another name, or start a new store"
        } else {
            return Ok(if position < 0 { Offset::Beginning } else { Offset::Offset(wanted) });
        };
        Err(SourceError::OffsetOutOfRange { partition: partition.clone(), wanted, first, last: end - 1, hint })
    }
}

/// Asks again while a broker is away: a rolling restart of the cluster must not end the process.
fn with_patience<T>(mut question: impl FnMut() -> Result<T, KafkaError>) -> Result<T, KafkaError> {
    for _ in 0..PATIENCE {
        match question() {
            Err(error) if is_passing(&error) => tracing::warn!(%error, "kafka client; asking again"),
            other => return other,
        }
        std::thread::sleep(PATIENCE_WAIT);
    }
    question()
}

fn slot_of(
    slots: &mut HashMap<(String, i32), usize>,
    partitions: &mut Vec<TopicPartition>,
    last: &mut usize,
    message: &BorrowedMessage<'_>,
) -> usize {
    if let Some(p) = partitions.get(*last)
        && p.partition == message.partition()
        && *p.topic == *message.topic()
    {
        return *last;
    }
    let key = (message.topic().to_owned(), message.partition());
    *last = *slots.entry(key).or_insert_with_key(|(topic, partition)| {
        partitions.push(TopicPartition::new(topic.as_str(), *partition));
        partitions.len() - 1
    });
    *last
}

impl Source for KafkaSource {
    fn poll(
        &mut self,
        records_max: usize,
        timeout: Duration,
        sink: &mut dyn FnMut(&SourceRecord<'_>),
    ) -> Result<Polled, SourceError> {
        let mut count = 0;
        while count < records_max {
            let wait = if count == 0 { timeout } else { Duration::ZERO };
            let message = self.consumer.poll(wait);
            // An event noted by the callback is answered before any later record is taken.
            let event_pending =
                !self.consumer.context().pending.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
            match message {
                Some(Ok(message)) => {
                    let slot = slot_of(&mut self.slots, &mut self.partitions, &mut self.last_slot, &message);
                    let headers = MessageHeaders(message.headers());
                    let raw = RawRecord {
                        topic: Some(message.topic()),
                        payload: message.payload().unwrap_or_default(),
                        timestamp_us: record_timestamp_us(&message),
                        headers: &headers,
                    };
                    if slot >= self.handed_out.len() {
                        self.handed_out.resize(slot + 1, false);
                    }
                    self.handed_out[slot] = true;
                    let named = &self.partitions[slot];
                    sink(&SourceRecord { slot, partition: named, offset: message.offset(), raw });
                    count += 1;
                }
                Some(Err(KafkaError::PartitionEOF(number))) => self.note_ends(number),
                Some(Err(error)) if is_passing(&error) => {
                    tracing::warn!(%error, "kafka client");
                }
                Some(Err(KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset))) => {
                    // The next record was deleted while we were reading; a new start finds out and decides.
                    return Err(SourceError::OffsetsMoved);
                }
                Some(Err(error)) => return Err(error.into()),
                None if !event_pending => break,
                None => {}
            }
            if event_pending {
                break;
            }
        }
        if count > 0 {
            return Ok(Polled::Records(count));
        }
        match self.next_event() {
            Some(event) => Ok(Polled::Event(event)),
            None if self.is_at_end() => Ok(Polled::Event(SourceEvent::Finished)),
            None => Ok(Polled::Records(0)),
        }
    }

    fn start_after(&mut self, positions: &BTreeMap<TopicPartition, i64>) -> Result<(), SourceError> {
        let assigned = self.consumer.assignment()?;
        let mut fresh = TopicPartitionList::new();
        for (partition, &position) in positions {
            let offset = self.start_offset(partition, position)?;
            let key = (partition.topic.to_string(), partition.partition);
            self.ended.remove(&key);
            if let Some(handed_out) = self.slots.get(&key).and_then(|&s| self.handed_out.get_mut(s)) {
                *handed_out = false;
            }
            self.started.insert(key, position + 1);
            if assigned.find_partition(&partition.topic, partition.partition).is_some() {
                with_patience(|| self.consumer.seek(&partition.topic, partition.partition, offset, BROKER_TIMEOUT))?;
            } else {
                fresh.add_partition_offset(&partition.topic, partition.partition, offset)?;
            }
        }
        if fresh.count() > 0 || positions.is_empty() {
            match self.consumer.rebalance_protocol() {
                RebalanceProtocol::Eager => self.consumer.assign(&fresh)?,
                _ => self.consumer.incremental_assign(&fresh)?,
            }
        }
        if self.paused {
            self.pause()?;
        }
        Ok(())
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), SourceError> {
        match self.consumer.rebalance_protocol() {
            RebalanceProtocol::Eager => self.consumer.unassign()?,
            _ => self.consumer.incremental_unassign(&list(partitions))?,
        }
        Ok(())
    }

    fn pause(&mut self) -> Result<(), SourceError> {
        self.paused = true;
        Ok(self.consumer.pause(&self.consumer.assignment()?)?)
    }

    fn resume(&mut self) -> Result<(), SourceError> {
        self.paused = false;
        Ok(self.consumer.resume(&self.consumer.assignment()?)?)
    }

    fn publish_progress(&mut self, positions: &BTreeMap<TopicPartition, i64>) {
        let mut offsets = TopicPartitionList::new();
        for (partition, &position) in positions.iter().filter(|(_, position)| **position >= 0) {
            let added =
                offsets.add_partition_offset(&partition.topic, partition.partition, Offset::Offset(position + 1));
            debug_assert!(added.is_ok());
        }
        if let Err(error) = self.consumer.commit(&offsets, CommitMode::Async) {
            tracing::debug!(%error, "publishing the group offset, which only lag tools read");
        }
    }

    fn covered(&self) -> BTreeMap<TopicPartition, i64> {
        let Ok(positions) = self.consumer.position() else { return BTreeMap::new() };
        let mut covered = BTreeMap::new();
        for element in positions.elements() {
            // Until a record has come, the position may be that of the partition's last stay with us.
            let slot = self.slots.get(&(element.topic().to_owned(), element.partition()));
            let has_come = slot.and_then(|&s| self.handed_out.get(s)).is_some_and(|&h| h);
            if let (Offset::Offset(next), true) = (element.offset(), has_come) {
                covered.insert(TopicPartition::new(element.topic(), element.partition()), next - 1);
            }
        }
        covered
    }

    fn end_offsets(&self) -> BTreeMap<TopicPartition, i64> {
        self.consumer.context().end_offsets.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn close(&mut self) {
        // From here on the library's wishes are granted at once: everything is committed.
        self.consumer.context().closing.store(true, Ordering::Release);
        self.consumer.unsubscribe();
    }
}

/// Errors that librdkafka recovers from by itself.
fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as C;
    let code = match error {
        KafkaError::MessageConsumption(code) | KafkaError::Global(code) | KafkaError::MetadataFetch(code) => *code,
        // Its reason is only a text.
        KafkaError::Seek(_) => return true,
        _ => return false,
    };
    // A missing topic may still be made; the rest is the network or a broker that comes back.
    matches!(
        code,
        C::BrokerTransportFailure
            | C::AllBrokersDown
            | C::Resolve
            | C::OperationTimedOut
            | C::NetworkException
            | C::UnknownTopicOrPartition
            | C::UnknownTopic
            | C::UnknownPartition
            | C::LeaderNotAvailable
            | C::NotLeaderForPartition
            | C::CoordinatorNotAvailable
            | C::CoordinatorLoadInProgress
            | C::NotCoordinator
            | C::RebalanceInProgress
            | C::RequestTimedOut
            | C::PollExceeded
    )
}

fn list(partitions: &[TopicPartition]) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(&partition.topic, partition.partition);
    }
    list
}

fn record_timestamp_us(message: &BorrowedMessage<'_>) -> Option<i64> {
    match message.timestamp() {
        Timestamp::CreateTime(ms) | Timestamp::LogAppendTime(ms) if ms > 0 => ms.checked_mul(1000),
        _ => None,
    }
}

struct MessageHeaders<'a>(Option<&'a BorrowedHeaders>);

impl fmt::Debug for MessageHeaders<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MessageHeaders").field(&self.0.map(|h| h.count())).finish()
    }
}

impl Headers for MessageHeaders<'_> {
    fn get(&self, name: &str) -> Option<&[u8]> {
        let headers = self.0?;
        (0..headers.count()).map(|i| headers.get(i)).find(|h| h.key.eq_ignore_ascii_case(name))?.value
    }
}

/// Notes what the group asks for.
#[derive(Debug, Default)]
struct Context {
    pending: Mutex<VecDeque<SourceEvent>>,
    closing: AtomicBool,
    /// Last offset of each partition, from the library's statistics.
    end_offsets: Mutex<BTreeMap<TopicPartition, i64>>,
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

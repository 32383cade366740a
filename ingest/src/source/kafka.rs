//! Kafka through librdkafka. Group membership is the library's; positions are ours.
//!
//! Records come by our own reader of whole batches, where the settings say nothing that only librdkafka does; it
//! hands out one record at a time, which costs several times what reading it does.
//!
//! The library's rebalance callback only notes what it is asked for. The worker then drains and
//! answers outside of it, which librdkafka allows: it waits until the assignment is confirmed.

mod batches;
mod by_hand;
mod diagnose;
mod group;
mod patience;

pub use diagnose::{KafkaReport, PartitionReport, TopicReport};

use super::{Polled, Source, SourceError, SourceEvent, SourceRecord};
use crate::decode::{Headers, RawRecord};
use group::Context;
use patience::{is_passing, with_patience};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Headers as _, Message, Timestamp};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tidewatch_engine::commit::TopicPartition;
use tidewatch_kafka::{Partition, Reader};

/// How long one question to the broker may take.
const BROKER_TIMEOUT: Duration = Duration::from_secs(10);

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
    /// Who fetches records.
    pub fetch: Fetch,
}

/// Who fetches records from brokers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fetch {
    /// Our reader of whole batches, where no property asks for what only librdkafka does.
    #[default]
    Auto,
    /// Always librdkafka.
    Librdkafka,
}

/// A member of a consumer group.
pub struct KafkaSource {
    consumer: Arc<BaseConsumer<Context>>,
    /// Reads batches past the library, which then fetches nothing.
    reader: Option<Reader>,
    slots: Slots,
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
            .field("partitions", &self.slots.partitions)
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
        let fetch = match settings.fetch {
            Fetch::Auto => batches::fetch_settings(&settings.properties),
            Fetch::Librdkafka => None,
        };
        if fetch.is_some() && !settings.properties.contains_key("statistics.interval.ms") {
            // They say where partitions end, which the reader of batches knows.
            config.set("statistics.interval.ms", "0");
        }
        let consumer: Arc<BaseConsumer<Context>> = Arc::new(config.create_with_context(Context::default())?);
        let cluster = || Arc::new(batches::Cluster(Arc::downgrade(&consumer)));
        let reader = fetch.map(|settings| Reader::new(cluster(), settings)).transpose()?;
        Ok(Self {
            consumer,
            reader,
            slots: Slots::default(),
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
        if let (true, Some(reader)) = (self.until_end, &self.reader) {
            let mut read = (0..self.slots.partitions.len()).filter(|&slot| reader.is_reading(slot)).peekable();
            return read.peek().is_some() && read.all(|slot| reader.is_at_end(slot));
        }
        self.until_end
            && self.consumer.assignment().is_ok_and(|assigned| {
                let assigned = assigned.elements();
                !assigned.is_empty()
                    && assigned.iter().all(|e| self.ended.contains(&(e.topic().to_owned(), e.partition())))
            })
    }

    /// Where to start: after `position`, unless that would leave a hole or belongs to another life of the topic. Below
    /// 0 it is the first record that exists.
    fn start_offset(&self, partition: &TopicPartition, position: i64) -> Result<i64, SourceError> {
        let (first, end) =
            with_patience(|| self.consumer.fetch_watermarks(&partition.topic, partition.partition, BROKER_TIMEOUT))?;
        let wanted = position + 1;
        let hint = if position >= 0 && wanted < first {
            if self.skip_missing {
                tracing::error!(%partition, wanted, first, "records were deleted before they were read; going on without them");
                return Ok(first);
            }
            "records were deleted before they were read; kafka.missing_records = \"skip\" goes on without them"
        } else if wanted > end {
            "the topic was deleted and made anew; give it another name, or start a new store"
        } else {
            return Ok(if position < 0 { first } else { wanted });
        };
        Err(SourceError::OffsetOutOfRange { partition: partition.clone(), wanted, first, last: end - 1, hint })
    }
}

/// An error of the library: one that it mends by itself is only said.
fn heed(error: KafkaError) -> Result<(), SourceError> {
    match error {
        error if is_passing(&error) => tracing::warn!(%error, "kafka client"),
        // The next record was deleted while we were reading; a new start finds out and decides.
        KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset) => return Err(SourceError::OffsetsMoved),
        error => return Err(error.into()),
    }
    Ok(())
}

/// Numbers for partitions, which stay theirs as long as the source lives.
#[derive(Debug, Default)]
struct Slots {
    partitions: Vec<TopicPartition>,
    by_name: HashMap<(String, i32), usize>,
    /// By slot: did a record come since the partition was last started?
    handed_out: Vec<bool>,
    /// That of the last record: neighbours usually share it.
    last: usize,
}

impl Slots {
    fn of(&mut self, topic: &str, number: i32) -> usize {
        if let Some(p) = self.partitions.get(self.last)
            && p.partition == number
            && *p.topic == *topic
        {
            return self.last;
        }
        self.last = *self.by_name.entry((topic.to_owned(), number)).or_insert_with(|| {
            self.partitions.push(TopicPartition::new(topic, number));
            self.handed_out.push(false);
            self.partitions.len() - 1
        });
        self.last
    }

    fn has_come(&self, topic: &str, number: i32) -> bool {
        self.by_name.get(&(topic.to_owned(), number)).is_some_and(|&slot| self.handed_out[slot])
    }
}

impl Source for KafkaSource {
    fn poll(
        &mut self,
        records_max: usize,
        timeout: Duration,
        sink: &mut dyn FnMut(&SourceRecord<'_>),
    ) -> Result<Polled, SourceError> {
        if self.reader.is_some() {
            return self.poll_batches(records_max, timeout, sink);
        }
        let mut count = 0;
        while count < records_max {
            let wait = if count == 0 { timeout } else { Duration::ZERO };
            let message = self.consumer.poll(wait);
            // An event noted by the callback is answered before any later record is taken.
            let event_pending =
                !self.consumer.context().pending.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
            match message {
                Some(Ok(message)) => {
                    let slot = self.slots.of(message.topic(), message.partition());
                    let headers = MessageHeaders(message.headers());
                    let raw = RawRecord {
                        topic: Some(message.topic()),
                        payload: message.payload().unwrap_or_default(),
                        timestamp_us: record_timestamp_us(&message),
                        headers: &headers,
                    };
                    self.slots.handed_out[slot] = true;
                    let named = &self.slots.partitions[slot];
                    sink(&SourceRecord { slot, partition: named, offset: message.offset(), raw });
                    count += 1;
                }
                Some(Err(KafkaError::PartitionEOF(number))) => self.note_ends(number),
                Some(Err(error)) => heed(error)?,
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
            let first = self.start_offset(partition, position)?;
            let (topic, number) = (&*partition.topic, partition.partition);
            self.ended.remove(&(topic.to_owned(), number));
            let slot = self.slots.of(topic, number);
            self.slots.handed_out[slot] = false;
            self.started.insert((topic.to_owned(), number), position + 1);
            let offset = if position < 0 { Offset::Beginning } else { Offset::Offset(first) };
            let is_fresh = assigned.find_partition(topic, number).is_none();
            if is_fresh {
                fresh.add_partition_offset(topic, number, offset)?;
            }
            if let Some(reader) = &mut self.reader {
                reader.start(slot, &Partition { topic: Arc::clone(&partition.topic), number }, first);
            } else if !is_fresh {
                with_patience(|| self.consumer.seek(topic, number, offset, BROKER_TIMEOUT))?;
            }
        }
        if fresh.count() > 0 || positions.is_empty() {
            match self.consumer.rebalance_protocol() {
                RebalanceProtocol::Eager => self.consumer.assign(&fresh)?,
                _ => self.consumer.incremental_assign(&fresh)?,
            }
        }
        if self.paused || self.reader.is_some() {
            self.consumer.pause(&self.consumer.assignment()?)?;
        }
        Ok(())
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), SourceError> {
        if let Some(reader) = &mut self.reader {
            for partition in partitions {
                reader.stop(self.slots.of(&partition.topic, partition.partition));
            }
        }
        match self.consumer.rebalance_protocol() {
            RebalanceProtocol::Eager => self.consumer.unassign()?,
            _ => self.consumer.incremental_unassign(&list(partitions))?,
        }
        Ok(())
    }

    fn pause(&mut self) -> Result<(), SourceError> {
        self.paused = true;
        if self.reader.is_some() {
            return Ok(());
        }
        Ok(self.consumer.pause(&self.consumer.assignment()?)?)
    }

    fn resume(&mut self) -> Result<(), SourceError> {
        self.paused = false;
        if self.reader.is_some() {
            return Ok(());
        }
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
        if let Some(reader) = &self.reader {
            return self.before(|slot| reader.position(slot));
        }
        let Ok(positions) = self.consumer.position() else { return BTreeMap::new() };
        let mut covered = BTreeMap::new();
        for element in positions.elements() {
            // Until a record has come, the position may be that of the partition's last stay with us.
            let has_come = self.slots.has_come(element.topic(), element.partition());
            if let (Offset::Offset(next), true) = (element.offset(), has_come) {
                covered.insert(TopicPartition::new(element.topic(), element.partition()), next - 1);
            }
        }
        covered
    }

    fn end_offsets(&self) -> BTreeMap<TopicPartition, i64> {
        if let Some(reader) = &self.reader {
            return self.before(|slot| reader.high_watermark(slot));
        }
        self.consumer.context().end_offsets.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn close(&mut self) {
        // From here on the library's wishes are granted at once: everything is committed.
        self.consumer.context().closing.store(true, Ordering::Release);
        self.consumer.unsubscribe();
    }
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

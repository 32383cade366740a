//! Reading given partitions outside of any group: the live path's members do not notice.

use super::{BROKER_TIMEOUT, DEFAULTS, KafkaSettings, KafkaSource, is_passing, record_timestamp_us, with_patience};
use crate::source::{SourceError, SourceEvent};
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;
use tidewatch_engine::backfill::Retained;
use tidewatch_engine::commit::TopicPartition;

/// The queue of a reader that nobody waits for; a live one may be larger.
const QUEUE_KBYTES: &str = "8192";

/// How long is waited for a single record: so many polls of this length.
const POLL: Duration = Duration::from_millis(100);
const POLLS: u32 = 100;

impl KafkaSource {
    /// Reads these partitions, to their end at most, and neither joins the group nor commits to it.
    pub fn assigned(settings: &KafkaSettings, partitions: Vec<TopicPartition>) -> Result<Self, SourceError> {
        let mut settings = KafkaSettings { until_end: true, ..settings.clone() };
        let default = DEFAULTS.iter().find(|(key, _)| *key == "group.id").map_or("", |(_, group)| group);
        let group = settings.properties.get("group.id").map_or(default, String::as_str);
        // The library wants a name, though it joins no group by it.
        let group = format!("{group}-backfill");
        settings.properties.insert("group.id".to_owned(), group);
        settings.properties.remove("group.instance.id");
        settings.properties.entry("queued.max.messages.kbytes".to_owned()).or_insert(QUEUE_KBYTES.to_owned());
        let source = Self::connect(&settings)?;
        let mut pending = source.consumer.context().pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.push_back(SourceEvent::Assigned(partitions));
        drop(pending);
        Ok(source)
    }

    /// What exists of a partition.
    pub fn retained(&self, partition: &TopicPartition) -> Result<Retained, SourceError> {
        let ask = || self.consumer.fetch_watermarks(&partition.topic, partition.partition, BROKER_TIMEOUT);
        let (first, end) = with_patience(ask)?;
        Ok(Retained { first, end })
    }

    /// Timestamp of the record at `offset`, or of the next one that is left, microseconds since the epoch; `None`
    /// when it has none, or does not come in time. Connects for this question alone.
    pub fn time_of(
        settings: &KafkaSettings,
        partition: &TopicPartition,
        offset: i64,
    ) -> Result<Option<i64>, SourceError> {
        let source = Self::assigned(settings, Vec::new())?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&partition.topic, partition.partition, Offset::Offset(offset))?;
        source.consumer.assign(&list)?;
        for _ in 0..POLLS {
            match source.consumer.poll(POLL) {
                Some(Ok(message)) => return Ok(record_timestamp_us(&message)),
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(None),
                Some(Err(error)) if is_passing(&error) => tracing::warn!(%error, "kafka client; asking again"),
                Some(Err(error)) => return Err(error.into()),
                None => {}
            }
        }
        Ok(None)
    }

    /// Per partition the first offset whose record has this timestamp (microseconds since the epoch) or a later
    /// one; `None` when all records are older.
    pub fn offsets_at(
        &self,
        partitions: &[TopicPartition],
        time_us: i64,
    ) -> Result<BTreeMap<TopicPartition, Option<i64>>, SourceError> {
        let mut times = TopicPartitionList::new();
        for partition in partitions {
            times.add_partition_offset(&partition.topic, partition.partition, Offset::Offset(time_us / 1000))?;
        }
        let found = with_patience(|| self.consumer.offsets_for_times(times.clone(), BROKER_TIMEOUT))?;
        let offset = |offset| match offset {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        };
        let named = found.elements().into_iter();
        Ok(named.map(|e| (TopicPartition::new(e.topic(), e.partition()), offset(e.offset()))).collect())
    }
}

//! The journal of letters that were put back: numbered rows that are never changed.
//!
//! The table records its own end as the position of partition 0 of the topic `redrive:journal`, in the
//! commit that adds the rows. Two that append at the same time cannot both start at the same end: the
//! slower one looks again which letters stand there already. So each letter has one row at most.

use super::rows::{self, Bytes, Ints, Longs, Texts, Times};
use super::{LetterId, LettersError};
use crate::log;
use crate::source::{FILE_TOPIC, JOURNAL_TOPIC, journal_partition};
use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::logical_expr::{ident, lit};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tidewatch_engine::commit::{BEFORE_FIRST, OffsetRange, TopicPartition};
use tidewatch_engine::rollup::timestamp_type;
use tidewatch_storage::{AppendOutcome, Rows, Store, Table};

/// Table name.
pub const REDRIVEN: &str = "redriven";

/// Writes that may fail before it is given up, and the pause after the first one; it doubles.
const FAILURES_MAX: u32 = 5;
const RETRY_FIRST: Duration = Duration::from_millis(100);

/// Columns of the table.
pub fn journal_schema() -> SchemaRef {
    let text = |name, nullable| Field::new(name, DataType::Utf8, nullable);
    Arc::new(Schema::new(vec![
        Field::new("sequence", DataType::Int64, false),
        text("topic", false),
        Field::new("partition", DataType::Int32, false),
        Field::new("offset", DataType::Int64, false),
        text("origin_topic", false),
        Field::new("origin_partition", DataType::Int32, false),
        text("event_id", true),
        Field::new("record_time", timestamp_type(), true),
        Field::new("payload", DataType::Binary, false),
        Field::new("repaired", DataType::Boolean, false),
        Field::new("redriven_at", timestamp_type(), false),
    ]))
}

/// A letter to be put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The letter.
    pub id: LetterId,
    /// CloudEvents `id`.
    pub event_id: Option<String>,
    /// Timestamp of the record, microseconds since the epoch: it decides about the future, as at first.
    pub record_time_us: Option<i64>,
    /// What is to be counted.
    pub payload: Vec<u8>,
    /// Are those not the bytes of the letter?
    pub is_repaired: bool,
}

/// One row, on its way into the windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journaled {
    /// Its number, from 0.
    pub sequence: i64,
    /// Where the record lay at the very first.
    pub origin: TopicPartition,
    /// Timestamp of the record, microseconds since the epoch.
    pub record_time_us: Option<i64>,
    /// What is to be counted.
    pub payload: Vec<u8>,
}

/// Topic that decides which types a record may have; `None` for files and the local log, whose events are told by
/// type alone.
pub fn routing_topic(origin: &TopicPartition) -> Option<&str> {
    let is_told_by_type = origin.topic.starts_with(FILE_TOPIC) || log::topic_of(origin).is_some();
    Some(&*origin.topic).filter(|_| !is_told_by_type)
}

/// Reads the journal as it was at some version. Cheap to clone.
#[derive(Debug, Clone)]
pub struct JournalReader {
    table: Option<Table>,
    end: i64,
}

/// The journal and an index of the letters in it.
#[derive(Debug)]
pub struct Journal {
    store: Store,
    reader: JournalReader,
    /// Number of the last row that the index knows.
    indexed: i64,
    letters: HashSet<LetterId>,
    /// Where the records of rows lay at the very first, by number; only what was put back twice asks for it.
    origins: HashMap<i64, TopicPartition>,
    /// One text per topic.
    topics: BTreeMap<String, Arc<str>>,
}

impl JournalReader {
    async fn of(table: Option<Table>) -> Result<Self, LettersError> {
        let Some(mut table) = table else { return Ok(Self { table: None, end: BEFORE_FIRST }) };
        let partition = journal_partition();
        let end = table.positions(std::slice::from_ref(&partition)).await?;
        let end = end.get(&partition).copied().unwrap_or(BEFORE_FIRST);
        Ok(Self { table: Some(table), end })
    }

    /// Number of the last row; [`BEFORE_FIRST`] when there is none.
    pub fn end(&self) -> i64 {
        self.end
    }

    /// The rows `(after, to]`, in order.
    pub async fn read(&self, after: i64, to: i64) -> Result<Vec<Journaled>, LettersError> {
        let columns = ["sequence", "origin_topic", "origin_partition", "record_time", "payload"];
        let mut all = Vec::new();
        for batch in self.scan(&columns, after, to).await? {
            let (sequences, payloads) = (Longs::of(&batch, "sequence")?, Bytes::of(&batch, "payload")?);
            let topics = Texts::of(&batch, "origin_topic")?;
            let (partitions, times) = (Ints::of(&batch, "origin_partition")?, Times::of(&batch, "record_time")?);
            all.extend((0..batch.num_rows()).map(|row| Journaled {
                sequence: sequences.get(row),
                origin: TopicPartition::new(topics.text(row), partitions.get(row)),
                record_time_us: times.get(row),
                payload: payloads.get(row).to_vec(),
            }));
        }
        Ok(all)
    }

    /// Columns of the rows `(after, to]`, in order; every number must be there.
    async fn scan(&self, columns: &[&str], after: i64, to: i64) -> Result<Vec<RecordBatch>, LettersError> {
        if to <= after {
            return Ok(Vec::new());
        }
        let scan = rows::context().read_table(rows::provider(self.table.as_ref(), journal_schema()).await?)?;
        let scan = scan
            .filter(ident("sequence").gt(lit(after)).and(ident("sequence").lt_eq(lit(to))))?
            .select(columns.iter().map(|&c| ident(c)))?
            .sort(vec![ident("sequence").sort(true, false)])?;
        let batches = scan.collect().await?;
        let found = batches.iter().map(RecordBatch::num_rows).sum::<usize>() as i64;
        if found != to - after {
            return Err(LettersError::JournalDamaged { after, expected: to - after, found });
        }
        Ok(batches)
    }
}

impl Journal {
    /// Opens the journal of a store, which may have none yet.
    pub async fn open(store: &Store) -> Result<Self, LettersError> {
        let mut journal = Self {
            store: store.clone(),
            reader: JournalReader::of(store.table(REDRIVEN).await?).await?,
            indexed: BEFORE_FIRST,
            letters: HashSet::new(),
            origins: HashMap::new(),
            topics: BTreeMap::new(),
        };
        journal.index().await?;
        Ok(journal)
    }

    /// Looks what others have appended.
    pub async fn refresh(&mut self) -> Result<(), LettersError> {
        let table = match self.reader.table.take() {
            Some(mut table) => {
                let refreshed = table.refresh().await;
                self.reader.table = Some(table.clone());
                refreshed?;
                Some(table)
            }
            None => self.store.table(REDRIVEN).await?,
        };
        self.reader = JournalReader::of(table).await?;
        self.index().await
    }

    async fn index(&mut self) -> Result<(), LettersError> {
        let columns = ["sequence", "topic", "partition", "offset", "origin_topic", "origin_partition"];
        for batch in self.reader.scan(&columns, self.indexed, self.reader.end).await? {
            let (sequences, offsets) = (Longs::of(&batch, "sequence")?, Longs::of(&batch, "offset")?);
            let (topics, partitions) = (Texts::of(&batch, "topic")?, Ints::of(&batch, "partition")?);
            let (origins, origin_partitions) =
                (Texts::of(&batch, "origin_topic")?, Ints::of(&batch, "origin_partition")?);
            for row in 0..batch.num_rows() {
                let topic = self.topic(topics.text(row));
                self.letters.insert(LetterId::new(topic, partitions.get(row), offsets.get(row)));
                let origin = TopicPartition::new(self.topic(origins.text(row)), origin_partitions.get(row));
                self.origins.insert(sequences.get(row), origin);
            }
        }
        self.indexed = self.reader.end;
        Ok(())
    }

    fn topic(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.topics.get(name) {
            return Arc::clone(known);
        }
        let topic: Arc<str> = Arc::from(name);
        self.topics.insert(name.to_owned(), Arc::clone(&topic));
        topic
    }

    /// To read its rows.
    pub fn reader(&self) -> &JournalReader {
        &self.reader
    }

    /// Was this letter put back already?
    pub fn has(&self, id: &LetterId) -> bool {
        self.letters.contains(id)
    }

    /// Where the record of a letter lay at the very first: a letter that was put back and refused again is
    /// a record of the journal.
    pub fn origin(&self, id: &LetterId) -> TopicPartition {
        let own = id.topic_partition();
        match self.origins.get(&id.offset).filter(|_| *id.topic == *JOURNAL_TOPIC) {
            Some(origin) => origin.clone(),
            None => own,
        }
    }

    /// Appends those of the letters that are not there yet, in one commit; returns their numbers.
    ///
    /// Safe to repeat after an error: letters that were appended unheard are found.
    pub async fn append(
        &mut self,
        mut entries: Vec<Entry>,
        redriven_at_us: i64,
    ) -> Result<Option<OffsetRange>, LettersError> {
        let (mut delay, mut failures) = (RETRY_FIRST, 0);
        loop {
            self.refresh().await?;
            let mut seen = HashSet::new();
            entries.retain(|e| !self.has(&e.id) && seen.insert(e.id.clone()));
            if entries.is_empty() {
                return Ok(None);
            }
            let from = self.reader.end;
            let range = OffsetRange { from, to: from + entries.len() as i64 };
            let rows = Rows {
                batch: Some(self.rows(&entries, from + 1, redriven_at_us)?),
                ranges: BTreeMap::from([(journal_partition(), range)]),
                watermarks: BTreeMap::new(),
            };
            let mut table = match self.reader.table.take() {
                Some(table) => table,
                None => self.create().await?,
            };
            let outcome = table.append(&rows).await;
            self.reader.table = Some(table);
            match outcome {
                Ok(AppendOutcome::Committed { .. }) => {
                    self.refresh().await?;
                    return Ok(Some(range));
                }
                // Somebody else appended: other letters, or these. That the end is as far as ours would be
                // says nothing about whose rows they are. (Measures are the business of rollups.)
                Ok(
                    AppendOutcome::AlreadyCommitted | AppendOutcome::MustReplay { .. } | AppendOutcome::Outdated { .. },
                ) => {}
                Err(error) if failures == FAILURES_MAX => return Err(error.into()),
                // The store may be well again, and letters that went in unheard are found.
                Err(error) => {
                    tracing::warn!(%error, retry_in = ?delay, "writing to the journal failed");
                    failures += 1;
                    tokio::time::sleep(delay).await;
                    delay *= 2;
                }
            }
        }
    }

    async fn create(&self) -> Result<Table, LettersError> {
        // Statistics on the number find the rows that are not counted yet; payloads have no place in the log.
        let properties = [("delta.dataSkippingNumIndexedCols", "1".to_owned())];
        Ok(Table::open_or_create(&self.store, REDRIVEN, &journal_schema(), &properties).await?)
    }

    fn rows(&self, entries: &[Entry], first: i64, redriven_at_us: i64) -> Result<RecordBatch, LettersError> {
        let origins: Vec<TopicPartition> = entries.iter().map(|e| self.origin(&e.id)).collect();
        let times = |values: Vec<Option<i64>>| TimestampMicrosecondArray::from(values).with_timezone("UTC");
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(first..first + entries.len() as i64)),
            Arc::new(StringArray::from_iter_values(entries.iter().map(|e| &*e.id.topic))),
            Arc::new(Int32Array::from_iter_values(entries.iter().map(|e| e.id.partition))),
            Arc::new(Int64Array::from_iter_values(entries.iter().map(|e| e.id.offset))),
            Arc::new(StringArray::from_iter_values(origins.iter().map(|o| &*o.topic))),
            Arc::new(Int32Array::from_iter_values(origins.iter().map(|o| o.partition))),
            Arc::new(StringArray::from_iter(entries.iter().map(|e| e.event_id.as_deref()))),
            Arc::new(times(entries.iter().map(|e| e.record_time_us).collect())),
            Arc::new(BinaryArray::from_iter_values(entries.iter().map(|e| &e.payload))),
            Arc::new(BooleanArray::from_iter(entries.iter().map(|e| Some(e.is_repaired)))),
            Arc::new(times(vec![Some(redriven_at_us); entries.len()])),
        ];
        Ok(RecordBatch::try_new(journal_schema(), columns)?)
    }
}

#[cfg(test)]
mod tests;

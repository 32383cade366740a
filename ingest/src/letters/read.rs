//! Reads dead letters back: a page of them, a summary, all of a selection one after the other.

use super::journal::{REDRIVEN, journal_schema};
use super::rows::{self, Bytes, Ints, Longs, Texts, Times};
use super::{LetterFilter, LetterId, LettersError};
use crate::dead_letter::{DEAD_LETTERS, dead_letter_schema};
use arrow::array::AsArray;
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::JoinType;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::functions::expr_fn::concat;
use datafusion::functions_aggregate::expr_fn::{count, max, min};
use datafusion::logical_expr::{cast, ident, lit};
use datafusion::prelude::{DataFrame, Expr};
use futures::StreamExt;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use tidewatch_storage::Store;

/// The dead letters and the journal as they were when this was opened.
#[derive(Debug, Clone)]
pub struct Letters {
    letters: Arc<dyn TableProvider>,
    redriven: Arc<dyn TableProvider>,
}

/// Columns and rows, for printing.
#[derive(Debug, Clone)]
pub struct Page {
    /// The columns.
    pub schema: SchemaRef,
    /// The rows.
    pub batches: Vec<RecordBatch>,
}

/// One dead letter. Times are microseconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLetter {
    /// Where its record lies.
    pub id: LetterId,
    /// When it was read.
    pub arrival_time_us: i64,
    /// Timestamp of the record.
    pub record_time_us: Option<i64>,
    /// Why it is here.
    pub reason: String,
    /// What was expected and found.
    pub detail: String,
    /// `rejected` or `kept_as_other`.
    pub disposition: String,
    /// CloudEvents `id`.
    pub event_id: Option<String>,
    /// CloudEvents `type`.
    pub event_type: Option<String>,
    /// The bytes that were kept.
    pub payload: Vec<u8>,
    /// How many there were.
    pub payload_bytes: i64,
    /// When it was put back, and its number in the journal.
    pub redriven: Option<(i64, i64)>,
}

impl StoredLetter {
    /// Were not all bytes kept?
    pub fn is_cut_off(&self) -> bool {
        self.payload_bytes > self.payload.len() as i64
    }
}

/// Letters of a selection, some at a time.
pub struct LetterStream {
    stream: SendableRecordBatchStream,
    filter: LetterFilter,
}

impl fmt::Debug for LetterStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LetterStream").field("filter", &self.filter).finish_non_exhaustive()
    }
}

impl Letters {
    /// Opens what is there; without tables there are no letters.
    pub async fn open(store: &Store) -> Result<Self, LettersError> {
        let (letters, redriven) = (store.table(DEAD_LETTERS).await?, store.table(REDRIVEN).await?);
        Ok(Self {
            letters: rows::provider(letters.as_ref(), dead_letter_schema()).await?,
            redriven: rows::provider(redriven.as_ref(), journal_schema()).await?,
        })
    }

    /// The letters with when and as which number of the journal they were put back.
    fn selected(&self, filter: &LetterFilter) -> Result<DataFrame, LettersError> {
        let context = rows::context();
        let letters = context.read_table(Arc::clone(&self.letters))?;
        let letters = match filter.condition() {
            Some(condition) => letters.filter(condition)?,
            None => letters,
        };
        let redriven = context.read_table(Arc::clone(&self.redriven))?.select([
            ident("topic").alias("of_topic"),
            ident("partition").alias("of_partition"),
            ident("offset").alias("of_offset"),
            ident("redriven_at"),
            ident("sequence").alias("redriven_as"),
        ])?;
        let same = [("topic", "of_topic"), ("partition", "of_partition"), ("offset", "of_offset")];
        // The journal is what is held in memory; letters, with their payloads, stream past it.
        Ok(redriven.join_on(letters, JoinType::Right, same.map(|(a, b)| ident(a).eq(ident(b))))?)
    }

    /// The newest letters, at most `limit`: all columns but the payload.
    pub async fn newest(&self, filter: &LetterFilter, limit: usize) -> Result<Page, LettersError> {
        let columns = [
            "arrival_time",
            "topic",
            "partition",
            "offset",
            "record_time",
            "reason",
            "detail",
            "disposition",
            "event_id",
            "event_type",
            "payload_bytes",
            "redriven_at",
        ];
        page(self.sorted(filter, limit)?.select(columns.map(ident))?).await
    }

    /// The same for people: the name of a letter in one column, and few other ones.
    pub async fn newest_in_short(&self, filter: &LetterFilter, limit: usize) -> Result<Page, LettersError> {
        let columns = [
            ident("arrival_time"),
            name_of_letter().alias("letter"),
            ident("reason"),
            ident("event_type"),
            ident("disposition"),
            ident("redriven_at"),
            ident("detail"),
        ];
        page(self.sorted(filter, limit)?.select(columns)?).await
    }

    fn sorted(&self, filter: &LetterFilter, limit: usize) -> Result<DataFrame, LettersError> {
        let newest_first = [
            ident("arrival_time").sort(false, false),
            ident("topic").sort(true, false),
            ident("partition").sort(true, false),
            ident("offset").sort(false, false),
        ];
        Ok(self.selected(filter)?.sort(newest_first.to_vec())?.limit(0, Some(limit))?)
    }

    /// Per reason and topic: how many, how many of them were put back, the first and the last.
    pub async fn summary(&self, filter: &LetterFilter) -> Result<Page, LettersError> {
        let keys = ["reason", "topic", "disposition"].map(ident).to_vec();
        let values = vec![
            count(ident("arrival_time")).alias("letters"),
            count(ident("redriven_at")).alias("redriven"),
            min(ident("arrival_time")).alias("first_arrival"),
            max(ident("arrival_time")).alias("last_arrival"),
        ];
        let most_first = vec![
            ident("letters").sort(false, false),
            ident("reason").sort(true, false),
            ident("topic").sort(true, false),
            ident("disposition").sort(true, false),
        ];
        page(self.selected(filter)?.aggregate(keys, values)?.sort(most_first)?).await
    }

    /// How many letters there are.
    pub async fn count(&self, filter: &LetterFilter) -> Result<u64, LettersError> {
        let counted = self.selected(filter)?.aggregate(Vec::new(), vec![count(ident("arrival_time")).alias("n")])?;
        let batches = counted.collect().await?;
        let n = batches
            .first()
            .filter(|b| b.num_rows() > 0)
            .map_or(0, |b| b.column(0).as_primitive::<Int64Type>().value(0));
        Ok(u64::try_from(n).unwrap_or_default())
    }

    /// Which letters there are, whatever became of them.
    pub async fn ids(&self, filter: &LetterFilter) -> Result<BTreeSet<LetterId>, LettersError> {
        let keys = self.selected(filter)?.select(["topic", "partition", "offset"].map(ident))?;
        let mut stream = keys.execute_stream().await?;
        let mut ids = BTreeSet::new();
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            let (topics, partitions) = (Texts::of(&batch, "topic")?, Ints::of(&batch, "partition")?);
            let offsets = Longs::of(&batch, "offset")?;
            let all = (0..batch.num_rows()).map(|r| LetterId::new(topics.text(r), partitions.get(r), offsets.get(r)));
            ids.extend(all.filter(|id| filter.has(id)));
        }
        Ok(ids)
    }

    /// Everything about one record: one letter, or several notices.
    pub async fn of(&self, id: &LetterId) -> Result<Vec<StoredLetter>, LettersError> {
        let mut stream = self.stream(&LetterFilter::of_ids([id.clone()])).await?;
        let mut letters = Vec::new();
        while let Some(some) = stream.next().await? {
            letters.extend(some);
        }
        Ok(letters)
    }

    /// All letters of a selection, in no order, some at a time.
    pub async fn stream(&self, filter: &LetterFilter) -> Result<LetterStream, LettersError> {
        let stream = self.selected(filter)?.execute_stream().await?;
        Ok(LetterStream { stream, filter: filter.clone() })
    }
}

impl LetterStream {
    /// The next letters, or `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<StoredLetter>>, LettersError> {
        let Some(batch) = self.stream.next().await else { return Ok(None) };
        let mut letters = stored(&batch?)?;
        letters.retain(|letter| self.filter.has(&letter.id));
        Ok(Some(letters))
    }
}

fn name_of_letter() -> Expr {
    let text = |name| cast(ident(name), DataType::Utf8);
    concat(vec![ident("topic"), lit("/"), text("partition"), lit("/"), text("offset")])
}

async fn page(rows: DataFrame) -> Result<Page, LettersError> {
    let schema = Arc::new(rows.schema().as_arrow().clone());
    Ok(Page { schema, batches: rows.collect().await? })
}

fn stored(batch: &RecordBatch) -> Result<Vec<StoredLetter>, LettersError> {
    let text = |name| Texts::of(batch, name);
    let (topics, reasons, details) = (text("topic")?, text("reason")?, text("detail")?);
    let (dispositions, event_ids, event_types) = (text("disposition")?, text("event_id")?, text("event_type")?);
    let (partitions, offsets) = (Ints::of(batch, "partition")?, Longs::of(batch, "offset")?);
    let (arrivals, record_times) = (Times::of(batch, "arrival_time")?, Times::of(batch, "record_time")?);
    let (payloads, lengths) = (Bytes::of(batch, "payload")?, Longs::of(batch, "payload_bytes")?);
    let (redriven_at, redriven_as) = (Times::of(batch, "redriven_at")?, Longs::of(batch, "redriven_as")?);
    let letter = |row| StoredLetter {
        id: LetterId::new(topics.text(row), partitions.get(row), offsets.get(row)),
        arrival_time_us: arrivals.get(row).unwrap_or_default(),
        record_time_us: record_times.get(row),
        reason: reasons.text(row).to_owned(),
        detail: details.text(row).to_owned(),
        disposition: dispositions.text(row).to_owned(),
        event_id: event_ids.get(row).map(str::to_owned),
        event_type: event_types.get(row).map(str::to_owned),
        payload: payloads.get(row).to_vec(),
        payload_bytes: lengths.get(row),
        redriven: redriven_at.get(row).zip(redriven_as.option(row)),
    };
    Ok((0..batch.num_rows()).map(letter).collect())
}

#[cfg(test)]
mod tests;

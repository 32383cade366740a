//! The commit of one table.

use super::{RETRY_FIRST, RETRY_LONGEST};
use crate::commit_health::Attempts;
use crate::dead_letter::dead_letter_schema;
use crate::event_ids::{self, EVENT_IDS};
use crate::metrics::IngestMetrics;
use crate::piece::{Ranges, Reads, WorkerPiece};
use arrow::compute::concat_batches;
use arrow::record_batch::RecordBatch;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidewatch_engine::aggregate::AggregateError;
use tidewatch_engine::commit::{OffsetRange, TopicPartition};
use tidewatch_engine::live::Piece;
use tidewatch_engine::rollup::{RollupSchema, TablePlan, merge_batches};
use tidewatch_storage::{AppendOutcome, Rows, Table};
use tracing::Instrument;

/// A table and what is written to it.
#[derive(Debug)]
pub(super) struct Target {
    pub table: Table,
    /// `None` for rows that do not merge, as the dead letters.
    rollup: Option<RollupSchema>,
    pub reads: Reads,
    /// Several branches count into it: one piece may hold a key more than once.
    is_union: bool,
    /// Where the table stands in all partitions of a backfill; empty for the live path.
    pub standing: BTreeMap<TopicPartition, i64>,
}

/// May somebody else have committed what is to be committed?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    /// Another worker had the partition, and counted the same.
    Maybe,
    /// Then two are at work that must not be.
    Never,
}

/// How the commit of one table ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The table has the rows.
    Done,
    /// It stands elsewhere: the states must be replayed.
    MustReplay,
    /// It must not be written any more; the reason.
    Refused(String),
}

impl Target {
    /// The table of a rollup.
    pub fn of(plan: &TablePlan<'_>, table: Table) -> Self {
        let (reads, is_union) = (Reads::of(plan), plan.branches > 1);
        Self { table, rollup: Some(plan.schema.clone()), reads, is_union, standing: BTreeMap::new() }
    }

    /// A table of every partition, whose rows do not merge.
    pub fn of_rows(table: Table) -> Self {
        Self { table, rollup: None, reads: Reads::All, is_union: false, standing: BTreeMap::new() }
    }

    /// Appends what pieces hold of the table, for as long as it takes.
    pub async fn commit(
        &mut self,
        pieces: &[Arc<WorkerPiece>],
        watermarks: &BTreeMap<TopicPartition, i64>,
        (metrics, attempts): (&IngestMetrics, &Attempts),
        others: Others,
    ) -> Outcome {
        let name = self.table.name().to_owned();
        let Some(mut ranges) = joined_ranges(&name, pieces) else {
            tracing::error!(table = name, "pieces do not follow each other; replaying");
            metrics.commits.with_label_values(&[name.as_str(), "must_replay"]).inc();
            return Outcome::MustReplay;
        };
        if ranges.is_empty() {
            return Outcome::Done;
        }
        // A commit stands for all partitions of a backfill: two that began with different ones would each stop
        // where the other has been.
        for (partition, &at) in &self.standing {
            ranges.entry(partition.clone()).or_insert(OffsetRange { from: at, to: at });
        }
        let reached: Vec<_> = ranges.iter().map(|(p, range)| (p.clone(), range.to)).collect();
        let span = tracing::info_span!(target: "otel", "commit.table", table = name);
        let outcome = self.append(pieces, ranges, watermarks, (metrics, attempts), others).instrument(span).await;
        if others == Others::Never && outcome == Outcome::Done {
            self.standing.extend(reached);
        }
        outcome
    }

    async fn append(
        &mut self,
        pieces: &[Arc<WorkerPiece>],
        ranges: Ranges,
        watermarks: &BTreeMap<TopicPartition, i64>,
        (metrics, attempts): (&IngestMetrics, &Attempts),
        others: Others,
    ) -> Outcome {
        let name = self.table.name().to_owned();
        let count = |outcome: &str| metrics.commits.with_label_values(&[name.as_str(), outcome]).inc();
        let batch = match self.rows(pieces) {
            Ok(batch) => batch,
            Err(error) => {
                // Not an event's fault and not the store's: the same events would fail again, but
                // dropping them silently is worse than standing still with a loud log.
                tracing::error!(table = name, %error, "states cannot be written; replaying");
                count("must_replay");
                return match others {
                    Others::Maybe => Outcome::MustReplay,
                    Others::Never => Outcome::Refused(format!("table {name}: states cannot be written: {error}")),
                };
            }
        };
        let row_count = batch.as_ref().map_or(0, RecordBatch::num_rows) as u64;
        let watermarks =
            watermarks.iter().filter(|(p, _)| ranges.contains_key(p)).map(|(p, &w)| (p.clone(), w)).collect();
        let rows = Rows { batch, ranges, watermarks };
        let (mut delay, mut is_repeated) = (RETRY_FIRST, false);
        loop {
            let answer = self.table.append(&rows).await;
            if answer.is_ok() {
                attempts.succeeded(&name);
            }
            match answer {
                Ok(AppendOutcome::Committed { version }) => {
                    tracing::debug!(table = name, version, rows = row_count, "committed");
                    metrics.commit_rows.with_label_values(&[&name]).inc_by(row_count);
                    count("committed");
                    return Outcome::Done;
                }
                // An attempt of our own may have succeeded unheard; a first one cannot.
                Ok(AppendOutcome::AlreadyCommitted) if others == Others::Never && !is_repeated => {
                    count("must_replay");
                    return Outcome::MustReplay;
                }
                Ok(AppendOutcome::AlreadyCommitted) => {
                    count("already_committed");
                    return Outcome::Done;
                }
                Ok(AppendOutcome::MustReplay { partition, position, range }) => {
                    tracing::warn!(table = name, %partition, position, ?range, "another writer moved the table on; replaying");
                    count("must_replay");
                    return Outcome::MustReplay;
                }
                Ok(AppendOutcome::Outdated { measure }) => {
                    count("refused");
                    return Outcome::Refused(format!(
                        "table {name} was given the measure {measure}, and others have counted it up to here\n  hint: start again with the definition that has it"
                    ));
                }
                Err(error) => {
                    tracing::error!(table = name, %error, retry_in = ?delay, "commit failed");
                    count("failed");
                    attempts.failed(&name, error.to_string());
                    is_repeated = true;
                }
            }
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(RETRY_LONGEST);
        }
    }

    /// One batch out of all pieces: rows of equal key merged, sorted by key.
    fn rows(&self, pieces: &[Arc<WorkerPiece>]) -> Result<Option<RecordBatch>, AggregateError> {
        let name = self.table.name();
        if name == EVENT_IDS {
            return Ok(event_ids::batch(pieces.iter().flat_map(|p| p.event_ids()))?);
        }
        let batches: Vec<RecordBatch> =
            pieces.iter().filter_map(|p| p.try_batch(name).transpose()).collect::<Result<_, _>>()?;
        Ok(match (&self.rollup, batches.as_slice()) {
            (_, []) => None,
            (Some(_), [one]) if !self.is_union => Some(one.clone()),
            (Some(schema), many) => Some(merge_batches(schema, many)?),
            (None, many) => Some(concat_batches(&dead_letter_schema(), many)?),
        })
    }
}

/// The offsets that all pieces cover together; `None` when they do not follow each other.
fn joined_ranges(table: &str, pieces: &[Arc<WorkerPiece>]) -> Option<Ranges> {
    let mut joined = Ranges::new();
    for piece in pieces {
        for (partition, range) in piece.ranges(table) {
            match joined.get_mut(partition) {
                None => {
                    joined.insert(partition.clone(), *range);
                }
                Some(before) => *before = before.join(*range)?,
            }
        }
    }
    Some(joined)
}

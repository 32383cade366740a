//! Enqueueing: one atomic, durable batch, or nothing.

use super::rows::{self, State};
use super::{Intake, Outbox, OutboxError};
use crate::message::Outgoing;
use std::collections::HashSet;
use std::sync::Arc;

/// What became of a batch that was taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Enqueued {
    /// Messages that are new and will be sent.
    pub new: usize,
    /// Messages whose key was known: sent, given up, or waiting already. Nothing was changed for them.
    pub known: usize,
}

impl Outbox {
    /// Takes a batch: all of it or, on error, nothing. When this returns, it is on the disk. Blocks for one
    /// `fdatasync`; see [`enqueue_async`](Self::enqueue_async).
    ///
    /// Errors: [`Full`](OutboxError::Full) at a bound (counted as refused): the caller keeps its alerts as they
    /// are and tries again later, or tells someone else. A message that could never be sent. The disk.
    pub fn enqueue(&self, batch: &[Outgoing]) -> Result<Enqueued, OutboxError> {
        let result = self.try_enqueue(batch);
        match &result {
            Ok(enqueued) => {
                self.metrics.enqueued.inc_by(enqueued.new as u64);
                self.metrics.duplicates.inc_by(enqueued.known as u64);
                if enqueued.new > 0 {
                    self.changed.notify_one();
                }
            }
            Err(error) => {
                let reason = match error {
                    OutboxError::Full { .. } => "full",
                    OutboxError::TooBig { .. } => "too_big",
                    OutboxError::Message(_) => "invalid",
                    _ => "store",
                };
                self.metrics.refused.with_label_values(&[reason]).inc_by(batch.len() as u64);
            }
        }
        result
    }

    /// [`enqueue`](Self::enqueue) from an async task.
    ///
    /// Errors: as there.
    pub async fn enqueue_async(self: &Arc<Self>, batch: Vec<Outgoing>) -> Result<Enqueued, OutboxError> {
        let outbox = Arc::clone(self);
        let task = tokio::task::spawn_blocking(move || outbox.enqueue(&batch));
        task.await.map_err(|error| OutboxError::Aborted(error.to_string()))?
    }

    fn try_enqueue(&self, batch: &[Outgoing]) -> Result<Enqueued, OutboxError> {
        for message in batch {
            message.check()?;
        }
        // One lock for "is it known?", the bounds and the order of numbers; the disk's own lock is inside.
        let mut books = self.books();
        let mut seen = HashSet::new();
        let mut rows = Vec::new();
        let mut more_bytes = 0;
        for message in batch {
            if !seen.insert(message.key.as_str()) || self.read(self.tables.keys.contains_key(&message.key))? {
                continue;
            }
            let row = rows::encode("messages", message)?;
            let max = self.settings.message_bytes_max;
            if row.len() > max {
                return Err(OutboxError::TooBig { key: message.key.clone(), found: row.len(), max });
            }
            more_bytes += row.len() as u64;
            rows.push((message, row));
        }
        let enqueued = Enqueued { new: rows.len(), known: batch.len() - rows.len() };
        if rows.is_empty() {
            return Ok(enqueued);
        }
        let (waiting, waiting_bytes) = (books.waiting, books.waiting_bytes);
        let (messages_max, bytes_max) = (self.settings.messages_max, self.settings.bytes_max);
        if waiting + rows.len() > messages_max || waiting_bytes + more_bytes > bytes_max {
            let more = rows.len();
            return Err(OutboxError::Full { waiting, waiting_bytes, more, more_bytes, messages_max, bytes_max });
        }
        let mut counters = books.counters;
        let mut write = self.durable_batch();
        let mut intake = Vec::with_capacity(rows.len());
        for (message, row) in rows {
            let seq = counters.next_seq;
            counters.next_seq += 1;
            let state = State::new(message, row.len() as u64);
            write.insert(&self.tables.messages, seq.to_be_bytes(), row);
            write.insert(&self.tables.states, seq.to_be_bytes(), rows::encode("states", &state)?);
            write.insert(&self.tables.keys, message.key.as_str(), seq.to_be_bytes());
            intake.push(Intake { entry: state.entry(seq), in_flight_ms: None });
        }
        write.insert(&self.tables.counters, rows::COUNTERS_KEY, rows::encode("counters", &counters)?);
        self.commit(write)?;
        books.counters = counters;
        books.waiting += intake.len();
        books.waiting_bytes += more_bytes;
        books.intake.extend(intake);
        self.show(&books);
        Ok(enqueued)
    }
}

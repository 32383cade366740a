//! What is forgotten, and when.

use super::rows;
use super::{Outbox, OutboxError};
use crate::clock::millis;
use std::ops::Bound;

/// Most messages, and most replies, that one call forgets: a batch that others do not have to wait long for.
const SWEEP_MAX: usize = 1_000;

impl Outbox {
    /// Forgets delivered and given-up messages with their keys and attempts after their retention or when there
    /// are too many, and replies likewise. At most a thousand of each; returns how many in all, so that a
    /// caller can go on while there are.
    ///
    /// Errors: the store.
    pub fn sweep(&self, now_ms: i64) -> Result<usize, OutboxError> {
        let settings = &self.settings;
        let mut books = self.books();
        let mut write = self.db.batch();

        let oldest_ms = now_ms.saturating_sub(millis(settings.retention));
        let (mut kept, mut kept_bytes) = (books.finished.len(), books.finished_bytes);
        let mut finished = Vec::new();
        for (&(finished_ms, seq), &bytes) in books.finished.iter().take(SWEEP_MAX) {
            let too_many = kept > settings.finished_max || kept_bytes > settings.finished_bytes_max;
            if finished_ms > oldest_ms && !too_many {
                break;
            }
            kept -= 1;
            kept_bytes = kept_bytes.saturating_sub(bytes);
            finished.push((finished_ms, seq));
            self.forget(&mut write, seq)?;
        }

        let oldest_ms = now_ms.saturating_sub(millis(settings.reply_retention));
        let mut kept_replies = books.replies.len();
        let mut replies = Vec::new();
        for (used_ms, key) in books.replies.iter().take(SWEEP_MAX) {
            if *used_ms > oldest_ms && kept_replies <= settings.replies_max {
                break;
            }
            kept_replies -= 1;
            replies.push((*used_ms, key.clone()));
            write.remove(&self.tables.replies, key.as_str());
        }

        // Not synced: what a power cut brings back is swept again.
        self.commit(write)?;
        for key in &finished {
            books.finished.remove(key);
        }
        books.finished_bytes = kept_bytes;
        for reply in &replies {
            books.replies.remove(reply);
            books.reply_used_ms.remove(&reply.1);
        }
        self.metrics.forgotten.inc_by(finished.len() as u64);
        self.show(&books);
        Ok(finished.len() + replies.len())
    }

    fn forget(&self, write: &mut fjall::OwnedWriteBatch, seq: u64) -> Result<(), OutboxError> {
        if let Some(state) = self.state(seq)? {
            write.remove(&self.tables.keys, state.key.as_str());
        }
        write.remove(&self.tables.states, seq.to_be_bytes());
        write.remove(&self.tables.messages, seq.to_be_bytes());
        let range = (rows::seq_and_number(seq, 0), rows::seq_and_number(seq, u64::MAX));
        for row in self.tables.message_attempts.range((Bound::Included(range.0), Bound::Included(range.1))) {
            let key = self.read(row.key())?;
            write.remove(&self.tables.attempts, rows::number_of(&key).to_be_bytes());
            write.remove(&self.tables.message_attempts, key);
        }
        Ok(())
    }
}

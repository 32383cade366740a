//! What the worker writes: that a message is on its way, and what became of it.

use super::rows::{self, End, ReplyRow, State};
use super::{Books, Outbox, OutboxError};
use crate::attempt::{Attempt, Recipients, Reply};
use crate::message::Outgoing;
use crate::retry::{Hold, Next};
use std::ops::Bound;

/// A message that is on its way from now on.
#[derive(Debug, Clone)]
pub struct Started {
    /// The message.
    pub message: Outgoing,
    /// Recipients of a mail that earlier attempts have settled.
    pub recipients: Recipients,
    /// The reply that the message refers to, if there is one.
    pub referred: Option<Reply>,
}

/// What became of a message that was on its way, or too old to be sent.
#[derive(Debug, Clone)]
pub struct Progress {
    /// The message.
    pub seq: u64,
    /// What happened; `number` and `key` are given by the outbox.
    pub attempt: Attempt,
    /// Its attempts that ended as misconfigured.
    pub misconfigured: u32,
    /// What follows, as in `attempt.decision`.
    pub next: Next,
    /// Fields of the answer to keep under the message's key.
    pub reply: Option<Reply>,
    /// Key of an earlier message in whose place this one stands from now on: its reply is that one's, too.
    pub stands_in_for: Option<String>,
    /// Recipients of a mail that this attempt has settled.
    pub recipients: Recipients,
}

/// First attempts of a message that are kept whatever comes after them.
const ATTEMPTS_FIRST: u32 = 10;

impl Outbox {
    /// Reads messages and notes that they are on their way, so that after a crash it is known that their outcome
    /// is not. The note survives the process, not the machine: it is not worth a sync. Messages that are not
    /// there any more (which nothing should bring about) are left out.
    ///
    /// Errors: the store.
    pub fn start(&self, seqs: &[u64], now_ms: i64) -> Result<Vec<(u64, Started)>, OutboxError> {
        let mut started = Vec::with_capacity(seqs.len());
        let mut books = self.books();
        let mut write = self.db.batch();
        for &seq in seqs {
            let Some(mut state) = self.state(seq)? else { continue };
            let Some(row) = self.read(self.tables.messages.get(seq.to_be_bytes()))? else { continue };
            let message: Outgoing = rows::decode("messages", &row)?;
            let referred = match message.refers_to() {
                Some(key) => self.refer(&mut books, &mut write, key, now_ms)?,
                None => None,
            };
            state.in_flight_ms = Some(now_ms);
            write.insert(&self.tables.states, seq.to_be_bytes(), rows::encode("states", &state)?);
            started.push((seq, Started { message, recipients: state.recipients, referred }));
        }
        self.commit(write)?;
        Ok(started)
    }

    /// Writes down what became of messages: one atomic, durable batch. Returns the attempts with their numbers.
    ///
    /// Errors: the store. Then nothing is written, and the messages will be sent again.
    pub fn record(&self, progress: &[Progress]) -> Result<Vec<Attempt>, OutboxError> {
        if progress.is_empty() {
            return Ok(Vec::new());
        }
        let mut books = self.books();
        let mut counters = books.counters;
        let mut write = self.durable_batch();
        let mut attempts = Vec::with_capacity(progress.len());
        let mut ended = Vec::new();
        for one in progress {
            let Some(mut state) = self.state(one.seq)? else { continue };
            let attempt = Attempt { number: counters.next_attempt, key: state.key.clone(), ..one.attempt.clone() };
            counters.next_attempt += 1;
            self.note_attempt(&mut write, one.seq, &attempt)?;
            let now_ms = attempt.started_ms.saturating_add_unsigned(attempt.duration_ms);
            if let Some(reply) = &one.reply {
                for key in [Some(&attempt.key), one.stands_in_for.as_ref()].into_iter().flatten() {
                    self.keep_reply(&mut books, &mut write, key, reply.clone(), now_ms)?;
                }
            }
            state.attempts = attempt.attempt;
            state.misconfigured = one.misconfigured;
            state.in_flight_ms = None;
            state.recipients.extend(one.recipients.clone());
            match one.next {
                Next::RetryAt { at_ms, hold } => (state.due_ms, state.hold) = (at_ms, hold),
                Next::Delivered => {
                    state.end = End::Delivered { at_ms: now_ms };
                    write.remove(&self.tables.messages, one.seq.to_be_bytes());
                }
                Next::GiveUp(reason) => state.end = End::GivenUp { at_ms: now_ms, reason },
            }
            write.insert(&self.tables.states, one.seq.to_be_bytes(), rows::encode("states", &state)?);
            if let Some((finished_ms, kept_bytes)) = state.finished() {
                ended.push(((finished_ms, one.seq), kept_bytes, state.bytes));
            }
            attempts.push(attempt);
        }
        write.insert(&self.tables.counters, rows::COUNTERS_KEY, rows::encode("counters", &counters)?);
        self.commit(write)?;
        books.counters = counters;
        for (finished, kept_bytes, bytes) in ended {
            books.waiting = books.waiting.saturating_sub(1);
            books.waiting_bytes = books.waiting_bytes.saturating_sub(bytes);
            books.finished.insert(finished, kept_bytes);
            books.finished_bytes += kept_bytes;
        }
        self.show(&books);
        Ok(attempts)
    }

    fn note_attempt(&self, write: &mut fjall::OwnedWriteBatch, seq: u64, attempt: &Attempt) -> Result<(), OutboxError> {
        write.insert(&self.tables.attempts, attempt.number.to_be_bytes(), rows::encode("attempts", attempt)?);
        write.insert(&self.tables.message_attempts, rows::seq_and_number(seq, attempt.number), []);
        let kept_max = self.settings.attempts_max.max(ATTEMPTS_FIRST + 1);
        if attempt.attempt > kept_max {
            // The one after the first ten: one is added, so one goes.
            let from = rows::seq_and_number(seq, 0);
            let to = rows::seq_and_number(seq, u64::MAX);
            let range = (Bound::Included(from), Bound::Included(to));
            let eleventh = self.tables.message_attempts.range(range).nth(ATTEMPTS_FIRST as usize);
            if let Some(eleventh) = eleventh {
                let key = self.read(eleventh.key())?;
                write.remove(&self.tables.attempts, rows::number_of(&key).to_be_bytes());
                write.remove(&self.tables.message_attempts, key);
            }
        }
        Ok(())
    }

    /// The reply under a key; that it was used keeps it longer.
    fn refer(
        &self,
        books: &mut Books,
        write: &mut fjall::OwnedWriteBatch,
        key: &str,
        now_ms: i64,
    ) -> Result<Option<Reply>, OutboxError> {
        let Some(reply) = self.reply(key)? else { return Ok(None) };
        self.keep_reply(books, write, key, reply.clone(), now_ms)?;
        Ok(Some(reply))
    }

    fn keep_reply(
        &self,
        books: &mut Books,
        write: &mut fjall::OwnedWriteBatch,
        key: &str,
        reply: Reply,
        now_ms: i64,
    ) -> Result<(), OutboxError> {
        books.use_reply(key, now_ms);
        write.insert(&self.tables.replies, key, rows::encode("replies", &ReplyRow { used_ms: now_ms, reply })?);
        Ok(())
    }

    pub(super) fn state(&self, seq: u64) -> Result<Option<State>, OutboxError> {
        let row = self.read(self.tables.states.get(seq.to_be_bytes()))?;
        row.map(|row| rows::decode("states", &row)).transpose()
    }
}

impl Progress {
    /// The same message once more after a restart that interrupted it, at once.
    pub(crate) fn again_at(at_ms: i64) -> Next {
        Next::RetryAt { at_ms, hold: Hold::Backoff }
    }
}

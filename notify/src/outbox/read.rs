//! What can be asked: where a message stands, what was tried, what was answered.

use super::rows::{self, End, ReplyRow, State};
use super::{Outbox, OutboxError};
use crate::attempt::{Attempt, Recipients, Reply};
use crate::message::Outgoing;
use crate::retry::GiveUpReason;
use serde::{Deserialize, Serialize};
use std::ops::Bound;

/// Where a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It will be sent, not before `due_ms` (milliseconds since the epoch).
    Waiting {
        /// Not before.
        due_ms: i64,
    },
    /// It is on its way since then (or was, when the process ended).
    InFlight {
        /// Since when.
        since_ms: i64,
    },
    /// The receiver has it.
    Delivered {
        /// Since when.
        at_ms: i64,
    },
    /// It will not be sent any more.
    GivenUp {
        /// Since when.
        at_ms: i64,
        /// Why.
        reason: GiveUpReason,
    },
}

/// All that is known of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Its idempotency key.
    pub key: String,
    /// Its order key.
    pub order_key: String,
    /// Its integration.
    pub integration: String,
    /// When it was made.
    pub created_ms: i64,
    /// When it is given up at the latest.
    pub give_up_ms: i64,
    /// Where it stands.
    pub phase: Phase,
    /// How often it was sent; of very many, not all are in `tries`.
    pub attempts: u32,
    /// Recipients of a mail for which the server has decided.
    pub recipients: Recipients,
    /// What is kept of the answer.
    pub reply: Option<Reply>,
    /// What was tried, oldest first.
    pub tries: Vec<Attempt>,
}

impl State {
    fn phase(&self) -> Phase {
        match (self.end, self.in_flight_ms) {
            (End::Delivered { at_ms }, _) => Phase::Delivered { at_ms },
            (End::GivenUp { at_ms, reason }, _) => Phase::GivenUp { at_ms, reason },
            (End::Waiting, Some(since_ms)) => Phase::InFlight { since_ms },
            (End::Waiting, None) => Phase::Waiting { due_ms: self.due_ms },
        }
    }
}

impl Outbox {
    /// What is known of the message with this key; `None` if it was never enqueued or is forgotten.
    ///
    /// Errors: the store.
    pub fn explain(&self, key: &str) -> Result<Option<Explanation>, OutboxError> {
        let Some(seq) = self.seq(key)? else { return Ok(None) };
        let Some(state) = self.state(seq)? else { return Ok(None) };
        let range = (rows::seq_and_number(seq, 0), rows::seq_and_number(seq, u64::MAX));
        let mut tries = Vec::new();
        for row in self.tables.message_attempts.range((Bound::Included(range.0), Bound::Included(range.1))) {
            let number = rows::number_of(&self.read(row.key())?);
            if let Some(row) = self.read(self.tables.attempts.get(number.to_be_bytes()))? {
                tries.push(rows::decode("attempts", &row)?);
            }
        }
        Ok(Some(Explanation {
            phase: state.phase(),
            reply: self.reply(key)?,
            key: state.key,
            order_key: state.order_key,
            integration: state.integration,
            created_ms: state.created_ms,
            give_up_ms: state.give_up_ms,
            attempts: state.attempts,
            recipients: state.recipients,
            tries,
        }))
    }

    /// The message itself, as long as it waits, or was given up and is not forgotten.
    ///
    /// Errors: the store.
    pub fn message(&self, key: &str) -> Result<Option<Outgoing>, OutboxError> {
        let Some(seq) = self.seq(key)? else { return Ok(None) };
        let row = self.read(self.tables.messages.get(seq.to_be_bytes()))?;
        row.map(|row| rows::decode("messages", &row)).transpose()
    }

    /// What is kept of the answer to the message with this key.
    ///
    /// Errors: the store.
    pub fn reply(&self, key: &str) -> Result<Option<Reply>, OutboxError> {
        let row = self.read(self.tables.replies.get(key))?;
        let row = row.map(|row| rows::decode::<ReplyRow>("replies", &row)).transpose()?;
        Ok(row.map(|row| row.reply))
    }

    /// Attempts whose number is greater than `number`, in their order, at most `limit`: for who copies them.
    ///
    /// Errors: the store.
    pub fn attempts_after(&self, number: u64, limit: usize) -> Result<Vec<Attempt>, OutboxError> {
        let range = (Bound::Excluded(number.to_be_bytes()), Bound::Unbounded);
        let rows = self.tables.attempts.range(range).take(limit);
        rows.map(|row| rows::decode("attempts", &self.read(row.value())?)).collect()
    }

    /// Keys of messages that are not delivered, in the order of enqueueing, at most `limit`: what waits and
    /// what was given up.
    ///
    /// Errors: the store.
    pub fn undelivered(&self, limit: usize) -> Result<Vec<(String, Phase)>, OutboxError> {
        let rows = self.tables.messages.iter().map(|row| Ok(rows::seq_of(&self.read(row.key())?)));
        let states = rows.map(|seq: Result<u64, OutboxError>| self.state(seq?));
        let found = states.filter_map(Result::transpose).take(limit);
        found.map(|state| state.map(|state| (state.key.clone(), state.phase()))).collect()
    }

    fn seq(&self, key: &str) -> Result<Option<u64>, OutboxError> {
        Ok(self.read(self.tables.keys.get(key))?.map(|row| rows::seq_of(&row)))
    }
}

//! What is stored under which key. Rows are a byte with their version and JSON.
//!
//! | keyspace | key | row |
//! |---|---|---|
//! | `messages` | seq | [`Outgoing`](crate::Outgoing); until it is delivered, or given up and forgotten |
//! | `states` | seq | [`State`]; until it is forgotten |
//! | `keys` | idempotency key | seq |
//! | `attempts` | number | [`Attempt`](crate::Attempt) |
//! | `message_attempts` | seq, number | nothing |
//! | `replies` | idempotency key | [`ReplyRow`] |
//! | `counters` | `counters` | [`Counters`] |
//!
//! `seq` (order of enqueueing) and `number` (order of attempts) are 8 bytes, big-endian.

use super::OutboxError;
use crate::attempt::{Recipients, Reply};
use crate::message::Outgoing;
use crate::retry::{Entry, GiveUpReason, Hold};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Version of all rows. A reader refuses others.
const VERSION: u8 = 1;

pub(super) const COUNTERS_KEY: &[u8] = b"counters";

/// The next numbers. Stored, as numbers of forgotten messages and attempts must not come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counters {
    pub(super) next_seq: u64,
    pub(super) next_attempt: u64,
}

impl Default for Counters {
    fn default() -> Self {
        Self { next_seq: 1, next_attempt: 1 }
    }
}

/// Where a message stands, and what has to be known of it to choose it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) key: String,
    pub(super) order_key: String,
    pub(super) integration: String,
    pub(super) created_ms: i64,
    pub(super) give_up_ms: i64,
    /// Of the stored message.
    pub(super) bytes: u64,
    pub(super) end: End,
    pub(super) attempts: u32,
    pub(super) misconfigured: u32,
    pub(super) due_ms: i64,
    pub(super) hold: Hold,
    /// On its way since then.
    pub(super) in_flight_ms: Option<i64>,
    pub(super) recipients: Recipients,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum End {
    Waiting,
    Delivered { at_ms: i64 },
    GivenUp { at_ms: i64, reason: GiveUpReason },
}

impl State {
    pub(super) fn new(message: &Outgoing, bytes: u64) -> Self {
        Self {
            key: message.key.clone(),
            order_key: message.order_key.clone(),
            integration: message.integration.clone(),
            created_ms: message.created_ms,
            give_up_ms: message.give_up_ms,
            bytes,
            end: End::Waiting,
            attempts: 0,
            misconfigured: 0,
            due_ms: message.created_ms,
            hold: Hold::Backoff,
            in_flight_ms: None,
            recipients: Recipients::default(),
        }
    }

    pub(super) fn entry(&self, seq: u64) -> Entry {
        Entry {
            seq,
            order_key: self.order_key.as_str().into(),
            integration: self.integration.as_str().into(),
            created_ms: self.created_ms,
            give_up_ms: self.give_up_ms,
            due_ms: self.due_ms,
            hold: self.hold,
            attempts: self.attempts,
            misconfigured: self.misconfigured,
        }
    }

    /// When it ended, and how many bytes of it are still stored.
    pub(super) fn finished(&self) -> Option<(i64, u64)> {
        match self.end {
            End::Waiting => None,
            End::Delivered { at_ms } => Some((at_ms, 0)),
            End::GivenUp { at_ms, .. } => Some((at_ms, self.bytes)),
        }
    }
}

/// A kept reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ReplyRow {
    /// When it was given or last referred to.
    pub(super) used_ms: i64,
    pub(super) reply: Reply,
}

pub(super) fn encode<T: Serialize>(table: &'static str, row: &T) -> Result<Vec<u8>, OutboxError> {
    let mut bytes = vec![VERSION];
    serde_json::to_writer(&mut bytes, row).map_err(|source| OutboxError::Row { table, source })?;
    Ok(bytes)
}

pub(super) fn decode<T: DeserializeOwned>(table: &'static str, bytes: &[u8]) -> Result<T, OutboxError> {
    let row = |source| OutboxError::Row { table, source };
    match bytes.split_first() {
        Some((&VERSION, json)) => serde_json::from_slice(json).map_err(row),
        other => {
            let found = other.map_or("an empty row".to_owned(), |(version, _)| format!("version {version}"));
            let source = serde::de::Error::custom(format!("expected a row of version {VERSION}, found {found}"));
            Err(row(source))
        }
    }
}

/// The number in the first eight bytes of a key.
pub(super) fn seq_of(key: &[u8]) -> u64 {
    key.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

pub(super) fn seq_and_number(seq: u64, number: u64) -> [u8; 16] {
    ((u128::from(seq) << 64) | u128::from(number)).to_be_bytes()
}

/// The second number of a key of `message_attempts`.
pub(super) fn number_of(key: &[u8]) -> u64 {
    key.last_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

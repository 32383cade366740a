//! What happened when a message was sent, and who is told of it.

use crate::retry::GiveUpReason;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Debug;

/// What became of one try, by what must be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The receiver has it.
    Delivered,
    /// The receiver is there and asks for fewer messages (429).
    Throttled,
    /// The receiver is there and wants this message later (SMTP 4xx, HTTP 409, 423, 425).
    Deferred,
    /// The receiver could not be reached, or failed: no connection, no answer in time, HTTP 408 and 5xx, SMTP 421.
    Unavailable,
    /// It will not work with these settings: TLS, redirects, a refused log-in. Tried a few times, as a
    /// certificate or a token may be renewed meanwhile.
    Misconfigured,
    /// The receiver will never take this message.
    Refused,
    /// The process ended before there was an answer.
    Unknown,
    /// It was not sent: its time had passed.
    NotSent,
}

impl Outcome {
    /// As a label of a metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Throttled => "throttled",
            Self::Deferred => "deferred",
            Self::Unavailable => "unavailable",
            Self::Misconfigured => "misconfigured",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
            Self::NotSent => "not_sent",
        }
    }
}

/// What a sender reports of one try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What became of it.
    pub outcome: Outcome,
    /// Earliest time of the next try that the receiver asked for (`Retry-After`).
    pub retry_at_ms: Option<i64>,
    /// HTTP status or SMTP code.
    pub code: Option<u16>,
    /// What was answered or went wrong, one line without secrets.
    pub detail: String,
    /// Where it was sent to, without secrets.
    pub target: String,
    /// What is kept of the answer.
    pub reply: Option<Reply>,
    /// True if an earlier message was referred to, and its stand-in was sent because that was gone.
    pub stood_in: bool,
    /// Recipients of a mail that are settled by this try.
    pub recipients: Recipients,
}

impl Report {
    /// A report of an outcome with nothing but a text.
    pub fn new(outcome: Outcome, detail: impl Into<String>) -> Self {
        Self {
            outcome,
            retry_at_ms: None,
            code: None,
            detail: detail.into(),
            target: String::new(),
            reply: None,
            stood_in: false,
            recipients: Recipients::default(),
        }
    }
}

/// Fields kept of the answer to a delivered message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply(pub BTreeMap<String, String>);

/// Recipients of a mail for which the server has decided.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Recipients {
    /// They get it.
    pub accepted: Vec<String>,
    /// The server will never take it for them.
    pub refused: Vec<String>,
}

impl Recipients {
    /// True if nothing is to be done for this recipient any more.
    pub fn settled(&self, recipient: &str) -> bool {
        self.accepted.iter().chain(&self.refused).any(|settled| settled == recipient)
    }

    /// Adds what another try has settled.
    pub fn extend(&mut self, other: Self) {
        self.accepted.extend(other.accepted);
        self.refused.extend(other.refused);
    }
}

/// A row of the ledger: one try, or the decision to make none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Running number over all messages of the outbox, never used twice: a cursor for whoever copies attempts.
    pub number: u64,
    /// Idempotency key of the message.
    pub key: String,
    /// Its order key.
    pub order_key: String,
    /// Its integration.
    pub integration: String,
    /// Which try of this message: 1 is the first. A message that was never sent has 0.
    pub attempt: u32,
    /// When it began, milliseconds since the epoch.
    pub started_ms: i64,
    /// How long it took.
    pub duration_ms: u64,
    /// Where it was sent to, without secrets; empty if nothing was sent.
    pub target: String,
    /// What became of it.
    pub outcome: Outcome,
    /// HTTP status or SMTP code.
    pub code: Option<u16>,
    /// What was answered or went wrong, one line without secrets.
    pub detail: String,
    /// What follows from it.
    pub decision: Decision,
}

/// What follows from an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Done.
    Delivered,
    /// It will be sent again, not before this time (milliseconds since the epoch).
    RetryAt(i64),
    /// It will not be sent again.
    GaveUp(GiveUpReason),
}

/// Where attempts are written down besides the outbox.
///
/// Called after the attempt is durable in the outbox, in the order of [`Attempt::number`], from the worker's
/// task: it must not block. What is lost between the two (the process ends) can be read with
/// [`Outbox::attempts_after`](crate::Outbox::attempts_after), from the last number that was stored.
pub trait Ledger: Debug + Send + Sync {
    /// Takes one attempt.
    fn record(&self, attempt: &Attempt);
}

/// Writes nothing down; the outbox keeps its attempts all the same.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoLedger;

impl Ledger for NoLedger {
    fn record(&self, _attempt: &Attempt) {}
}

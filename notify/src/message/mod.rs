//! What is to be told: an [`Outgoing`] message with all that is needed to send it, now or after a restart.

mod check;
mod mail;

pub use check::{MessageError, RECIPIENTS_MAX};
pub use mail::{Envelope, MailContent, MailMessage, MailParts};

use crate::secret::{Secret, SecretUrl};
use serde::{Deserialize, Serialize};

/// One message to one receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outgoing {
    /// Idempotency key: the same notification has the same key, whoever makes it how often. 1–256 visible
    /// ASCII characters. Sent as header `Idempotency-Key`; mail gets its `Message-ID` from it.
    pub key: String,
    /// Messages with equal order keys are sent one after the other as they were enqueued: alert group and receiver.
    pub order_key: String,
    /// Name of the integration that sends it: its settings, limits, circuit and counters.
    pub integration: String,
    /// When it was made, milliseconds since the epoch. The date of a mail.
    pub created_ms: i64,
    /// From this time on (inclusive) it is not sent any more but given up.
    pub give_up_ms: i64,
    /// What is sent.
    pub payload: Payload,
}

/// What is sent, by protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Payload {
    /// An HTTP request.
    Http(HttpMessage),
    /// A mail.
    Mail(MailMessage),
}

/// An HTTP request and how its answer is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpMessage {
    /// `POST`, `PUT`, …
    pub method: String,
    /// Where to; none means the URL in the integration's settings, so that a webhook's secret need not be
    /// stored and a changed one is used by messages that wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<SecretUrl>,
    /// Headers besides those of the integration's settings, which lose to these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, Secret)>,
    /// The body.
    pub body: String,
    /// How the answer is read.
    #[serde(default)]
    pub reply: HttpReply,
    /// An earlier message whose reply this one needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refers: Option<Reference>,
}

/// How the answer to a request is judged and what is kept of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpReply {
    /// Who answers.
    pub judge: Judge,
    /// Top-level string or number fields of the JSON answer to a delivered message that are kept (at most
    /// eight of at most 512 bytes), for messages that refer to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<String>,
}

/// Whose answers they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judge {
    /// Anyone: 2xx is success. Slack's incoming webhooks, too.
    #[default]
    Status,
    /// Slack's Web API: status 200 and `{"ok": true}`, otherwise `{"ok": false, "error": "…"}`.
    SlackApi,
    /// PagerDuty's Events API v2: 202 is success.
    PagerDuty,
}

impl HttpReply {
    /// 2xx is success, nothing is kept.
    pub fn plain() -> Self {
        Self::default()
    }

    /// Slack's Web API; `ts` and `channel` are kept for later edits and threads.
    pub fn slack_api() -> Self {
        Self { judge: Judge::SlackApi, keep: vec!["ts".to_owned(), "channel".to_owned()] }
    }

    /// PagerDuty's Events API v2; `dedup_key` is kept.
    pub fn pager_duty() -> Self {
        Self { judge: Judge::PagerDuty, keep: vec!["dedup_key".to_owned()] }
    }
}

/// That a message needs the reply to an earlier one: `chat.update` needs the `ts` that `chat.postMessage` gave.
///
/// The reply is looked up when the message is sent, so both should have one order key: a message whose
/// predecessor is still waiting elsewhere finds no reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// Idempotency key of the earlier message.
    pub key: String,
    /// Which field of its reply becomes which top-level field of this body (a JSON object).
    pub fields: Vec<FieldOfReply>,
    /// What is sent instead when there is no such reply (given up, forgotten) or the receiver says that the
    /// message is gone; its own reply then takes the place of the missing one. None: this one without the fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<Box<HttpMessage>>,
}

/// A field of a reply and where it goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldOfReply {
    /// Name in the kept reply.
    pub reply: String,
    /// Name in the body.
    pub body: String,
}

impl Reference {
    /// An edit of a Slack message: `ts` and `channel` of the reply to `key`, or else the message anew.
    pub fn slack_edit(key: impl Into<String>, otherwise: HttpMessage) -> Self {
        let same = |name: &str| FieldOfReply { reply: name.to_owned(), body: name.to_owned() };
        Self { key: key.into(), fields: vec![same("ts"), same("channel")], otherwise: Some(Box::new(otherwise)) }
    }

    /// An answer in the thread of a Slack message; outside of any thread when that message is not known.
    pub fn slack_thread(key: impl Into<String>) -> Self {
        let thread = FieldOfReply { reply: "ts".to_owned(), body: "thread_ts".to_owned() };
        Self { key: key.into(), fields: vec![thread], otherwise: None }
    }
}

impl HttpMessage {
    /// A JSON body, posted.
    pub fn post_json(url: Option<SecretUrl>, body: impl Into<String>, reply: HttpReply) -> Self {
        let json = ("Content-Type".to_owned(), Secret::new("application/json; charset=utf-8"));
        Self { method: "POST".to_owned(), url, headers: vec![json], body: body.into(), reply, refers: None }
    }

    /// The same with a reference to an earlier message.
    #[must_use]
    pub fn referring(mut self, reference: Reference) -> Self {
        self.refers = Some(reference);
        self
    }
}

impl Outgoing {
    /// The key of the message whose reply this one needs.
    pub fn refers_to(&self) -> Option<&str> {
        match &self.payload {
            Payload::Http(http) => http.refers.as_ref().map(|r| r.key.as_str()),
            Payload::Mail(_) => None,
        }
    }
}

//! Delivery of notifications: what was decided is told, once if possible, at least once in any case.
//!
//! ```text
//! Outgoing ─▶ Outbox ─▶ Worker ─▶ Transport ─▶ Slack, PagerDuty, webhooks (http), SMTP servers (mail)
//! message     outbox    worker    sender         │
//!               ▲                                ▼
//!               └──── Attempt ◀── retry ◀──── Report
//!                     attempt     decides
//! ```
//!
//! Knows nothing of rules, routes and groups: a message comes with its idempotency key, the key whose order it
//! keeps, the name of the integration that sends it and the time when it is too old.
//!
//! * [`Outbox::enqueue`] is durable when it returns; a batch is atomic; the same key twice is one message.
//! * A message is sent until the receiver has it, will never take it, or it is too old: [`retry::next`].
//! * Messages with equal order keys are sent one after the other; others overtake them.
//! * What was on its way when the process was killed is sent again with the same idempotency key.
//! * Every attempt is kept ([`Outbox::explain`]) and handed to a [`Ledger`].
//! * Everything is bounded: messages and bytes that wait, attempts kept, replies, answers read.
//!
//! | to understand | read |
//! |---|---|
//! | what a message is, and which are refused | [`message`] |
//! | when a message is sent again, and when no more | [`retry`] |
//! | what is on the disk | [`outbox`] |
//! | how answers of Slack, PagerDuty and others are judged | [`http`] |
//! | SMTP, and what a mail looks like | [`mail`] |
//! | names, settings and secrets of integrations | [`sender`] |
//! | the task that does it all | [`worker`] |

pub mod attempt;
mod clock;
pub mod http;
pub mod mail;
pub mod message;
mod metrics;
pub mod outbox;
pub mod reach;
pub mod retry;
mod secret;
pub mod sender;
mod tls;
pub mod worker;

pub use attempt::{Attempt, Decision, Ledger, NoLedger, Outcome, Recipients, Reply, Report};
pub use clock::{Clock, SystemClock};
pub use message::{HttpMessage, HttpReply, MailMessage, MailParts, Outgoing, Payload, Reference};
pub use metrics::NotifyMetrics;
pub use outbox::{Enqueued, Explanation, Outbox, OutboxError, OutboxSettings, Phase};
pub use retry::{DeliverySettings, GiveUpReason};
pub use secret::{Secret, SecretUrl, UrlError};
pub use sender::{Delivery, IntegrationSettings, Integrations, SettingsError, Transport};
pub use tls::TlsSettings;
pub use worker::{Worker, WorkerSettings};

//! Sending over SMTP: connections kept and reused, one message to many recipients, each settled on its own.

mod compose;
mod connection;
mod transaction;

pub use compose::{compose, message_id};
pub use connection::{SmtpAuth, SmtpSettings, SmtpTls};

use crate::attempt::{Outcome, Recipients, Report};
use crate::message::MailMessage;
use crate::secret::clean;
use connection::Connections;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use transaction::{Failure, Transacted, transact};

/// Sends mails of one integration.
#[derive(Debug)]
pub struct MailSender {
    connections: Arc<Connections>,
}

impl MailSender {
    /// Checks the settings; reads certificates. Does not connect.
    ///
    /// Errors: a file cannot be read, TLS settings are wrong, a password would be sent in the clear.
    pub fn new(settings: SmtpSettings) -> Result<Self, String> {
        Ok(Self { connections: Arc::new(Connections::new(settings)?) })
    }

    /// Connects, greets, begins TLS and logs in as for a mail, and leaves again. Says what was done.
    ///
    /// Errors: the step that failed, without the password.
    pub async fn check(&self, timeout: Duration) -> Result<String, String> {
        let connections = self.connections.clone();
        let deadline = Instant::now() + timeout;
        let tried = tokio::task::spawn_blocking(move || {
            connections.take(deadline).map(|mut connection| {
                connection.quit();
            })
        });
        let settings = self.connections.settings();
        let done = || {
            let tls = match settings.encryption {
                SmtpTls::StartTls => ", STARTTLS",
                SmtpTls::Implicit => ", TLS",
                SmtpTls::None => ", no TLS",
            };
            let login = settings.auth.as_ref().map_or(String::new(), |auth| format!(", logged in as {}", auth.user));
            format!("{} answers{tls}{login}", self.connections.target())
        };
        let failed =
            |detail: &str| format!("{}: {}", self.connections.target(), clean(detail, self.connections.password()));
        match tokio::time::timeout(timeout, tried).await {
            Ok(Ok(Ok(()))) => Ok(done()),
            Ok(Ok(Err(failure))) => Err(failed(&failure.detail)),
            Ok(Err(error)) => Err(failed(&error.to_string())),
            Err(_) => Err(failed(&format!("no answer within {timeout:?}"))),
        }
    }

    /// Sends a mail to the recipients that are not settled yet.
    pub async fn send(&self, mail: &MailMessage, key: &str, created_ms: i64, settled: &Recipients) -> Report {
        let mut report = self.try_send(mail, key, created_ms, settled).await;
        report.target = self.connections.target();
        report.detail = clean(&report.detail, self.connections.password());
        report
    }

    async fn try_send(&self, mail: &MailMessage, key: &str, created_ms: i64, settled: &Recipients) -> Report {
        let bytes = match compose(&mail.content, key, created_ms) {
            Ok(bytes) => bytes,
            Err(error) => return Report::new(Outcome::Refused, format!("the mail cannot be put together: {error}")),
        };
        let envelope = mail.envelope.to.iter();
        let pending: Vec<String> = envelope.filter(|to| !settled.settled(to)).cloned().collect();
        let timeout = self.connections.settings().timeout;
        let deadline = Instant::now() + timeout;
        let connections = self.connections.clone();
        let from = mail.envelope.from.clone();
        // lettre's asynchronous half would turn features of libraries on that all others share.
        let exchange = tokio::task::spawn_blocking(move || {
            let mut connection = connections.take(deadline)?;
            let transacted = transact(&mut connection, &from, &pending, &bytes)?;
            // Only a connection that is in a known state is used again.
            connections.give_back(connection);
            Ok::<_, Failure>(transacted)
        });
        match tokio::time::timeout(timeout, exchange).await {
            Ok(Ok(Ok(transacted))) => report(transacted, settled),
            Ok(Err(error)) => Report::new(Outcome::Unavailable, format!("stopped: {error}")),
            Ok(Ok(Err(failure))) => Report { code: failure.code, ..Report::new(failure.outcome, failure.detail) },
            Err(_) => Report::new(Outcome::Unavailable, format!("no end in time: {timeout:?} have passed")),
        }
    }
}

/// Puts what the server said of each recipient together.
fn report(transacted: Transacted, settled: &Recipients) -> Report {
    let Transacted { accepted, refused, deferred, code, detail } = transacted;
    let outcome = match () {
        () if !deferred.is_empty() => Outcome::Deferred,
        () if accepted.is_empty() && settled.accepted.is_empty() => Outcome::Refused,
        () => Outcome::Delivered,
    };
    let mut details = vec![detail];
    details.extend(refused.iter().map(|(to, why)| format!("refused for {to}: {why}")));
    details.extend(deferred.iter().map(|(to, why)| format!("later for {to}: {why}")));
    details.retain(|detail| !detail.is_empty());
    let refused = refused.into_iter().map(|(to, _)| to).collect();
    Report { code, recipients: Recipients { accepted, refused }, ..Report::new(outcome, details.join("; ")) }
}

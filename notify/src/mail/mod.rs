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
use transaction::{Failure, Transacted, transact};

/// Sends mails of one integration.
#[derive(Debug)]
pub struct MailSender {
    connections: Connections,
}

impl MailSender {
    /// Checks the settings; reads certificates. Does not connect.
    ///
    /// Errors: a file cannot be read, TLS settings are wrong, a password would be sent in the clear.
    pub fn new(settings: SmtpSettings) -> Result<Self, String> {
        Ok(Self { connections: Connections::new(settings)? })
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
        let pending: Vec<&str> =
            mail.envelope.to.iter().map(String::as_str).filter(|to| !settled.settled(to)).collect();
        let timeout = self.connections.settings().timeout;
        let exchange = async {
            let mut connection = self.connections.take().await?;
            let transacted = transact(connection.smtp(), &mail.envelope.from, &pending, &bytes).await?;
            // Only a connection that is in a known state is used again.
            self.connections.give_back(connection).await;
            Ok::<_, Failure>(transacted)
        };
        match tokio::time::timeout(timeout, exchange).await {
            Ok(Ok(transacted)) => report(transacted, settled),
            Ok(Err(failure)) => Report { code: failure.code, ..Report::new(failure.outcome, failure.detail) },
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

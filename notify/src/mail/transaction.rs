//! One mail over a connection: `MAIL`, `RCPT` for each recipient, `DATA` for those that were accepted.
//!
//! lettre's own `send` ends at the first recipient that is refused; here the others get the mail.

use super::connection::Connection;
use crate::attempt::Outcome;
use crate::tls::is_tls;
use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::{Extension, MailBodyParameter, MailParameter};

/// What the server said of a mail.
#[derive(Debug, Default)]
pub(super) struct Transacted {
    pub(super) accepted: Vec<String>,
    /// With the reason.
    pub(super) refused: Vec<(String, String)>,
    /// With the reason.
    pub(super) deferred: Vec<(String, String)>,
    pub(super) code: Option<u16>,
    pub(super) detail: String,
}

/// What ended the connection, or the whole mail.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) outcome: Outcome,
    pub(super) code: Option<u16>,
    pub(super) detail: String,
}

/// The server closes the connection (RFC 5321, section 3.8): it is not about this mail.
const CLOSING: u16 = 421;

impl Failure {
    pub(super) fn of(stage: &str, error: &Error) -> Self {
        let code = error.status().map(u16::from);
        let outcome = match () {
            () if error.is_tls() || is_tls(error) => Outcome::Misconfigured,
            () if code == Some(CLOSING) => Outcome::Unavailable,
            () if error.is_permanent() => Outcome::Refused,
            () if error.is_transient() => Outcome::Deferred,
            () => Outcome::Unavailable,
        };
        Self { outcome, code, detail: format!("{stage}: {}", text(error)) }
    }

    /// Of a step that depends on the settings and not on the mail: what the server refuses there, it refuses all.
    pub(super) fn of_settings(stage: &str, error: &Error) -> Self {
        let failure = Self::of(stage, error);
        let about_settings = error.is_permanent() || error.is_client();
        let outcome = if about_settings { Outcome::Misconfigured } else { failure.outcome };
        // "454 Temporary authentication failure" and the like are the server's trouble.
        let outcome = if outcome == Outcome::Deferred { Outcome::Unavailable } else { outcome };
        Self { outcome, ..failure }
    }
}

fn text(error: &Error) -> String {
    if error.is_timeout() { "no answer in time".to_owned() } else { error.to_string() }
}

/// Sends a mail to its pending recipients.
pub(super) fn transact(
    smtp: &mut Connection,
    from: &str,
    pending: &[String],
    bytes: &[u8],
) -> Result<Transacted, Failure> {
    let mut transacted = Transacted::default();
    let address = |text: &str| {
        let wrong = |error| Failure { outcome: Outcome::Refused, code: None, detail: format!("{text:?}: {error}") };
        text.parse::<Address>().map_err(wrong)
    };
    let mail = Mail::new(Some(address(from)?), parameters(smtp, from, pending, bytes)?);
    if let Err(error) = smtp.command(mail) {
        return ended(smtp, Failure::of("MAIL", &error));
    }
    let mut recipients = Vec::new();
    for to in pending {
        match smtp.command(Rcpt::new(address(to)?, Vec::new())) {
            Ok(_) => recipients.push((*to).to_owned()),
            Err(error) => {
                let failure = Failure::of("RCPT", &error);
                match failure.outcome {
                    Outcome::Refused => transacted.refused.push(((*to).to_owned(), failure.detail)),
                    Outcome::Deferred => transacted.deferred.push(((*to).to_owned(), failure.detail)),
                    _ => return Err(failure),
                }
                transacted.code = failure.code;
            }
        }
    }
    if recipients.is_empty() {
        let _ = smtp.command(Rset);
        return Ok(transacted);
    }
    if let Err(error) = smtp.command(Data) {
        return ended(smtp, Failure::of("DATA", &error));
    }
    match smtp.message(bytes) {
        Ok(response) => {
            transacted.accepted = recipients;
            transacted.code = Some(response.code().into());
            transacted.detail = response.first_line().unwrap_or_default().to_owned();
            Ok(transacted)
        }
        Err(error) => Err(Failure::of("the mail", &error)),
    }
}

/// A mail that was not taken leaves the connection usable, but the next is sent over another: it is rare.
fn ended(smtp: &mut Connection, failure: Failure) -> Result<Transacted, Failure> {
    if failure.code.is_some() && failure.code != Some(CLOSING) {
        smtp.quit();
    }
    Err(failure)
}

fn parameters(smtp: &Connection, from: &str, pending: &[String], bytes: &[u8]) -> Result<Vec<MailParameter>, Failure> {
    let needs = |what: &str, extension: &str| Failure {
        outcome: Outcome::Refused,
        code: None,
        detail: format!("{what} is not ASCII, and the server does not offer {extension}"),
    };
    let mut parameters = Vec::new();
    if !from.is_ascii() || pending.iter().any(|to| !to.is_ascii()) {
        if !smtp.offers(Extension::SmtpUtfEight) {
            return Err(needs("an address", "SMTPUTF8"));
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    if !bytes.is_ascii() {
        if !smtp.offers(Extension::EightBitMime) {
            return Err(needs("the mail", "8BITMIME"));
        }
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    Ok(parameters)
}

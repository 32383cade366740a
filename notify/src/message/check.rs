//! What is refused before it is stored: what could never be sent.

use super::{Envelope, HttpMessage, MailContent, MailMessage, MailParts, Outgoing, Payload};
use lettre::Address;
use lettre::message::Mailbox;
use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};

/// Most recipients of one mail.
pub const RECIPIENTS_MAX: usize = 500;
const KEY_BYTES_MAX: usize = 256;
const NAME_BYTES_MAX: usize = 512;
const KEPT_FIELDS_MAX: usize = 8;
/// Written by the sender: a second one would contradict it.
const OWN_HEADERS: [&str; 3] = ["idempotency-key", "content-length", "transfer-encoding"];
const OWN_MAIL_HEADERS: [&str; 12] = [
    "from",
    "to",
    "cc",
    "bcc",
    "reply-to",
    "subject",
    "date",
    "message-id",
    "in-reply-to",
    "references",
    "mime-version",
    "content-type",
];

/// Why a message cannot be sent, whatever the receiver.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("message {key}: {what}: expected {expected}, found {found}")]
pub struct MessageError {
    /// Idempotency key, as far as it can be shown.
    pub key: String,
    /// Which part.
    pub what: &'static str,
    /// What would be right.
    pub expected: String,
    /// What is there; never a secret.
    pub found: String,
}

type Checked = Result<(), (&'static str, String, String)>;

impl Outgoing {
    /// Refuses what could never be sent.
    ///
    /// Errors: keys of a wrong shape, times out of order, headers or addresses that the protocol does not allow.
    pub fn check(&self) -> Result<(), MessageError> {
        let shown = || self.key.chars().filter(char::is_ascii_graphic).take(64).collect();
        self.check_parts().map_err(|(what, expected, found)| MessageError { key: shown(), what, expected, found })
    }

    fn check_parts(&self) -> Checked {
        key("key", &self.key)?;
        name("order_key", &self.order_key)?;
        name("integration", &self.integration)?;
        if self.give_up_ms <= self.created_ms {
            let found = format!("{} for a message made at {}", self.give_up_ms, self.created_ms);
            return wrong("give_up_ms", "a time after created_ms", found);
        }
        match &self.payload {
            Payload::Http(http) => check_http(http),
            Payload::Mail(mail) => check_mail(mail),
        }
    }
}

fn wrong(what: &'static str, expected: impl Into<String>, found: impl Into<String>) -> Checked {
    Err((what, expected.into(), found.into()))
}

fn key(what: &'static str, key: &str) -> Checked {
    if key.is_empty() || key.len() > KEY_BYTES_MAX || !key.bytes().all(|b| b.is_ascii_graphic()) {
        let expected = format!("1 to {KEY_BYTES_MAX} visible ASCII characters (it is sent as a header)");
        return wrong(what, expected, format!("{} bytes", key.len()));
    }
    Ok(())
}

fn name(what: &'static str, name: &str) -> Checked {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return wrong(what, format!("1 to {NAME_BYTES_MAX} bytes"), format!("{} bytes", name.len()));
    }
    Ok(())
}

fn check_http(http: &HttpMessage) -> Checked {
    if Method::from_bytes(http.method.as_bytes()).is_err() {
        return wrong("method", "an HTTP method such as POST", format!("{:?}", http.method));
    }
    for (name, value) in &http.headers {
        let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else {
            return wrong("headers", "a name of letters, digits and hyphens", format!("{name:?}"));
        };
        if OWN_HEADERS.contains(&parsed.as_str()) {
            return wrong("headers", "none that the sender writes itself", name.clone());
        }
        if HeaderValue::from_str(value.reveal()).is_err() {
            return wrong("headers", "a value without control characters", format!("{name}: <secret>"));
        }
    }
    if http.reply.keep.len() > KEPT_FIELDS_MAX {
        return wrong("reply.keep", format!("at most {KEPT_FIELDS_MAX} fields"), http.reply.keep.len().to_string());
    }
    if let Some(reference) = &http.refers {
        key("refers.key", &reference.key)?;
        if !serde_json::from_str::<serde_json::Value>(&http.body).is_ok_and(|body| body.is_object()) {
            return wrong("body", "a JSON object, into which fields of a reply are put", "something else");
        }
        if let Some(otherwise) = &reference.otherwise {
            if otherwise.refers.is_some() {
                return wrong("refers.otherwise", "a message that needs no reply", "another reference");
            }
            check_http(otherwise)?;
        }
    }
    Ok(())
}

fn check_mail(mail: &MailMessage) -> Checked {
    let Envelope { from, to } = &mail.envelope;
    address("envelope.from", from)?;
    if to.is_empty() || to.len() > RECIPIENTS_MAX {
        return wrong("envelope.to", format!("1 to {RECIPIENTS_MAX} addresses"), to.len().to_string());
    }
    to.iter().try_for_each(|to| address("envelope.to", to))?;
    match &mail.content {
        MailContent::Parts(parts) => check_mail_parts(parts),
        MailContent::Raw(raw) if raw.is_empty() => wrong("content", "an RFC 5322 message", "nothing"),
        MailContent::Raw(_) => Ok(()),
    }
}

fn check_mail_parts(parts: &MailParts) -> Checked {
    mailbox("from", &parts.from)?;
    for to in parts.to.iter().chain(&parts.cc).chain(&parts.reply_to) {
        mailbox("to, cc or reply_to", to)?;
    }
    if parts.text.is_none() && parts.html.is_none() {
        return wrong("content", "text or html", "neither");
    }
    one_line("subject", &parts.subject)?;
    for id in parts.message_id.iter().chain(&parts.in_reply_to).chain(&parts.references) {
        let inner = id.strip_prefix('<').and_then(|id| id.strip_suffix('>')).unwrap_or_default();
        if !inner.contains('@') || !inner.bytes().all(|b| b.is_ascii_graphic() && b != b'<' && b != b'>') {
            return wrong("message_id, in_reply_to or references", "<unique@domain>", format!("{id:?}"));
        }
    }
    for (name, value) in &parts.headers {
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic() && b != b':') {
            return wrong("headers", "a name of visible ASCII characters without a colon", format!("{name:?}"));
        }
        if OWN_MAIL_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
            return wrong("headers", "none that has a field of its own", name.clone());
        }
        one_line("headers", value)?;
    }
    Ok(())
}

fn one_line(what: &'static str, value: &str) -> Checked {
    if value.chars().any(char::is_control) {
        return wrong(what, "one line without control characters", format!("{value:?}"));
    }
    Ok(())
}

fn address(what: &'static str, address: &str) -> Checked {
    if let Err(error) = address.parse::<Address>() {
        return wrong(what, "user@domain", format!("{address:?} ({error})"));
    }
    Ok(())
}

fn mailbox(what: &'static str, mailbox: &str) -> Checked {
    if let Err(error) = mailbox.parse::<Mailbox>() {
        return wrong(what, "user@domain or Name <user@domain>", format!("{mailbox:?} ({error})"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;

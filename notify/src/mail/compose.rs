//! A mail's bytes: the same every time for the same message, as nothing but the message goes into them.

use crate::message::{MailContent, MailParts};
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart, MultiPartKind, SinglePart};
use std::time::{Duration, UNIX_EPOCH};
use xxhash_rust::xxh3::xxh3_128;

/// `Message-ID` of a message, with angle brackets: from its idempotency key, in the domain of its sender.
pub fn message_id(key: &str, from: &str) -> String {
    let domain = from.parse::<Mailbox>().map_or_else(|_| "localhost".to_owned(), |from| from.email.domain().to_owned());
    format!("<{:032x}@{domain}>", xxh3_128(key.as_bytes()))
}

/// Header and body of a mail, with CRLF line ends.
///
/// Errors: an address or a header that does not parse.
pub fn compose(content: &MailContent, key: &str, created_ms: i64) -> Result<Vec<u8>, String> {
    match content {
        MailContent::Raw(raw) => Ok(raw.replace("\r\n", "\n").replace('\n', "\r\n").into_bytes()),
        MailContent::Parts(parts) => compose_parts(parts, key, created_ms),
    }
}

fn compose_parts(parts: &MailParts, key: &str, created_ms: i64) -> Result<Vec<u8>, String> {
    let mailbox = |text: &String| text.parse::<Mailbox>().map_err(|error| format!("{text:?}: {error}"));
    let made = UNIX_EPOCH + Duration::from_millis(u64::try_from(created_ms).unwrap_or(0));
    let id = parts.message_id.clone().unwrap_or_else(|| message_id(key, &parts.from));
    let mut builder = Message::builder().from(mailbox(&parts.from)?).date(made).message_id(Some(id));
    for to in &parts.to {
        builder = builder.to(mailbox(to)?);
    }
    for cc in &parts.cc {
        builder = builder.cc(mailbox(cc)?);
    }
    if let Some(reply_to) = &parts.reply_to {
        builder = builder.reply_to(mailbox(reply_to)?);
    }
    builder = builder.subject(parts.subject.clone());
    if let Some(id) = &parts.in_reply_to {
        builder = builder.in_reply_to(id.clone());
    }
    if !parts.references.is_empty() {
        builder = builder.references(parts.references.join(" "));
    }
    for (name, value) in &parts.headers {
        let parsed = HeaderName::new_from_ascii(name.clone()).map_err(|error| format!("header {name:?}: {error}"))?;
        builder = builder.raw_header(HeaderValue::new(parsed, value.clone()));
    }
    // Alerts need no answer from holiday robots (RFC 3834).
    builder = builder
        .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()));
    // The envelope is the message's own; lettre wants one in any case.
    let sender = mailbox(&parts.from)?.email;
    let envelope = lettre::address::Envelope::new(Some(sender.clone()), vec![sender]).map_err(|e| e.to_string())?;
    let builder = builder.envelope(envelope);
    let message = match (&parts.text, &parts.html) {
        (Some(text), Some(html)) => {
            // A boundary of our own, as lettre's would be random.
            let boundary = format!("tidewatch-{:032x}", xxh3_128(key.as_bytes()));
            let both = MultiPart::builder().kind(MultiPartKind::Alternative).boundary(boundary);
            let text = SinglePart::plain(text.clone());
            builder.multipart(both.singlepart(text).singlepart(SinglePart::html(html.clone())))
        }
        (Some(text), None) => builder.singlepart(SinglePart::plain(text.clone())),
        (None, Some(html)) => builder.singlepart(SinglePart::html(html.clone())),
        (None, None) => return Err("expected text or html, found neither".to_owned()),
    };
    Ok(message.map_err(|error| error.to_string())?.formatted())
}

#[cfg(test)]
mod tests;

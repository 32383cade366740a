//! A request of any form: SMS gateways, chat systems, tickets.

use super::{HttpMessage, Message, Templates};
use crate::config::Secret;
use crate::config::extensions::GenericConfig;

/// Bytes of a body; what is beyond is cut.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// The request. A template in the address has its values encoded for a URL by the template itself (`urlquery`).
pub fn build(message: &Message<'_>, config: &GenericConfig, templates: &dyn Templates) -> HttpMessage {
    let mut remarks = Vec::new();
    let headline = || message.subject();
    let secret = |written: &Secret, remarks: &mut Vec<String>| {
        let text = written.reveal().to_string();
        match templates.render(&text, &message.data()) {
            Ok(rendered) => Secret::new(rendered.replace(['\r', '\n'], " ")),
            // Not quoted: it may hold a key.
            Err(reason) => {
                remarks.push(format!("template in url or headers: {reason}; used as it is"));
                Secret::new(text)
            }
        }
    };
    let url = config.url.as_ref().map(|url| secret(url, &mut remarks));
    let mut headers: Vec<(String, Secret)> =
        config.headers.iter().map(|(name, value)| (name.clone(), secret(value, &mut remarks))).collect();
    let mut body = if config.form.is_empty() {
        message.rendered(templates, config.body.as_ref(), &mut remarks, headline)
    } else {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in &config.form {
            form.append_pair(name, &message.rendered(templates, Some(value), &mut remarks, headline));
        }
        form.finish()
    };
    if body.len() > BODY_BYTES_MAX {
        remarks.push(format!("body cut to {BODY_BYTES_MAX} bytes"));
        body = super::text::cut_bytes(&body, BODY_BYTES_MAX).to_string();
    }
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        let kind =
            if config.form.is_empty() { "text/plain; charset=utf-8" } else { "application/x-www-form-urlencoded" };
        headers.push(("Content-Type".to_string(), Secret::new(kind)));
    }
    HttpMessage {
        method: config.method.clone().unwrap_or_else(|| "POST".to_string()),
        url,
        headers,
        body: body.into_bytes(),
        idempotency_key: message.idempotency_key(),
        remarks,
    }
}

#[cfg(test)]
mod tests;

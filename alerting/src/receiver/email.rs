//! E-mail: subject, plain and HTML bodies, and the headers that make one thread of a group's mails.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::text::{cut, escape_html, headline, instant, numbers, runbook};
use super::{Message, Templates};
use crate::config::EmailConfig;
use crate::escalation::DigestMail;
use crate::route::alert::{Alert, Timestamp};

/// Alerts listed in one mail; those beyond are only counted.
pub const ALERTS_MAX: usize = 500;
/// Characters of a subject: RFC 5322's bound on a line.
pub const SUBJECT_MAX: usize = 900;

/// A mail to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Sender's address.
    pub from: String,
    /// Receivers' addresses, separated by commas.
    pub to: String,
    /// Further header fields, `Message-ID`, `In-Reply-To` and `References` among them; no line breaks in values.
    pub headers: BTreeMap<String, String>,
    /// Subject.
    pub subject: String,
    /// Body for readers of plain text.
    pub text: String,
    /// Body for the others.
    pub html: String,
    /// The same for the same mail.
    pub idempotency_key: String,
    /// What went wrong with templates and what was cut.
    pub remarks: Vec<String>,
}

/// The mail. With `domain` (the right side of message ids) it is put into the thread of its group.
pub fn build(message: &Message<'_>, config: &EmailConfig, domain: &str, templates: &dyn Templates) -> Mail {
    let mut remarks = Vec::new();
    let key = message.idempotency_key();
    let mut headers = thread_headers(message, config, domain, &key);
    let mut subject = None;
    for (name, written) in &config.headers {
        let rendered = one_line(&message.rendered(templates, Some(written), &mut remarks, String::new));
        match name.to_ascii_lowercase().as_str() {
            "subject" if !rendered.is_empty() => subject = Some(rendered),
            // The envelope decides, not a text.
            "from" | "to" | "subject" | "message-id" => {}
            _ => {
                headers.insert(name.clone(), rendered);
            }
        }
    }
    let subject = subject.unwrap_or_else(|| one_line(&message.subject()));
    let text = message
        .rendered(templates, config.text.as_ref().filter(|text| !text.is_empty()), &mut remarks, || plain(message));
    let html = message
        .rendered(templates, config.html.as_ref().filter(|html| !html.is_empty()), &mut remarks, || page(message));
    let total = message.notification.alerts.len();
    if total > ALERTS_MAX {
        remarks.push(format!("{} alerts beyond {ALERTS_MAX} are only counted", total - ALERTS_MAX));
    }
    let address = |written: &Option<String>, remarks: &mut Vec<String>| {
        one_line(&message.rendered(templates, written.as_ref(), remarks, String::new))
    };
    Mail {
        from: address(&config.from, &mut remarks),
        to: address(&config.to, &mut remarks),
        headers,
        subject: cut(&subject, SUBJECT_MAX),
        text,
        html,
        idempotency_key: key,
        remarks,
    }
}

/// `Message-ID` from the idempotency key, so that a mail sent twice is one mail; the thread's first mail is never sent:
/// all mails of a group refer to the same made-up id, which mail programs take as their common root.
fn thread_headers(message: &Message<'_>, config: &EmailConfig, domain: &str, key: &str) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::from([("Message-ID".to_string(), format!("<{key}@{domain}>"))]);
    let threading = config.threading.as_ref().filter(|threading| threading.enabled.0);
    let day = match threading.and_then(|threading| threading.thread_by_date.as_deref()) {
        Some("daily") => message.now().format("%Y-%m-%d").to_string(),
        _ => String::new(),
    };
    let root = super::idempotency_key(&[&message.notification.group_key, message.receiver(), &day, "thread"]);
    let root = format!("<thread-{root}@{domain}>");
    // Without settings a group is a thread: Alertmanager leaves it out unless asked.
    if threading.is_some() || config.threading.is_none() {
        headers.insert("In-Reply-To".to_string(), root.clone());
        headers.insert("References".to_string(), root);
    }
    headers
}

/// Without line breaks, so that no text can add a header.
fn one_line(text: &str) -> String {
    text.split(['\r', '\n']).map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// An alert as lines of plain text.
pub(super) fn plain_alert(alert: &Alert, now: Timestamp) -> String {
    let mut text = format!("{}: {}\n", alert.status(now), headline(alert));
    let numbers = numbers(alert);
    if !numbers.is_empty() {
        let _ = writeln!(text, "  value: {numbers}");
    }
    let _ = write!(text, "  since {}", instant(alert.starts_at));
    if let Some(end) = alert.ends_at.filter(|_| alert.resolved_at(now)) {
        let _ = write!(text, " until {}", instant(end));
    }
    text.push_str("\nLabels:\n");
    for (name, value) in &alert.labels.0 {
        let _ = writeln!(text, " - {name} = {value}");
    }
    text.push_str("Annotations:\n");
    for (name, value) in &alert.annotations.0 {
        let _ = writeln!(text, " - {name} = {value}");
    }
    if let Some(amendment) = &alert.detail.amendment {
        let _ = writeln!(text, "Amended: {amendment}");
    }
    for (title, url) in links(alert) {
        let _ = writeln!(text, "{title}: {url}");
    }
    text
}

fn links(alert: &Alert) -> Vec<(&str, &str)> {
    let own = alert.detail.links.iter().map(|(title, url)| (title.as_str(), url.as_str()));
    let usual = [("Runbook", runbook(alert).unwrap_or_default()), ("Source", alert.generator_url.as_str())];
    usual.into_iter().chain(own).filter(|(_, url)| !url.is_empty()).collect()
}

fn plain(message: &Message<'_>) -> String {
    let mut text = format!("{}\n\n", message.subject());
    for alert in message.firing().chain(message.resolved()).take(ALERTS_MAX) {
        text.push_str(&plain_alert(alert, message.now()));
        text.push('\n');
    }
    if let Some(more) = message.notification.alerts.len().checked_sub(ALERTS_MAX).filter(|more| *more > 0) {
        let _ = writeln!(text, "… and {more} more");
    }
    let _ = writeln!(text, "{}\n{}", message.notification.reason, message.listing_url());
    text
}

fn page(message: &Message<'_>) -> String {
    let color = if message.status() == "firing" { "#a30200" } else { "#2e7d32" };
    let mut html = format!(
        "<!DOCTYPE html><html><body style=\"font-family:sans-serif\"><h2 style=\"color:{color}\">{}</h2>",
        escape_html(&message.subject())
    );
    for alert in message.firing().chain(message.resolved()).take(ALERTS_MAX) {
        html_alert(&mut html, alert, message.now());
    }
    if let Some(more) = message.notification.alerts.len().checked_sub(ALERTS_MAX).filter(|more| *more > 0) {
        let _ = write!(html, "<p>… and {more} more</p>");
    }
    let _ = write!(
        html,
        "<p style=\"color:#666\">{} · <a href=\"{}\">all alerts</a></p></body></html>",
        escape_html(&message.notification.reason.to_string()),
        escape_html(&message.listing_url())
    );
    html
}

fn html_alert(html: &mut String, alert: &Alert, now: Timestamp) {
    let _ = write!(html, "<h3>{}: {}</h3><p>", alert.status(now), escape_html(headline(alert)));
    let numbers = numbers(alert);
    if !numbers.is_empty() {
        let _ = write!(html, "<b>{}</b><br>", escape_html(&numbers));
    }
    let _ = write!(html, "since {}", instant(alert.starts_at));
    if let Some(end) = alert.ends_at.filter(|_| alert.resolved_at(now)) {
        let _ = write!(html, " until {}", instant(end));
    }
    html.push_str("</p><table>");
    for (name, value) in alert.labels.0.iter().chain(&alert.annotations.0) {
        let _ = write!(html, "<tr><td>{}</td><td>{}</td></tr>", escape_html(name), escape_html(value));
    }
    html.push_str("</table>");
    if let Some(amendment) = &alert.detail.amendment {
        let _ = write!(html, "<p><i>Amended: {}</i></p>", escape_html(amendment));
    }
    for (title, url) in links(alert) {
        // Only addresses that cannot act.
        if url.starts_with("http://") || url.starts_with("https://") {
            let _ = write!(html, "<a href=\"{}\">{}</a> ", escape_html(url), escape_html(title));
        }
    }
}

/// Subject and plain body of a digest.
pub fn digest(mail: &DigestMail) -> (String, String) {
    let (from, until) = (instant(mail.from), instant(mail.until));
    let firing = mail.entries.iter().filter(|entry| !entry.resolved).count();
    let subject = format!("[DIGEST] {}: {} alerts, {firing} still firing", mail.digest, mail.entries.len());
    let mut text = format!("Alerts from {from} to {until}\n\n");
    for entry in &mail.entries {
        let state = if entry.resolved { "resolved" } else { "FIRING" };
        let _ = writeln!(text, "{state:8} {} (fired {} times)", headline(&entry.alert), entry.fired);
        if let Some(amendment) = &entry.alert.detail.amendment {
            let _ = writeln!(text, "         amended: {amendment}");
        }
    }
    if mail.dropped > 0 {
        let _ = writeln!(text, "… and {} more", mail.dropped);
    }
    (subject, text)
}

#[cfg(test)]
mod tests;

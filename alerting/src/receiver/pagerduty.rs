//! PagerDuty: Events API v2.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::text::{cut, instant, numbers, runbook};
use super::{HttpMessage, Message, Templates};
use crate::config::{PagerDutyConfig, Secret};

/// Bytes of an event.
pub const EVENT_BYTES_MAX: usize = 512 * 1024;
/// Characters of a summary.
pub const SUMMARY_MAX: usize = 1024;

/// The key by which PagerDuty joins the events of a group: SHA-256 of the group's key, as Alertmanager makes it.
pub fn dedup_key(group_key: &str) -> String {
    use sha2::{Digest as _, Sha256};
    super::hex(&Sha256::digest(group_key.as_bytes()))
}

/// PagerDuty's severity of ours.
pub fn severity(ours: &str) -> &'static str {
    match ours.to_ascii_lowercase().as_str() {
        "critical" | "page" | "fatal" | "emergency" => "critical",
        "warning" | "warn" => "warning",
        "info" | "notice" | "none" | "debug" => "info",
        _ => "error",
    }
}

/// The event. `routing_key` is the integration's key, read by the caller where it is in a file.
pub fn build(
    message: &Message<'_>,
    config: &PagerDutyConfig,
    routing_key: &Secret,
    templates: &dyn Templates,
) -> HttpMessage {
    let mut remarks = Vec::new();
    let mut event = event(message, config, routing_key, templates, &mut remarks);
    if event.to_string().len() > EVENT_BYTES_MAX {
        // As Alertmanager does: the details go, the alarm stays.
        remarks.push(format!("custom details dropped: the event exceeds {EVENT_BYTES_MAX} bytes"));
        event["payload"]["custom_details"] =
            json!({ "error": "Custom details have been removed because the event exceeds the maximum size of 512KB" });
    }
    HttpMessage {
        method: "POST".to_string(),
        url: config.url.clone().map(Secret::new),
        headers: vec![("Content-Type".to_string(), Secret::new("application/json"))],
        body: event.to_string().into_bytes(),
        idempotency_key: message.idempotency_key(),
        remarks,
    }
}

fn event(
    message: &Message<'_>,
    config: &PagerDutyConfig,
    routing_key: &Secret,
    templates: &dyn Templates,
    remarks: &mut Vec<String>,
) -> Value {
    let firing = message.status() == "firing";
    let mut event = json!({
        "routing_key": routing_key.reveal(),
        "dedup_key": dedup_key(&message.notification.group_key),
        "event_action": if firing { "trigger" } else { "resolve" },
    });
    let mut text = |text: &Option<String>, otherwise: &dyn Fn() -> String| {
        message.rendered(templates, text.as_ref(), remarks, otherwise)
    };
    let summary = text(&config.description, &|| message.subject());
    let common = message.common_labels();
    let client = text(&config.client, &|| "Tidewatch".to_string());
    event["client"] = json!(client);
    event["client_url"] = json!(text(&config.client_url, &|| message.listing_url()));
    let mapped = || severity(common.value("severity")).to_string();
    let wanted = text(&config.severity, &mapped).to_ascii_lowercase();
    let wanted = if matches!(wanted.as_str(), "critical" | "error" | "warning" | "info") { wanted } else { mapped() };
    let mut payload = json!({
        "summary": cut(&summary, SUMMARY_MAX),
        "source": text(&config.source, &|| client.clone()),
        "severity": wanted,
        "timestamp": instant(message.notification.alerts.iter().map(|alert| alert.starts_at).min().unwrap_or(message.now())),
    });
    for (key, written) in [("class", &config.class), ("component", &config.component), ("group", &config.group)] {
        let rendered = text(written, &String::new);
        if !rendered.is_empty() {
            payload[key] = json!(rendered);
        }
    }
    payload["custom_details"] = details(message, config, templates, remarks);
    event["payload"] = payload;
    let links = links(message, config, templates, remarks);
    if !links.is_empty() {
        event["links"] = json!(links);
    }
    let images: Vec<Value> =
        config.images.iter().map(|image| json!({ "src": image.src, "alt": image.alt, "href": image.href })).collect();
    if !images.is_empty() {
        event["images"] = json!(images);
    }
    event
}

fn details(
    message: &Message<'_>,
    config: &PagerDutyConfig,
    templates: &dyn Templates,
    remarks: &mut Vec<String>,
) -> Value {
    let listed = |alerts: &mut dyn Iterator<Item = &crate::route::alert::Alert>| {
        alerts.map(|alert| super::email::plain_alert(alert, message.now())).collect::<Vec<_>>().join("\n")
    };
    let mut details = Map::new();
    details.insert("firing".to_string(), json!(listed(&mut message.firing())));
    details.insert("resolved".to_string(), json!(listed(&mut message.resolved())));
    details.insert("num_firing".to_string(), json!(message.firing().count().to_string()));
    details.insert("num_resolved".to_string(), json!(message.resolved().count().to_string()));
    let first = message.notification.alerts.first().map(numbers).filter(|text| !text.is_empty());
    if let Some(numbers) = first {
        details.insert("value".to_string(), json!(numbers));
    }
    for (name, written) in &config.details {
        let Ok(mut value) = serde_json::to_value(written) else { continue };
        super::webhook::render_texts(&mut value, &mut |text| {
            message.rendered(templates, Some(text), remarks, || text.clone())
        });
        details.insert(name.clone(), value);
    }
    Value::Object(details)
}

fn links(
    message: &Message<'_>,
    config: &PagerDutyConfig,
    templates: &dyn Templates,
    remarks: &mut Vec<String>,
) -> Vec<Value> {
    let mut links: BTreeMap<String, String> = BTreeMap::new();
    for link in &config.links {
        let href = message.rendered(templates, link.href.as_ref(), remarks, String::new);
        let text = message.rendered(templates, link.text.as_ref(), remarks, String::new);
        if !href.is_empty() {
            links.insert(href, text);
        }
    }
    for alert in &message.notification.alerts {
        if let Some(url) = runbook(alert) {
            links.entry(url.to_string()).or_insert_with(|| "Runbook".to_string());
        }
        for (title, url) in &alert.detail.links {
            links.entry(url.clone()).or_insert_with(|| title.clone());
        }
    }
    links.into_iter().take(50).map(|(href, text)| json!({ "href": href, "text": text })).collect()
}

#[cfg(test)]
mod tests;

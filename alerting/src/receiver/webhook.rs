//! Webhook: Alertmanager's payload, version 4, signed if a key is there.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{HttpMessage, Message, Templates};
use crate::config::{Secret, WebhookConfig};
use crate::route::alert::{Alert, Timestamp};
use crate::route::labels::Labels;

/// Header with the signature: `t=<seconds>,v1=<HMAC-SHA256 in hexadecimal>` over `<seconds>.<body>`.
pub const SIGNATURE_HEADER: &str = "X-Tidewatch-Signature";

/// The body of a webhook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the keys are documented by Alertmanager under the same names")]
pub struct Payload {
    pub receiver: String,
    pub status: String,
    pub alerts: Vec<PayloadAlert>,
    pub group_labels: Labels,
    pub common_labels: Labels,
    pub common_annotations: Labels,
    #[serde(rename = "externalURL")]
    pub external_url: String,
    pub version: String,
    pub group_key: String,
    pub truncated_alerts: u64,
}

/// An alert in the body of a webhook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the keys are documented by Alertmanager under the same names")]
pub struct PayloadAlert {
    pub status: String,
    pub labels: Labels,
    pub annotations: Labels,
    pub starts_at: String,
    pub ends_at: String,
    #[serde(rename = "generatorURL")]
    pub generator_url: String,
    pub fingerprint: String,
}

/// What Alertmanager writes for an end that is not known.
const NO_END: &str = "0001-01-01T00:00:00Z";

/// The payload. Alerts beyond `alerts_max` (0: no bound) are only counted.
pub fn payload(message: &Message<'_>, alerts_max: u64) -> Payload {
    let alerts = &message.notification.alerts;
    let bound = usize::try_from(alerts_max).ok().filter(|bound| *bound > 0).unwrap_or(usize::MAX);
    let shown = alerts.iter().take(bound);
    Payload {
        receiver: message.receiver().to_string(),
        status: message.status().to_string(),
        alerts: shown.map(|alert| payload_alert(alert, message.now())).collect(),
        group_labels: message.group_labels().clone(),
        common_labels: message.common_labels(),
        common_annotations: message.common_annotations(),
        external_url: message.external_url.to_string(),
        version: "4".to_string(),
        group_key: message.notification.group_key.clone(),
        truncated_alerts: alerts.len().saturating_sub(bound) as u64,
    }
}

fn payload_alert(alert: &Alert, now: Timestamp) -> PayloadAlert {
    let end = alert.ends_at.filter(|_| alert.resolved_at(now));
    PayloadAlert {
        status: alert.status(now).to_string(),
        labels: alert.labels.clone(),
        annotations: alert.annotations.clone(),
        starts_at: super::text::instant(alert.starts_at),
        ends_at: end.map_or_else(|| NO_END.to_string(), super::text::instant),
        generator_url: alert.generator_url.clone(),
        fingerprint: alert.fingerprint().to_string(),
    }
}

/// Signature of `body`, made at `now` so that an old request cannot be sent again.
pub fn signature(key: &Secret, body: &[u8], now: Timestamp) -> String {
    let seconds = now.timestamp();
    // A key of any length is a key.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.reveal().as_bytes()) else { return String::new() };
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body);
    format!("t={seconds},v1={}", super::hex(&mac.finalize().into_bytes()))
}

/// The request. `key` signs it.
pub fn build(
    message: &Message<'_>,
    config: &WebhookConfig,
    key: Option<&Secret>,
    templates: &dyn Templates,
) -> HttpMessage {
    let mut remarks = Vec::new();
    let payload = payload(message, config.max_alerts);
    if payload.truncated_alerts > 0 {
        remarks.push(format!("{} alerts beyond max_alerts are only counted", payload.truncated_alerts));
    }
    let body = custom(message, config, templates, &mut remarks);
    let body = body.unwrap_or_else(|| serde_json::to_vec(&payload).unwrap_or_default());
    let mut headers = vec![("Content-Type".to_string(), Secret::new("application/json"))];
    if let Some(key) = key {
        headers.push((SIGNATURE_HEADER.to_string(), Secret::new(signature(key, &body, message.now()))));
    }
    let url = config.url.as_ref().map(|url| {
        let text = url.reveal().to_string();
        Secret::new(message.rendered(templates, Some(&text), &mut remarks, || text.clone()))
    });
    let idempotency_key = message.idempotency_key();
    HttpMessage { method: "POST".to_string(), url, headers, body, idempotency_key, remarks }
}

/// The configured payload with its texts rendered, if there is one.
fn custom(
    message: &Message<'_>,
    config: &WebhookConfig,
    templates: &dyn Templates,
    remarks: &mut Vec<String>,
) -> Option<Vec<u8>> {
    let written = config.payload.as_ref().filter(|payload| !payload.is_null())?;
    let mut value = serde_json::to_value(written).ok()?;
    render_texts(&mut value, &mut |text| message.rendered(templates, Some(text), remarks, || text.clone()));
    match value {
        // A text is the body itself, as in Alertmanager.
        serde_json::Value::String(text) => Some(text.into_bytes()),
        value => serde_json::to_vec(&value).ok(),
    }
}

pub(super) fn render_texts(value: &mut serde_json::Value, render: &mut impl FnMut(&String) -> String) {
    match value {
        serde_json::Value::String(text) => *text = render(text),
        serde_json::Value::Array(list) => list.iter_mut().for_each(|value| render_texts(value, render)),
        serde_json::Value::Object(map) => map.values_mut().for_each(|value| render_texts(value, render)),
        _ => {}
    }
}

#[cfg(test)]
mod tests;

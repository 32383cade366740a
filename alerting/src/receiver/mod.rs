//! Messages: what is sent to whom, as values. Nothing here sends.
//!
//! Every builder takes a [`Message`] (a notification with what the texts need) and the integration's settings, and
//! returns the request or mail, with an idempotency key that is the same whenever the same thing is told again.

use std::fmt::Write as _;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::route::alert::{Alert, Timestamp};
use crate::route::labels::Labels;
use crate::route::pipeline::Notification;

pub mod email;
pub mod generic;
pub mod pagerduty;
pub mod slack;
pub mod text;
pub mod webhook;

/// Renders Alertmanager's templates. The template engine is an argument: the builders know only this.
pub trait Templates {
    /// `text` with its template actions carried out over `data` ([`Message::data`]).
    ///
    /// # Errors
    /// What is wrong with the template. The builder then falls back to its built-in text, so that the message is not lost.
    fn render(&self, text: &str, data: &Value) -> Result<String, String>;
}

/// No template engine: texts without actions are themselves, others are refused.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlainTexts;

impl Templates for PlainTexts {
    fn render(&self, text: &str, _: &Value) -> Result<String, String> {
        if text.contains("{{") { Err("no template engine".to_string()) } else { Ok(text.to_string()) }
    }
}

/// A request to send.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpMessage {
    /// Method, such as `POST`.
    pub method: String,
    /// Address; `None` where it is the integration's secret, which the sender reads.
    pub url: Option<crate::config::Secret>,
    /// Header fields; values may be secret.
    pub headers: Vec<(String, crate::config::Secret)>,
    /// Body.
    pub body: Vec<u8>,
    /// The same for the same message, whenever it is built.
    pub idempotency_key: String,
    /// What went wrong with templates and what was cut, for the ledger.
    pub remarks: Vec<String>,
}

/// A notification together with what its texts need.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// What is told.
    pub notification: &'a Notification,
    /// Address of this service, for links; without a slash at its end.
    pub external_url: &'a str,
}

impl Message<'_> {
    /// Name of the receiver.
    pub fn receiver(&self) -> &str {
        &self.notification.integration.receiver
    }

    /// `firing` while any alert of the message fires.
    pub fn status(&self) -> &'static str {
        if self.firing().next().is_some() { "firing" } else { "resolved" }
    }

    /// When the group was flushed.
    pub fn now(&self) -> Timestamp {
        self.notification.now
    }

    /// Alerts that fire.
    pub fn firing(&self) -> impl Iterator<Item = &Alert> {
        self.notification.alerts.iter().filter(|alert| !alert.resolved_at(self.notification.now))
    }

    /// Alerts that are over.
    pub fn resolved(&self) -> impl Iterator<Item = &Alert> {
        self.notification.alerts.iter().filter(|alert| alert.resolved_at(self.notification.now))
    }

    /// Labels of the group.
    pub fn group_labels(&self) -> &Labels {
        &self.notification.group.labels
    }

    /// Labels that all alerts share.
    pub fn common_labels(&self) -> Labels {
        Labels::common(self.notification.alerts.iter().map(|alert| &alert.labels))
    }

    /// Annotations that all alerts share.
    pub fn common_annotations(&self) -> Labels {
        Labels::common(self.notification.alerts.iter().map(|alert| &alert.annotations))
    }

    /// Alertmanager's default subject: `[FIRING:2] HighLatency eu (api)`.
    pub fn subject(&self) -> String {
        let firing = self.firing().count();
        let status = if firing > 0 { format!("[FIRING:{firing}]") } else { "[RESOLVED]".to_string() };
        let (group, common) = (self.group_labels(), self.common_labels());
        let values: Vec<&str> = sorted_values(group).collect();
        let mut subject = format!("{status} {} ", values.join(" "));
        if common.0.len() > group.0.len() {
            let rest = Labels(common.0.into_iter().filter(|(name, _)| !group.0.contains_key(name)).collect());
            let _ = write!(subject, "({})", sorted_values(&rest).collect::<Vec<_>>().join(" "));
        }
        subject.trim_end().to_string()
    }

    /// Page that lists the receiver's alerts.
    pub fn listing_url(&self) -> String {
        let receiver: String = url::form_urlencoded::byte_serialize(self.receiver().as_bytes()).collect();
        format!("{}/#/alerts?receiver={receiver}", self.external_url)
    }

    /// What the message says about the alerts' states, in 16 hexadecimal digits: the same states give the same hash.
    pub fn state_hash(&self) -> String {
        let told = &self.notification.told;
        let mut text = String::new();
        for (mark, set) in [("f", &told.firing), ("r", &told.resolved), ("~", &told.flapping)] {
            for fingerprint in set {
                let _ = write!(text, "{mark}{fingerprint}");
            }
        }
        // Two firings of one alert are two states.
        for alert in &self.notification.alerts {
            let _ = write!(text, "@{}", alert.starts_at.timestamp_millis());
            let _ = write!(text, "{:?}", alert.detail.amendment);
        }
        idempotency_key(&[&text])[..16].to_string()
    }

    /// The same for the same group, integration, states and purpose. A repetition is a purpose of its own, by its time.
    pub fn idempotency_key(&self) -> String {
        let notification = self.notification;
        let repeated = match notification.reason {
            crate::notification_log::Reason::RepeatInterval => self.now().timestamp_millis().to_string(),
            _ => notification.escalation_level.map(|level| level.to_string()).unwrap_or_default(),
        };
        let integration = notification.integration.to_string();
        let purpose = notification.reason.as_str();
        idempotency_key(&[&notification.group_key, &integration, &self.state_hash(), purpose, &repeated])
    }

    /// The data of templates: Alertmanager's names, and `Detail` of each alert.
    pub fn data(&self) -> Value {
        let alerts: Vec<Value> = self.notification.alerts.iter().map(|alert| self.alert_data(alert)).collect();
        json!({
            "Receiver": self.receiver(),
            "Status": self.status(),
            "Alerts": alerts,
            "GroupLabels": self.group_labels(),
            "CommonLabels": self.common_labels(),
            "CommonAnnotations": self.common_annotations(),
            "RouteLabels": self.notification.route_labels,
            "ExternalURL": self.external_url,
            "NotificationReason": self.notification.reason.as_str(),
        })
    }

    fn alert_data(&self, alert: &Alert) -> Value {
        json!({
            "Status": alert.status(self.now()),
            "Labels": alert.labels,
            "Annotations": alert.annotations,
            "StartsAt": text::instant(alert.starts_at),
            "EndsAt": alert.ends_at.map(text::instant),
            "GeneratorURL": alert.generator_url,
            "Fingerprint": alert.fingerprint().to_string(),
            "Detail": alert.detail,
        })
    }

    /// `text` rendered, or `otherwise` when there is none or its template fails, which is remarked upon.
    fn rendered(
        &self,
        templates: &dyn Templates,
        text: Option<&String>,
        remarks: &mut Vec<String>,
        otherwise: impl FnOnce() -> String,
    ) -> String {
        let Some(text) = text else { return otherwise() };
        match templates.render(text, &self.data()) {
            Ok(rendered) => rendered,
            Err(reason) => {
                remarks.push(format!("template {}: {reason}; built-in text used", text::cut(text, 80)));
                otherwise()
            }
        }
    }
}

/// Values in the order of names, `alertname` first.
fn sorted_values(labels: &Labels) -> impl Iterator<Item = &str> {
    let name = labels.0.get("alertname").into_iter();
    name.chain(labels.0.iter().filter(|(name, _)| *name != "alertname").map(|(_, value)| value)).map(String::as_str)
}

/// 32 hexadecimal digits of SHA-256 over the parts, each with its length so that no two lists of parts run together.
pub fn idempotency_key(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex(&hash.finalize())[..32].to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;

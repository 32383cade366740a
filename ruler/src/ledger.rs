//! The ledger: one row for every decision about an alert, from its rule to the receiver's answer.

use crate::amend::{Said, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tidewatch_alerting::ledger::{Change, Entry};
use tidewatch_alerting::route::{Decision, Labels};
use tidewatch_notify::{Attempt, Decision as Sent};
use tidewatch_promql::calendar::rfc3339;

/// Where a decision was taken, beyond the stages of [`tidewatch_alerting::route::Stage`].
pub const STAGE_RULE: &str = "rule";
/// A message was put into the outbox.
pub const STAGE_MESSAGE: &str = "message";
/// An attempt to send a message.
pub const STAGE_SEND: &str = "send";
/// Late data changed a verdict.
pub const STAGE_AMENDMENT: &str = "amendment";
/// What moved a firing alert was found out.
pub const STAGE_CONTRIBUTIONS: &str = "contributions";
/// A person did something.
pub const STAGE_PERSON: &str = "person";

/// One decision.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Row {
    /// When, milliseconds since the epoch.
    pub time_ms: i64,
    /// Where: `rule`, `inhibit`, `mute_time`, `silence`, `flapping`, `dedup`, `record`, `message`, `send`, …
    pub stage: String,
    /// Fingerprint of the alert, as the API shows it; none where it is about a whole group or message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert: Option<String>,
    /// The rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Group of the rule, or of the alerts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The alert's labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Where the alert stood before: `inactive`, `pending`, `firing`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Whether it went on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passed: Option<bool>,
    /// Why, in words.
    pub reason: String,
    /// What caused it: silences, inhibiting alerts, integrations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
    /// The value that was looked at; none where it is no number that JSON knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// What it was compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// Idempotency key of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The receiver's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
}

impl Row {
    /// Of a rule's decision. `alert` is its fingerprint as the API shows it.
    pub fn of_entry(entry: &Entry, alert: String) -> Self {
        let phase = |phase: Option<tidewatch_alerting::state::Phase>| {
            Some(phase.map_or("inactive", |phase| phase.as_str()).to_owned())
        };
        Self {
            time_ms: entry.time_ms,
            stage: STAGE_RULE.to_owned(),
            alert: Some(alert),
            rule: Some(entry.rule.rule.to_string()),
            group: Some(entry.rule.group.to_string()),
            labels: entry.labels.iter().map(|l| (l.name.to_string(), l.value.to_string())).collect(),
            from: phase(entry.from),
            to: phase(entry.to),
            reason: entry.explain(),
            value: Some(entry.value).filter(|value| value.is_finite()),
            threshold: entry.threshold.filter(|value| value.is_finite()),
            ..Self::default()
        }
    }

    /// Of a stage's decision about an alert of a group.
    pub fn of_decision(decision: &Decision, group: &str, labels: Option<&Labels>, time_ms: i64) -> Self {
        let stage = serde_json::to_value(decision.stage).ok();
        Self {
            time_ms,
            stage: stage.as_ref().and_then(|stage| stage.as_str()).unwrap_or_default().to_owned(),
            alert: decision.alert.map(|alert| alert.to_string()),
            group: Some(group.to_owned()),
            labels: labels.map(|labels| labels.0.clone()).unwrap_or_default(),
            passed: Some(decision.passed),
            reason: decision.reason.clone(),
            by: decision.by.clone(),
            ..Self::default()
        }
    }

    /// Of an attempt to send.
    pub fn of_attempt(attempt: &Attempt) -> Self {
        let then = match &attempt.decision {
            Sent::Delivered => "delivered".to_owned(),
            Sent::RetryAt(at_ms) => format!("sent again at {}", rfc3339(*at_ms)),
            Sent::GaveUp(reason) => format!("given up: {}", reason.as_str()),
        };
        let code = attempt.code.map(|code| format!(", code {code}")).unwrap_or_default();
        let detail = if attempt.detail.is_empty() { String::new() } else { format!(": {}", attempt.detail) };
        let (number, outcome) = (attempt.attempt, attempt.outcome.as_str());
        Self {
            time_ms: attempt.started_ms,
            stage: STAGE_SEND.to_owned(),
            passed: Some(matches!(attempt.decision, Sent::Delivered)),
            reason: format!(
                "attempt {number} to {} took {} ms: {outcome}{code}{detail}; {then}",
                attempt.target, attempt.duration_ms
            ),
            by: vec![attempt.integration.clone()],
            message: Some(attempt.key.clone()),
            code: attempt.code,
            ..Self::default()
        }
    }

    /// Of a correction; `state_from` and `state_to` are what was, and what would have been.
    pub fn of_amendment(said: &Said, since_ms: Option<i64>) -> Self {
        let (from, to) = match said.verdict {
            Verdict::WouldNotHaveFired => ("firing", "inactive"),
            Verdict::ShouldHaveFired => ("inactive", "firing"),
            Verdict::RightlySilent => ("inactive", "inactive"),
            Verdict::Stands | Verdict::WouldHaveFiredAt { .. } => ("firing", "firing"),
        };
        let since = since_ms.map(|ms| format!("; by the rule as it is since {}", rfc3339(ms))).unwrap_or_default();
        Self {
            time_ms: said.at_ms,
            stage: STAGE_AMENDMENT.to_owned(),
            alert: Some(said.alert.clone()),
            rule: Some(said.rule.clone()),
            group: Some(said.group.clone()),
            labels: said.labels.clone(),
            from: Some(from.to_owned()),
            to: Some(to.to_owned()),
            reason: format!("{}{since}", verdict(said)),
            ..Self::default()
        }
    }
}

/// A verdict in words.
pub fn verdict(said: &Said) -> String {
    let (fired_at_ms, ended_at_ms) = (said.fired_ms, said.ended_ms);
    let span =
        || format!("from {} until {}", rfc3339(fired_at_ms), ended_at_ms.map_or_else(|| "now".to_owned(), rfc3339));
    match said.verdict {
        Verdict::WouldNotHaveFired => sentence(&Change::WouldNotHaveFired { fired_at_ms, ended_at_ms }),
        Verdict::ShouldHaveFired => sentence(&Change::ShouldHaveFired { fired_at_ms, ended_at_ms }),
        Verdict::WouldHaveFiredAt { fired_ms: amended_fired_at_ms, ended_ms: amended_ended_at_ms } => {
            let change =
                Change::WouldHaveFiredAt { fired_at_ms, ended_at_ms, amended_fired_at_ms, amended_ended_at_ms };
            sentence(&change)
        }
        Verdict::Stands => format!("stands after all: it fired {}, rightly by all events that are known now", span()),
        Verdict::RightlySilent => format!("would not have fired after all {}", span()),
    }
}

/// A correction in words.
pub fn sentence(change: &Change) -> String {
    let until = |end: &Option<i64>| end.map_or_else(|| "now".to_owned(), rfc3339);
    match change {
        Change::WouldNotHaveFired { fired_at_ms, ended_at_ms } => {
            format!(
                "would not have fired from {} until {}: late events changed the numbers",
                rfc3339(*fired_at_ms),
                until(ended_at_ms)
            )
        }
        Change::ShouldHaveFired { fired_at_ms, ended_at_ms } => {
            format!(
                "should have fired from {} until {}: late events changed the numbers",
                rfc3339(*fired_at_ms),
                until(ended_at_ms)
            )
        }
        Change::WouldHaveFiredAt { fired_at_ms, ended_at_ms, amended_fired_at_ms, amended_ended_at_ms } => format!(
            "would have fired from {} until {}, not from {} until {}",
            rfc3339(*amended_fired_at_ms),
            until(amended_ended_at_ms),
            rfc3339(*fired_at_ms),
            until(ended_at_ms)
        ),
    }
}

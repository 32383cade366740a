//! "Why was I paged, why was I not?": everything that was decided about one alert, and what would be decided now.

use crate::begin::Shared;
use crate::evaluate::timestamp;
use crate::ledger::{Row, STAGE_MESSAGE};
use crate::store::StoreError;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;
use tidewatch_alerting::escalation::incident::Incident;
use tidewatch_alerting::receiver::text;
use tidewatch_alerting::route::{self, AlertDetail, Fingerprint};
use tidewatch_notify::Phase;
use tidewatch_promql::calendar::rfc3339;

/// Rows of the ledger about one alert that are shown, and about one message.
const ROWS_MAX: usize = 1000;

/// What is known about an alert.
#[derive(Debug, Clone, Serialize)]
pub struct Explained {
    /// Its fingerprint.
    pub alert: String,
    /// Its value beside what it was before, what moved it, and where to read on; none once it is forgotten.
    pub detail: Option<AlertDetail>,
    /// Every decision of the past, oldest first.
    pub history: Vec<Row>,
    /// The messages that told of it.
    pub messages: Vec<Sent>,
    /// What every stage would decide now.
    pub now: route::Explanation,
    /// Who was told beyond the routes, and who cares for it.
    pub incident: Option<Incident>,
}

/// A message that told of an alert.
#[derive(Debug, Clone, Serialize)]
pub struct Sent {
    /// Its idempotency key.
    pub key: String,
    /// Through which integration.
    pub integration: String,
    /// When it was made, milliseconds since the epoch.
    pub created_ms: i64,
    /// Where it stands, in words.
    pub phase: String,
    /// Attempts to send it.
    pub attempts: Vec<Row>,
}

/// Why there is no explanation.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// Not a fingerprint.
    #[error("expected a fingerprint of 16 hexadecimal digits, as /api/v2/alerts shows them, found {0:?}")]
    NotAFingerprint(String),
    /// Nothing is known.
    #[error("no alert {0} is known: it never fired here, or the ledger has forgotten it")]
    Unknown(String),
    /// The ledger cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Explains an alert. Blocks.
pub(crate) fn explain(shared: &Shared, fingerprint: &str) -> Result<Explained, ExplainError> {
    let parsed = u64::from_str_radix(fingerprint, 16).ok().filter(|_| fingerprint.len() == 16);
    let parsed = parsed.ok_or_else(|| ExplainError::NotAFingerprint(fingerprint.to_owned()))?;
    let history = shared.store.rows_of_alert(fingerprint, ROWS_MAX)?;
    let (now, incident, detail) = {
        let notifier = shared.notifier();
        let now = timestamp(shared.clock.now_ms());
        let fingerprint = Fingerprint(parsed);
        let incident = notifier.state.escalation.get(fingerprint).cloned();
        let detail = notifier.state.store.get(fingerprint).map(|alert| alert.detail.clone());
        (route::explain(&notifier, fingerprint, now), incident, detail)
    };
    if history.is_empty() && detail.is_none() {
        return Err(ExplainError::Unknown(fingerprint.to_owned()));
    }
    let told = history.iter().filter(|row| row.stage == STAGE_MESSAGE);
    let mut seen = BTreeSet::new();
    let mut messages = Vec::new();
    for row in told {
        let Some(key) = row.message.as_ref().filter(|key| seen.insert(key.as_str())) else { continue };
        messages.push(sent(shared, key, row)?);
    }
    Ok(Explained { alert: fingerprint.to_owned(), detail, messages, now, incident, history })
}

fn phase(phase: &Phase) -> String {
    match phase {
        Phase::Waiting { due_ms } => format!("waiting, not sent before {}", rfc3339(*due_ms)),
        Phase::InFlight { since_ms } => format!("on its way since {}", rfc3339(*since_ms)),
        Phase::Delivered { at_ms } => format!("delivered at {}", rfc3339(*at_ms)),
        Phase::GivenUp { at_ms, reason } => format!("given up at {}: {}", rfc3339(*at_ms), reason.as_str()),
    }
}

fn sent(shared: &Shared, key: &str, row: &Row) -> Result<Sent, StoreError> {
    // What the outbox has written is whole; the ledger remembers longer.
    let (phase, attempts) = match shared.outbox.explain(key) {
        Ok(Some(explanation)) => (phase(&explanation.phase), explanation.tries.iter().map(Row::of_attempt).collect()),
        Ok(None) => {
            let rows = shared.store.rows_of_message(key, ROWS_MAX)?;
            let attempts: Vec<Row> = rows.into_iter().filter(|row| row.stage != STAGE_MESSAGE).collect();
            ("forgotten by the outbox".to_owned(), attempts)
        }
        Err(error) => (format!("unknown: {error}"), Vec::new()),
    };
    Ok(Sent {
        key: key.to_owned(),
        integration: row.by.first().cloned().unwrap_or_default(),
        created_ms: row.time_ms,
        phase,
        attempts,
    })
}

fn write_detail(f: &mut fmt::Formatter<'_>, detail: &AlertDetail) -> fmt::Result {
    writeln!(f, "\nwhat moved it")?;
    let numbers = [("value", detail.value), ("threshold", detail.threshold)];
    for (name, number) in numbers.into_iter().filter_map(|(name, number)| Some((name, number?))) {
        writeln!(f, "  {name} {}", text::number(number))?;
    }
    if let Some(baseline) = detail.baseline {
        writeln!(f, "  {} {}", text::number(baseline), detail.compared_with.as_deref().unwrap_or("usually"))?;
    }
    for contribution in &detail.contributions {
        writeln!(f, "  {}", text::share(contribution))?;
    }
    let runbook = detail.runbook.iter().map(|address| ("runbook", address));
    for (title, address) in runbook.chain(detail.links.iter().map(|(title, address)| (title.as_str(), address))) {
        writeln!(f, "  {title} {address}")?;
    }
    Ok(())
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels = self.history.iter().rev().find(|row| !row.labels.is_empty()).map(|row| &row.labels);
        let labels: Vec<String> =
            labels.into_iter().flatten().map(|(name, value)| format!("{name}={value:?}")).collect();
        writeln!(f, "alert {} {{{}}}", self.alert, labels.join(", "))?;
        if let Some(detail) = self.detail.as_ref().filter(|detail| !detail.is_empty()) {
            write_detail(f, detail)?;
        }
        writeln!(f, "\nwhat happened")?;
        for row in &self.history {
            let alone = row.stage == crate::ledger::STAGE_RULE;
            // A rule's sentence begins with its time.
            if alone {
                writeln!(f, "  {}", row.reason)?;
                continue;
            }
            let stopped = if row.passed == Some(false) { " (stopped)" } else { "" };
            let by = if row.by.is_empty() { String::new() } else { format!(" [{}]", row.by.join(", ")) };
            writeln!(f, "  {} {}{stopped}: {}{by}", rfc3339(row.time_ms), row.stage, row.reason)?;
        }
        writeln!(f, "\nmessages")?;
        if self.messages.is_empty() {
            writeln!(f, "  none")?;
        }
        for message in &self.messages {
            writeln!(f, "  {} {}: {}", rfc3339(message.created_ms), message.integration, message.phase)?;
            for attempt in &message.attempts {
                writeln!(f, "    {} {}", rfc3339(attempt.time_ms), attempt.reason)?;
            }
        }
        if let Some(incident) = &self.incident {
            let cared = match &incident.acknowledged {
                Some(act) => format!("acknowledged by {} at {}: {}", act.by, act.at.to_rfc3339(), act.note),
                None => format!("not acknowledged, level {}", incident.escalation_level),
            };
            writeln!(f, "\nescalation\n  policy {}: {cared}", incident.policy)?;
        }
        writeln!(f, "\nwhat would be decided now")?;
        for decision in &self.now.decisions {
            writeln!(f, "  {decision}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

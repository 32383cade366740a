//! Messages that can be corrected: what they show, and which of them told of an alert.

use crate::begin::Shared;
use crate::ledger::{Row, STAGE_MESSAGE};
use crate::messages::{Around, Made, correction};
use crate::store::StoreError;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use tidewatch_alerting::config::IntegrationKey;
use tidewatch_alerting::group::GroupId;
use tidewatch_alerting::notification_log::{Reason, Told};
use tidewatch_alerting::route::{Alert, Fingerprint, Labels, Notification, Notifier, Timestamp};
use tidewatch_notify::message::Judge;
use tidewatch_notify::{Outgoing, Payload, Phase};

/// Alerts of one message that are kept.
const ALERTS_MAX: usize = 1000;
/// Rows of the ledger about one alert that are searched for its messages.
const ROWS_MAX: usize = 1000;

/// A message that can be edited, as it is now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ToldMessage {
    /// Idempotency key of the message that the receiver has.
    pub first: String,
    /// The group of alerts.
    pub group: GroupId,
    /// Its key.
    pub group_key: String,
    /// Labels of the route.
    pub route_labels: Labels,
    /// Through which integration.
    pub integration: IntegrationKey,
    /// What it shows.
    pub alerts: Vec<Alert>,
    /// What was written down as told.
    pub told: Told,
    /// When it was changed last, milliseconds since the epoch.
    pub at_ms: i64,
}

impl ToldMessage {
    /// Of a message that goes out; `None` when it cannot be edited later.
    pub fn of(notification: &Notification, outgoing: &Outgoing) -> Option<Self> {
        let Payload::Http(http) = &outgoing.payload else { return None };
        (http.reply.judge == Judge::SlackApi).then(|| Self {
            first: outgoing.refers_to().unwrap_or(&outgoing.key).to_owned(),
            group: notification.group.clone(),
            group_key: notification.group_key.clone(),
            route_labels: notification.route_labels.clone(),
            integration: notification.integration.clone(),
            alerts: notification.alerts.clone(),
            told: notification.told.clone(),
            at_ms: notification.now.timestamp_millis(),
        })
    }

    /// Marks the alert that fired at `at`; says whether the message shows it.
    fn mark(&mut self, alert: Fingerprint, at: Timestamp, text: &str) -> bool {
        let shown = self.alerts.iter_mut().find(|one| one.fingerprint() == alert && one.starts_at == at);
        shown.map(|shown| shown.detail.amendment = Some(text.to_owned())).is_some()
    }

    fn notification(&self, now: Timestamp) -> Notification {
        Notification {
            group: self.group.clone(),
            group_key: self.group_key.clone(),
            route_labels: self.route_labels.clone(),
            integration: self.integration.clone(),
            reason: Reason::Amendment,
            alerts: self.alerts.clone(),
            told: self.told.clone(),
            now,
            repeat_interval_ms: 0,
            escalation_level: None,
        }
    }
}

/// Keeps what a message shows, if it can be edited.
pub(crate) fn remember(shared: &Shared, notification: &Notification, outgoing: &Outgoing) {
    let Some(told) = ToldMessage::of(notification, outgoing) else { return };
    if told.alerts.len() > ALERTS_MAX {
        shared.amends.metrics.skip(super::metrics::Skipped::Message);
        return;
    }
    if let Err(error) = shared.store.keep_told(&told) {
        shared.metrics.store_failures.inc();
        tracing::error!(%error, "what a message shows could not be kept: it cannot be corrected");
    }
}

/// Corrections of messages, several alerts of one message in one.
#[derive(Debug, Default)]
pub(crate) struct Corrections {
    messages: BTreeMap<String, (ToldMessage, u32)>,
    /// Alerts that messages told of, with what was not done about it.
    not_done: Vec<(Alert, String, String)>,
}

impl Corrections {
    /// Marks `alert`, as it fired and with its amendment, in every message that told of it and shows it. `fired_next`: when it
    /// fired again.
    pub fn mark(
        &mut self,
        shared: &Shared,
        alert: &Alert,
        fired_next: Option<i64>,
        turn: u32,
    ) -> Result<(), StoreError> {
        let Some(text) = &alert.detail.amendment else { return Ok(()) };
        let rows = shared.store.rows_of_alert(&alert.fingerprint().to_string(), ROWS_MAX)?;
        let during = alert.starts_at.timestamp_millis()..fired_next.unwrap_or(i64::MAX);
        let told = rows
            .iter()
            .filter(|row| row.stage == STAGE_MESSAGE && row.passed == Some(true) && during.contains(&row.time_ms));
        let told: BTreeSet<(&str, &str)> =
            told.filter_map(|row| Some((row.group.as_deref()?, row.by.first()?.as_str()))).collect();
        for (group_key, integration) in told {
            for kept in shared.store.told(group_key, integration)? {
                let (mut message, turns) = self.messages.remove(&kept.first).unwrap_or((kept, 0));
                let is_shown = message.mark(alert.fingerprint(), alert.starts_at, text);
                if turns > 0 || (is_shown && is_there(shared, &message.first)) {
                    let turn = if is_shown { turn } else { 0 };
                    self.messages.insert(message.first.clone(), (message, turns.max(turn)));
                } else if is_shown {
                    let why = "nothing is known any more of the message that told of it".to_owned();
                    self.not_done.push((alert.clone(), integration.to_owned(), why));
                }
            }
        }
        Ok(())
    }

    /// The messages that go out, what they show then, and rows for the ledger.
    pub fn make(
        self,
        shared: &Shared,
        notifier: &Notifier,
        now_ms: i64,
    ) -> (Vec<Outgoing>, Vec<ToldMessage>, Vec<Row>) {
        let templates = shared.templates().at(now_ms);
        let settings = &shared.settings;
        let around = Around {
            config: notifier.config(),
            templates: &templates,
            external_url: &settings.groups.external_url,
            give_up_ms: settings.give_up_ms,
        };
        let now = crate::evaluate::timestamp(now_ms);
        let (mut batch, mut kept) = (Vec::new(), Vec::new());
        let not_done = self.not_done.into_iter();
        let mut rows: Vec<Row> =
            not_done.map(|(alert, integration, why)| row(&alert, None, integration, Err(why), now_ms)).collect();
        for (message, turn) in self.messages.into_values() {
            let notification = message.notification(now);
            let made = correction(&notification, &around, &message.first, turn);
            let made = made.and_then(|made| made.outgoing.check().map(|()| made).map_err(|error| error.to_string()));
            let outcome = made.as_ref().map(|made: &Made| made.outgoing.key.clone()).map_err(Clone::clone);
            let marked = message.alerts.iter().filter(|alert| alert.detail.amendment.is_some());
            let integration = message.integration.to_string();
            let of_group = |alert| row(alert, Some(&message.group_key), integration.clone(), outcome.clone(), now_ms);
            rows.extend(marked.map(of_group));
            if let Ok(made) = made {
                batch.push(made.outgoing);
                kept.push(ToldMessage { at_ms: now_ms, ..message });
            }
        }
        (batch, kept, rows)
    }
}

/// Whether a message was delivered and can be found there, or is on its way.
fn is_there(shared: &Shared, key: &str) -> bool {
    let is_delivered = || shared.outbox.reply(key).ok().flatten().is_some();
    let known = shared.outbox.explain(key).ok().flatten();
    known.is_some_and(|known| matches!(known.phase, Phase::Waiting { .. } | Phase::InFlight { .. })) || is_delivered()
}

fn row(
    alert: &Alert,
    group: Option<&String>,
    integration: String,
    outcome: Result<String, String>,
    now_ms: i64,
) -> Row {
    let reason = match &outcome {
        Ok(_) => Reason::Amendment.to_string(),
        Err(why) => format!("no message is edited: {why}"),
    };
    Row {
        time_ms: now_ms,
        stage: STAGE_MESSAGE.to_owned(),
        alert: Some(alert.fingerprint().to_string()),
        group: group.cloned(),
        labels: alert.labels.0.clone(),
        to: Some(alert.status(crate::evaluate::timestamp(now_ms)).to_owned()),
        passed: Some(outcome.is_ok()),
        reason,
        by: vec![integration],
        message: outcome.ok(),
        ..Row::default()
    }
}

//! The stages between a flush and its notifications, in the order in which they are read. Each returns the alerts that
//! survive and says why the others do not.

use std::collections::BTreeSet;
use std::fmt;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::alert::{Alert, Timestamp};
use super::labels::{Fingerprint, Labels};
use crate::config::extensions::FlappingConfig;
use crate::config::{Config, Integration, IntegrationKey};
use crate::escalation::{Flapping, audience};
use crate::group::{Flush, GroupId};
use crate::inhibit::Sources;
use crate::mute::{Calendar, calendar};
use crate::notification_log::{LogKey, NotificationLog, Reason, Told, needs_update};
use crate::silence::Silences;

/// Where a decision was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Whether the alert is known and fires.
    Received,
    /// Which routes it takes.
    Route,
    /// Which group it is in, and when that is flushed.
    Group,
    /// Whether another alert mutes it.
    Inhibit,
    /// Whether the calendar mutes its route.
    MuteTime,
    /// Whether a person mutes it.
    Silence,
    /// Whether it changes too often.
    Flapping,
    /// What the users behind a receiver want.
    Preference,
    /// Whether another replica goes first.
    Wait,
    /// Whether there is something new to tell.
    Dedup,
    /// What was written down.
    Record,
    /// Who else is told.
    Escalation,
}

/// What a stage decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Where.
    pub stage: Stage,
    /// About which alert; `None` for the whole group.
    pub alert: Option<Fingerprint>,
    /// Whether it went on.
    pub passed: bool,
    /// Why, in words.
    pub reason: String,
    /// Ids of what caused it: silences, inhibiting alerts, time intervals, integrations.
    pub by: Vec<String>,
}

impl fmt::Display for Decision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}: {}: {}", self.stage, if self.passed { "passed" } else { "stopped" }, self.reason)
    }
}

/// What the stages look at.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// Alerts that can mute others.
    pub sources: &'a Sources<'a>,
    /// Silences.
    pub silences: &'a Silences,
    /// Changes of alerts.
    pub flapping: &'a Flapping,
    /// What was told.
    pub log: &'a NotificationLog,
    /// Position among replicas, from 0; later ones wait for earlier ones.
    pub position: u32,
}

/// A message to be: which alerts go through which integration, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// The group.
    pub group: GroupId,
    /// Alertmanager's key of it.
    pub group_key: String,
    /// Labels of the route for templates.
    pub route_labels: Labels,
    /// Through which integration.
    pub integration: IntegrationKey,
    /// Why.
    pub reason: Reason,
    /// Alerts of the message, in its order; without the resolved ones when the integration does not want them.
    pub alerts: Vec<Alert>,
    /// What is written down.
    pub told: Told,
    /// When the group was flushed.
    pub now: Timestamp,
    /// Milliseconds until it is repeated.
    pub repeat_interval_ms: i64,
    /// Level over all policies, for a page of an escalation.
    pub escalation_level: Option<usize>,
}

impl Notification {
    /// Key in the log.
    pub fn log_key(&self) -> LogKey {
        LogKey { group: self.group_key.clone(), integration: self.integration.clone() }
    }

    /// Time until it is repeated.
    pub fn repeat_interval(&self) -> TimeDelta {
        TimeDelta::milliseconds(self.repeat_interval_ms)
    }
}

/// What became of a flush.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// Messages to be.
    pub notifications: Vec<Notification>,
    /// Notifications that send nothing (only resolved alerts to one who does not want them) but are written down.
    pub silent: Vec<Notification>,
    /// Alerts that passed all stages before deduplication.
    pub survivors: Vec<Alert>,
    /// What digests of users list: the user and the alert.
    pub digested: Vec<(String, Alert)>,
    /// Alerts that the group keeps although they are over: somebody will be told after their quiet hours.
    pub kept: BTreeSet<Fingerprint>,
    /// Every stage's decision.
    pub decisions: Vec<Decision>,
}

/// A stage: the alerts that survive.
type Survivors = (Vec<Alert>, Vec<Decision>);

fn split(stage: Stage, alerts: Vec<Alert>, mut why: impl FnMut(&Alert) -> Option<(String, Vec<String>)>) -> Survivors {
    let mut decisions = Vec::new();
    let kept = alerts.into_iter().filter(|alert| match why(alert) {
        None => true,
        Some((reason, by)) => {
            decisions.push(Decision { stage, alert: Some(alert.fingerprint()), passed: false, reason, by });
            false
        }
    });
    (kept.collect(), decisions)
}

/// Without alerts that another alert mutes.
pub fn inhibit(sources: &Sources<'_>, alerts: Vec<Alert>) -> Survivors {
    split(Stage::Inhibit, alerts, |alert| {
        let found = sources.muting(&alert.labels)?;
        Some((
            format!("inhibited by alert {} through rule {}", found.source, found.rule),
            vec![found.source.to_string()],
        ))
    })
}

/// Nothing while the calendar holds the route back.
pub fn mute_times(config: &Config, flush: &Flush, alerts: Vec<Alert>) -> Survivors {
    let found = calendar(&config.time_intervals, &flush.settings, flush.now);
    let reason = match &found {
        Calendar::Open => return (alerts, Vec::new()),
        Calendar::Muted(names) => format!("within mute time {}", names.join(", ")),
        Calendar::Inactive(names) => format!("outside active time {}", names.join(", ")),
    };
    split(Stage::MuteTime, alerts, |_| Some((reason.clone(), found.names().to_vec())))
}

/// Without alerts that a person mutes.
pub fn silence(silences: &Silences, alerts: Vec<Alert>, now: Timestamp) -> Survivors {
    split(Stage::Silence, alerts, |alert| {
        let muting = silences.muting(&alert.labels, now);
        let first = muting.first()?;
        let reason =
            format!("silenced by {} until {}: {}", first.created_by, first.ends_at.to_rfc3339(), first.comment);
        Some((reason, muting.iter().map(|silence| silence.id.clone()).collect()))
    })
}

/// Alerts that flap stay as firing, so that their coming and going is not told.
pub fn hold_flapping(
    flapping: &Flapping,
    config: Option<&FlappingConfig>,
    mut alerts: Vec<Alert>,
    now: Timestamp,
) -> (Vec<Alert>, BTreeSet<Fingerprint>, Vec<Decision>) {
    let (mut held, mut decisions) = (BTreeSet::new(), Vec::new());
    let Some(config) = config else { return (alerts, held, decisions) };
    for alert in &mut alerts {
        let fingerprint = alert.fingerprint();
        if !flapping.is_flapping(config, fingerprint, now) {
            continue;
        }
        let changes = flapping.changes(config, fingerprint, now);
        let reason = format!("flapping: {changes} changes within {}, held as firing until stable", config.within);
        decisions.push(Decision {
            stage: Stage::Flapping,
            alert: Some(fingerprint),
            passed: true,
            reason,
            by: Vec::new(),
        });
        alert.ends_at = None;
        held.insert(fingerprint);
    }
    (alerts, held, decisions)
}

/// How long a replica at `position` waits for those before it to write down what they told.
pub fn wait(position: u32, peer_timeout: TimeDelta) -> TimeDelta {
    peer_timeout * i32::try_from(position).unwrap_or(i32::MAX)
}

/// Firing, resolved and flapping alerts as they would be told.
pub fn told(alerts: &[Alert], held: &BTreeSet<Fingerprint>, now: Timestamp) -> Told {
    let (mut firing, mut resolved) = (BTreeSet::new(), BTreeSet::new());
    for alert in alerts {
        if alert.resolved_at(now) { &mut resolved } else { &mut firing }.insert(alert.fingerprint());
    }
    let flapping = held.intersection(&firing).copied().collect();
    Told { firing, resolved, flapping }
}

/// Whether an integration has something new to hear; says why or why not.
pub fn dedup(
    log: &NotificationLog,
    flush: &Flush,
    key: &IntegrationKey,
    integration: &Integration<'_>,
    told: &Told,
) -> (Option<Reason>, Decision) {
    let log_key = LogKey { group: flush.key.clone(), integration: key.clone() };
    let last = log.last(&log_key, flush.now);
    let repeat = flush.settings.repeat_interval();
    let found = needs_update(last, told, integration.send_resolved(), repeat, flush.now);
    let reason = match (found, last) {
        (Some(reason), _) => reason.to_string(),
        (None, Some(last)) if told.firing.is_empty() => {
            format!("resolved alerts that were not told as firing since {}", last.at.to_rfc3339())
        }
        (None, Some(last)) => {
            format!("already told at {}, repeated after {}", last.at.to_rfc3339(), (last.at + repeat).to_rfc3339())
        }
        (None, None) => "only resolved alerts that were never told".to_string(),
    };
    (found, Decision { stage: Stage::Dedup, alert: None, passed: found.is_some(), reason, by: vec![key.to_string()] })
}

/// All stages in order. Changes nothing: the caller records what it hands over.
pub fn run(facts: &Facts<'_>, flush: &Flush) -> Outcome {
    let mut outcome = Outcome::default();
    let mut alerts = flush.alerts.clone();
    let stages: [&dyn Fn(Vec<Alert>) -> Survivors; 3] =
        [&|alerts| inhibit(facts.sources, alerts), &|alerts| mute_times(facts.config, flush, alerts), &|alerts| {
            silence(facts.silences, alerts, flush.now)
        }];
    for stage in stages {
        let (survivors, decisions) = stage(alerts);
        outcome.decisions.extend(decisions);
        alerts = survivors;
    }
    let settings = facts.config.tidewatch.flapping.as_ref();
    let (alerts, held, decisions) = hold_flapping(facts.flapping, settings, alerts, flush.now);
    outcome.decisions.extend(decisions);
    if alerts.is_empty() {
        return outcome;
    }
    let told = told(&alerts, &held, flush.now);
    for (key, integration) in facts.config.integrations(&flush.settings.receiver) {
        let (reason, decision) = dedup(facts.log, flush, &key, &integration, &told);
        outcome.decisions.push(decision);
        if let Some(reason) = reason {
            outcome.hand_over(flush, key, &integration, reason, &alerts, told.clone());
        }
    }
    audience::tell(facts, flush, &alerts, &held, &mut outcome);
    outcome.survivors = alerts;
    outcome
}

impl Outcome {
    /// Adds the notification of an integration about `alerts`, of which it does not want all.
    pub(crate) fn hand_over(
        &mut self,
        flush: &Flush,
        key: IntegrationKey,
        integration: &Integration<'_>,
        reason: Reason,
        alerts: &[Alert],
        told: Told,
    ) {
        let wanted = |alert: &&Alert| integration.send_resolved() || !alert.resolved_at(flush.now);
        let notification = Notification {
            group: flush.group.clone(),
            group_key: flush.key.clone(),
            route_labels: flush.settings.labels.clone(),
            integration: key,
            reason,
            alerts: alerts.iter().filter(wanted).cloned().collect(),
            told,
            now: flush.now,
            repeat_interval_ms: flush.settings.repeat_interval_ms,
            escalation_level: None,
        };
        let list = if notification.alerts.is_empty() { &mut self.silent } else { &mut self.notifications };
        list.push(notification);
    }
}

#[cfg(test)]
mod tests;

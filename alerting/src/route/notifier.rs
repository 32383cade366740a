//! The whole machine: alerts in, notifications out, state that can be written down.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::alert::{Alert, Timestamp};
use super::labels::Fingerprint;
use super::pipeline::{self, Decision, Facts, Notification, Stage};
use super::tree::RouteTree;
use crate::config::extensions::DigestConfig;
use crate::config::people::{PreferenceConfig, digest_name};
use crate::config::{Config, IntegrationKey};
use crate::escalation::digest::Schedule;
use crate::escalation::incident::Policies;
use crate::escalation::{Digest, DigestMail, Escalation, Flapping, Page, audience};
use crate::group::{AlertStore, GroupId, Groups};
use crate::inhibit::Inhibitor;
use crate::notification_log::{NotificationLog, Reason};
use crate::silence::Silences;

/// Everything that a restart must keep.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NotifierState {
    /// Alerts.
    pub store: AlertStore,
    /// Groups with their timers.
    pub groups: Groups,
    /// Silences.
    pub silences: Silences,
    /// What was told.
    pub log: NotificationLog,
    /// Changes of alerts.
    pub flapping: Flapping,
    /// Open incidents.
    pub escalation: Escalation,
    /// Collections of digests by name.
    pub digests: BTreeMap<String, Digest>,
}

/// What one tick brought.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ticked {
    /// Messages to send, in order. They are already written down as told: put them into the outbox in the same
    /// transaction as the state.
    pub notifications: Vec<Notification>,
    /// Mails of digests to send.
    pub digests: Vec<DigestMail>,
    /// Levels of escalation that were reached; their messages are among the notifications.
    pub pages: Vec<Page>,
    /// Every stage's decision, by group.
    pub decisions: Vec<(GroupId, Decision)>,
}

/// Configuration and state together.
#[derive(Debug, Clone)]
pub struct Notifier {
    config: Config,
    tree: RouteTree,
    inhibitor: Inhibitor,
    policies: Policies,
    schedules: BTreeMap<String, Schedule>,
    /// Digests of users.
    user_digests: Vec<DigestConfig>,
    /// The state; change it through the machines in it.
    pub state: NotifierState,
}

impl Notifier {
    /// Continues `state` (empty at first) under `config`. Groups that exist under both keep their timers; alerts move
    /// where they belong now.
    pub fn new(config: Config, mut state: NotifierState, now: Timestamp) -> Self {
        let (tree, inhibitor, policies) = (RouteTree::new(&config), Inhibitor::new(&config), Policies::new(&config));
        let members = |groups: &Groups| -> Vec<Alert> {
            // Resolved alerts that no flush has dealt with are in groups only once the store forgets them.
            groups.iter().flat_map(|(_, group)| group.alerts.values().cloned()).collect()
        };
        let grouped = members(&state.groups);
        state.groups.reroute(&tree, grouped.iter(), now);
        let user_digests: Vec<DigestConfig> =
            config.tidewatch.preferences.iter().filter_map(PreferenceConfig::as_digest).collect();
        let digests = config.tidewatch.digests.iter().chain(&user_digests);
        let schedules = digests.filter_map(|digest| Some((digest.name.clone(), Schedule::new(digest).ok()?)));
        let schedules: BTreeMap<_, _> = schedules.collect();
        state.digests.retain(|name, _| schedules.contains_key(name));
        for name in schedules.keys() {
            state.digests.entry(name.clone()).or_insert_with(|| Digest::new(now));
        }
        Self { config, tree, inhibitor, policies, schedules, user_digests, state }
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The route tree.
    pub fn tree(&self) -> &RouteTree {
        &self.tree
    }

    /// The inhibition rules.
    pub fn inhibitor(&self) -> &Inhibitor {
        &self.inhibitor
    }

    /// The escalation policies.
    pub fn policies(&self) -> &Policies {
        &self.policies
    }

    /// Takes messages about alerts, each on its own: one that is refused does not stop the others. An alert without an
    /// end resolves itself after the configuration's `resolve_timeout`.
    ///
    /// # Errors
    /// Per alert, why it was refused.
    pub fn receive(&mut self, alerts: Vec<Alert>, now: Timestamp) -> Vec<Result<Fingerprint, String>> {
        let timeout = Some(self.config.global.resolve_timeout.delta());
        alerts.into_iter().map(|alert| self.receive_one(alert, timeout, now)).collect()
    }

    fn receive_one(&mut self, alert: Alert, timeout: Option<TimeDelta>, now: Timestamp) -> Result<Fingerprint, String> {
        let alert = self.state.store.receive(alert, timeout, now)?;
        if let Some(flapping) = &self.config.tidewatch.flapping {
            self.state.flapping.observe(flapping, &alert, now);
        }
        for digest in &self.config.tidewatch.digests {
            if let Some(collection) = self.state.digests.get_mut(&digest.name) {
                collection.observe(digest, &alert, now);
            }
        }
        for digest in &self.user_digests {
            if let Some(collection) = self.state.digests.get_mut(&digest.name) {
                collection.renew(&alert, now);
            }
        }
        self.state.groups.on_alert(&self.tree, &alert, now);
        Ok(alert.fingerprint())
    }

    /// Notes what was found out later about an alert, which `alert` shows with its amendment: whatever is told of it from
    /// now on, digests included, says so. No timer changes and nobody is told because of it.
    pub fn amend(&mut self, alert: &Alert, now: Timestamp) {
        let Some(amendment) = &alert.detail.amendment else { return };
        let (fingerprint, at) = (alert.fingerprint(), alert.starts_at);
        self.state.store.amend(fingerprint, at, amendment);
        self.state.groups.amend(fingerprint, at, amendment);
        for digest in &self.config.tidewatch.digests {
            if let Some(collection) = self.state.digests.get_mut(&digest.name) {
                collection.amend(digest, alert, now);
            }
        }
    }

    /// Deals with everything that is due at `now`.
    pub fn tick(&mut self, now: Timestamp) -> Ticked {
        let mut ticked = Ticked::default();
        let state = &mut self.state;
        let flushes = state.groups.due(&self.tree, now);
        let firing = state.store.iter().filter(|_| !flushes.is_empty());
        let sources = self.inhibitor.sources(firing, now);
        for mut flush in flushes {
            let facts = Facts {
                config: &self.config,
                sources: &sources,
                silences: &state.silences,
                flapping: &state.flapping,
                log: &state.log,
                position: 0,
            };
            let outcome = pipeline::run(&facts, &flush);
            ticked.decisions.extend(outcome.decisions.into_iter().map(|decision| (flush.group.clone(), decision)));
            for silent in outcome.silent {
                record(&mut state.log, &silent, now);
            }
            for notification in outcome.notifications {
                record(&mut state.log, &notification, now);
                let reason = format!("written down as told ({})", notification.reason);
                let by = vec![notification.integration.to_string()];
                let decision = Decision { stage: Stage::Record, alert: None, passed: true, reason, by };
                ticked.decisions.push((flush.group.clone(), decision));
                ticked.notifications.push(notification);
            }
            for alert in &outcome.survivors {
                if alert.resolved_at(now) {
                    state.escalation.resolved(alert.fingerprint(), now);
                } else {
                    state.escalation.told(&self.policies, alert, now);
                }
            }
            for (user, alert) in &outcome.digested {
                collect(&self.user_digests, &mut state.digests, user, alert, now);
            }
            flush.alerts.retain(|alert| !outcome.kept.contains(&alert.fingerprint()));
            state.groups.settle(&flush);
        }
        self.escalate(now, &mut ticked);
        for digest in self.config.tidewatch.digests.iter().chain(&self.user_digests) {
            let Some(schedule) = self.schedules.get(&digest.name) else { continue };
            let collection = self.state.digests.get_mut(&digest.name);
            ticked.digests.extend(collection.and_then(|collection| collection.due(digest, schedule, now)));
        }
        ticked.decisions.extend(self.end_flapping(now));
        ticked
    }

    /// Whether an alert changes too often at `now`, so that it is held as firing.
    pub fn is_flapping(&self, alert: Fingerprint, now: Timestamp) -> bool {
        let config = self.config.tidewatch.flapping.as_ref();
        config.is_some_and(|config| self.state.flapping.is_flapping(config, alert, now))
    }

    /// Ends flapping that is over, and says so.
    fn end_flapping(&mut self, now: Timestamp) -> Vec<(GroupId, Decision)> {
        let Some(config) = &self.config.tidewatch.flapping else { return Vec::new() };
        let stable = self.state.flapping.tidy(config, now);
        let said = stable.into_iter().map(|(fingerprint, last)| {
            let known = self.state.store.get(fingerprint);
            let labels = known.map(|alert| alert.labels.clone()).unwrap_or_default();
            let reason = format!("stable again: no change since {}", last.to_rfc3339());
            let decision =
                Decision { stage: Stage::Flapping, alert: Some(fingerprint), passed: true, reason, by: Vec::new() };
            // Its groups may be gone with it.
            (GroupId { route: "flapping".to_string(), labels }, decision)
        });
        said.collect()
    }

    /// Closes incidents whose alerts have ended without a flush to say so, then tells the levels that are due.
    fn escalate(&mut self, now: Timestamp, ticked: &mut Ticked) {
        let open: Vec<Fingerprint> = self.state.escalation.iter().map(|incident| incident.alert).collect();
        for fingerprint in &open {
            if self.state.store.get(*fingerprint).is_none_or(|alert| alert.resolved_at(now)) {
                self.state.escalation.resolved(*fingerprint, now);
            }
        }
        let suppressed = self.suppressed(&open, now);
        for page in self.state.escalation.due(&self.policies, &suppressed, now) {
            let Some(incident) = self.state.escalation.get(page.alert) else { continue };
            let known = self.state.store.get(page.alert).cloned();
            let alert = known.unwrap_or_else(|| Alert::firing(incident.labels.clone(), incident.opened_at));
            for receiver in &page.receivers {
                let group = GroupId { route: "escalation".to_string(), labels: alert.labels.clone() };
                let mut integrations: BTreeSet<IntegrationKey> =
                    self.config.integrations(receiver).into_iter().map(|(key, _)| key).collect();
                for choice in audience::choices(&self.config, receiver, std::slice::from_ref(&alert), now) {
                    if !choice.now.is_empty() {
                        integrations.extend(self.config.integrations(&choice.receiver).into_iter().map(|(key, _)| key));
                    }
                    if !choice.digest.is_empty() {
                        collect(&self.user_digests, &mut self.state.digests, &choice.user, &alert, now);
                    }
                    let decisions = choice.decisions.into_iter();
                    ticked.decisions.extend(decisions.map(|decision| (group.clone(), decision)));
                }
                for integration in integrations {
                    ticked.notifications.push(Notification {
                        group_key: format!("escalation:{}", alert.labels),
                        group: group.clone(),
                        route_labels: super::labels::Labels::default(),
                        integration,
                        reason: Reason::Escalation,
                        told: pipeline::told(std::slice::from_ref(&alert), &BTreeSet::new(), now),
                        alerts: vec![alert.clone()],
                        now,
                        repeat_interval_ms: 0,
                        escalation_level: Some(page.escalation_level),
                    });
                }
            }
            ticked.pages.push(page);
        }
    }

    /// Which of these alerts are muted now, on every route they take.
    fn suppressed(&self, alerts: &[Fingerprint], now: Timestamp) -> BTreeSet<Fingerprint> {
        if alerts.is_empty() {
            return BTreeSet::new();
        }
        let sources = self.inhibitor.sources(self.state.store.iter(), now);
        let muted = |fingerprint: &&Fingerprint| {
            let Some(alert) = self.state.store.get(**fingerprint) else { return false };
            let open = |settings| {
                crate::mute::calendar(&self.config.time_intervals, settings, now) == crate::mute::Calendar::Open
            };
            sources.muting(&alert.labels).is_some()
                || !self.state.silences.muting(&alert.labels, now).is_empty()
                || !self.tree.matching(&alert.labels).iter().any(|route| open(&route.settings))
        };
        alerts.iter().filter(muted).copied().collect()
    }

    /// Is anything due at `now`? Groups that wait for longer than they may are brought forward: the clock was set back.
    pub fn is_due(&mut self, now: Timestamp) -> bool {
        self.state.groups.bound_waits(&self.tree, now);
        self.next_due().is_some_and(|due| due <= now)
    }

    /// When the next tick is needed, if no alert comes before.
    pub fn next_due(&self) -> Option<Timestamp> {
        let digests =
            self.state.digests.iter().filter_map(|(name, digest)| Some(digest.next_due(self.schedules.get(name)?)));
        let timers = [self.state.groups.next_due(), self.state.escalation.next_due(&self.policies)];
        timers.into_iter().flatten().chain(digests).min()
    }

    /// Forgets what is over: call it every quarter of an hour or so.
    pub fn tidy(&mut self, now: Timestamp) -> usize {
        self.state.store.forget_resolved(now)
            + self.state.silences.forget_expired(now)
            + self.state.log.forget_expired(now)
    }
}

/// Puts an alert into a user's digest, if the user has one.
fn collect(
    digests: &[DigestConfig],
    collections: &mut BTreeMap<String, Digest>,
    user: &str,
    alert: &Alert,
    now: Timestamp,
) {
    let name = digest_name(user);
    let Some(config) = digests.iter().find(|digest| digest.name == name) else { return };
    if let Some(collection) = collections.get_mut(&name) {
        collection.observe(config, alert, now);
    }
}

fn record(log: &mut NotificationLog, notification: &Notification, now: Timestamp) {
    let (key, told) = (notification.log_key(), notification.told.clone());
    log.record(key, told, notification.reason, notification.repeat_interval(), now);
}

#[cfg(test)]
mod tests;

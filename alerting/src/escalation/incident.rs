//! Escalation: an alert that was told and is not acknowledged is told to more people, level by level.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::config::extensions::{OwnersConfig, PolicyConfig};
use crate::route::alert::{Alert, Timestamp};
use crate::route::labels::{Fingerprint, Labels};
use crate::route::matcher::{Matcher, Matchers};

/// What a person did, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub note: String,
}

/// An alert under a policy, from its first notification until it is closed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Which alert.
    pub alert: Fingerprint,
    /// Its labels.
    pub labels: Labels,
    /// Policy that is in force.
    pub policy: String,
    /// When the first notification went out.
    pub opened_at: Timestamp,
    /// Since when the policy is in force; its levels count from here.
    pub policy_since: Timestamp,
    /// Levels of the policy that were reached.
    pub levels_reached: usize,
    /// Levels reached under all policies, for people.
    pub escalation_level: usize,
    /// Set while somebody cares for it: nobody else is told.
    pub acknowledged: Option<Act>,
    /// Whether it was shown as overdue.
    pub overdue: bool,
    /// When the alert's condition was gone.
    pub resolved_at: Option<Timestamp>,
    /// Whether it stays open until a person closes it.
    pub manual_close: bool,
}

/// Someone to tell now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// Which alert.
    pub alert: Fingerprint,
    /// By which policy.
    pub policy: String,
    /// Which level of it, from 1.
    pub level: usize,
    /// Level over all policies, from 1.
    pub escalation_level: usize,
    /// Who is told.
    pub receivers: Vec<String>,
    /// Whether the alert is overdue from now on.
    pub overdue: bool,
    /// When the level was due; it may be earlier than now after a pause.
    pub due_at: Timestamp,
    /// Makes this page once only, whatever is repeated.
    pub idempotency_key: String,
}

/// What happened to an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// It is closed.
    Closed,
    /// Its condition is gone, but a person must close it.
    WaitsForPerson,
    /// There was none.
    Unknown,
}

/// Open incidents.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Escalation {
    #[serde(with = "crate::notification_log::pairs")]
    open: BTreeMap<Fingerprint, Incident>,
}

/// Policies of a configuration, ready to use.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    policies: Vec<(PolicyConfig, Matchers, Vec<Matcher>)>,
    owners: Option<OwnersConfig>,
    /// Names of all receivers.
    receivers: BTreeSet<String>,
}

impl Policies {
    /// Those of a valid configuration.
    pub fn new(config: &Config) -> Self {
        let policies = config.tidewatch.escalation.iter();
        Self {
            policies: policies
                .map(|policy| (policy.clone(), policy.all_matchers(), policy.manual_close_matchers()))
                .collect(),
            owners: config.tidewatch.owners.clone(),
            receivers: config.receivers.iter().map(|receiver| receiver.name.clone()).collect(),
        }
    }

    fn named(&self, name: &str) -> Option<&PolicyConfig> {
        self.policies.iter().find(|(policy, ..)| policy.name == name).map(|(policy, ..)| policy)
    }

    /// The first policy whose matchers fit, and whether it keeps such an alert open until a person closes it.
    pub fn of(&self, labels: &Labels) -> Option<(&PolicyConfig, bool)> {
        let fits = |matchers: &Matchers| !matchers.is_empty() && matchers.matches(labels);
        let (policy, _, manual) = self.policies.iter().find(|(_, matchers, _)| fits(matchers))?;
        Some((policy, any_fits(manual, labels)))
    }

    /// Whether the policy of that name keeps an alert with these labels open until a person closes it.
    fn keeps_open(&self, name: &str, labels: &Labels) -> bool {
        let found = self.policies.iter().find(|(policy, ..)| policy.name == name);
        found.is_some_and(|(_, _, manual)| any_fits(manual, labels))
    }

    /// The receivers that own an alert with these labels, each once, in the order of its label; none where the
    /// configuration does not say who owns alerts.
    pub fn owners_of(&self, labels: &Labels) -> Vec<String> {
        let Some(owners) = &self.owners else { return Vec::new() };
        let mut found: Vec<String> = Vec::new();
        for name in labels.value(&owners.label).split(',').map(str::trim) {
            if self.receivers.contains(name) && !found.iter().any(|known| known == name) {
                found.push(name.to_string());
            }
        }
        if found.is_empty() { owners.otherwise.clone() } else { found }
    }
}

fn any_fits(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().any(|matcher| matcher.matches(labels.value(matcher.name())))
}

impl Escalation {
    /// Opens an incident for an alert that was told at `now`; one that is open already stays, and a condition that comes
    /// back continues it.
    pub fn told(&mut self, policies: &Policies, alert: &Alert, now: Timestamp) {
        let fingerprint = alert.fingerprint();
        if let Some(incident) = self.open.get_mut(&fingerprint) {
            incident.resolved_at = None;
            return;
        }
        let Some((policy, manual_close)) = policies.of(&alert.labels) else { return };
        let incident = Incident {
            alert: fingerprint,
            labels: alert.labels.clone(),
            policy: policy.name.clone(),
            opened_at: now,
            policy_since: now,
            levels_reached: 0,
            escalation_level: 0,
            acknowledged: None,
            overdue: false,
            resolved_at: None,
            manual_close,
        };
        self.open.insert(fingerprint, incident);
    }

    /// Somebody cares for it: no further levels until [`Escalation::unacknowledge`]. `false` when there is none open.
    pub fn acknowledge(&mut self, alert: Fingerprint, act: Act) -> bool {
        let Some(incident) = self.open.get_mut(&alert) else { return false };
        incident.acknowledged.get_or_insert(act);
        true
    }

    /// Nobody cares for it after all: the levels count anew from `now`.
    pub fn unacknowledge(&mut self, alert: Fingerprint, now: Timestamp) -> bool {
        let Some(incident) = self.open.get_mut(&alert) else { return false };
        if incident.acknowledged.take().is_some() {
            incident.policy_since = now;
            incident.levels_reached = 0;
        }
        true
    }

    /// The alert's condition is gone.
    pub fn resolved(&mut self, alert: Fingerprint, now: Timestamp) -> Closing {
        let Some(incident) = self.open.get_mut(&alert) else { return Closing::Unknown };
        incident.resolved_at.get_or_insert(now);
        if incident.manual_close {
            return Closing::WaitsForPerson;
        }
        self.open.remove(&alert);
        Closing::Closed
    }

    /// A person closes it; returns the incident for the ledger.
    pub fn close(&mut self, alert: Fingerprint) -> Option<Incident> {
        self.open.remove(&alert)
    }

    /// Levels that are due. Incidents in `suppressed` (silenced, inhibited, in a mute time) are passed over: their
    /// levels are told when that is over. Several levels due at once, after a pause, are all told, in order.
    pub fn due(&mut self, policies: &Policies, suppressed: &BTreeSet<Fingerprint>, now: Timestamp) -> Vec<Page> {
        let mut pages = Vec::new();
        for incident in self.open.values_mut().filter(|incident| !suppressed.contains(&incident.alert)) {
            while let Some(page) = advance(incident, policies, now) {
                pages.extend(page.told());
            }
        }
        pages.sort_by_key(|page| (page.due_at, page.alert));
        pages
    }

    /// When the next level is due, suppressed incidents included.
    pub fn next_due(&self, policies: &Policies) -> Option<Timestamp> {
        self.open.values().filter_map(|incident| next_level(incident, policies)).min()
    }

    /// Open incidents.
    pub fn iter(&self) -> impl Iterator<Item = &Incident> {
        self.open.values()
    }

    /// The incident of an alert.
    pub fn get(&self, alert: Fingerprint) -> Option<&Incident> {
        self.open.get(&alert)
    }
}

fn next_level(incident: &Incident, policies: &Policies) -> Option<Timestamp> {
    if incident.acknowledged.is_some() {
        return None;
    }
    let level = policies.named(&incident.policy)?.levels.get(incident.levels_reached)?;
    Some(incident.policy_since + level.after.delta())
}

/// One level reached: with someone to tell, or only a change of policy.
struct Reached(Page);

impl Reached {
    fn told(self) -> Option<Page> {
        (!self.0.receivers.is_empty() || self.0.overdue).then_some(self.0)
    }
}

fn advance(incident: &mut Incident, policies: &Policies, now: Timestamp) -> Option<Reached> {
    let due_at = next_level(incident, policies).filter(|due| *due <= now)?;
    let policy = policies.named(&incident.policy)?;
    let level = policy.levels.get(incident.levels_reached)?;
    incident.levels_reached += 1;
    incident.escalation_level += 1;
    incident.overdue |= level.overdue.0;
    let mut receivers = if level.owners.0 { policies.owners_of(&incident.labels) } else { Vec::new() };
    for receiver in &level.receivers {
        if !receivers.contains(receiver) {
            receivers.push(receiver.clone());
        }
    }
    let opened = incident.opened_at.timestamp_millis();
    let parts =
        [&incident.alert.to_string(), &opened.to_string(), &incident.escalation_level.to_string(), "escalation"];
    let page = Page {
        alert: incident.alert,
        policy: policy.name.clone(),
        level: incident.levels_reached,
        escalation_level: incident.escalation_level,
        receivers,
        overdue: level.overdue.0,
        due_at,
        idempotency_key: crate::receiver::idempotency_key(&parts),
    };
    if let Some(next) = level.raise_to.as_ref().filter(|next| policies.named(next).is_some()) {
        incident.policy.clone_from(next);
        incident.policy_since = due_at;
        incident.levels_reached = 0;
        incident.manual_close |= policies.keeps_open(next, &incident.labels);
    }
    Some(Reached(page))
}

#[cfg(test)]
mod tests;

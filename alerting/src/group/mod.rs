//! Alert groups and their timers.
//!
//! A new group waits `group_wait` for company, then is flushed, then every `group_interval`. A flush hands all its
//! alerts to the stages; whether anything is told is decided there. Resolved alerts leave the group once a flush with
//! them has been settled; a group without alerts is deleted.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::route::alert::{Alert, AlertDetail, Timestamp};
use crate::route::labels::{Fingerprint, Labels};
use crate::route::tree::{Route, RouteTree, Settings};

pub mod store;

pub use store::AlertStore;

/// Identity of a group within one configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GroupId {
    /// Id of its route.
    pub route: String,
    /// The labels that all its alerts share.
    pub labels: Labels,
}

/// Alerts that are told together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Alertmanager's key, part of payloads.
    pub key: String,
    /// By identity.
    #[serde(with = "crate::notification_log::pairs")]
    pub alerts: BTreeMap<Fingerprint, Alert>,
    /// When it is flushed next.
    pub next_flush: Timestamp,
    /// Flushes so far.
    pub flushes: u64,
    /// Since when it has had no alerts.
    pub empty_since: Option<Timestamp>,
}

/// All alerts of a group at one instant, in the order of messages. The ends of firing ones are cleared.
#[derive(Debug, Clone, PartialEq)]
pub struct Flush {
    /// Which group.
    pub group: GroupId,
    /// Alertmanager's key of it.
    pub key: String,
    /// Settings of its route.
    pub settings: Settings,
    /// Its alerts.
    pub alerts: Vec<Alert>,
    /// When.
    pub now: Timestamp,
}

/// All groups.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Groups {
    #[serde(with = "crate::notification_log::pairs")]
    groups: BTreeMap<GroupId, Group>,
    /// Bound on their number; at it the alerts of a new group join one group of their route without labels, so that
    /// none is lost.
    pub groups_max: usize,
    /// Alerts that had to join at that bound.
    pub folded: u64,
    /// Milliseconds for which a group without alerts stays (and keeps its rhythm). Alertmanager from 0.30 on: 0.
    pub keep_empty_ms: i64,
}

impl Default for Groups {
    fn default() -> Self {
        Self { groups: BTreeMap::new(), groups_max: 100_000, folded: 0, keep_empty_ms: 0 }
    }
}

impl Groups {
    /// Puts an alert, firing or resolved, into the groups of its routes, and starts the timers of new groups. A group
    /// that was never flushed is flushed at once when the alert is older than its `group_wait`.
    pub fn on_alert(&mut self, tree: &RouteTree, alert: &Alert, now: Timestamp) {
        for route in tree.matching(&alert.labels) {
            self.insert(route, alert, now);
        }
    }

    fn insert(&mut self, route: &Route, alert: &Alert, now: Timestamp) {
        let mut id = GroupId { route: route.id.clone(), labels: route.settings.group_labels(&alert.labels) };
        if !self.groups.contains_key(&id) && self.groups.len() >= self.groups_max {
            self.folded += 1;
            id.labels = Labels::default();
        }
        let wait = route.settings.group_wait();
        let key = || route.group_key(&id.labels);
        let group = self.groups.entry(id.clone()).or_insert_with(|| Group {
            key: key(),
            alerts: BTreeMap::new(),
            next_flush: now + wait,
            flushes: 0,
            empty_since: None,
        });
        group.alerts.insert(alert.fingerprint(), alert.clone());
        group.empty_since = None;
        if group.flushes == 0 && alert.starts_at + wait < now {
            group.next_flush = group.next_flush.min(now);
        }
    }

    /// Flushes every group that is due and starts its next interval; deletes groups that have been empty for long
    /// enough. Ordered by due time, then by key.
    pub fn due(&mut self, tree: &RouteTree, now: Timestamp) -> Vec<Flush> {
        let keep = TimeDelta::milliseconds(self.keep_empty_ms);
        self.groups.retain(|_, group| group.empty_since.is_none_or(|since| since + keep > now));
        let routes: BTreeMap<&str, &Route> =
            tree.routes().into_iter().map(|route| (route.id.as_str(), route)).collect();
        let mut flushes = Vec::new();
        for (id, group) in self.groups.iter_mut().filter(|(_, group)| group.next_flush <= now) {
            let Some(route) = routes.get(id.route.as_str()) else { continue };
            let due = std::mem::replace(&mut group.next_flush, now + route.settings.group_interval());
            group.flushes += 1;
            if group.alerts.is_empty() {
                continue;
            }
            let mut alerts: Vec<Alert> = group.alerts.values().cloned().collect();
            for alert in alerts.iter_mut().filter(|alert| !alert.resolved_at(now)) {
                alert.ends_at = None;
            }
            alerts.sort_by(Alert::message_order);
            let settings = route.settings.clone();
            flushes.push((due, Flush { group: id.clone(), key: group.key.clone(), settings, alerts, now }));
        }
        flushes.sort_by(|one, two| (one.0, &one.1.key).cmp(&(two.0, &two.1.key)));
        flushes.into_iter().map(|(_, flush)| flush).collect()
    }

    /// After a flush has been dealt with: its resolved alerts leave the group, unless they have changed meanwhile.
    pub fn settle(&mut self, flush: &Flush) {
        let Some(group) = self.groups.get_mut(&flush.group) else { return };
        for told in flush.alerts.iter().filter(|alert| alert.resolved_at(flush.now)) {
            let fingerprint = told.fingerprint();
            if group.alerts.get(&fingerprint).is_some_and(|alert| alert.updated_at == told.updated_at) {
                group.alerts.remove(&fingerprint);
            }
        }
        if group.alerts.is_empty() {
            group.empty_since.get_or_insert(flush.now);
            if self.keep_empty_ms == 0 {
                self.groups.remove(&flush.group);
            }
        }
    }

    /// Fits the groups to another tree: alerts move to the groups they belong to now. A group whose key is the same in
    /// both trees keeps its timer.
    pub fn reroute<'a>(&mut self, tree: &RouteTree, alerts: impl Iterator<Item = &'a Alert>, now: Timestamp) {
        let old = std::mem::take(&mut self.groups);
        let mut timers: BTreeMap<(String, String), Group> = BTreeMap::new();
        for (id, group) in old {
            timers.insert((id.route, group.key.clone()), group);
        }
        for alert in alerts {
            self.on_alert(tree, alert, now);
        }
        for (id, group) in &mut self.groups {
            let same = timers.remove(&(id.route.clone(), group.key.clone())).or_else(|| {
                let key = timers.keys().find(|(_, key)| *key == group.key)?.clone();
                timers.remove(&key)
            });
            if let Some(same) = same {
                // A shorter interval in the new tree takes effect at once.
                let interval = tree.route(&id.route).map(|route| route.settings.group_interval()).unwrap_or_default();
                group.next_flush = same.next_flush.min(now + interval);
                group.flushes = same.flushes;
            }
        }
    }

    /// Notes what was found out later about the alert that fired at `at`, wherever it is. Timers stay as they are.
    pub fn amend(&mut self, fingerprint: Fingerprint, at: Timestamp, amendment: &str) {
        for alert in self.groups.values_mut().filter_map(|group| group.alerts.get_mut(&fingerprint)) {
            alert.amend(at, amendment);
        }
    }

    /// Lets no group wait longer than its route says, which it would after the clock was set back.
    pub fn bound_waits(&mut self, tree: &RouteTree, now: Timestamp) {
        for (id, group) in &mut self.groups {
            let Some(route) = tree.route(&id.route) else { continue };
            let longest = route.settings.group_wait().max(route.settings.group_interval());
            group.next_flush = group.next_flush.min(now + longest);
        }
    }

    /// When the next group is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.groups.values().map(|group| group.next_flush).min()
    }

    /// All groups in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = (&GroupId, &Group)> {
        self.groups.iter()
    }

    /// One group.
    pub fn get(&self, id: &GroupId) -> Option<&Group> {
        self.groups.get(id)
    }

    /// What explains an alert, in every group that holds it.
    pub fn details_mut(&mut self, alert: Fingerprint) -> impl Iterator<Item = &mut AlertDetail> {
        let held = self.groups.values_mut().filter_map(move |group| group.alerts.get_mut(&alert));
        held.map(|alert| &mut alert.detail)
    }

    /// Groups of `route` that hold an alert.
    pub fn holding<'a>(&'a self, route: &'a str, alert: Fingerprint) -> impl Iterator<Item = (&'a GroupId, &'a Group)> {
        self.groups.iter().filter(move |(id, group)| id.route == route && group.alerts.contains_key(&alert))
    }
}

#[cfg(test)]
mod tests;

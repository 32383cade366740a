//! The route tree: which receivers an alert goes to, and in which groups.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::labels::Labels;
use super::matcher::Matchers;
use crate::config::{Config, RouteConfig};

/// Settings of a route after inheritance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Name of the receiver.
    pub receiver: String,
    /// Labels that make a group; ignored when `group_by_all`.
    pub group_by: BTreeSet<String>,
    /// Every label makes its own group (`group_by: ['...']`).
    pub group_by_all: bool,
    /// Milliseconds a new group waits for company.
    pub group_wait_ms: i64,
    /// Milliseconds between two looks at a group.
    pub group_interval_ms: i64,
    /// Milliseconds until an unchanged group is told again.
    pub repeat_interval_ms: i64,
    /// Names of time intervals in which nothing is told; not inherited.
    pub mute_time_intervals: Vec<String>,
    /// Names of time intervals outside which nothing is told; not inherited.
    pub active_time_intervals: Vec<String>,
    /// Labels of the route for templates, of this route over its parents'.
    pub labels: Labels,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            receiver: String::new(),
            group_by: BTreeSet::new(),
            group_by_all: false,
            group_wait_ms: 30_000,
            group_interval_ms: 300_000,
            repeat_interval_ms: 4 * 3_600_000,
            mute_time_intervals: Vec::new(),
            active_time_intervals: Vec::new(),
            labels: Labels::default(),
        }
    }
}

impl Settings {
    /// Time a new group waits.
    pub fn group_wait(&self) -> TimeDelta {
        TimeDelta::milliseconds(self.group_wait_ms)
    }

    /// Time between two flushes.
    pub fn group_interval(&self) -> TimeDelta {
        TimeDelta::milliseconds(self.group_interval_ms)
    }

    /// Time until a repetition.
    pub fn repeat_interval(&self) -> TimeDelta {
        TimeDelta::milliseconds(self.repeat_interval_ms)
    }

    /// The labels that make the group of an alert with `labels`.
    pub fn group_labels(&self, labels: &Labels) -> Labels {
        if self.group_by_all { labels.clone() } else { labels.only(&self.group_by) }
    }
}

/// A node of the tree.
#[derive(Debug, Clone)]
pub struct Route {
    /// Position from the root, such as `0.2`: unique within one configuration.
    pub id: String,
    /// Alertmanager's key: the matchers of the path; part of group keys, not always unique.
    pub key: String,
    /// What an alert must fulfil to come here.
    pub matchers: Matchers,
    /// Whether later siblings are tried after a match here.
    pub continues: bool,
    /// After inheritance.
    pub settings: Settings,
    /// Children in order.
    pub routes: Vec<Route>,
}

impl Route {
    /// The matching nodes, depth first and left to right; a node itself when none of its children match.
    pub fn matching(&self, labels: &Labels) -> Vec<&Route> {
        if !self.matchers.matches(labels) {
            return Vec::new();
        }
        let mut all = Vec::new();
        for child in &self.routes {
            let found = child.matching(labels);
            let stop = !found.is_empty() && !child.continues;
            all.extend(found);
            if stop {
                break;
            }
        }
        if all.is_empty() {
            all.push(self);
        }
        all
    }

    /// Key of the group with `group_labels` under this route.
    pub fn group_key(&self, group_labels: &Labels) -> String {
        format!("{}:{group_labels}", self.key)
    }

    fn build(config: &RouteConfig, parent: Option<&Route>, id: String) -> Self {
        let mut settings = parent.map(|parent| parent.settings.clone()).unwrap_or_default();
        settings.labels.0.extend(config.labels.clone());
        if let Some(receiver) = config.receiver.as_ref().filter(|receiver| !receiver.is_empty()) {
            settings.receiver.clone_from(receiver);
        }
        match &config.group_by {
            Some(names) if names.iter().any(|name| name == "...") => settings.group_by_all = true,
            Some(names) => {
                settings.group_by = names.iter().cloned().collect();
                settings.group_by_all = false;
            }
            None => {}
        }
        let timers = [
            (&mut settings.group_wait_ms, config.group_wait),
            (&mut settings.group_interval_ms, config.group_interval),
            (&mut settings.repeat_interval_ms, config.repeat_interval),
        ];
        for (timer, given) in timers {
            *timer = given.map_or(*timer, |given| given.milliseconds);
        }
        settings.mute_time_intervals.clone_from(&config.mute_time_intervals);
        settings.active_time_intervals.clone_from(&config.active_time_intervals);
        let matchers = config.all_matchers();
        let key = parent.map_or_else(|| matchers.to_string(), |parent| format!("{}/{matchers}", parent.key));
        let mut route = Self { id, key, matchers, continues: config.continues.0, settings, routes: Vec::new() };
        let children = config.routes.iter().enumerate();
        route.routes =
            children.map(|(at, child)| Self::build(child, Some(&route), format!("{}.{at}", route.id))).collect();
        route
    }

    fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Route)) {
        visit(self);
        for child in &self.routes {
            child.walk(visit);
        }
    }
}

/// A whole tree.
#[derive(Debug, Clone)]
pub struct RouteTree {
    root: Route,
}

impl RouteTree {
    /// The tree of a valid configuration.
    pub fn new(config: &Config) -> Self {
        Self { root: Route::build(&config.route, None, "0".to_string()) }
    }

    /// The nodes an alert with `labels` goes to; at least one, since the root takes everything.
    pub fn matching(&self, labels: &Labels) -> Vec<&Route> {
        self.root.matching(labels)
    }

    /// Names of the receivers of an alert, in order.
    pub fn receivers(&self, labels: &Labels) -> Vec<&str> {
        self.matching(labels).iter().map(|route| route.settings.receiver.as_str()).collect()
    }

    /// All nodes, parents first.
    pub fn routes(&self) -> Vec<&Route> {
        let mut all = Vec::new();
        self.root.walk(&mut |route| all.push(route));
        all
    }

    /// The node with `id`.
    pub fn route(&self, id: &str) -> Option<&Route> {
        self.routes().into_iter().find(|route| route.id == id)
    }
}

#[cfg(test)]
mod tests;

//! What was told to whom, and whether there is something new to tell.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::config::IntegrationKey;
use crate::route::alert::Timestamp;
use crate::route::labels::Fingerprint;

/// Whom a group was told to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogKey {
    /// Key of the group.
    pub group: String,
    /// Through which integration.
    pub integration: IntegrationKey,
}

/// The alerts of a group as one notification tells them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Firing.
    pub firing: BTreeSet<Fingerprint>,
    /// Resolved.
    pub resolved: BTreeSet<Fingerprint>,
    /// Of the firing ones, those shown as flapping.
    #[serde(default)]
    pub flapping: BTreeSet<Fingerprint>,
}

/// The last notification about a group through an integration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// When.
    pub at: Timestamp,
    /// What it said.
    pub told: Told,
    /// When the entry is forgotten.
    pub expires_at: Timestamp,
    /// What the integration keeps from one notification of a series to the next, such as the `ts` of a Slack message.
    #[serde(default)]
    pub kept: BTreeMap<String, String>,
}

/// Why a group is told (again).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Nothing was told yet, or the last notification said that all was resolved.
    FirstNotification,
    /// Alerts fire that were not told as firing.
    NewAlerts,
    /// Nothing fires any more.
    AllResolved,
    /// Alerts are resolved that were not told as resolved.
    NewResolved,
    /// Alerts have begun to flap.
    Flapping,
    /// Nothing is new, but the repeat interval has passed.
    RepeatInterval,
    /// Nobody has acknowledged it.
    Escalation,
    /// What was told has changed afterwards.
    Amendment,
}

impl Reason {
    /// In one word, for keys and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FirstNotification => "first_notification",
            Self::NewAlerts => "new_alerts",
            Self::AllResolved => "all_resolved",
            Self::NewResolved => "new_resolved",
            Self::Flapping => "flapping",
            Self::RepeatInterval => "repeat_interval",
            Self::Escalation => "escalation",
            Self::Amendment => "amendment",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::FirstNotification => "first notification of the group",
            Self::NewAlerts => "new alerts in the group",
            Self::AllResolved => "all alerts are resolved",
            Self::NewResolved => "more alerts are resolved",
            Self::Flapping => "alerts have begun to flap",
            Self::RepeatInterval => "the repeat interval has passed",
            Self::Escalation => "nobody has acknowledged it",
            Self::Amendment => "what was told has changed afterwards",
        })
    }
}

/// Whether a notification is due, given the last one, the alerts now, and the settings.
pub fn needs_update(
    last: Option<&LogEntry>,
    told: &Told,
    send_resolved: bool,
    repeat_interval: TimeDelta,
    now: Timestamp,
) -> Option<Reason> {
    let Some(last) = last else {
        return (!told.firing.is_empty()).then_some(Reason::FirstNotification);
    };
    if !told.firing.is_subset(&last.told.firing) {
        let first = last.told.firing.is_empty();
        return Some(if first { Reason::FirstNotification } else { Reason::NewAlerts });
    }
    if told.firing.is_empty() {
        // Whatever `send_resolved` says, so that the log forgets what fired.
        return (!last.told.firing.is_empty()).then_some(Reason::AllResolved);
    }
    if !told.flapping.is_subset(&last.told.flapping) {
        return Some(Reason::Flapping);
    }
    if send_resolved && !told.resolved.is_subset(&last.told.resolved) {
        return Some(Reason::NewResolved);
    }
    (last.at < now - repeat_interval).then_some(Reason::RepeatInterval)
}

/// The log: the last notification by group and integration.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NotificationLog {
    #[serde(with = "pairs")]
    entries: BTreeMap<LogKey, LogEntry>,
    /// Milliseconds for which entries are kept at most.
    pub retention_ms: i64,
    /// Bound on the entries; at it the one that was told longest ago is dropped, so that its group is told again.
    pub entries_max: usize,
    /// Entries dropped at that bound.
    pub dropped: u64,
}

impl Default for NotificationLog {
    fn default() -> Self {
        let retention_ms = TimeDelta::hours(120).num_milliseconds();
        Self { entries: BTreeMap::new(), retention_ms, entries_max: 200_000, dropped: 0 }
    }
}

impl NotificationLog {
    /// The last notification of `key`, unless it has expired.
    pub fn last(&self, key: &LogKey, now: Timestamp) -> Option<&LogEntry> {
        self.entries.get(key).filter(|entry| entry.expires_at > now)
    }

    /// Writes down what was told at `now`. What the integration kept stays, unless a new series begins.
    pub fn record(&mut self, key: LogKey, told: Told, reason: Reason, repeat_interval: TimeDelta, now: Timestamp) {
        let kept = match self.last(&key, now) {
            Some(last) if reason != Reason::FirstNotification => last.kept.clone(),
            _ => BTreeMap::new(),
        };
        if self.entries.len() >= self.entries_max && !self.entries.contains_key(&key) {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.at).map(|(key, _)| key.clone());
            self.dropped += u64::from(oldest.and_then(|key| self.entries.remove(&key)).is_some());
        }
        let lifetime = TimeDelta::milliseconds(self.retention_ms).min(repeat_interval * 2);
        self.entries.insert(key, LogEntry { at: now, told, expires_at: now + lifetime, kept });
    }

    /// Keeps a text for the next notifications of the series, such as the `ts` of a Slack message.
    pub fn keep(&mut self, key: &LogKey, name: &str, value: &str) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.kept.insert(name.to_string(), value.to_string());
        }
    }

    /// All entries.
    pub fn iter(&self) -> impl Iterator<Item = (&LogKey, &LogEntry)> {
        self.entries.iter()
    }

    /// Forgets expired entries; returns how many.
    pub fn forget_expired(&mut self, now: Timestamp) -> usize {
        let before = self.entries.len();
        self.entries.retain(|_, entry| entry.expires_at > now);
        before - self.entries.len()
    }
}

/// A map whose keys are no texts, as a list of pairs.
pub(crate) mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer, K: Serialize, V: Serialize>(
        map: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, K: Deserialize<'de> + Ord, V: Deserialize<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<K, V>, D::Error> {
        Ok(Vec::<(K, V)>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests;

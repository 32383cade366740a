//! An alert as the router knows it.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::labels::{Fingerprint, Labels};

/// An instant of the wall clock, always a parameter.
pub type Timestamp = DateTime<Utc>;

/// One alert: a label set with the time since when it fires and until when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// Identity; never empty.
    pub labels: Labels,
    /// Texts for people; not part of the identity.
    #[serde(default)]
    pub annotations: Labels,
    /// Since when it fires.
    pub starts_at: Timestamp,
    /// From when on it is resolved; `None` while no end is known.
    #[serde(default)]
    pub ends_at: Option<Timestamp>,
    /// When the sender last spoke of it.
    pub updated_at: Timestamp,
    /// Whether the end is only a guess (`resolve_timeout`), which a later message may move.
    #[serde(default)]
    pub timeout: bool,
    /// Page of the rule or query that made it.
    #[serde(default)]
    pub generator_url: String,
    /// What explains it.
    #[serde(default, skip_serializing_if = "AlertDetail::is_empty")]
    pub detail: AlertDetail,
}

/// What a message shows beyond labels and annotations.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AlertDetail {
    /// The rule's value.
    pub value: Option<f64>,
    /// What the value was before, or is usually.
    pub baseline: Option<f64>,
    /// What the baseline is, such as `a week before`; without it, what is usual.
    pub compared_with: Option<String>,
    /// The limit it passed.
    pub threshold: Option<f64>,
    /// Label values that the change from the baseline comes from, largest first; without a baseline, the value.
    pub contributions: Vec<Contribution>,
    /// What to do about it.
    pub runbook: Option<String>,
    /// Further pages by their title.
    pub links: BTreeMap<String, String>,
    /// What was found out later, such as "would not have fired: 3 late events".
    pub amendment: Option<String>,
}

/// Share of one label value in the change of an alert's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contribution {
    /// The label, such as `provider="ups"`.
    pub label: String,
    /// Part of the whole change, 1 for all of it: below 0 where the label value moved against it, above 1 where
    /// others did.
    pub share: f64,
}

impl AlertDetail {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Keeps what is known already of the same alert: whoever repeats an alert does not explain it again.
    pub fn keep(&mut self, known: &AlertDetail) {
        if self.baseline.is_none() && self.contributions.is_empty() {
            self.baseline = known.baseline;
            self.compared_with.clone_from(&known.compared_with);
            self.contributions.clone_from(&known.contributions);
        }
    }
}

impl Alert {
    /// An alert that fires since `starts_at` with no known end.
    pub fn firing(labels: Labels, starts_at: Timestamp) -> Self {
        Self {
            labels,
            annotations: Labels::default(),
            starts_at,
            ends_at: None,
            updated_at: starts_at,
            timeout: false,
            generator_url: String::new(),
            detail: AlertDetail::default(),
        }
    }

    /// Identity.
    pub fn fingerprint(&self) -> Fingerprint {
        self.labels.fingerprint()
    }

    /// The label `alertname`, empty when missing.
    pub fn name(&self) -> &str {
        self.labels.value("alertname")
    }

    /// Whether it is over at `now`: the end is not after it.
    pub fn resolved_at(&self, now: Timestamp) -> bool {
        self.ends_at.is_some_and(|end| end <= now)
    }

    /// Notes what was found out later, if this is the alert that fired at `at`; says whether it is.
    pub fn amend(&mut self, at: Timestamp, amendment: &str) -> bool {
        let is_it = self.starts_at <= at && self.ends_at.is_none_or(|end| at < end);
        if is_it {
            self.detail.amendment = Some(amendment.to_string());
        }
        is_it
    }

    /// `firing` or `resolved`.
    pub fn status(&self, now: Timestamp) -> &'static str {
        if self.resolved_at(now) { "resolved" } else { "firing" }
    }

    /// One alert of two messages about it: the younger message with the earlier start; a guessed end gives way.
    /// `now` tells which of the ends have passed.
    pub fn merge(self, other: Self, now: Timestamp) -> Self {
        let (older, younger) = if other.updated_at < self.updated_at { (other, self) } else { (self, other) };
        let mut merged = younger;
        merged.starts_at = merged.starts_at.min(older.starts_at);
        let later = older.ends_at > merged.ends_at && older.ends_at.is_some() && merged.ends_at.is_some();
        let takes = if merged.resolved_at(now) { older.resolved_at(now) } else { !older.timeout };
        if later && takes {
            merged.ends_at = older.ends_at;
        }
        merged
    }

    /// The order of alerts in a message: by `job`, by `instance`, then by all labels.
    pub fn message_order(&self, other: &Self) -> Ordering {
        for name in ["job", "instance"] {
            match (self.labels.0.get(name), other.labels.0.get(name)) {
                (None, None) => {}
                (None, Some(_)) => return Ordering::Greater,
                (Some(_), None) => return Ordering::Less,
                (Some(one), Some(two)) if one != two => return one.cmp(two),
                _ => {}
            }
        }
        self.labels.listing_order(&other.labels)
    }

    /// Refuses what Alertmanager's API refuses.
    ///
    /// # Errors
    /// What is wrong with the alert.
    pub fn validate(&self) -> Result<(), String> {
        if self.ends_at.is_some_and(|end| end < self.starts_at) {
            return Err("start time must be before end time".to_string());
        }
        if self.labels.0.is_empty() {
            return Err("at least one label pair required".to_string());
        }
        for (what, set) in [("label set", &self.labels), ("annotations", &self.annotations)] {
            if set.0.keys().any(String::is_empty) {
                return Err(format!("invalid {what}: invalid name \"\""));
            }
        }
        Ok(())
    }
}

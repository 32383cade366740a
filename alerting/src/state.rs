//! When an alert is pending, firing, resolved, or held.
//!
//! ```text
//!            condition holds            held for `for`              gone, and `keep_firing_for` over
//! inactive ─────────────────▶ pending ─────────────────▶ firing ─────────────────▶ resolved ──15 min──▶ forgotten
//!     ▲          gone            │                          ▲  gone, within `keep_firing_for`,  │
//!     └──────────────────────────┘                          └─ between the thresholds,          │
//!                                                              or the window is incomplete      │
//!                                pending ◀──────────────── condition holds again ───────────────┘
//! ```
//!
//! The semantics are Prometheus'; [`step`] is the whole of them, for one alert at one instant. An alert is told apart
//! by its labels after the rule's labels were applied ([`Fingerprint`]).
//!
//! **What an edited rule resets.** Each instance keeps the hash of what it means: the rule's name and expression
//! (formatted, so that blanks do not count), and the threshold of its own where the rule has a table of them. Only
//! an instance whose meaning is not the same any more is reset: a pending one is forgotten, a firing one resolves,
//! and both begin anew if the new condition holds. Rules are found again by name and order within a group
//! ([`crate::rules::group::GroupState::adopt`]). Changed labels make other alerts of what the rule finds, so the
//! old ones resolve and the new ones begin. Whatever else changes (`for`, `keep_firing_for`, annotations, `resolve`,
//! `on_incomplete`, `runbook`, the group's interval) leaves instances as they are: a pending one has been true since
//! it has been true, and is held against the new `for`.

mod codec;
pub(crate) use codec::{
    float as float_text, labels as label_map, optional_float as optional_float_text, shared as shared_text,
};
pub mod expand;
pub mod restore;
pub mod send;
pub mod series;
mod step;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidewatch_promql::Labels;

use crate::hash;
use crate::ledger::{Entry, Reason};
use crate::rules::Verdict;

pub use step::{Life, Policy, Step, step};

/// How long a resolved alert is remembered, so that news of it can be repeated.
pub const RESOLVED_RETENTION_MS: i64 = 15 * 60_000;

/// Where an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The condition holds, but not yet for long enough.
    Pending,
    /// It fires.
    Firing,
    /// It has fired and no longer does. Prometheus calls this inactive.
    Resolved,
}

impl Phase {
    /// The state in Prometheus' words.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Pending => "pending",
            Phase::Firing => "firing",
            Phase::Resolved => "inactive",
        }
    }

    /// Whether it is pending or firing.
    pub fn is_active(self) -> bool {
        self != Phase::Resolved
    }
}

/// What is known about the windows that an evaluation looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Completeness {
    /// All that belongs to them has been counted.
    #[default]
    Complete,
    /// Some is still to come.
    Partial,
    /// Nobody knows: a source does not report.
    Unknown,
}

/// What an evaluation whose window is not complete may do. It never resolves an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Incomplete {
    /// Nothing: no alert begins, advances or ends before the window is complete.
    Wait,
    /// Alerts may begin and advance, none ends.
    #[default]
    Hold,
    /// As `Hold`, and those that would end are marked as unknown until a complete window says more.
    Unknown,
}

/// The hash of an alert's labels, as Prometheus tells alerts apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u64);

impl Fingerprint {
    /// Of a label set.
    pub fn of(labels: &Labels) -> Fingerprint {
        Fingerprint(hash::of_labels(labels))
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:016x}", self.0)
    }
}

/// One alert of a rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// Labels, `alertname` among them.
    #[serde(with = "codec::labels")]
    pub labels: Labels,
    /// Annotations of the last evaluation that found it.
    pub annotations: Vec<(String, String)>,
    /// Its life so far.
    pub life: Life,
    /// Value of the last evaluation that found it.
    #[serde(with = "codec::float")]
    pub value: f64,
    /// The threshold it was compared with, where the rule has thresholds of its own.
    #[serde(with = "codec::optional_float")]
    pub threshold: Option<f64>,
    /// When it was last sent, milliseconds since the Unix epoch.
    pub last_sent_at_ms: Option<i64>,
    /// Until when what was last sent holds, milliseconds since the Unix epoch.
    pub valid_until_ms: Option<i64>,
    /// Hash of what it means; see the top of this page.
    pub meaning: u64,
}

/// The alerts of a rule.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RuleState {
    /// By fingerprint.
    #[serde(with = "codec::instances")]
    pub instances: BTreeMap<Fingerprint, Instance>,
}

impl RuleState {
    /// The alerts that are pending or firing.
    pub fn active(&self) -> impl Iterator<Item = (&Fingerprint, &Instance)> {
        self.instances.iter().filter(|(_, instance)| instance.life.phase.is_active())
    }

    /// After the clock was set back to `now_ms`: what happened later by the old clock has happened just now, so that no
    /// duration waits for a time that was there already.
    pub fn set_back(&mut self, now_ms: i64) {
        for instance in self.instances.values_mut() {
            instance.life = instance.life.set_back(now_ms);
            instance.last_sent_at_ms = instance.last_sent_at_ms.map(|sent_ms| sent_ms.min(now_ms));
        }
    }

    /// The rule's state in Prometheus' words: that of its most advanced alert.
    pub fn as_str(&self) -> &'static str {
        let phases = || self.active().map(|(_, instance)| instance.life.phase);
        if phases().any(|phase| phase == Phase::Firing) {
            "firing"
        } else if phases().next().is_some() {
            "pending"
        } else {
            "inactive"
        }
    }
}

/// What an evaluation found about one alert.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertSample {
    /// Labels, `alertname` among them.
    pub labels: Labels,
    /// Annotations.
    pub annotations: Vec<(String, String)>,
    /// The value.
    pub value: f64,
    /// What the value says; [`Verdict::Clear`] is as good as no sample.
    pub verdict: Verdict,
    /// The threshold, where the rule has thresholds of its own.
    pub threshold: Option<f64>,
    /// Hash of what the alert means.
    pub meaning: u64,
}

/// The instant of an evaluation and what is known about its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instant {
    /// Milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// Of the windows it looked at.
    pub completeness: Completeness,
}

/// Why an evaluation had no effect but to empty or keep the state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Two samples became one alert.
    #[error("vector contains metrics with the same labelset after applying alert labels")]
    SameLabels,
    /// More alerts than the group allows; as in Prometheus the rule then has none.
    #[error("exceeded limit of {limit} with {found} alerts")]
    LimitExceeded {
        /// The group's limit.
        limit: usize,
        /// Alerts found.
        found: usize,
    },
}

/// What an evaluation leads to.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The new state.
    pub state: RuleState,
    /// One entry for each alert that was there before or is there now.
    pub entries: Vec<Entry>,
}

impl Outcome {
    /// The entries of alerts that went from one phase to another.
    pub fn transitions(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.is_transition())
    }
}

/// Which rule, for the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleName {
    /// The group's name.
    #[serde(with = "codec::shared")]
    pub group: Arc<str>,
    /// The rule's name.
    #[serde(with = "codec::shared")]
    pub rule: Arc<str>,
}

/// The state after an evaluation that found `samples`. `limit` 0 means none.
///
/// # Errors
/// [`StateError::SameLabels`], the previous state then holds on; [`StateError::LimitExceeded`], the rule then has
/// no alerts, and the entries that come with it say which were given up.
pub fn next_state(
    previous: &RuleState,
    samples: Vec<AlertSample>,
    rule: &RuleName,
    policy: &Policy,
    limit: usize,
    at: Instant,
) -> Result<Outcome, (StateError, Vec<Entry>)> {
    let mut found: BTreeMap<Fingerprint, AlertSample> = BTreeMap::new();
    for sample in samples {
        if found.insert(Fingerprint::of(&sample.labels), sample).is_some() {
            return Err((StateError::SameLabels, Vec::new()));
        }
    }
    let mut next = RuleState::default();
    let mut entries = Vec::new();
    for (fingerprint, instance) in &previous.instances {
        let sample = found.remove(fingerprint);
        let (reset, kept) = match &sample {
            Some(sample) if sample.meaning != instance.meaning => (true, None),
            _ => (false, Some(instance)),
        };
        if reset && instance.life.phase.is_active() {
            entries.push(entry(rule, *fingerprint, Some(instance), None, Reason::RuleChanged, at, policy));
        }
        let evidence = sample.as_ref().map_or(Verdict::Clear, |sample| sample.verdict);
        let step = step(kept.map(|instance| instance.life), evidence, policy, at);
        let life = step
            .life
            .or_else(|| (reset && instance.life.phase == Phase::Firing).then(|| instance.life.resolved(at.now_ms)));
        let instance = life.map(|life| renewed(life, instance, sample, reset));
        entries.push(entry(rule, *fingerprint, kept, instance.as_ref(), step.reason, at, policy));
        next.instances.extend(instance.map(|instance| (*fingerprint, instance)));
    }
    for (fingerprint, sample) in found {
        let step = step(None, sample.verdict, policy, at);
        if let Some(life) = step.life {
            let instance = begun(life, sample);
            entries.push(entry(rule, fingerprint, None, Some(&instance), step.reason, at, policy));
            next.instances.insert(fingerprint, instance);
        }
    }
    let active = next.active().count();
    if limit > 0 && active > limit {
        let given_up = previous.active().map(|(fingerprint, instance)| {
            entry(rule, *fingerprint, Some(instance), None, Reason::LimitExceeded, at, policy)
        });
        return Err((StateError::LimitExceeded { limit, found: active }, given_up.collect()));
    }
    Ok(Outcome { state: next, entries })
}

fn begun(life: Life, sample: AlertSample) -> Instance {
    Instance {
        labels: sample.labels,
        annotations: sample.annotations,
        life,
        value: sample.value,
        threshold: sample.threshold,
        last_sent_at_ms: None,
        valid_until_ms: None,
        meaning: sample.meaning,
    }
}

/// The instance after a step: with the sample's value and annotations if there is one.
fn renewed(life: Life, previous: &Instance, sample: Option<AlertSample>, reset: bool) -> Instance {
    // An alert that begins again is another one, of which nothing was told yet.
    let begins = reset && life.phase.is_active() || previous.life.phase == Phase::Resolved && life.phase.is_active();
    match sample {
        Some(sample) if begins => begun(life, sample),
        Some(sample) if sample.verdict != Verdict::Clear => Instance {
            last_sent_at_ms: previous.last_sent_at_ms,
            valid_until_ms: previous.valid_until_ms,
            ..begun(life, sample)
        },
        Some(sample) => Instance { life, meaning: sample.meaning, ..previous.clone() },
        None => Instance { life, ..previous.clone() },
    }
}

fn entry(
    rule: &RuleName,
    fingerprint: Fingerprint,
    before: Option<&Instance>,
    after: Option<&Instance>,
    reason: Reason,
    at: Instant,
    policy: &Policy,
) -> Entry {
    let known = after.or(before);
    Entry {
        time_ms: at.now_ms,
        rule: rule.clone(),
        fingerprint: fingerprint.to_string(),
        labels: known.map_or_else(Labels::empty, |instance| instance.labels.clone()),
        from: before.map(|instance| instance.life.phase),
        to: after.map(|instance| instance.life.phase),
        reason,
        value: known.map_or(f64::NAN, |instance| instance.value),
        threshold: known.and_then(|instance| instance.threshold),
        completeness: at.completeness,
        active_at_ms: known.map_or(at.now_ms, |instance| instance.life.active_at_ms),
        for_ms: policy.for_ms,
        keep_firing_for_ms: policy.keep_firing_for_ms,
    }
}

#[cfg(test)]
mod tests;

//! Groups as they stand: what is shown of them, and what the next evaluation goes on from.

use crate::data::metrics_of;
use crate::evaluate::timestamp;
use chrono::SecondsFormat;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tidewatch_alerting::rules::group::{GroupState, RuleResult, SavedRule};
use tidewatch_alerting::rules::{Group, Rule};
use tidewatch_alerting::state::Instance;
use tidewatch_alerting::state::series::{ALERTS, ALERTS_FOR_STATE};
use tidewatch_promql::number::plain;
use tidewatch_promql::{Labels, Matcher};

/// A group with its state.
#[derive(Debug, Clone)]
pub struct GroupBook {
    /// The group.
    pub group: Arc<Group>,
    /// Key of its state in the store.
    pub key: String,
    /// Between two evaluations by the clock, in milliseconds.
    pub interval_ms: i64,
    /// Metrics that its rules read in the end ([`resolve_metrics`]); `None`: of any name.
    pub metrics: Option<BTreeSet<String>>,
    /// What it goes on from.
    pub state: GroupState,
    /// One per rule.
    pub rules: Vec<RuleBook>,
    /// Of the last evaluation, in seconds.
    pub duration_s: f64,
    /// Instant of the last state that was stored, milliseconds since the epoch.
    pub written_ms: Option<i64>,
}

/// How a rule's last evaluation went.
#[derive(Debug, Clone, Default)]
pub struct RuleBook {
    /// When, milliseconds since the epoch; `None` before the first.
    pub at_ms: Option<i64>,
    /// What went wrong.
    pub error: Option<String>,
    /// How long it took, in seconds.
    pub duration_s: f64,
}

/// Key of a group's state.
pub fn key_of(group: &Group) -> String {
    format!("{}\0{}", group.file, group.name)
}

impl GroupBook {
    /// A group that goes on from `state`.
    pub fn new(group: Arc<Group>, state: GroupState, interval_ms: i64) -> Self {
        let rules = vec![RuleBook::default(); group.rules.len()];
        let metrics = metrics_of(group.rules.iter().map(Rule::query));
        Self { key: key_of(&group), interval_ms, metrics, state, rules, duration_s: 0.0, written_ms: None, group }
    }

    /// Takes what an evaluation brought.
    pub fn settle(&mut self, state: GroupState, results: &[RuleResult], at_ms: i64, duration_s: f64) {
        self.state = state;
        self.duration_s = duration_s;
        for (rule, result) in self.rules.iter_mut().zip(results) {
            *rule = RuleBook { at_ms: Some(at_ms), error: result.error.clone(), duration_s: 0.0 };
        }
    }

    /// Takes how long each rule took, in seconds.
    pub fn time(&mut self, durations_s: &[f64]) {
        for (rule, duration_s) in self.rules.iter_mut().zip(durations_s) {
            rule.duration_s = *duration_s;
        }
    }

    /// The group as Prometheus' `GET /api/v1/rules` shows it.
    pub fn json(&self, shown: &Shown) -> Option<Value> {
        let rules: Vec<Value> =
            self.group.rules.iter().enumerate().filter_map(|(at, _)| self.rule(at, shown)).collect();
        if rules.is_empty() && !shown.is_everything() {
            return None;
        }
        Some(json!({
            "name": *self.group.name,
            "file": *self.group.file,
            "rules": rules,
            "interval": self.interval_ms as f64 / 1000.0,
            "limit": self.group.limit,
            "evaluationTime": self.duration_s,
            "lastEvaluation": instant(self.state.last_ms),
        }))
    }

    fn rule(&self, at: usize, shown: &Shown) -> Option<Value> {
        let (rule, saved, book) = (&self.group.rules[at], &self.state.rules[at], &self.rules[at]);
        let kind = if saved.is_alerting { "alerting" } else { "recording" };
        if !shown.takes(&self.group, rule, kind) {
            return None;
        }
        let health = match (&book.error, book.at_ms) {
            (Some(_), _) => "err",
            (None, Some(_)) => "ok",
            (None, None) => "unknown",
        };
        let mut value = json!({
            "name": **rule.name(),
            "query": rule.query().text(),
            "health": health,
            "type": kind,
            "evaluationTime": book.duration_s,
            "lastEvaluation": instant(book.at_ms),
        });
        // Whoever is not well says why.
        let error = book.error.as_deref().or_else(|| book.at_ms.is_none().then_some(NOT_YET));
        if let Some(error) = error {
            value["lastError"] = json!(error);
        }
        match rule {
            Rule::Recording(rule) => {
                let labels: serde_json::Map<_, _> =
                    rule.labels.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
                value["labels"] = labels.into();
            }
            Rule::Alerting(rule) => {
                let texts = |list: &[(String, tidewatch_alerting::template::alert::AlertTemplate)]| {
                    let texts = list.iter().map(|(name, template)| (name.clone(), json!(template.text())));
                    Value::Object(texts.collect())
                };
                value["state"] = json!(saved.state.as_str());
                value["duration"] = json!(rule.for_ms as f64 / 1000.0);
                value["keepFiringFor"] = json!(rule.keep_firing_for_ms as f64 / 1000.0);
                value["labels"] = texts(&rule.labels);
                value["annotations"] = texts(&rule.annotations);
                let alerts = if shown.without_alerts { Vec::new() } else { alerts(saved).collect() };
                value["alerts"] = Value::Array(alerts);
            }
        }
        Some(value)
    }
}

/// In place of metrics that rules write, those that these rules read: what a group has written is no news to it, what it
/// was made of is.
pub fn resolve_metrics(books: &mut [GroupBook]) {
    let mut writers: BTreeMap<String, Vec<Option<BTreeSet<String>>>> = BTreeMap::new();
    for rule in books.iter().flat_map(|book| &book.group.rules) {
        let reads = metrics_of([rule.query()]);
        let written: &[&str] = match rule {
            Rule::Recording(rule) => &[&rule.name],
            Rule::Alerting(_) => &[ALERTS, ALERTS_FOR_STATE],
        };
        written.iter().for_each(|name| writers.entry((*name).to_owned()).or_default().push(reads.clone()));
    }
    for book in books {
        book.metrics = book.metrics.take().and_then(|names| read_in_the_end(names, &writers));
    }
}

fn read_in_the_end(
    names: BTreeSet<String>,
    writers: &BTreeMap<String, Vec<Option<BTreeSet<String>>>>,
) -> Option<BTreeSet<String>> {
    let mut seen = BTreeSet::new();
    let mut open: Vec<String> = names.into_iter().collect();
    let mut read = BTreeSet::new();
    while let Some(name) = open.pop() {
        if !seen.insert(name.clone()) {
            continue;
        }
        match writers.get(&name) {
            None => _ = read.insert(name),
            Some(writers) => {
                for reads in writers {
                    open.extend(reads.as_ref()?.iter().cloned());
                }
            }
        }
    }
    Some(read)
}

/// What of the rules is asked for.
#[derive(Debug, Clone, Default)]
pub struct Shown {
    /// `alert` or `record`; anything else is refused before.
    pub kind: Option<String>,
    /// Names of rules; all, when empty.
    pub rules: BTreeSet<String>,
    /// Names of groups; all, when empty.
    pub groups: BTreeSet<String>,
    /// Files; all, when empty.
    pub files: BTreeSet<String>,
    /// Sets of matchers of the labels that rules have in their definitions, of which one must fit; none: all fit.
    pub matchers: Vec<Vec<Matcher>>,
    /// Leaves alerts out.
    pub without_alerts: bool,
}

impl Shown {
    fn is_everything(&self) -> bool {
        self.kind.is_none()
            && self.rules.is_empty()
            && self.groups.is_empty()
            && self.files.is_empty()
            && self.matchers.is_empty()
    }

    fn fits(&self, rule: &Rule) -> bool {
        let labels = match rule {
            Rule::Recording(rule) => Labels::new(rule.labels.iter().map(|(name, value)| (&**name, &**value))),
            Rule::Alerting(rule) => Labels::new(rule.labels.iter().map(|(name, text)| (&**name, text.text()))),
        };
        let mut sets = self.matchers.iter();
        self.matchers.is_empty() || sets.any(|set| set.iter().all(|matcher| matcher.matches_labels(&labels)))
    }

    fn takes(&self, group: &Group, rule: &Rule, kind: &str) -> bool {
        let within = |set: &BTreeSet<String>, name: &str| set.is_empty() || set.contains(name);
        self.kind.as_deref().is_none_or(|wanted| kind.starts_with(wanted))
            && within(&self.rules, rule.name())
            && within(&self.groups, &group.name)
            && within(&self.files, &group.file)
            && self.fits(rule)
    }
}

/// Active alerts of a rule as Prometheus' API shows them.
pub fn alerts(saved: &SavedRule) -> impl Iterator<Item = Value> + '_ {
    saved.state.active().map(|(_, instance)| alert(instance))
}

fn alert(instance: &Instance) -> Value {
    let labels: serde_json::Map<_, _> =
        instance.labels.iter().map(|label| (label.name.to_string(), json!(*label.value))).collect();
    let annotations: serde_json::Map<_, _> =
        instance.annotations.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let mut alert = json!({
        "labels": labels,
        "annotations": annotations,
        "state": instance.life.phase.as_str(),
        "activeAt": millis(instance.life.active_at_ms),
        "value": plain(instance.value),
    });
    if let Some(since_ms) = instance.life.keep_firing_since_ms {
        alert["keepFiringSince"] = json!(millis(since_ms));
    }
    alert
}

/// What is wrong with a rule of which nothing is known.
const NOT_YET: &str = "not evaluated yet";
/// What Prometheus writes for "never".
const NEVER: &str = "0001-01-01T00:00:00Z";

fn instant(time_ms: Option<i64>) -> String {
    time_ms.map_or_else(|| NEVER.to_owned(), millis)
}

/// RFC 3339 with milliseconds.
fn millis(time_ms: i64) -> String {
    timestamp(time_ms).to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests;

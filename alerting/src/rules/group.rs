//! Evaluates the rules of a group at one instant, in order: what a rule writes, later rules see.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidewatch_promql::{Grammar, Labels, Query, Sample, VectorSample};

use super::{AlertingRule, Group, RecordingRule, Rule, selected};
use crate::ledger::Entry;
use crate::state::{self, Completeness, Instant, Policy, RuleName, RuleState, StateError, expand, series};
use crate::template::alert::Surroundings;

/// Version of [`GroupState`] as it is written.
pub const STATE_VERSION: u32 = 1;

/// A query's answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answered {
    /// At most one sample per series.
    pub samples: Vec<VectorSample>,
    /// What is known about the windows that were read.
    pub completeness: Completeness,
}

/// Who answers queries and takes what rules write.
pub trait Source {
    /// The instant vector of `query` at `time_ms`; a scalar is a vector of one sample without labels.
    ///
    /// # Errors
    /// A sentence; the rule then keeps its state.
    fn ask(&self, query: &Query, time_ms: i64) -> Result<Answered, String>;

    /// Makes samples visible to every later [`Source::ask`].
    fn write(&mut self, samples: &[VectorSample]);

    /// What other groups have recorded from windows that are not complete, by name.
    fn incomplete(&self) -> BTreeMap<Arc<str>, Completeness> {
        BTreeMap::new()
    }

    /// Called after each rule, whether it failed or not, for whoever measures.
    fn rule_done(&mut self) {}
}

/// What the server sets for all groups.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Interval of groups that name none, in milliseconds.
    pub interval_ms: i64,
    /// Query offset of groups that name none, in milliseconds.
    pub query_offset_ms: i64,
    /// Labels that are added to whatever leaves this server.
    pub external_labels: Vec<(String, String)>,
    /// Where this server is to be found.
    pub external_url: String,
    /// Which expressions templates may query.
    pub grammar: Grammar,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            interval_ms: 60_000,
            query_offset_ms: 0,
            external_labels: Vec::new(),
            external_url: String::new(),
            grammar: Grammar::default(),
        }
    }
}

/// What a group remembers from one evaluation to the next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupState {
    /// [`STATE_VERSION`] of whoever wrote it.
    pub version: u32,
    /// Instant of the last evaluation, milliseconds since the Unix epoch.
    pub last_ms: Option<i64>,
    /// One per rule, in order.
    pub rules: Vec<SavedRule>,
}

/// What is remembered about one rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedRule {
    /// The rule's name.
    #[serde(with = "crate::state::shared_text")]
    pub name: Arc<str>,
    /// Whether it raises alerts.
    pub is_alerting: bool,
    /// Its alerts.
    pub state: RuleState,
    /// Series of the last evaluation, which are marked stale when they do not come again.
    #[serde(with = "series_list")]
    pub written: Vec<Labels>,
    /// What is known about the windows behind them, of a rule that records.
    #[serde(default)]
    pub completeness: Completeness,
}

/// Why a saved state cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a state of version {STATE_VERSION} or lower, found {found}: it was written by a newer program")]
pub struct VersionError {
    /// The version found.
    pub found: u32,
}

impl GroupState {
    /// The state of a group that was never evaluated.
    pub fn new(group: &Group) -> GroupState {
        let fresh = |rule: &Rule| SavedRule {
            name: rule.name().clone(),
            is_alerting: matches!(rule, Rule::Alerting(_)),
            state: RuleState::default(),
            written: Vec::new(),
            completeness: Completeness::default(),
        };
        GroupState { version: STATE_VERSION, last_ms: None, rules: group.rules.iter().map(fresh).collect() }
    }

    /// What its rules have recorded from windows that are not complete, by name.
    pub fn incomplete(&self) -> impl Iterator<Item = (&Arc<str>, Completeness)> {
        let recorded = self.rules.iter().map(|rule| (&rule.name, rule.completeness));
        recorded.filter(|(_, completeness)| *completeness != Completeness::Complete)
    }

    /// The state for `group` as it is written now: each rule takes up the state of the first rule of its name and
    /// kind that no other has taken. Which of its alerts go on is decided alert by alert; see [`crate::state`].
    /// Alerts of rules that are gone are returned, so that those that fire can be resolved.
    ///
    /// # Errors
    /// [`VersionError`].
    pub fn adopt(mut self, group: &Group) -> Result<(GroupState, Vec<SavedRule>), VersionError> {
        if self.version > STATE_VERSION {
            return Err(VersionError { found: self.version });
        }
        let mut state = GroupState { last_ms: self.last_ms, ..GroupState::new(group) };
        for rule in &mut state.rules {
            let same = |old: &SavedRule| old.name == rule.name && old.is_alerting == rule.is_alerting;
            if let Some(place) = self.rules.iter().position(same) {
                *rule = self.rules.remove(place);
            }
        }
        Ok((state, self.rules))
    }
}

/// How the evaluation of one rule went.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleResult {
    /// The rule's name.
    pub name: Arc<str>,
    /// Why it failed; its state then is as it was.
    pub error: Option<String>,
    /// Decisions about its alerts.
    pub entries: Vec<Entry>,
    /// What it wrote, without the marks of series that ended.
    pub samples: Vec<VectorSample>,
}

/// Evaluates all rules of `group` for the instant `now_ms`, changing `state` and writing to `source`. An instant before
/// the last one says that the clock was set back.
pub fn evaluate(
    group: &Group,
    state: &mut GroupState,
    now_ms: i64,
    source: &mut dyn Source,
    settings: &Settings,
) -> Vec<RuleResult> {
    let query_ms = now_ms - group.query_offset_ms.unwrap_or(settings.query_offset_ms);
    if state.last_ms.is_some_and(|last_ms| last_ms > now_ms) {
        state.rules.iter_mut().for_each(|saved| saved.state.set_back(now_ms));
    }
    state.last_ms = Some(now_ms);
    let mut results = Vec::with_capacity(group.rules.len());
    let own = state.rules.iter().map(|saved| (Arc::clone(&saved.name), saved.completeness)).collect();
    let mut incomplete = Incomplete { own, others: source.incomplete() };
    for (at, (rule, saved)) in group.rules.iter().zip(&mut state.rules).enumerate() {
        let outcome = match rule {
            Rule::Recording(rule) => record(rule, group.limit, query_ms, source, &incomplete).map(|recorded| {
                saved.completeness = recorded.completeness;
                incomplete.own[at].1 = recorded.completeness;
                (recorded.samples, Vec::new())
            }),
            Rule::Alerting(rule) => alert(rule, group, saved, (now_ms, query_ms), source, settings, &incomplete),
        };
        let (samples, entries, error) = match outcome {
            Ok((samples, entries)) => (samples, entries, None),
            Err((error, entries)) => (Vec::new(), entries, Some(error)),
        };
        if error.is_none() {
            write(saved, &samples, query_ms, source);
        }
        source.rule_done();
        results.push(RuleResult { name: rule.name().clone(), error, entries, samples });
    }
    results
}

type Failed = (String, Vec<Entry>);

/// What rules have recorded from windows that are not complete: who reads it knows no more.
#[derive(Debug)]
struct Incomplete {
    /// Of each rule of the group, complete or not.
    own: Vec<(Arc<str>, Completeness)>,
    others: BTreeMap<Arc<str>, Completeness>,
}

impl Incomplete {
    /// What is known about the windows behind an answer, also those behind what was recorded.
    fn behind(&self, query: &Query, answered: Completeness) -> Completeness {
        let own = || self.own.iter().filter(|(_, completeness)| *completeness != Completeness::Complete);
        if answered != Completeness::Complete || (self.others.is_empty() && own().next().is_none()) {
            return answered;
        }
        let recorded = selected::names(query).into_iter().find_map(|name| {
            let own = own().find(|(recorded, _)| **recorded == *name).map(|(_, completeness)| *completeness);
            own.or_else(|| self.others.get(name.as_str()).copied())
        });
        recorded.unwrap_or(answered)
    }
}

fn record(
    rule: &RecordingRule,
    limit: usize,
    time_ms: i64,
    source: &dyn Source,
    incomplete: &Incomplete,
) -> Result<Answered, Failed> {
    let failed = |message: String| (message, Vec::new());
    let answered = source.ask(&rule.query, time_ms).map_err(failed)?;
    let completeness = incomplete.behind(&rule.query, answered.completeness);
    let samples: Vec<VectorSample> = answered.samples.into_iter().map(|sample| recorded(rule, sample)).collect();
    let distinct: BTreeSet<&Labels> = samples.iter().map(|sample| &sample.labels).collect();
    if distinct.len() < samples.len() {
        return Err(failed("vector contains metrics with the same labelset after applying rule labels".to_string()));
    }
    if limit > 0 && samples.len() > limit {
        return Err(failed(format!("exceeded limit of {limit} with {} series", samples.len())));
    }
    Ok(Answered { samples, completeness })
}

/// The sample with the rule's name and labels.
pub(crate) fn recorded(rule: &RecordingRule, sample: VectorSample) -> VectorSample {
    let labels = recorded_labels(rule, &sample.labels);
    VectorSample { labels, ..sample }
}

/// The labels with the rule's name and labels.
pub(crate) fn recorded_labels(rule: &RecordingRule, labels: &Labels) -> Labels {
    let own = labels.iter().map(|label| (label.name.clone(), label.value.clone()));
    let ruled = rule.labels.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into()));
    Labels::new(own.chain([("__name__".into(), rule.name.clone())]).chain(ruled))
}

fn alert(
    rule: &AlertingRule,
    group: &Group,
    saved: &mut SavedRule,
    (now_ms, query_ms): (i64, i64),
    source: &dyn Source,
    settings: &Settings,
    incomplete: &Incomplete,
) -> Result<(Vec<VectorSample>, Vec<Entry>), Failed> {
    let query = rule.level.as_ref().map_or(&rule.query, |level| &level.query);
    let answered = source.ask(query, query_ms).map_err(|message| (message, Vec::new()))?;
    let ask = |text: &str| {
        let query = Query::parse(text, settings.grammar).map_err(|error| error.to_string())?;
        source.ask(&query, query_ms).map(|answered| answered.samples)
    };
    let around = Surroundings {
        external_labels: &settings.external_labels,
        external_url: &settings.external_url,
        now_ms,
        ask: &ask,
    };
    let samples =
        expand::alert_samples(rule, &answered.samples, &around).map_err(|error| (error.to_string(), Vec::new()))?;
    let name = RuleName { group: group.name.clone(), rule: rule.name.clone() };
    let at = Instant { now_ms, completeness: incomplete.behind(query, answered.completeness) };
    match state::next_state(&saved.state, samples, &name, &policy(rule), group.limit, at) {
        Ok(outcome) => {
            saved.state = outcome.state;
            let sample = |(labels, value)| VectorSample { labels, time_ms: query_ms, value: Sample::Float(value) };
            Ok((series::of(&saved.state).into_iter().map(sample).collect(), outcome.entries))
        }
        Err((error, entries)) => {
            if matches!(error, StateError::LimitExceeded { .. }) {
                saved.state = RuleState::default();
            }
            Err((error.to_string(), entries))
        }
    }
}

/// Evaluates past instants again, from the state before the first of them, for [`crate::ledger::amend`]: the decisions
/// that the rules take on the data as it is now. `source` must keep what is written to itself; nothing is sent.
pub fn replay(
    group: &Group,
    before: &GroupState,
    instants_ms: &[i64],
    source: &mut dyn Source,
    settings: &Settings,
) -> Vec<Entry> {
    let mut state = before.clone();
    let evaluated = instants_ms.iter().map(|now_ms| evaluate(group, &mut state, *now_ms, source, settings));
    evaluated.flatten().flat_map(|result| result.entries).collect()
}

/// What the rule says about time.
pub fn policy(rule: &AlertingRule) -> Policy {
    Policy { for_ms: rule.for_ms, keep_firing_for_ms: rule.keep_firing_for_ms, on_incomplete: rule.on_incomplete }
}

/// Writes the samples, and marks of those series that came last time and did not come again.
fn write(saved: &mut SavedRule, samples: &[VectorSample], time_ms: i64, source: &mut dyn Source) {
    let current: BTreeSet<&Labels> = samples.iter().map(|sample| &sample.labels).collect();
    let ended = saved.written.iter().filter(|labels| !current.contains(labels)).map(|labels| VectorSample {
        labels: labels.clone(),
        time_ms,
        value: Sample::Float(tidewatch_promql::STALE),
    });
    let all: Vec<VectorSample> = samples.iter().cloned().chain(ended).collect();
    source.write(&all);
    saved.written = samples.iter().map(|sample| sample.labels.clone()).collect();
}

#[cfg(test)]
mod tests;

mod series_list {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};
    use tidewatch_promql::Labels;

    pub fn serialize<S: Serializer>(list: &[Labels], serializer: S) -> Result<S::Ok, S::Error> {
        let map = |labels: &Labels| -> BTreeMap<String, String> {
            labels.iter().map(|label| (label.name.to_string(), label.value.to_string())).collect()
        };
        serializer.collect_seq(list.iter().map(map))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Labels>, D::Error> {
        let list = Vec::<BTreeMap<String, String>>::deserialize(deserializer)?;
        Ok(list.into_iter().map(Labels::new).collect())
    }
}

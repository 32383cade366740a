//! Inhibition: muted by another alert.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Config;
use crate::route::alert::{Alert, Timestamp};
use crate::route::labels::{Fingerprint, Labels};
use crate::route::matcher::Matchers;

/// While an alert that fulfils `source` fires, those that fulfil `target` and have the same values of the `equal`
/// labels are muted. A missing label counts as the empty value. An alert that is on both sides is not muted by one that
/// is on both sides too, so none mutes itself.
#[derive(Debug, Clone)]
pub struct InhibitRule {
    /// Its name, or its position.
    pub name: String,
    source: Matchers,
    target: Matchers,
    equal: BTreeSet<String>,
}

/// All rules in order.
#[derive(Debug, Clone, Default)]
pub struct Inhibitor {
    rules: Vec<InhibitRule>,
}

/// Why an alert is muted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inhibition {
    /// Name of the rule.
    pub rule: String,
    /// The alert that mutes; the smallest fingerprint of several.
    pub source: Fingerprint,
}

impl Inhibitor {
    /// The rules of a valid configuration.
    pub fn new(config: &Config) -> Self {
        let rules = config.inhibit_rules.iter().enumerate().map(|(at, rule)| InhibitRule {
            name: rule.name.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| format!("inhibit_rules[{at}]")),
            source: rule.source(),
            target: rule.target(),
            equal: rule.equal.iter().cloned().collect(),
        });
        Self { rules: rules.collect() }
    }

    /// The alerts that can mute at `now`, found quickly by the values of their equal labels.
    pub fn sources<'a>(&'a self, alerts: impl Iterator<Item = &'a Alert>, now: Timestamp) -> Sources<'a> {
        let mut by_rule: Vec<BTreeMap<Vec<&str>, Vec<Source>>> = self.rules.iter().map(|_| BTreeMap::new()).collect();
        for alert in alerts.filter(|alert| !alert.resolved_at(now)) {
            for (rule, sources) in self.rules.iter().zip(&mut by_rule) {
                if rule.source.matches(&alert.labels) {
                    let source =
                        Source { fingerprint: alert.fingerprint(), two_sided: rule.target.matches(&alert.labels) };
                    sources.entry(rule.values(&alert.labels)).or_default().push(source);
                }
            }
        }
        for sources in by_rule.iter_mut().flat_map(BTreeMap::values_mut) {
            sources.sort_by_key(|source| source.fingerprint);
        }
        Sources { rules: &self.rules, by_rule }
    }
}

impl InhibitRule {
    fn values<'a>(&self, labels: &'a Labels) -> Vec<&'a str> {
        self.equal.iter().map(|name| labels.value(name)).collect()
    }
}

#[derive(Debug, Clone, Copy)]
struct Source {
    fingerprint: Fingerprint,
    two_sided: bool,
}

/// Firing alerts that can mute others.
#[derive(Debug)]
pub struct Sources<'a> {
    rules: &'a [InhibitRule],
    by_rule: Vec<BTreeMap<Vec<&'a str>, Vec<Source>>>,
}

impl Sources<'_> {
    /// What mutes an alert with `labels`, by the first rule that does.
    pub fn muting(&self, labels: &Labels) -> Option<Inhibition> {
        self.rules.iter().zip(&self.by_rule).find_map(|(rule, sources)| {
            if !rule.target.matches(labels) {
                return None;
            }
            let both_sides = rule.source.matches(labels);
            let found = sources.get(&rule.values(labels))?.iter().find(|source| !(both_sides && source.two_sided))?;
            Some(Inhibition { rule: rule.name.clone(), source: found.fingerprint })
        })
    }
}

#[cfg(test)]
mod tests;

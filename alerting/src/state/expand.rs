//! From the samples of a rule's expression to its alerts: labels and annotations.

use tidewatch_promql::{Labels, Sample, VectorSample};

use super::{AlertSample, StateError};
use crate::hash;
use crate::rules::{AlertingRule, Threshold, Verdict};
use crate::template::alert::{AlertFacts, Surroundings};

/// The alerts of `samples`. With a [`crate::rules::Level`] the samples are those of its query, and those that are
/// clear are left out.
///
/// # Errors
/// [`StateError::SameLabels`].
pub fn alert_samples(
    rule: &AlertingRule,
    samples: &[VectorSample],
    around: &Surroundings<'_>,
) -> Result<Vec<AlertSample>, StateError> {
    let mut alerts: Vec<AlertSample> = Vec::with_capacity(samples.len());
    for sample in samples {
        // Prometheus gives the alert of a histogram the value 0.
        let value = match sample.value {
            Sample::Float(value) => value,
            Sample::Histogram(_) if rule.level.is_some() => continue,
            Sample::Histogram(_) => 0.0,
        };
        let (verdict, threshold) = judge(rule, &sample.labels, value);
        if verdict == Verdict::Clear {
            continue;
        }
        let facts = AlertFacts { labels: &sample.labels, value, threshold: threshold.map(|found| found.fire) };
        alerts.push(AlertSample {
            labels: labels(rule, facts, around),
            annotations: annotations(rule, facts, around),
            value,
            verdict,
            threshold: facts.threshold,
            meaning: meaning(rule, threshold),
        });
    }
    let mut sets: Vec<&Labels> = alerts.iter().map(|alert| &alert.labels).collect();
    sets.sort();
    if sets.windows(2).any(|pair| pair[0] == pair[1]) { Err(StateError::SameLabels) } else { Ok(alerts) }
}

/// What a value says about its alert, and the threshold of the alert's own.
pub fn judge(rule: &AlertingRule, labels: &Labels, value: f64) -> (Verdict, Option<Threshold>) {
    match &rule.level {
        None => (Verdict::Holds, None),
        Some(level) => {
            let (verdict, threshold) = level.verdict(labels, value);
            (verdict, Some(threshold))
        }
    }
}

/// Labels of the alert: the sample's without the metric's name, the rule's over them, `alertname` over all.
pub fn labels(rule: &AlertingRule, facts: AlertFacts<'_>, around: &Surroundings<'_>) -> Labels {
    let own = facts.labels.iter().filter(|label| &*label.name != tidewatch_promql::labels::METRIC_NAME);
    let own = own.map(|label| (label.name.clone(), label.value.clone()));
    let ruled = rule
        .labels
        .iter()
        .map(|(name, template)| (name.as_str().into(), template.expand_or_explain(facts, around).into()));
    Labels::new(own.chain(ruled).chain([("alertname".into(), rule.name.clone())]))
}

/// Annotations of the alert, by name.
pub fn annotations(rule: &AlertingRule, facts: AlertFacts<'_>, around: &Surroundings<'_>) -> Vec<(String, String)> {
    let expanded =
        rule.annotations.iter().map(|(name, template)| (name.clone(), template.expand_or_explain(facts, around)));
    expanded.filter(|(_, text)| !text.is_empty()).collect()
}

/// Hash of what the alert means. A threshold that is part of the expression is in the rule's hash already.
pub fn meaning(rule: &AlertingRule, threshold: Option<Threshold>) -> u64 {
    match (&rule.level, threshold) {
        (Some(level), Some(threshold)) if level.query.text() == rule.query.text() => {
            let fire = threshold.fire.to_bits().to_string();
            hash::of_texts([rule.meaning.to_string().as_str(), level.crossing.as_str(), &fire])
        }
        _ => rule.meaning,
    }
}

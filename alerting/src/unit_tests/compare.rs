//! What was expected against what there is.

use std::sync::Arc;

use tidewatch_promql::notation::{self, Notated};
use tidewatch_promql::{Histogram, Labels, Sample, VectorSample, number};

use super::file::{AlertTest, ExpectedSample, ExprTest};
use super::machine::go_duration;

type Alert = (Labels, Vec<(String, String)>);

/// Compares the alerts that fire with those expected; labels and annotations must be the same.
pub fn alerts(test: &AlertTest, found: &[Alert]) -> Result<(), String> {
    let mut expected: Vec<Alert> = test
        .exp_alerts
        .iter()
        .flatten()
        .map(|alert| {
            // The test names the labels without `alertname`, which the evaluation adds.
            let labels = alert.exp_labels.iter().flatten().map(|(name, value)| (name.clone(), value.clone()));
            let labels = Labels::new(labels.chain([("alertname".to_string(), test.alertname.clone())]));
            let annotations = alert.exp_annotations.iter().flatten().map(|(name, value)| (name.clone(), value.clone()));
            (labels, annotations.filter(|(_, value)| !value.is_empty()).collect())
        })
        .collect();
    let mut found = found.to_vec();
    expected.sort();
    found.sort();
    if expected == found {
        return Ok(());
    }
    let show = |alerts: &[Alert]| -> String {
        let lines = alerts
            .iter()
            .map(|(labels, annotations)| format!("\n            Labels:{labels} Annotations:{annotations:?}"));
        if alerts.is_empty() { "[]".to_string() } else { lines.collect() }
    };
    let time = go_duration(test.eval_time.0);
    Err(format!(
        "alertname: {}, time: {time},\n        exp:{}\n        got:{}",
        test.alertname,
        show(&expected),
        show(&found)
    ))
}

#[derive(Debug, Clone)]
enum Content {
    Float(f64),
    Histogram(Arc<Histogram>),
}

/// Compares samples; with `fuzzy`, numbers may differ in their last bit.
pub fn samples(test: &ExprTest, found: Vec<VectorSample>, fuzzy: bool) -> Result<(), String> {
    let time = go_duration(test.eval_time.0);
    let context = format!("expr: {:?}, time: {time}", test.expr);
    let mut expected = Vec::new();
    for sample in test.exp_samples.iter().flatten() {
        expected.push(read(sample).map_err(|error| format!("{context}, err: {error}"))?);
    }
    let mut found: Vec<(Labels, Content)> = found
        .into_iter()
        .map(|sample| {
            let content = match sample.value {
                Sample::Float(value) => Content::Float(value),
                Sample::Histogram(histogram) => Content::Histogram(histogram),
            };
            (sample.labels, content)
        })
        .collect();
    expected.sort_by(|left, right| left.0.cmp(&right.0));
    found.sort_by(|left, right| left.0.cmp(&right.0));
    let same =
        |(left, right): (&(Labels, Content), &(Labels, Content))| left.0 == right.0 && equal(&left.1, &right.1, fuzzy);
    if expected.len() == found.len() && expected.iter().zip(&found).all(same) {
        return Ok(());
    }
    let show = |samples: &[(Labels, Content)]| -> String {
        let text = |content: &Content| match content {
            Content::Float(value) => number::general(*value),
            Content::Histogram(histogram) => format!("{histogram:?}"),
        };
        samples.iter().map(|(labels, content)| format!("\n            {labels} {}", text(content))).collect()
    };
    Err(format!("{context},\n        exp:{}\n        got:{}", show(&expected), show(&found)))
}

fn read(sample: &ExpectedSample) -> Result<(Labels, Content), String> {
    let labels = if sample.labels.trim().is_empty() {
        Labels::empty()
    } else {
        notation::parse_labels(&sample.labels).map_err(|error| format!("labels {:?}: {error}", sample.labels))?
    };
    if sample.histogram.is_empty() {
        return Ok((labels, Content::Float(sample.value.0)));
    }
    match notation::parse_values(&sample.histogram)?.as_slice() {
        [Notated::Histogram { histogram, .. }] => Ok((labels, Content::Histogram(Arc::new(histogram.clone())))),
        _ => Err(format!("expected one histogram, found {:?}", sample.histogram)),
    }
}

fn equal(left: &Content, right: &Content, fuzzy: bool) -> bool {
    match (left, right) {
        (Content::Float(left), Content::Float(right)) => {
            left == right
                || left.is_nan() && right.is_nan()
                || fuzzy && (left.next_up() == *right || left.next_down() == *right)
        }
        (Content::Histogram(left), Content::Histogram(right)) => {
            let hints = left.counter_reset == right.counter_reset;
            left.same(right) && hints
        }
        _ => false,
    }
}

//! Runs one test: loads samples as time goes by, evaluates the groups, compares.

use std::sync::Arc;

use tidewatch_promql::histogram::CounterReset;
use tidewatch_promql::notation::{self, Notated};
use tidewatch_promql::{Histogram, Labels, Options, Sample};

use super::compare;
use super::file::{AlertTest, Test, TestFile};
use crate::memory::Memory;
use crate::rules::group::{self, GroupState, Settings};
use crate::rules::{Group, LoadOptions};
use crate::state::Phase;

type Timed = (i64, Sample);

/// Runs `test`; the reasons why it failed, if it did.
pub fn run(test: &Test, file: &TestFile, groups: &[Group], options: LoadOptions) -> Result<(), Vec<String>> {
    let step_ms = file.evaluation_interval.0;
    let input_ms = if test.interval.0 == 0 { step_ms } else { test.interval.0 };
    let start_ms = test.start_timestamp.0;
    let mut input = input(test, start_ms, input_ms).map_err(|error| vec![error])?;
    if test.alert_rule_test.iter().any(|alert| alert.alertname.is_empty()) {
        return Err(vec!["an item under alert_rule_test misses required attribute alertname".to_string()]);
    }
    let settings = Settings {
        interval_ms: input_ms,
        external_labels: test.external_labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        external_url: test.external_url.clone(),
        grammar: options.grammar,
        ..Settings::default()
    };
    let mut memory = Memory::new(Options { subquery_step_ms: step_ms, ..Options::default() });
    let mut states: Vec<GroupState> = groups.iter().map(GroupState::new).collect();
    let mut pending: Vec<&AlertTest> = test.alert_rule_test.iter().collect();
    pending.sort_by_key(|alert| alert.eval_time);
    let mut pending = pending.into_iter().peekable();
    let mut failures = Vec::new();
    let mut elapsed_ms = 0;
    while elapsed_ms <= last_ms(test) {
        let now_ms = start_ms + elapsed_ms;
        for (labels, samples) in &mut input {
            let until = samples.partition_point(|(time_ms, _)| *time_ms <= now_ms);
            samples.drain(..until).for_each(|(time_ms, value)| memory.push(labels, time_ms, &value));
        }
        let mut errors = Vec::new();
        for (group, state) in groups.iter().zip(&mut states) {
            for result in group::evaluate(group, state, now_ms, &mut memory, &settings) {
                let time = go_duration(elapsed_ms);
                errors.extend(result.error.map(|error| format!("rule: {}, time: {time}, err: {error}", result.name)));
            }
        }
        if !errors.is_empty() {
            failures.extend(errors);
            return Err(failures);
        }
        // An alert is compared with the last evaluation before its time.
        while let Some(alert) = pending.next_if(|alert| alert.eval_time.0 < elapsed_ms + step_ms) {
            failures.extend(compare::alerts(alert, &firing(&alert.alertname, groups, &states)).err());
        }
        elapsed_ms += step_ms;
    }
    for expression in &test.promql_expr_test {
        let time_ms = start_ms + expression.eval_time.0;
        let value = memory.value(&expression.expr, options.grammar, time_ms).and_then(crate::memory::vector);
        let outcome = match value {
            Ok(answered) => compare::samples(expression, answered.samples, file.fuzzy_compare),
            Err(error) => {
                let time = go_duration(expression.eval_time.0);
                Err(format!("expr: {:?}, time: {time}, err: {error}", expression.expr))
            }
        };
        failures.extend(outcome.err());
    }
    if failures.is_empty() { Ok(()) } else { Err(failures) }
}

fn input(test: &Test, start_ms: i64, interval_ms: i64) -> Result<Vec<(Labels, Vec<Timed>)>, String> {
    let mut input: Vec<(Labels, Vec<Timed>)> = Vec::new();
    for series in &test.input_series {
        let labels = notation::parse_labels(&series.series)?;
        let values = notation::parse_values(&series.values)?;
        let timed = values.into_iter().zip(0..).filter_map(|(value, at)| {
            let time_ms = start_ms + at * interval_ms;
            match value {
                Notated::Nothing => None,
                Notated::Float(value) => Some((time_ms, Sample::Float(value))),
                Notated::Histogram { histogram, .. } => Some((time_ms, Sample::Histogram(Arc::new(histogram)))),
            }
        });
        let mut timed: Vec<Timed> = timed.collect();
        with_resets(&mut timed);
        // Of a series that is written twice, the last counts.
        match input.iter_mut().find(|(known, _)| *known == labels) {
            Some(known) => known.1 = timed,
            None => input.push((labels, timed)),
        }
    }
    Ok(input)
}

/// Notes in each histogram after the first whether its counter began anew, as Prometheus' storage does.
fn with_resets(samples: &mut [Timed]) {
    let mut previous: Option<Arc<Histogram>> = None;
    for (_, sample) in samples {
        let Sample::Histogram(histogram) = sample else {
            previous = None;
            continue;
        };
        let before = previous.replace(histogram.clone());
        if histogram.counter_reset == CounterReset::Unknown
            && !histogram.is_stale()
            && let Some(before) = before
        {
            let is_reset = histogram.is_reset_after(&before);
            let counter_reset = if is_reset { CounterReset::Reset } else { CounterReset::NotReset };
            *histogram = Arc::new(Histogram { counter_reset, ..(**histogram).clone() });
        }
    }
}

fn last_ms(test: &Test) -> i64 {
    let alerts = test.alert_rule_test.iter().map(|alert| alert.eval_time.0);
    alerts.chain(test.promql_expr_test.iter().map(|expression| expression.eval_time.0)).max().unwrap_or(0)
}

type Alert = (Labels, Vec<(String, String)>);

fn firing(name: &str, groups: &[Group], states: &[GroupState]) -> Vec<Alert> {
    let rules = groups.iter().zip(states).flat_map(|(_, state)| &state.rules);
    let named = rules.filter(|rule| rule.is_alerting && *rule.name == *name);
    let active = named.flat_map(|rule| rule.state.active().map(|(_, instance)| instance));
    let firing = active.filter(|instance| instance.life.phase == Phase::Firing);
    firing.map(|instance| (instance.labels.clone(), instance.annotations.clone())).collect()
}

/// As Go prints a duration.
pub(super) fn go_duration(milliseconds: i64) -> String {
    let seconds = milliseconds / 1000;
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

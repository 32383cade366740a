//! Which threshold would have found known incidents.

use serde::Serialize;
use tidewatch_promql::{Limits, Matcher, Query, Storage, Value};

use super::instants::Block;
use super::machine::Machine;
use super::{BacktestOptions, fed, rows};
use crate::rules::{AlertingRule, Crossing, Group, Level, Rule, Threshold, Thresholds, split};
use std::sync::Arc;

/// Something that should have been noticed.
#[derive(Debug, Clone)]
pub struct Incident {
    /// Begin, milliseconds since the Unix epoch, inclusive.
    pub start_ms: i64,
    /// End, milliseconds since the Unix epoch, inclusive.
    pub end_ms: i64,
    /// Which alerts belong to it; all when empty.
    pub matchers: Vec<Matcher>,
}

/// How a threshold would have done.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Candidate {
    /// The threshold.
    pub threshold: f64,
    /// Alerts that would have fired.
    pub alerts: usize,
    /// Share of them, 0 to 1, that fired during an incident; `None` when there were none.
    pub precision: Option<f64>,
    /// Share of the incidents, 0 to 1, during which an alert fired; `None` when there were none.
    pub recall: Option<f64>,
    /// Median time from the begin of an incident to its first alert, in milliseconds, of those that were found.
    pub delay_ms: Option<i64>,
}

/// Why there is nothing to suggest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SuggestError {
    /// The rule compares nothing.
    #[error("expected a rule that compares a value with a constant, found {0:?} (hint: write it as `value > 5`)")]
    NoThreshold(String),
    /// The value cannot be evaluated.
    #[error("the rule's value cannot be evaluated: {0}")]
    Evaluation(String),
}

fn level_of(rule: &AlertingRule, options: &BacktestOptions) -> Result<(Query, Crossing), SuggestError> {
    if let Some(level) = &rule.level {
        return Ok((level.query.clone(), level.crossing));
    }
    let parts = split(&rule.query, options.settings.grammar);
    parts
        .map(|(query, crossing, _)| (query, crossing))
        .ok_or_else(|| SuggestError::NoThreshold(rule.query.text().to_string()))
}

/// Runs a rule of `group` with each of `thresholds` in place of its own and holds what fires against `incidents`. Each
/// value is evaluated once, whatever the number of thresholds; hysteresis is left out.
///
/// # Errors
/// [`SuggestError`].
pub fn suggest(
    group: &Group,
    rule: &AlertingRule,
    thresholds: &[f64],
    incidents: &[Incident],
    storage: &dyn Storage,
    options: &BacktestOptions,
) -> Result<Vec<Candidate>, SuggestError> {
    let (query, crossing) = level_of(rule, options)?;
    let placeholder = Thresholds::new(Threshold { fire: 0.0, resolve: None }, Vec::new());
    let level = Level { query: query.clone(), crossing, thresholds: placeholder };
    let rule = Arc::new(AlertingRule { level: Some(level), ..rule.clone() });
    let group = Group { rules: vec![Rule::Alerting(rule.clone())], ..group.clone() };
    let quiet = BacktestOptions { messages_max: 0, ..options.clone() };
    let mut machines: Vec<Machine> = thresholds
        .iter()
        .map(|fire| {
            let mut machine = Machine::new(&group, rule.clone(), false, &quiet);
            machine.threshold = Some(Threshold { fire: *fire, resolve: None });
            machine
        })
        .collect();
    let (grid, offset_ms) = (options.grid(&group), options.offset_ms(&group));
    let block_ms = grid.step_ms.saturating_mul(i64::try_from(options.block_len).unwrap_or(i64::MAX).max(1));
    let mut from_ms = Some(options.start_ms);
    while let Some(begin_ms) = from_ms.filter(|from_ms| *from_ms <= options.end_ms) {
        from_ms = begin_ms.checked_add(block_ms);
        let block = Block::of(&grid, begin_ms, from_ms);
        if block.len == 0 {
            break;
        }
        let rows = rows(&query, &block, offset_ms, storage, options).map_err(SuggestError::Evaluation)?;
        for machine in &mut machines {
            fed(machine, &rows, &block, offset_ms, storage, options);
        }
    }
    Ok(thresholds.iter().zip(&machines).map(|(threshold, machine)| judge(*threshold, machine, incidents)).collect())
}

fn judge(threshold: f64, machine: &Machine, incidents: &[Incident]) -> Candidate {
    let fired: Vec<_> = machine
        .intervals()
        .iter()
        .filter_map(|one| one.fired_at_ms.map(|fired_ms| (&one.labels, fired_ms, one.ended_at_ms.unwrap_or(i64::MAX))))
        .collect();
    let belongs = |incident: &Incident, (labels, fired_ms, ended_ms): &(&tidewatch_promql::Labels, i64, i64)| {
        *fired_ms <= incident.end_ms
            && *ended_ms > incident.start_ms
            && incident.matchers.iter().all(|matcher| matcher.matches_labels(labels))
    };
    let right = fired.iter().filter(|alert| incidents.iter().any(|incident| belongs(incident, alert))).count();
    let first = |incident: &Incident| {
        let alerts = fired.iter().filter(|alert| belongs(incident, alert));
        alerts.map(|alert| (alert.1 - incident.start_ms).max(0)).min()
    };
    let mut delays: Vec<i64> = incidents.iter().filter_map(first).collect();
    delays.sort_unstable();
    let share = |part: usize, whole: usize| (whole > 0).then(|| part as f64 / whole as f64);
    Candidate {
        threshold,
        alerts: fired.len(),
        precision: share(right, fired.len()),
        recall: share(delays.len(), incidents.len()),
        delay_ms: delays.get(delays.len() / 2).copied(),
    }
}

/// Values of the expression of a rule of `group` at `count` evenly spaced ranks, as thresholds to try; one in `stride`
/// of the group's instants is looked at.
///
/// # Errors
/// [`SuggestError`].
pub fn thresholds_seen(
    group: &Group,
    rule: &AlertingRule,
    count: usize,
    stride: usize,
    storage: &dyn Storage,
    options: &BacktestOptions,
) -> Result<Vec<f64>, SuggestError> {
    let (query, _) = level_of(rule, options)?;
    let step_ms = options.step_ms(group).saturating_mul(stride.max(1) as i64);
    let failed = |error: tidewatch_promql::QueryError| SuggestError::Evaluation(error.to_string());
    let plan = query.range(options.start_ms, options.end_ms, step_ms, &options.queries).map_err(failed)?;
    let mut values: Vec<f64> = match plan.run(storage, &Limits::none()).map_err(failed)?.value {
        Value::Matrix(rows) => rows.iter().flat_map(|row| row.floats.iter().map(|(_, value)| *value)).collect(),
        _ => Vec::new(),
    };
    values.retain(|value| value.is_finite());
    values.sort_unstable_by(f64::total_cmp);
    let rank = |at: usize| (values.len() - 1) * at / count.max(2).saturating_sub(1);
    let mut picked: Vec<f64> = if values.is_empty() {
        Vec::new()
    } else {
        (0..count).map(|at| values[rank(at).min(values.len() - 1)]).collect()
    };
    picked.dedup();
    Ok(picked)
}

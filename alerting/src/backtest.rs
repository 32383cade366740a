//! What rules would have done: the true state machine over a stretch of the past.
//!
//! ```text
//! storage ─▶ one range query per rule and block of instants ─▶ state::step per instant ─▶ intervals, noise, messages
//!    ▲                                            │
//!    └── what rules write, for later rules ◀──────┘
//! ```
//!
//! A block is evaluated rule by rule, which comes to the same as instant by instant as long as each rule reads only what
//! earlier rules write. Where one reads its own results, those of a later rule, or series of any name, the blocks are
//! one instant long; a query that asks for the start, end or step of its range is evaluated instant by instant.
//! Samples are taken as they are known now and as complete; a negative offset sees what was then the future.

mod diff;
mod layered;
mod machine;
mod reads;
mod report;
mod suggest;

use std::collections::{HashMap, HashSet};

use tidewatch_promql::{Labels, Limits, MatrixSeries, Options, Query, Sample, Storage, Value};

use crate::rules::group::{self, Settings};
use crate::rules::{Group, RecordingRule, Rule};
use crate::template::alert::Surroundings;

use layered::Layered;
use machine::{Block, Machine};

pub use diff::{Difference, diff};
pub use reads::back_ms;
pub use report::{Interval, Message, Noise, RuleReport};
pub use suggest::{Candidate, Incident, SuggestError, suggest, thresholds_seen};

/// The stretch of the past and how it is looked at.
#[derive(Debug, Clone)]
pub struct BacktestOptions {
    /// First instant, milliseconds since the Unix epoch.
    pub start_ms: i64,
    /// No instant lies after this, milliseconds since the Unix epoch.
    pub end_ms: i64,
    /// Between two instants, in milliseconds: the groups' interval.
    pub step_ms: i64,
    /// Most instants per range query.
    pub block_len: usize,
    /// Most sample messages kept per rule.
    pub messages_max: usize,
    /// Most intervals kept per rule; more are counted, not kept.
    pub intervals_max: usize,
    /// An alert that fires again within this time has flapped, in milliseconds.
    pub flap_ms: i64,
    /// What the server sets for all groups.
    pub settings: Settings,
    /// How far back a sample is looked for, in milliseconds.
    pub lookback_ms: i64,
}

impl BacktestOptions {
    /// From `start_ms` to `end_ms`, inclusive, with an instant every `step_ms`, all of them milliseconds.
    pub fn new(start_ms: i64, end_ms: i64, step_ms: i64) -> BacktestOptions {
        BacktestOptions {
            start_ms,
            end_ms,
            step_ms: step_ms.max(1),
            block_len: 1440,
            messages_max: 3,
            intervals_max: 10_000,
            flap_ms: 15 * 60_000,
            settings: Settings::default(),
            lookback_ms: 300_000,
        }
    }

    fn query_options(&self) -> Options {
        Options { lookback_ms: self.lookback_ms, subquery_step_ms: self.step_ms, ..Options::default() }
    }

    fn len(&self) -> usize {
        tidewatch_promql::plan::Grid::range(self.start_ms, self.end_ms, self.step_ms).len
    }
}

/// What rules would have done.
#[derive(Debug, Clone, PartialEq)]
pub struct Backtest {
    /// Number of instants.
    pub instants: usize,
    /// One per alerting rule, in order.
    pub rules: Vec<RuleReport>,
    /// Recording rules that failed: name and reason.
    pub failed_recordings: Vec<(String, String)>,
}

/// Runs `groups`, one after another, over the past in `storage`.
pub fn run(groups: &[Group], storage: &dyn Storage, options: &BacktestOptions) -> Backtest {
    let rules: Vec<(&Group, &Rule)> =
        groups.iter().flat_map(|group| group.rules.iter().map(move |rule| (group, rule))).collect();
    let reads = reads::Reads::of(&rules);
    let mut layers = Layered::new(storage);
    let mut machines: Vec<Option<Machine>> = rules
        .iter()
        .enumerate()
        .map(|(place, (group, rule))| match rule {
            Rule::Alerting(rule) => Some(Machine::new(group, rule.clone(), reads.alerts_are_read(place), options)),
            Rule::Recording(_) => None,
        })
        .collect();
    let mut failed: HashMap<usize, String> = HashMap::new();
    let mut present: Vec<HashSet<Labels>> = vec![HashSet::new(); rules.len()];
    let block_len = if reads.needs_instants { 1 } else { options.block_len.max(1) };
    let total = options.len();
    let mut done = 0;
    while done < total {
        let len = block_len.min(total - done);
        let block = Block { start_ms: options.start_ms + done as i64 * options.step_ms, step_ms: options.step_ms, len };
        for (place, (group, rule)) in rules.iter().enumerate() {
            let offset_ms = group.query_offset_ms.unwrap_or(options.settings.query_offset_ms);
            match (rule, &mut machines[place]) {
                (Rule::Recording(rule), _) => {
                    if !reads.is_read(place) {
                        continue;
                    }
                    let rows = rows(&rule.query, &block, offset_ms, &layers, options);
                    match rows.and_then(|rows| recorded(rule, rows)) {
                        Ok(rows) => write(&mut layers, &rows, &block, offset_ms, &mut present[place]),
                        Err(error) => {
                            failed.entry(place).or_insert(error);
                        }
                    }
                }
                (Rule::Alerting(rule), Some(machine)) => {
                    let query = rule.level.as_ref().map_or(&rule.query, |level| &level.query);
                    match rows(query, &block, offset_ms, &layers, options) {
                        Ok(rows) => {
                            let written = with_surroundings(&layers, options, &block, |around| {
                                machine.feed(&rows, &block, offset_ms, around)
                            });
                            written.iter().for_each(|(labels, samples)| layers.written.extend(labels, samples));
                        }
                        Err(error) => machine.fail(error),
                    }
                }
                (Rule::Alerting(_), None) => {}
            }
        }
        done += len;
        layers.written.forget_before(block.start_ms - reads.reach_ms(options));
    }
    let range_ms = total as i64 * options.step_ms;
    Backtest {
        instants: total,
        rules: machines.into_iter().flatten().map(|machine| machine.report(range_ms, options)).collect(),
        failed_recordings: failed
            .into_iter()
            .map(|(place, error)| (rules[place].1.name().to_string(), error))
            .collect(),
    }
}

/// What templates see at the instants of a block.
fn with_surroundings<T>(
    storage: &Layered<'_>,
    options: &BacktestOptions,
    block: &Block,
    act: impl FnOnce(&Surroundings<'_>) -> T,
) -> T {
    let ask = |text: &str| {
        let query = Query::parse(text, options.settings.grammar).map_err(|error| error.to_string())?;
        let answer = query.instant(block.start_ms, &options.query_options()).run(storage, &Limits::none());
        crate::memory::vector(answer.map_err(|error| error.to_string())?.value).map(|answered| answered.samples)
    };
    act(&Surroundings {
        external_labels: &options.settings.external_labels,
        external_url: &options.settings.external_url,
        now_ms: block.start_ms,
        ask: &ask,
    })
}

/// The values of a query at the instants of a block.
pub(crate) fn rows(
    query: &Query,
    block: &Block,
    offset_ms: i64,
    storage: &dyn Storage,
    options: &BacktestOptions,
) -> Result<Vec<MatrixSeries>, String> {
    let query_options = options.query_options();
    let (first_ms, last_ms) = (block.time(0) - offset_ms, block.time(block.len - 1) - offset_ms);
    if !reads::depends_on_range(query) {
        let plan = query.range(first_ms, last_ms, block.step_ms, &query_options).map_err(|error| error.to_string())?;
        let answer = plan.run(storage, &Limits::none()).map_err(|error| error.to_string())?;
        return match answer.value {
            Value::Matrix(rows) => Ok(rows),
            other => Err(format!("expected a range of samples, found a {}", other.kind())),
        };
    }
    let mut found: HashMap<Labels, MatrixSeries> = HashMap::new();
    for at in 0..block.len {
        let time_ms = block.time(at) - offset_ms;
        let answer = query.instant(time_ms, &query_options).run(storage, &Limits::none());
        let answered = crate::memory::vector(answer.map_err(|error| error.to_string())?.value)?;
        for sample in answered.samples {
            let row = found.entry(sample.labels.clone()).or_insert_with(|| MatrixSeries {
                labels: sample.labels.clone(),
                floats: Vec::new(),
                histograms: Vec::new(),
            });
            match sample.value {
                Sample::Float(value) => row.floats.push((time_ms, value)),
                Sample::Histogram(histogram) => row.histograms.push((time_ms, histogram)),
            }
        }
    }
    Ok(found.into_values().collect())
}

/// The rows with the recording rule's name and labels.
fn recorded(rule: &RecordingRule, mut rows: Vec<MatrixSeries>) -> Result<Vec<MatrixSeries>, String> {
    for row in &mut rows {
        row.labels = group::recorded_labels(rule, &row.labels);
    }
    rows.sort_by(|left, right| left.labels.cmp(&right.labels));
    if rows.windows(2).any(|pair| pair[0].labels == pair[1].labels) {
        return Err("vector contains metrics with the same labelset after applying rule labels".to_string());
    }
    Ok(rows)
}

/// Writes rows with marks where a series ends. `present` says which series came at the last instant.
fn write(
    layers: &mut Layered<'_>,
    rows: &[MatrixSeries],
    block: &Block,
    offset_ms: i64,
    present: &mut HashSet<Labels>,
) {
    let last_ms = block.time(block.len - 1) - offset_ms;
    let first_ms = block.time(0) - offset_ms;
    let begins = |row: &&MatrixSeries| row.floats.first().is_some_and(|(time_ms, _)| *time_ms == first_ms);
    let begun: HashSet<&Labels> = rows.iter().filter(begins).map(|row| &row.labels).collect();
    for labels in present.iter().filter(|labels| !begun.contains(labels)) {
        layers.written.extend(labels, &[(first_ms, tidewatch_promql::STALE)]);
    }
    present.clear();
    for row in rows {
        let mut samples = Vec::with_capacity(row.floats.len() + 1);
        let mut expected_ms = None;
        for (time_ms, value) in &row.floats {
            if let Some(expected_ms) = expected_ms.filter(|expected_ms| expected_ms < time_ms) {
                samples.push((expected_ms, tidewatch_promql::STALE));
            }
            samples.push((*time_ms, *value));
            expected_ms = Some(time_ms + block.step_ms);
        }
        match expected_ms {
            Some(expected_ms) if expected_ms <= last_ms => samples.push((expected_ms, tidewatch_promql::STALE)),
            Some(_) => {
                present.insert(row.labels.clone());
            }
            None => {}
        }
        layers.written.extend(&row.labels, &samples);
        for (time_ms, histogram) in &row.histograms {
            layers.written.push(&row.labels, *time_ms, &Sample::Histogram(histogram.clone()));
        }
    }
}

#[cfg(test)]
mod tests;

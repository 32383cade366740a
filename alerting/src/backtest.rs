//! What rules would have done: the true state machine over a stretch of the past.
//!
//! ```text
//! storage ─▶ one range query per rule and block of instants ─▶ state::step per instant ─▶ intervals, noise, messages
//!    ▲                                            │
//!    └── what rules write, for later rules ◀──────┘
//! ```
//!
//! Each group has instants at its own interval, unless one step is asked for. A block is a stretch of time and is
//! evaluated rule by rule, which comes to the same as instant by instant as long as each rule reads only what earlier
//! rules write. Where one reads its own results, those of a later rule, or series of any name, the blocks are
//! one instant long; a query that asks for the start, end or step of its range is evaluated instant by instant.
//! Samples are taken as they are known now and as complete; a negative offset sees what was then the future.

mod diff;
mod instants;
mod layered;
mod machine;
mod reads;
mod report;
mod suggest;

use std::collections::{HashMap, HashSet};

use tidewatch_promql::plan::Grid;
use tidewatch_promql::{Labels, Limits, MatrixSeries, Options, Query, Sample, Storage, Value, VectorSample};

use crate::rules::group::{self, Settings};
use crate::rules::{Group, RecordingRule, Rule};

use instants::Block;
use layered::Layered;
use machine::{Around, Machine};
use reads::{Reads, Together};

pub use diff::{Difference, diff};
pub use reads::back_ms;
pub use report::{Interval, Message, Noise, RuleReport};
pub use suggest::{Candidate, Incident, SuggestError, suggest, thresholds_seen};

/// How far apart the instants of a group lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// So many milliseconds, whatever the group says.
    Every(i64),
    /// The group's own interval, but at least so many milliseconds.
    AtLeast(i64),
}

/// The stretch of the past and how it is looked at.
#[derive(Debug, Clone)]
pub struct BacktestOptions {
    /// First instant, milliseconds since the Unix epoch.
    pub start_ms: i64,
    /// No instant lies after this, milliseconds since the Unix epoch.
    pub end_ms: i64,
    /// How far apart the instants lie.
    pub step: Step,
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
    /// How queries are evaluated.
    pub queries: Options,
}

impl BacktestOptions {
    /// From `start_ms` to `end_ms`, inclusive, with an instant every `step_ms` for all groups, all of them milliseconds.
    pub fn new(start_ms: i64, end_ms: i64, step_ms: i64) -> BacktestOptions {
        BacktestOptions {
            start_ms,
            end_ms,
            step: Step::Every(step_ms),
            block_len: 1440,
            messages_max: 3,
            intervals_max: 10_000,
            flap_ms: 15 * 60_000,
            settings: Settings::default(),
            queries: Options::default(),
        }
    }

    /// Between two instants of `group`, in milliseconds, above zero.
    pub fn step_ms(&self, group: &Group) -> i64 {
        let step_ms = match self.step {
            Step::Every(step_ms) => step_ms,
            Step::AtLeast(least_ms) => group.interval_ms.unwrap_or(self.settings.interval_ms).max(least_ms),
        };
        step_ms.max(1)
    }

    /// How far before an instant `group` looks at the data, in milliseconds.
    fn offset_ms(&self, group: &Group) -> i64 {
        group.query_offset_ms.unwrap_or(self.settings.query_offset_ms)
    }

    /// The instants of `group`.
    fn grid(&self, group: &Group) -> Grid {
        Grid::range(self.start_ms, self.end_ms, self.step_ms(group))
    }
}

/// What rules would have done.
#[derive(Debug, Clone, PartialEq)]
pub struct Backtest {
    /// One per alerting rule, in order.
    pub rules: Vec<RuleReport>,
    /// Recording rules that failed: name and reason.
    pub failed_recordings: Vec<(String, String)>,
}

/// Runs `groups`, one after another, over the past in `storage`.
pub fn run(groups: &[Group], storage: &dyn Storage, options: &BacktestOptions) -> Backtest {
    let rules: Vec<(&Group, &Rule)> =
        groups.iter().flat_map(|group| group.rules.iter().map(move |rule| (group, rule))).collect();
    let reads = Reads::of(&rules, options.settings.grammar);
    let mut running: Vec<Running<'_>> = rules
        .iter()
        .enumerate()
        .map(|(place, (group, rule))| Running::new(group, rule, reads.is_read(place), options))
        .collect();
    let steps_ms: Vec<i64> = running.iter().map(|one| one.grid.step_ms).collect();
    for together in reads.together(&steps_ms) {
        run_together(&together, &mut running, storage, options);
    }
    let mut backtest = Backtest { rules: Vec::new(), failed_recordings: Vec::new() };
    for one in running {
        backtest.rules.extend(one.machine.map(|machine| machine.report(&one.grid)));
        backtest.failed_recordings.extend(one.failed.map(|error| (one.rule.name().to_string(), error)));
    }
    backtest
}

/// A rule on its way through the past.
struct Running<'r> {
    rule: &'r Rule,
    grid: Grid,
    offset_ms: i64,
    is_read: bool,
    /// Its alerts, if it has some.
    machine: Option<Machine>,
    /// Series of the last instant, of a rule that records.
    present: HashSet<Labels>,
    /// Why it could not record.
    failed: Option<String>,
}

impl<'r> Running<'r> {
    fn new(group: &Group, rule: &'r Rule, is_read: bool, options: &BacktestOptions) -> Running<'r> {
        let machine = match rule {
            Rule::Alerting(rule) => Some(Machine::new(group, rule.clone(), is_read, options)),
            Rule::Recording(_) => None,
        };
        let (grid, offset_ms) = (options.grid(group), options.offset_ms(group));
        Running { rule, grid, offset_ms, is_read, machine, present: HashSet::new(), failed: None }
    }

    fn step(&mut self, block: &Block, layers: &mut Layered<'_>, options: &BacktestOptions) {
        match (self.rule, &mut self.machine) {
            (Rule::Recording(rule), _) => {
                if !self.is_read {
                    return;
                }
                let rows = rows(&rule.query, block, self.offset_ms, &*layers, options);
                match rows.and_then(|rows| recorded(rule, rows)) {
                    Ok(rows) => write(layers, &rows, block, self.offset_ms, &mut self.present),
                    Err(error) => {
                        self.failed.get_or_insert(error);
                    }
                }
            }
            (Rule::Alerting(rule), Some(machine)) => {
                let query = rule.level.as_ref().map_or(&rule.query, |level| &level.query);
                match rows(query, block, self.offset_ms, &*layers, options) {
                    Ok(rows) => {
                        let written = fed(machine, &rows, block, self.offset_ms, &*layers, options);
                        written.iter().for_each(|(labels, samples)| layers.written.extend(labels, samples));
                    }
                    Err(error) => machine.fail(error),
                }
            }
            (Rule::Alerting(_), None) => {}
        }
    }
}

/// Runs rules side by side over the whole stretch.
fn run_together(together: &Together, rules: &mut [Running<'_>], storage: &dyn Storage, options: &BacktestOptions) {
    let mut layers = Layered::new(storage);
    let finest_ms = together.places.iter().map(|place| rules[*place].grid.step_ms).min().unwrap_or(1);
    let block_ms = finest_ms.saturating_mul(i64::try_from(options.block_len).unwrap_or(i64::MAX).max(1));
    let reach_ms = together.reach_ms(block_ms, options.queries.lookback_ms);
    let mut from_ms = options.start_ms;
    while from_ms <= options.end_ms {
        let until_ms = match together.needs_instants {
            true => together.places.iter().filter_map(|place| instants::after(&rules[*place].grid, from_ms)).min(),
            false => from_ms.checked_add(block_ms),
        };
        for place in &together.places {
            let block = Block::of(&rules[*place].grid, from_ms, until_ms);
            if block.len > 0 {
                rules[*place].step(&block, &mut layers, options);
            }
        }
        layers.written.forget_before(from_ms.saturating_sub(reach_ms));
        let Some(until_ms) = until_ms else { break };
        from_ms = until_ms;
    }
}

/// Feeds a machine its rows; what it writes. Templates are answered as of the instant at which they are expanded.
fn fed(
    machine: &mut Machine,
    rows: &[MatrixSeries],
    block: &Block,
    offset_ms: i64,
    storage: &dyn Storage,
    options: &BacktestOptions,
) -> machine::Runs {
    let ask = |text: &str, time_ms: i64| answer(text, time_ms, storage, options);
    machine.feed(rows, block, offset_ms, &Around { settings: &options.settings, ask: &ask })
}

fn answer(
    text: &str,
    time_ms: i64,
    storage: &dyn Storage,
    options: &BacktestOptions,
) -> Result<Vec<VectorSample>, String> {
    let query = Query::parse(text, options.settings.grammar).map_err(|error| error.to_string())?;
    let answer = query.instant(time_ms, &options.queries).run(storage, &Limits::none());
    crate::memory::vector(answer.map_err(|error| error.to_string())?.value).map(|answered| answered.samples)
}

/// The values of a query at the instants of a block.
pub(crate) fn rows(
    query: &Query,
    block: &Block,
    offset_ms: i64,
    storage: &dyn Storage,
    options: &BacktestOptions,
) -> Result<Vec<MatrixSeries>, String> {
    let (first_ms, last_ms) = (block.time(0) - offset_ms, block.time(block.len - 1) - offset_ms);
    if !reads::depends_on_range(query) {
        let plan =
            query.range(first_ms, last_ms, block.step_ms, &options.queries).map_err(|error| error.to_string())?;
        let answer = plan.run(storage, &Limits::none()).map_err(|error| error.to_string())?;
        return match answer.value {
            Value::Matrix(rows) => Ok(rows),
            other => Err(format!("expected a range of samples, found a {}", other.kind())),
        };
    }
    let mut found: HashMap<Labels, MatrixSeries> = HashMap::new();
    for at in 0..block.len {
        let time_ms = block.time(at) - offset_ms;
        let answer = query.instant(time_ms, &options.queries).run(storage, &Limits::none());
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

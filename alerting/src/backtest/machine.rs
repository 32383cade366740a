//! The state machine of one alerting rule over blocks of instants.

use std::collections::HashMap;
use std::sync::Arc;

use tidewatch_promql::plan::Grid;
use tidewatch_promql::{Labels, MatrixSeries, STALE, VectorSample};

use super::BacktestOptions;
use super::instants::Block;
use super::report::{Interval, Message, NoiseMeter, RuleReport};
use crate::rules::group::{self, Settings};
use crate::rules::{AlertingRule, Group, Threshold, Verdict, verdict as verdict_of};
use crate::state::series::{ALERTS_FOR_STATE, alerts_labels};
use crate::state::{Completeness, Instant, Life, Phase, Policy, expand, step};
use crate::template::alert::{AlertFacts, Surroundings};

/// Answers a template's query at a time of the data, milliseconds since the Unix epoch.
pub type Ask<'a> = &'a dyn Fn(&str, i64) -> Result<Vec<VectorSample>, String>;

/// What templates see at any instant.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// What the server sets.
    pub settings: &'a Settings,
    /// Answers `query`.
    pub ask: Ask<'a>,
}

/// Runs of samples by labels.
pub type Runs = Vec<(Labels, Vec<(i64, f64)>)>;

/// One alert.
#[derive(Debug)]
struct Slot {
    labels: Labels,
    life: Option<Life>,
    /// Number of the instant that saw it last, counted over all blocks from 1.
    seen: u64,
    verdict: Verdict,
    value: f64,
    /// Its row of the block.
    row: usize,
    /// Whether it is active, and since when it fires.
    open: Option<Option<i64>>,
    /// Place of its interval that is not over, if that is kept.
    interval: Option<usize>,
    is_listed: bool,
    /// The phase that was written last, until its end is.
    written: Option<Phase>,
    /// Its series: `ALERTS` pending and firing, `ALERTS_FOR_STATE`.
    series: Option<[Labels; 3]>,
}

/// The alerts of a rule.
#[derive(Debug)]
pub struct Machine {
    rule: Arc<AlertingRule>,
    group: Arc<str>,
    policy: Policy,
    limit: usize,
    writes: bool,
    /// Thresholds to be used instead of the rule's.
    pub threshold: Option<Threshold>,
    labels_are_fixed: bool,
    slots: Vec<Slot>,
    by_labels: HashMap<Labels, usize>,
    by_source: HashMap<Labels, usize>,
    /// Slots with a life, and those seen at this instant.
    listed: Vec<usize>,
    instant: u64,
    firing_instants: u64,
    intervals: Vec<Interval>,
    intervals_dropped: u64,
    noise: NoiseMeter,
    flap_ms: i64,
    messages: Vec<Message>,
    error: Option<String>,
    errors: u64,
    intervals_max: usize,
    messages_max: usize,
}

/// A row of the block being fed.
struct Row<'r> {
    series: &'r MatrixSeries,
    next: usize,
    slot: Option<usize>,
    threshold: Option<Threshold>,
}

impl Machine {
    /// No alerts yet. `writes`: `ALERTS` is wanted.
    pub fn new(group: &Group, rule: Arc<AlertingRule>, writes: bool, options: &BacktestOptions) -> Machine {
        Machine {
            policy: group::policy(&rule),
            labels_are_fixed: rule.labels.iter().all(|(_, template)| template.depends_on_labels_only()),
            rule,
            group: group.name.clone(),
            limit: group.limit,
            writes,
            threshold: None,
            slots: Vec::new(),
            by_labels: HashMap::new(),
            by_source: HashMap::new(),
            listed: Vec::new(),
            instant: 0,
            firing_instants: 0,
            intervals: Vec::new(),
            intervals_dropped: 0,
            noise: NoiseMeter::default(),
            flap_ms: options.flap_ms,
            messages: Vec::new(),
            error: None,
            errors: 0,
            intervals_max: options.intervals_max,
            messages_max: options.messages_max,
        }
    }

    /// Notes that the rule could not be evaluated.
    pub fn fail(&mut self, error: String) {
        self.errors += 1;
        self.error.get_or_insert(error);
    }

    /// Goes through the instants of a block. `rows` hold the samples of the rule's query, whose times are `offset_ms`
    /// before the instants. What the alerts write is returned if it is wanted.
    pub fn feed(&mut self, rows: &[MatrixSeries], block: &Block, offset_ms: i64, around: &Around<'_>) -> Runs {
        let level = self.rule.level.clone();
        let fixed = self.threshold;
        let mut rows: Vec<Row<'_>> = rows
            .iter()
            .map(|series| Row {
                series,
                next: 0,
                slot: self.by_source.get(&series.labels).copied(),
                threshold: fixed.or_else(|| level.as_ref().map(|level| level.thresholds.of(&series.labels))),
            })
            .collect();
        let crossing = level.as_ref().map(|level| level.crossing);
        let mut runs = HashMap::new();
        for at in 0..block.len {
            let now_ms = block.time(at);
            let ask = |text: &str| (around.ask)(text, now_ms - offset_ms);
            let around = Surroundings {
                external_labels: &around.settings.external_labels,
                external_url: &around.settings.external_url,
                now_ms,
                ask: &ask,
            };
            self.instant += 1;
            let mut is_ambiguous = false;
            for (place, row) in rows.iter_mut().enumerate() {
                let Some((_, value)) = row.series.floats.get(row.next).filter(|sample| sample.0 == now_ms - offset_ms)
                else {
                    continue;
                };
                row.next += 1;
                let verdict = match (crossing, row.threshold) {
                    (Some(crossing), Some(threshold)) => verdict_of(crossing, *value, threshold),
                    _ => Verdict::Holds,
                };
                if verdict == Verdict::Clear {
                    continue;
                }
                let threshold = row.threshold.map(|threshold| threshold.fire);
                let facts = AlertFacts { labels: &row.series.labels, value: *value, threshold };
                let slot = row.slot.unwrap_or_else(|| self.slot(facts, &around));
                if self.labels_are_fixed {
                    row.slot = Some(slot);
                }
                is_ambiguous |= !self.see(slot, verdict, *value, place);
            }
            if is_ambiguous {
                self.fail("vector contains metrics with the same labelset after applying alert labels".to_string());
                self.forget_seen();
                continue;
            }
            if !self.listed.is_empty() {
                self.advance(now_ms, &rows, &around);
                if self.writes {
                    self.write(now_ms - offset_ms, &mut runs);
                }
            }
        }
        runs.into_iter().collect()
    }

    /// The slot of the alert with these facts.
    fn slot(&mut self, facts: AlertFacts<'_>, around: &Surroundings<'_>) -> usize {
        let labels = expand::labels(&self.rule, facts, around);
        let slots = &mut self.slots;
        let slot = *self.by_labels.entry(labels.clone()).or_insert_with(|| {
            slots.push(Slot {
                labels,
                life: None,
                seen: 0,
                verdict: Verdict::Clear,
                value: 0.0,
                row: 0,
                open: None,
                interval: None,
                is_listed: false,
                written: None,
                series: None,
            });
            slots.len() - 1
        });
        if self.labels_are_fixed {
            self.by_source.insert(facts.labels.clone(), slot);
        }
        slot
    }

    /// Notes a sample; false when the alert has one already.
    fn see(&mut self, slot: usize, verdict: Verdict, value: f64, row: usize) -> bool {
        let instant = self.instant;
        let one = &mut self.slots[slot];
        let is_first = one.seen != instant;
        (one.seen, one.verdict, one.value, one.row) = (instant, verdict, value, row);
        if !one.is_listed {
            one.is_listed = true;
            self.listed.push(slot);
        }
        is_first
    }

    fn forget_seen(&mut self) {
        let slots = &mut self.slots;
        self.listed.retain(|slot| {
            let one = &mut slots[*slot];
            one.is_listed = one.life.is_some();
            one.is_listed
        });
    }

    fn advance(&mut self, now_ms: i64, rows: &[Row<'_>], around: &Surroundings<'_>) {
        let at = Instant { now_ms, completeness: Completeness::Complete };
        let listed = std::mem::take(&mut self.listed);
        let mut active = 0;
        let mut is_firing = false;
        for place in &listed {
            let slot = &self.slots[*place];
            let verdict = if slot.seen == self.instant { slot.verdict } else { Verdict::Clear };
            let before = slot.life;
            // A resolved alert needs no remembering here: nobody has to be told again.
            let after = step(before, verdict, &self.policy, at).life.filter(|life| life.phase.is_active());
            active += usize::from(after.is_some());
            is_firing |= after.is_some_and(|life| life.phase == Phase::Firing);
            if before.map(|life| life.phase) != after.map(|life| life.phase) {
                self.changed(*place, before, after, now_ms, rows, around);
            }
            self.slots[*place].life = after;
        }
        self.listed = listed;
        self.forget_seen();
        if self.limit > 0 && active > self.limit {
            self.fail(format!("exceeded limit of {} with {active} alerts", self.limit));
            for place in std::mem::take(&mut self.listed) {
                self.end(place, now_ms);
                (self.slots[place].life, self.slots[place].is_listed) = (None, false);
            }
        } else {
            self.firing_instants += u64::from(is_firing);
        }
    }

    fn changed(
        &mut self,
        place: usize,
        before: Option<Life>,
        after: Option<Life>,
        now_ms: i64,
        rows: &[Row<'_>],
        around: &Surroundings<'_>,
    ) {
        if before.is_none() {
            self.begin(place, now_ms);
        }
        match after {
            None => self.end(place, now_ms),
            Some(life) if life.phase == Phase::Firing => {
                self.slots[place].open = Some(Some(now_ms));
                if let Some(interval) = self.slots[place].interval.and_then(|at| self.intervals.get_mut(at)) {
                    interval.fired_at_ms = Some(now_ms);
                }
                if self.messages.len() < self.messages_max {
                    self.message(place, now_ms, rows, around);
                }
            }
            Some(_) => {}
        }
    }

    fn begin(&mut self, place: usize, now_ms: i64) {
        self.slots[place].open = Some(None);
        if self.intervals.len() >= self.intervals_max {
            self.intervals_dropped += 1;
            self.slots[place].interval = None;
            return;
        }
        self.slots[place].interval = Some(self.intervals.len());
        self.intervals.push(Interval {
            labels: self.slots[place].labels.clone(),
            active_at_ms: now_ms,
            fired_at_ms: None,
            ended_at_ms: None,
        });
    }

    fn end(&mut self, place: usize, now_ms: i64) {
        if let Some(fired_at_ms) = self.slots[place].open.take() {
            self.noise.alert(place, fired_at_ms, Some(now_ms), now_ms, self.flap_ms);
        }
        if let Some(interval) = self.slots[place].interval.take().and_then(|at| self.intervals.get_mut(at)) {
            interval.ended_at_ms = Some(now_ms);
        }
    }

    fn message(&mut self, place: usize, now_ms: i64, rows: &[Row<'_>], around: &Surroundings<'_>) {
        let slot = &self.slots[place];
        let Some(row) = rows.get(slot.row) else { return };
        let threshold = row.threshold.map(|threshold| threshold.fire);
        let facts = AlertFacts { labels: &row.series.labels, value: slot.value, threshold };
        // What leaves this server has its labels, too; those of the alert come first.
        let own = slot.labels.iter().map(|label| (label.name.clone(), label.value.clone()));
        let text = |text: &String| Arc::<str>::from(text.as_str());
        let external = around.external_labels.iter().map(|(name, value)| (text(name), text(value)));
        self.messages.push(Message {
            time_ms: now_ms,
            labels: Labels::new(external.chain(own)),
            annotations: expand::annotations(&self.rule, facts, around),
            value: slot.value,
        });
    }

    /// What the alerts write at one instant: `ALERTS`, `ALERTS_FOR_STATE`, and marks where one ends.
    fn write(&mut self, time_ms: i64, runs: &mut HashMap<Labels, Vec<(i64, f64)>>) {
        for slot in self.slots.iter_mut().filter(|slot| slot.life.is_some() || slot.written.is_some()) {
            let own = &slot.labels;
            let series = slot.series.get_or_insert_with(|| {
                let alerts = |phase| alerts_labels(own, phase);
                [alerts(Phase::Pending), alerts(Phase::Firing), own.with("__name__", ALERTS_FOR_STATE)]
            });
            let place = |phase: Phase| usize::from(phase == Phase::Firing);
            let mut put = |labels: &Labels, value: f64| match runs.get_mut(labels) {
                Some(run) => run.push((time_ms, value)),
                None => {
                    runs.insert(labels.clone(), vec![(time_ms, value)]);
                }
            };
            let phase = slot.life.map(|life| life.phase);
            if let Some(before) = slot.written.filter(|before| Some(*before) != phase) {
                put(&series[place(before)], STALE);
            }
            match slot.life {
                Some(life) => {
                    put(&series[place(life.phase)], 1.0);
                    put(&series[2], life.active_at_ms.div_euclid(1000) as f64);
                }
                None => put(&series[2], STALE),
            }
            slot.written = phase;
        }
    }

    /// The intervals that were found.
    pub fn intervals(&self) -> &[Interval] {
        &self.intervals
    }

    /// What was found, when it was fed the instants of `grid`.
    pub fn report(mut self, grid: &Grid) -> RuleReport {
        let firing_ms = i64::try_from(self.firing_instants).unwrap_or(i64::MAX).saturating_mul(grid.step_ms);
        let range_ms = i64::try_from(grid.len).unwrap_or(i64::MAX).saturating_mul(grid.step_ms);
        let end_ms = grid.start_ms.saturating_add(range_ms);
        for (place, slot) in self.slots.iter().enumerate() {
            if let Some(fired_at_ms) = slot.open {
                self.noise.alert(place, fired_at_ms, None, end_ms, self.flap_ms);
            }
        }
        let noise = self.noise.noise(firing_ms, range_ms);
        RuleReport {
            group: self.group.to_string(),
            rule: self.rule.name.to_string(),
            step_ms: grid.step_ms,
            instants: grid.len,
            noise,
            intervals: self.intervals,
            intervals_dropped: self.intervals_dropped,
            messages: self.messages,
            error: self.error,
            errors: self.errors,
        }
    }
}

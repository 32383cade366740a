//! Explains alerts that begin to fire, beside the evaluation and after it: no page waits for an explanation.
//!
//! ```text
//! evaluation ─▶ alert (value, threshold, runbook) ─▶ notifier ─▶ message after group_wait
//!          └──▶ queue ─▶ queries ─▶ baseline, shares ──▲ put to the alert there
//! ```
//!
//! What is found before the group's first message is in it. What comes later is in the next one that tells of the
//! alert; it causes none. An explanation that fails is counted and nothing else.

use crate::begin::Shared;
use crate::data::Data;
use crate::evaluate::{labels_of, timestamp, with_external};
use crate::ledger::{Row, STAGE_CONTRIBUTIONS};
use crate::recent::Recent;
use crate::store::Change;
use prometheus::IntCounter;
use std::sync::Arc;
use std::time::Duration;
use tidewatch_alerting::contributions::{self, Found};
use tidewatch_alerting::memory::vector;
use tidewatch_alerting::receiver::text;
use tidewatch_alerting::route::Labels;
use tidewatch_alerting::rules::group::{Answered, RuleResult, Source};
use tidewatch_alerting::rules::{AlertingRule, Group, Rule};
use tidewatch_alerting::state::Phase;
use tidewatch_notify::Clock;
use tidewatch_promql::{Labels as Series, Query, VectorSample};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// Alerts that wait to be explained. What comes beyond is told unexplained, and counted.
const WAITING_MAX: usize = 1000;
/// Alerts that are explained at the same time.
const CONCURRENCY_MAX: usize = 2;
/// An explanation that takes longer is given up.
const TIMEOUT: Duration = Duration::from_secs(10);

/// An alert that began to fire.
#[derive(Debug)]
pub(crate) struct Question {
    rule: Arc<AlertingRule>,
    /// As the rule's state has them.
    series: Series,
    /// As the notifier has them.
    labels: Labels,
    value: f64,
    /// The instant that the rule looked at, milliseconds since the epoch.
    time_ms: i64,
    /// When it began to fire, milliseconds since the epoch.
    fired_ms: i64,
}

/// Where questions are put, without waiting.
#[derive(Debug)]
pub(crate) struct Questions {
    sender: mpsc::Sender<Question>,
    dropped: IntCounter,
}

/// The other end.
#[derive(Debug)]
pub(crate) struct Waiting(pub(crate) mpsc::Receiver<Question>);

impl Questions {
    pub fn new(dropped: IntCounter) -> (Waiting, Self) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        (Waiting(receiver), Self { sender, dropped })
    }
}

/// Asks about every alert that began to fire in an evaluation at `at_ms`.
pub(crate) fn ask(shared: &Shared, group: &Group, results: &[RuleResult], at_ms: i64) {
    let settings = &shared.settings.groups;
    let time_ms = at_ms - group.query_offset_ms.unwrap_or(settings.query_offset_ms);
    for (rule, result) in group.rules.iter().zip(results) {
        let Rule::Alerting(rule) = rule else { continue };
        let firing = Some(Phase::Firing);
        for entry in result.entries.iter().filter(|entry| entry.to == firing && entry.from != firing) {
            let question = Question {
                rule: Arc::clone(rule),
                series: entry.labels.clone(),
                labels: with_external(labels_of(&entry.labels), &settings.external_labels),
                value: entry.value,
                time_ms,
                fired_ms: entry.time_ms,
            };
            if shared.questions.sender.try_send(question).is_err() {
                shared.questions.dropped.inc();
            }
        }
    }
}

/// Explains until it is stopped. What still waits then stays unexplained.
pub(crate) async fn run(shared: Arc<Shared>, waiting: Waiting, mut stop: watch::Receiver<bool>) {
    let mut receiver = waiting.0;
    let mut running = JoinSet::new();
    while !*stop.borrow() {
        let is_free = running.len() < CONCURRENCY_MAX;
        tokio::select! {
            question = receiver.recv(), if is_free => {
                let Some(question) = question else { break };
                let (shared, runtime, stopped) = (Arc::clone(&shared), Handle::current(), stop.clone());
                // It blocks on its queries, and the store on the disk.
                running.spawn_blocking(move || answer(&shared, &question, runtime, stopped));
            }
            _ = running.join_next(), if !is_free => {}
            changed = stop.changed() => if changed.is_err() { break },
        }
    }
    while running.join_next().await.is_some() {}
}

/// Explains one alert, if it still fires. Blocks.
pub(crate) fn answer(shared: &Shared, question: &Question, runtime: Handle, stop: watch::Receiver<bool>) {
    let (alert, starts_at) = (question.labels.fingerprint(), timestamp(question.fired_ms));
    let now = timestamp(shared.clock.now_ms());
    let fires = shared.notifier().state.store.get(alert).is_some_and(|alert| !alert.resolved_at(now));
    if !fires {
        return;
    }
    let source = Bounded {
        data: Arc::clone(&shared.data),
        recent: Arc::clone(&shared.recent),
        runtime,
        stop,
        clock: Arc::clone(&shared.clock),
        until: shared.clock.monotonic() + TIMEOUT,
    };
    let asked = contributions::Asked {
        rule: &question.rule,
        labels: &question.series,
        value: question.value,
        time_ms: question.time_ms,
    };
    match contributions::explain(&asked, &shared.data.options(), &source) {
        Ok(found) => {
            shared.metrics.explanations.inc();
            if !found.is_empty() {
                put(shared, question, &found);
            }
        }
        Err(error) => {
            shared.metrics.explanations_failed.inc();
            tracing::debug!(rule = %question.rule.name, %alert, %starts_at, "not explained: {error}");
        }
    }
}

/// Puts what was found to the alert, and writes it down.
fn put(shared: &Shared, question: &Question, found: &Found) {
    let (alert, starts_at) = (question.labels.fingerprint(), timestamp(question.fired_ms));
    let mut notifier = shared.notifier();
    if !contributions::attach(&mut notifier.state, alert, starts_at, found) {
        return;
    }
    let known = notifier.state.store.get(alert);
    let row = Row {
        time_ms: shared.clock.now_ms(),
        stage: STAGE_CONTRIBUTIONS.to_owned(),
        alert: Some(alert.to_string()),
        rule: Some(question.rule.name.to_string()),
        labels: question.labels.0.clone(),
        reason: known.map(text::numbers).unwrap_or_default(),
        value: Some(question.value).filter(|value| value.is_finite()),
        ..Row::default()
    };
    let change = Change { notifier: Some(&notifier.state), rows: &[row], ..Change::default() };
    if let Err(error) = shared.store.write(&change) {
        // It is in memory, and with the next write on the disk.
        shared.metrics.store_failures.inc();
        tracing::error!(%error, "what explains an alert could not be written down");
    }
}

/// Answers from [`Data`] until the time is over or the process stops.
#[derive(Debug)]
struct Bounded {
    data: Arc<dyn Data>,
    recent: Arc<Recent>,
    runtime: Handle,
    stop: watch::Receiver<bool>,
    clock: Arc<dyn Clock>,
    /// By the monotonic clock.
    until: Duration,
}

impl Source for Bounded {
    fn ask(&self, query: &Query, time_ms: i64) -> Result<Answered, String> {
        let plan = query.instant(time_ms, &self.data.options());
        let left = self.until.saturating_sub(self.clock.monotonic());
        let mut stop = self.stop.clone();
        let answer = self.runtime.block_on(async {
            tokio::select! {
                answer = self.data.answer(plan, Arc::clone(&self.recent) as _) => answer,
                () = tokio::time::sleep(left) => Err(format!("it took longer than {} s", TIMEOUT.as_secs())),
                _ = stop.wait_for(|stop| *stop) => Err("the process stops".to_owned()),
            }
        });
        let (answer, completeness) = answer?;
        Ok(Answered { completeness, ..vector(answer.value)? })
    }

    /// An explanation writes nothing.
    fn write(&mut self, _: &[VectorSample]) {}
}

#[cfg(test)]
mod tests;

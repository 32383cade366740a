//! When a group is evaluated, and what follows from it.
//!
//! A group is due once per interval by the clock, at the instants that Prometheus would choose, and whenever data of
//! the metrics that it reads has changed: then at the present instant, at most once in
//! [`react_min_ms`](crate::RulerSettings::react_min_ms). What a group does by the clock leaves it three quarters of the
//! time to rest; all groups share one processor's quarter for what they do on news, so that a few hundred of them
//! take no more of the machine than one, and those that take little still answer news at once.

use crate::begin::Shared;
use crate::book::GroupBook;
use crate::contributions;
use crate::data::Data;
use crate::ledger::Row;
use crate::source::{DataSource, StopWatch};
use crate::store::Change;
use chrono::DateTime;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tidewatch_alerting::contributions::links;
use tidewatch_alerting::route::alert::{Alert, AlertDetail};
use tidewatch_alerting::route::{Labels, Timestamp};
use tidewatch_alerting::rules::group::{self, GroupState, RuleResult};
use tidewatch_alerting::rules::schedule::{Due, due, is_set_back};
use tidewatch_alerting::rules::{Group, Rule};
use tidewatch_alerting::state::send::{self, SentAlert};
use tidewatch_alerting::state::{Completeness, Fingerprint, RuleState};
use tidewatch_promql::Labels as Series;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Evaluations may take one part in so many of the time: those by the clock of their group's, those on news of that of
/// all groups.
const SHARE: i64 = 4;
/// Longest sleep: a clock that is set back or forward is noticed after this.
const SLEEP_MAX: Duration = Duration::from_secs(15);
/// States without news are written at least this often, in milliseconds.
const LAZY_MS: i64 = 10_000;

/// Evaluates a group until it is stopped.
pub(crate) async fn run(shared: Arc<Shared>, place: usize, mut stop: watch::Receiver<bool>) {
    let Some((metrics, interval_ms, group, mut last_ms)) = shared.with_group(place, |book| {
        (book.metrics.clone(), book.interval_ms, Arc::clone(&book.group), book.state.last_ms)
    }) else {
        return;
    };
    let changes = shared.data.changes();
    let mut stamp = None;
    let (mut not_before_ms, mut resting_ms) = (i64::MIN, i64::MIN);
    // Of the last two evaluations the shorter one counts: the first has plans to make.
    let mut before_ms = 0;
    while !*stop.borrow() {
        let news = changes.changed();
        let now_ms = shared.clock.now_ms();
        if is_set_back(interval_ms, last_ms, now_ms) {
            tracing::warn!(group = %group.name, "the clock was set back");
            (not_before_ms, resting_ms) = (i64::MIN, i64::MIN);
        }
        let fresh = changes.stamp(metrics.as_ref());
        let scheduled = due(&group, interval_ms, last_ms, now_ms);
        let is_fresh = stamp != Some(fresh);
        let acts_on_news = is_fresh && now_ms >= not_before_ms && last_ms.is_none_or(|last_ms| now_ms > last_ms);
        let at_ms = match scheduled {
            _ if acts_on_news => Some(now_ms),
            // A group that takes long is evaluated less often than it asks for.
            Due::Now { at_ms, missed } if now_ms >= resting_ms => {
                shared.metrics.missed.inc_by(missed);
                Some(at_ms)
            }
            Due::Now { .. } | Due::Later { .. } => None,
        };
        if let Some(at_ms) = at_ms {
            stamp = Some(fresh);
            let took = evaluate(&shared, place, at_ms).await;
            let took_ms = i64::try_from(took.as_millis()).unwrap_or(i64::MAX);
            let rest_ms = took_ms.min(before_ms).saturating_mul(SHARE);
            before_ms = took_ms;
            resting_ms = now_ms.saturating_add(rest_ms);
            let groups = i64::try_from(shared.with_groups(<[GroupBook]>::len)).unwrap_or(i64::MAX);
            // News that come just after an evaluation by the clock have waited for nothing yet.
            let react_min_ms = if acts_on_news { shared.settings.react_min_ms } else { 0 };
            let react_ms = react_min_ms.max(rest_ms.saturating_mul(groups));
            not_before_ms = not_before_ms.max(now_ms.saturating_add(react_ms));
            last_ms = Some(at_ms);
            continue;
        }
        let next_ms = match scheduled {
            Due::Later { at_ms } if is_fresh => at_ms.min(not_before_ms),
            Due::Later { at_ms } => at_ms,
            Due::Now { .. } => resting_ms,
        };
        // Nothing was ever before: the smallest time there is.
        let sleep = Duration::from_millis(u64::try_from(next_ms.saturating_sub(now_ms)).unwrap_or(0)).min(SLEEP_MAX);
        tokio::select! {
            // News wakes only those that may act on them.
            () = news, if !is_fresh => {}
            () = tokio::time::sleep(sleep.max(Duration::from_millis(1))) => {}
            changed = stop.changed() => if changed.is_err() { break },
        }
    }
}

/// One evaluation, beside those of other groups. Returns how long it took once it had its turn.
pub(crate) async fn evaluate(shared: &Arc<Shared>, place: usize, at_ms: i64) -> Duration {
    let Ok(_permit) = shared.turns.acquire().await else { return Duration::ZERO };
    let (clock, started) = (Arc::clone(&shared.clock), shared.clock.monotonic());
    let (shared, runtime) = (Arc::clone(shared), Handle::current());
    // Rules block on their queries, and the store on the disk.
    let task = tokio::task::spawn_blocking(move || evaluate_now(&shared, place, at_ms, &runtime));
    if let Err(error) = task.await {
        tracing::error!(%error, "an evaluation did not end");
    }
    clock.monotonic() - started
}

fn evaluate_now(shared: &Arc<Shared>, place: usize, at_ms: i64, runtime: &Handle) {
    let Some(book) = shared.with_group(place, |book| book.clone()) else { return };
    let GroupBook { group, key, interval_ms, mut state, written_ms, .. } = book;
    let _traced = tracing::info_span!(target: "otel", "rules.evaluate", group = &*group.name).entered();
    let started = shared.clock.monotonic();
    let mut source = DataSource {
        data: read_ahead(shared, &group, at_ms, runtime),
        recent: Arc::clone(&shared.recent),
        runtime: runtime.clone(),
        written: Vec::new(),
        now_ms: at_ms,
        incomplete: shared.with_groups(|books| recorded_elsewhere(books, place)),
        clock: StopWatch::new(Arc::clone(&shared.clock)),
    };
    let settings = &shared.settings;
    let results = group::evaluate(&group, &mut state, at_ms, &mut source, &settings.groups);
    crate::amend::watched(shared, place, &results, at_ms);
    let now_ms = shared.clock.now_ms();
    let (mut alerts, forwarded) = due_alerts(&group, &mut state, &results, (at_ms, now_ms), interval_ms, shared);
    crate::amend::mark(shared, &mut alerts);
    let rows = rows(&results, &settings.groups.external_labels);
    note(shared, &group, &results);
    let has_news = !rows.is_empty() || !alerts.is_empty();
    let written = {
        let mut notifier = shared.notifier();
        if !alerts.is_empty() {
            let now = timestamp(now_ms);
            for refused in notifier.receive(alerts, now).into_iter().filter_map(Result::err) {
                shared.metrics.alerts_refused.inc();
                tracing::warn!(group = %group.name, "an alert was refused: {refused}");
            }
        }
        // Before it, too: the clock may have been set back.
        let is_fresh = |written_ms: i64| (written_ms..written_ms.saturating_add(LAZY_MS)).contains(&at_ms);
        let is_written = has_news || !written_ms.is_some_and(is_fresh);
        if !is_written {
            Ok(())
        } else {
            shared.with_group(place, |book| book.written_ms = Some(at_ms));
            shared.store.write(&Change {
                groups: vec![(key, &state)],
                notifier: has_news.then_some(&notifier.state),
                rows: &rows,
                durable: has_news,
                ..Change::default()
            })
        }
    };
    if let Err(error) = written {
        // In memory it goes on: an alert that is told twice after a restart is better than one that is not told.
        shared.metrics.store_failures.inc();
        tracing::error!(%error, group = %group.name, "the state of a group could not be written");
    }
    contributions::ask(shared, &group, &results, at_ms);
    shared.forward.push(&forwarded);
    let duration = shared.clock.monotonic() - started;
    shared.metrics.evaluation_seconds.observe(duration.as_secs_f64());
    shared.with_group(place, |book| {
        book.settle(state, &results, at_ms, duration.as_secs_f64());
        book.time(source.clock.durations());
    });
    if has_news {
        shared.poke.notify_one();
    }
    if !source.written.is_empty() {
        let written = std::mem::take(&mut source.written);
        shared.metrics.samples_written.inc_by(written.len() as u64);
        let kept = runtime.block_on(shared.data.keep(written));
        let was_said = shared.said_lost.swap(kept.is_err(), Ordering::Relaxed);
        if let Err(error) = kept {
            shared.metrics.samples_lost.inc();
            // Once until it is well again: groups are evaluated every few seconds.
            if !was_said {
                tracing::warn!(%error, group = %group.name, "what rules recorded could not be kept");
            }
        }
    }
}

/// What groups other than that at `place` have recorded from windows that are not complete, by name.
fn recorded_elsewhere(books: &[GroupBook], place: usize) -> BTreeMap<Arc<str>, Completeness> {
    let others = books.iter().enumerate().filter(|(at, _)| *at != place);
    let recorded = others.flat_map(|(_, book)| book.state.incomplete());
    recorded.map(|(name, completeness)| (Arc::clone(name), completeness)).collect()
}

/// The data, with what the rules of the group have in common read already.
fn read_ahead(shared: &Shared, group: &Group, at_ms: i64, runtime: &Handle) -> Arc<dyn Data> {
    let options = shared.data.options();
    let query_ms = at_ms - group.query_offset_ms.unwrap_or(shared.settings.groups.query_offset_ms);
    let plan = |rule: &Rule| match rule {
        Rule::Alerting(rule) => {
            rule.level.as_ref().map_or(&rule.query, |level| &level.query).instant(query_ms, &options)
        }
        Rule::Recording(rule) => rule.query.instant(query_ms, &options),
    };
    let plans = group.rules.iter().map(plan).collect();
    runtime.block_on(shared.data.ahead_of(plans)).unwrap_or_else(|| Arc::clone(&shared.data))
}

fn note(shared: &Shared, group: &Group, results: &[RuleResult]) {
    shared.metrics.evaluations.inc();
    for result in results {
        if let Some(error) = &result.error {
            shared.metrics.failures.inc();
            tracing::warn!(group = %group.name, rule = %result.name, "{error}");
        }
    }
}

/// Decisions that moved an alert from one phase to another.
fn rows(results: &[RuleResult], external: &[(String, String)]) -> Vec<Row> {
    let entries = results.iter().flat_map(|result| &result.entries).filter(|entry| entry.is_transition());
    entries.map(|entry| Row::of_entry(entry, fingerprint_of(&entry.labels, external))).collect()
}

/// The fingerprint by which the notifier and its API know an alert.
pub(crate) fn fingerprint_of(labels: &Series, external: &[(String, String)]) -> String {
    with_external(labels_of(labels), external).fingerprint().to_string()
}

/// With the labels of this server where it has none of that name.
pub(crate) fn with_external(mut labels: Labels, external: &[(String, String)]) -> Labels {
    for (name, value) in external {
        labels.0.entry(name.clone()).or_insert_with(|| value.clone());
    }
    labels
}

/// Labels as the router has them.
pub(crate) fn labels_of(labels: &Series) -> Labels {
    labels.iter().map(|label| (label.name.to_string(), label.value.to_string())).collect()
}

/// An instant of milliseconds since the epoch.
pub(crate) fn timestamp(ms: i64) -> Timestamp {
    DateTime::from_timestamp_millis(ms).unwrap_or_default()
}

/// What the notifier is to hear of now, and what other Alertmanagers are: nothing of a rule that failed. What is due is
/// counted from evaluation to evaluation (`at_ms`), however late they are (`now_ms`).
fn due_alerts(
    group: &Group,
    state: &mut GroupState,
    results: &[RuleResult],
    (at_ms, now_ms): (i64, i64),
    interval_ms: i64,
    shared: &Shared,
) -> (Vec<Alert>, Vec<Arc<str>>) {
    let (mut alerts, mut forwarded) = (Vec::new(), Vec::new());
    for ((rule, saved), result) in group.rules.iter().zip(&mut state.rules).zip(results) {
        let Rule::Alerting(rule) = rule else { continue };
        let settings = &shared.settings.groups;
        let url = send::generator_url(&settings.external_url, rule.query.text());
        let due = send::due(&mut saved.state, at_ms, shared.settings.resend_delay_ms, interval_ms, &url);
        let details: HashMap<Fingerprint, AlertDetail> = due
            .iter()
            .map(|sent| Fingerprint::of(&sent.labels))
            .map(|fingerprint| (fingerprint, detail(&saved.state, fingerprint, rule.runbook.clone())))
            .collect();
        let told = due.into_iter().map(|sent| {
            let detail = details.get(&Fingerprint::of(&sent.labels)).cloned().unwrap_or_default();
            alert(sent, detail, &settings.external_labels, now_ms)
        });
        let told: Vec<Alert> = told.collect();
        if result.error.is_none() {
            forwarded.extend(shared.forward.written(&told));
        }
        alerts.extend(told);
    }
    (alerts, forwarded)
}

fn text_pairs(texts: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    texts.iter().map(|(name, text)| (name.as_str(), text.as_str()))
}

fn detail(state: &RuleState, fingerprint: Fingerprint, runbook: Option<String>) -> AlertDetail {
    let instance = state.instances.get(&fingerprint);
    let annotated = || {
        let texts = instance.map(|instance| text_pairs(&instance.annotations));
        let found = texts.into_iter().flatten().find(|(name, text)| *name == "runbook_url" && !text.is_empty());
        found.map(|(_, text)| text.to_owned())
    };
    AlertDetail {
        value: instance.map(|instance| instance.value).filter(|value| value.is_finite()),
        threshold: instance.and_then(|instance| instance.threshold).filter(|value| value.is_finite()),
        links: instance.map(|instance| links(text_pairs(&instance.annotations))).unwrap_or_default(),
        runbook: runbook.or_else(annotated),
        ..AlertDetail::default()
    }
}

/// The alert as the router takes it.
pub(crate) fn alert(sent: SentAlert, detail: AlertDetail, external: &[(String, String)], now_ms: i64) -> Alert {
    Alert {
        labels: with_external(labels_of(&sent.labels), external),
        annotations: sent.annotations.into_iter().collect(),
        starts_at: timestamp(sent.starts_at_ms),
        ends_at: Some(timestamp(sent.ends_at_ms)),
        updated_at: timestamp(now_ms),
        timeout: false,
        generator_url: sent.generator_url,
        detail,
    }
}

#[cfg(test)]
mod tests;

//! What is told when: the notifier's ticks, and the messages that come of them.
//!
//! A tick changes the notifier's state and gives messages. They are in the outbox, durably, before the state is
//! written: after a kill in between the tick comes again and gives the same messages with the same keys, which the
//! outbox knows. When the outbox takes none, the state stays as it was and the tick is tried again.

use crate::begin::Shared;
use crate::book::GroupBook;
use crate::evaluate::timestamp;
use crate::ledger::{Row, STAGE_MESSAGE};
use crate::messages::{Around, digest, make};
use crate::store::Change;
use prometheus::IntCounter;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tidewatch_alerting::group::GroupId;
use tidewatch_alerting::route::{Decision, Notification, Notifier, Ticked};
use tidewatch_notify::{Attempt, Ledger, Outgoing};
use tokio::sync::{mpsc, watch};
use xxhash_rust::xxh3::xxh3_64;

/// How often is looked for what can be forgotten.
const TIDY_MS: i64 = 60_000;
/// After so long the outbox is asked again whether it takes messages.
const RETRY: Duration = Duration::from_secs(1);
/// Longest sleep: a clock that is set back or forward is noticed after this.
const SLEEP_MAX: Duration = Duration::from_secs(15);
/// The wall clock may be ahead of the time that has passed by so much; by more, it was set, or the machine has slept.
const AHEAD_MS: i64 = 60_000;
/// So long messages wait at most for the rules to be evaluated at the new time: alerts that go on may look as if they
/// were over until then.
const HELD_MAX: Duration = Duration::from_secs(120);
/// Decisions whose repetition is not written down again; beyond that all are forgotten.
const DECISIONS_MAX: usize = 100_000;
/// Attempts that wait to be written into the ledger.
const ATTEMPTS_MAX: usize = 10_000;

/// Which decisions were written down last.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Hash of whom and where → hash of what.
    decisions: HashMap<u64, u64>,
}

impl Told {
    /// Whether the decision says something else than the last of its kind.
    fn is_news(&mut self, group: &str, decision: &Decision) -> bool {
        let subject = format!("{group}\0{:?}\0{:?}\0{:?}", decision.alert, decision.stage, decision.by);
        let (subject, said) = (xxh3_64(subject.as_bytes()), xxh3_64(decision.reason.as_bytes()));
        if self.decisions.len() >= DECISIONS_MAX {
            self.decisions.clear();
        }
        self.decisions.insert(subject, said) != Some(said)
    }
}

/// A time by both clocks.
#[derive(Debug, Clone, Copy)]
struct Moment {
    wall_ms: i64,
    monotonic: Duration,
}

impl Moment {
    fn of(shared: &Shared) -> Self {
        Self { wall_ms: shared.clock.now_ms(), monotonic: shared.clock.monotonic() }
    }

    fn is_ahead_of(self, last: Self) -> bool {
        let passed_ms = i64::try_from((self.monotonic.saturating_sub(last.monotonic)).as_millis()).unwrap_or(i64::MAX);
        self.wall_ms.saturating_sub(last.wall_ms) > passed_ms.saturating_add(AHEAD_MS)
    }
}

/// Was every group evaluated since the clock went ahead, or has that been waited for long enough?
fn is_over(shared: &Shared, since: Moment, now: Moment) -> bool {
    let is_evaluated = |book: &GroupBook| {
        // An instant may lie an interval back.
        book.state.last_ms.is_some_and(|last_ms| last_ms > since.wall_ms.saturating_sub(book.interval_ms.min(AHEAD_MS)))
    };
    now.monotonic.saturating_sub(since.monotonic) > HELD_MAX
        || shared.with_groups(|books| books.iter().all(is_evaluated))
}

/// Tells people until it is stopped.
pub(crate) async fn run(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let mut tidied_ms = shared.clock.now_ms();
    let mut last = Moment::of(&shared);
    let mut held: Option<Moment> = None;
    while !*stop.borrow() {
        let now = Moment::of(&shared);
        if now.is_ahead_of(last) {
            tracing::warn!("the clock is ahead of the time that has passed; messages wait for the rules");
            held = Some(now);
        }
        last = now;
        held = held.filter(|since| !is_over(&shared, *since, now));
        if held.is_some() {
            tokio::select! {
                () = tokio::time::sleep(RETRY) => continue,
                changed = stop.changed() => if changed.is_err() { break } else { continue },
            }
        }
        let now_ms = now.wall_ms;
        let working = Arc::clone(&shared);
        let tidies = now_ms >= tidied_ms.saturating_add(TIDY_MS);
        if tidies {
            tidied_ms = now_ms;
        }
        // Both the outbox and the store wait for the disk.
        let ticked = tokio::task::spawn_blocking(move || {
            if tidies {
                tidy(&working, now_ms);
            }
            tick(&working, now_ms)
        });
        let sleep = match ticked.await {
            Ok(Ok(())) => {
                let next = shared.notifier().next_due().map(|due| due.timestamp_millis() - shared.clock.now_ms());
                next.map_or(SLEEP_MAX, |ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0)).min(SLEEP_MAX))
            }
            Ok(Err(error)) => {
                shared.metrics.outbox_refused.inc();
                tracing::warn!(%error, "messages wait");
                RETRY
            }
            Err(error) => {
                tracing::error!(%error, "a tick did not end");
                RETRY
            }
        };
        tokio::select! {
            () = shared.poke.notified() => {}
            () = tokio::time::sleep(sleep) => {}
            changed = stop.changed() => if changed.is_err() { break },
        }
    }
}

fn tidy(shared: &Shared, now_ms: i64) {
    shared.notifier().tidy(timestamp(now_ms));
    let before_ms = now_ms.saturating_sub(shared.settings.ledger_retention_ms);
    match shared.store.sweep(before_ms, shared.settings.ledger_rows_max) {
        Ok(_) => shared.metrics.ledger_rows.set(i64::try_from(shared.store.ledger_rows()).unwrap_or(i64::MAX)),
        Err(error) => tracing::error!(%error, "the ledger could not be swept"),
    }
}

pub(crate) fn tick(shared: &Shared, now_ms: i64) -> Result<(), String> {
    let now = timestamp(now_ms);
    let mut notifier = shared.notifier();
    if !notifier.is_due(now) {
        return Ok(());
    }
    let before = notifier.state.clone();
    let ticked = notifier.tick(now);
    let (batch, mut rows) = messages(shared, &mut notifier, &ticked, now_ms);
    if !batch.is_empty() {
        match shared.outbox.enqueue(&batch) {
            Ok(enqueued) => shared.metrics.messages.inc_by(enqueued.new as u64),
            Err(error) => {
                notifier.state = before;
                return Err(error.to_string());
            }
        }
    }
    rows.extend(decisions(shared, &notifier, &ticked.decisions, now_ms));
    let durable = !batch.is_empty();
    let change = Change { notifier: Some(&notifier.state), rows: &rows, durable, ..Change::default() };
    if let Err(error) = shared.store.write(&change) {
        // The messages are on their way; after a restart the tick comes again with the same keys.
        shared.metrics.store_failures.inc();
        tracing::error!(%error, "what was told could not be written down");
    }
    Ok(())
}

fn messages(shared: &Shared, notifier: &mut Notifier, ticked: &Ticked, now_ms: i64) -> (Vec<Outgoing>, Vec<Row>) {
    let templates = shared.templates().at(now_ms);
    let settings = &shared.settings;
    let config = notifier.config().clone();
    let around = Around {
        config: &config,
        templates: &templates,
        external_url: &settings.groups.external_url,
        give_up_ms: settings.give_up_ms,
    };
    let (mut batch, mut rows) = (Vec::new(), Vec::new());
    for notification in &ticked.notifications {
        match make(notification, &around, &mut notifier.state.log).and_then(checked) {
            Ok(made) => {
                rows.extend(of_message(notification, Ok((&made.0, &made.1)), now_ms));
                crate::amend::remember(shared, notification, &made.0);
                batch.push(made.0);
            }
            Err(error) => {
                tracing::error!(integration = %notification.integration, "no message could be made: {error}");
                rows.extend(of_message(notification, Err(error), now_ms));
            }
        }
    }
    for mail in &ticked.digests {
        for made in digest(mail, &around) {
            match made.and_then(|outgoing| outgoing.check().map(|()| outgoing).map_err(|error| error.to_string())) {
                Ok(outgoing) => batch.push(outgoing),
                Err(error) => tracing::error!(digest = mail.digest, "no mail could be made: {error}"),
            }
        }
    }
    (batch, rows)
}

/// One message that the outbox would refuse must not hold up the others.
fn checked(made: crate::messages::Made) -> Result<(Outgoing, Vec<String>), String> {
    made.outgoing.check().map_err(|error| error.to_string())?;
    Ok((made.outgoing, made.remarks))
}

/// A row for every alert of a message.
fn of_message(notification: &Notification, made: Result<(&Outgoing, &Vec<String>), String>, now_ms: i64) -> Vec<Row> {
    let (passed, message, reason) = match &made {
        Ok((outgoing, remarks)) => {
            let remarks = if remarks.is_empty() { String::new() } else { format!("; {}", remarks.join("; ")) };
            let alerts = notification.alerts.len();
            let grouped = if alerts > 1 { format!(", one of {alerts} alerts in it") } else { String::new() };
            (true, Some(outgoing.key.clone()), format!("{}{grouped}{remarks}", notification.reason))
        }
        Err(error) => (false, None, format!("no message could be made: {error}")),
    };
    let row = |alert: &tidewatch_alerting::route::Alert| Row {
        time_ms: now_ms,
        stage: STAGE_MESSAGE.to_owned(),
        alert: Some(alert.fingerprint().to_string()),
        group: Some(notification.group_key.clone()),
        labels: alert.labels.0.clone(),
        to: Some(alert.status(notification.now).to_owned()),
        passed: Some(passed),
        reason: reason.clone(),
        by: vec![notification.integration.to_string()],
        message: message.clone(),
        ..Row::default()
    };
    notification.alerts.iter().map(row).collect()
}

fn decisions(shared: &Shared, notifier: &Notifier, taken: &[(GroupId, Decision)], now_ms: i64) -> Vec<Row> {
    let mut told = shared.told.lock().unwrap_or_else(PoisonError::into_inner);
    let groups = &notifier.state.groups;
    let mut rows = Vec::new();
    for (id, decision) in taken {
        let key = groups.get(id).map_or_else(|| format!("{}:{}", id.route, id.labels), |group| group.key.clone());
        if told.is_news(&key, decision) {
            let alert = decision.alert.and_then(|alert| notifier.state.store.get(alert));
            rows.push(Row::of_decision(decision, &key, alert.map(|alert| &alert.labels), now_ms));
        }
    }
    rows
}

/// Hands attempts from the outbox's worker, which must not wait, to the ledger.
#[derive(Debug)]
pub(crate) struct AttemptRows {
    sender: mpsc::Sender<Row>,
    dropped: IntCounter,
}

/// The other end.
#[derive(Debug)]
pub(crate) struct Attempts(mpsc::Receiver<Row>);

impl AttemptRows {
    pub fn new(dropped: IntCounter) -> (Attempts, Self) {
        let (sender, receiver) = mpsc::channel(ATTEMPTS_MAX);
        (Attempts(receiver), Self { sender, dropped })
    }
}

impl Ledger for AttemptRows {
    fn record(&self, attempt: &Attempt) {
        if self.sender.try_send(Row::of_attempt(attempt)).is_err() {
            self.dropped.inc();
        }
    }
}

/// Writes attempts into the ledger until the outbox's worker is gone.
pub(crate) async fn write_attempts(shared: Arc<Shared>, attempts: Attempts) {
    let mut receiver = attempts.0;
    let mut rows = Vec::new();
    while receiver.recv_many(&mut rows, ATTEMPTS_MAX).await > 0 {
        let (working, written) = (Arc::clone(&shared), std::mem::take(&mut rows));
        let write = move || working.store.write(&Change { rows: &written, ..Change::default() });
        match tokio::task::spawn_blocking(write).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "attempts could not be written into the ledger"),
            Err(error) => tracing::error!(%error, "attempts could not be written into the ledger"),
        }
    }
}

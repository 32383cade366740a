//! The task that sends: takes what is due, sends it, writes down what became of it, decides what follows.
//!
//! One loop owns all decisions; senders run beside it. Results that have come in while one write was on its way
//! are written together in the next, so that a sync is shared by many messages.

mod settle;

pub use settle::settle;

use crate::attempt::{Ledger, Outcome, Report};
use crate::clock::{Clock, millis};
use crate::outbox::{Outbox, OutboxError, Progress};
use crate::retry::{CircuitChange, DeliverySettings, Due, Entry, Finished, Lanes};
use crate::sender::{Delivery, Transport};
use serde::{Deserialize, Serialize};
use settle::{Sent, interrupted, not_sent};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tracing::Instrument;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Settings of the worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerSettings {
    /// Messages of all integrations that may be on their way at the same time.
    pub in_flight_max: usize,
    /// How long messages on their way may take to end when the worker is stopped. The others are sent again
    /// after the next start.
    #[serde(with = "humantime_serde")]
    pub drain_max: Duration,
    /// How often is looked for what can be forgotten.
    #[serde(with = "humantime_serde")]
    pub sweep_interval: Duration,
    /// Of all random waits: workers with different seeds do not retry in step.
    pub seed: u64,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self { in_flight_max: 64, drain_max: Duration::from_secs(10), sweep_interval: Duration::from_secs(60), seed: 0 }
    }
}

/// Sends the messages of an outbox. There is one per outbox.
#[derive(Debug)]
pub struct Worker {
    outbox: Arc<Outbox>,
    transport: Arc<dyn Transport>,
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    settings: WorkerSettings,
    lanes: Lanes,
    sending: JoinSet<(Report, u64)>,
    /// What each task sends.
    tasks: HashMap<Id, Task>,
    swept: Option<Duration>,
}

#[derive(Debug)]
struct Task {
    entry: Entry,
    probe: bool,
    started_ms: i64,
    created_ms: i64,
    refers_to: Option<String>,
}

/// Longest sleep: a clock that is set back or forward is noticed after this.
const SLEEP_MAX: Duration = Duration::from_secs(30);

impl Worker {
    /// A worker that sends nothing yet.
    ///
    /// Errors: the outbox has a worker.
    pub fn new(
        outbox: Arc<Outbox>,
        transport: Arc<dyn Transport>,
        ledger: Arc<dyn Ledger>,
        clock: Arc<dyn Clock>,
        settings: WorkerSettings,
    ) -> Result<Self, OutboxError> {
        outbox.claim()?;
        let lanes = Lanes::new(settings.in_flight_max);
        let (sending, tasks) = (JoinSet::new(), HashMap::new());
        Ok(Self { outbox, transport, ledger, clock, settings, lanes, sending, tasks, swept: None })
    }

    /// Sends until `stop` becomes true (or its sender is gone), then lets what is on its way end.
    ///
    /// Errors: the store. Nothing is lost: what is not written down as delivered is sent again after a restart.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<(), OutboxError> {
        while !*stop.borrow() {
            self.take_in().await?;
            self.start_due().await?;
            self.sweep().await?;
            self.show();
            let sleep = self.sleep();
            let outbox = Arc::clone(&self.outbox);
            tokio::select! {
                Some(joined) = self.sending.join_next_with_id() => self.finish(Some(joined)).await?,
                () = outbox.changed() => {}
                () = tokio::time::sleep(sleep) => {}
                changed = stop.changed() => if changed.is_err() { break },
            }
        }
        self.drain().await
    }

    /// New messages, and after a start those that waited or were on their way.
    async fn take_in(&mut self) -> Result<(), OutboxError> {
        let now_ms = self.clock.now_ms();
        let mut progress = Vec::new();
        for intake in self.outbox.take_intake() {
            let mut entry = intake.entry;
            if let Some(since_ms) = intake.in_flight_ms {
                progress.push(interrupted(&mut entry, since_ms, now_ms));
            }
            self.lanes.insert(entry);
        }
        self.record(progress).await
    }

    async fn start_due(&mut self) -> Result<(), OutboxError> {
        let now_ms = self.clock.now_ms();
        let transport = Arc::clone(&self.transport);
        let due = self.lanes.take_due(now_ms, &|name| transport.delivery_settings(name));
        let mut progress = Vec::new();
        let mut sends = HashMap::new();
        for due in due {
            match due {
                Due::Expired(entry) => progress.push(not_sent(&entry, now_ms)),
                Due::Send { entry, probe } => {
                    sends.insert(entry.seq, (entry, probe));
                }
            }
        }
        self.record(progress).await?;
        if sends.is_empty() {
            return Ok(());
        }
        let mut seqs: Vec<u64> = sends.keys().copied().collect();
        seqs.sort_unstable();
        let started = self.blocking(move |outbox| outbox.start(&seqs, now_ms)).await?;
        for (seq, started) in started {
            let Some((entry, probe)) = sends.remove(&seq) else { continue };
            let refers_to = started.message.refers_to().map(str::to_owned);
            let created_ms = started.message.created_ms;
            let integration = started.message.integration.as_str();
            let span = tracing::info_span!(target: "otel", "delivery", kind = "client", integration, error = tracing::field::Empty);
            let delivery = Delivery {
                message: Arc::new(started.message),
                recipients: started.recipients,
                referred: started.referred,
                now_ms,
            };
            let (sending, clock) = (self.transport.send(delivery), Arc::clone(&self.clock));
            let handle = self.sending.spawn(async move {
                let begun = clock.monotonic();
                let report = sending.instrument(span.clone()).await;
                if report.outcome != Outcome::Delivered {
                    // The words of others stay in the ledger.
                    span.record("error", tracing::field::debug(report.outcome));
                }
                let took = clock.monotonic().saturating_sub(begun);
                (report, u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
            });
            self.tasks.insert(handle.id(), Task { entry, probe, started_ms: now_ms, created_ms, refers_to });
        }
        // Rows that are missing: a bug or a broken store. Their lanes must not stand still for it.
        let missing: Vec<(Entry, bool)> = sends.into_values().collect();
        for (entry, probe) in missing {
            tracing::error!(seq = entry.seq, "a message of the outbox is gone before it was sent");
            let next = crate::retry::Next::GiveUp(crate::retry::GiveUpReason::Refused);
            let finished = Finished { entry, probe, outcome: Outcome::NotSent, retry_at_ms: None, next };
            self.lanes.finish(&finished, &DeliverySettings::default(), now_ms, 0);
        }
        Ok(())
    }

    /// Takes what has ended, all of it that is there, and writes it down at once.
    async fn finish(&mut self, first: Option<Joined>) -> Result<(), OutboxError> {
        let now_ms = self.clock.now_ms();
        let mut ended: Vec<Joined> = first.into_iter().collect();
        while let Some(joined) = self.sending.try_join_next_with_id() {
            ended.push(joined);
        }
        let mut finished = Vec::with_capacity(ended.len());
        let mut progress = Vec::with_capacity(ended.len());
        for joined in ended {
            let (id, report, duration_ms) = match joined {
                Ok((id, (report, duration_ms))) => (id, report, duration_ms),
                Err(error) => (error.id(), panicked(&error), 0),
            };
            let Some(task) = self.tasks.remove(&id) else { continue };
            let settings = self.transport.delivery_settings(&task.entry.integration);
            let seed = self.seed(&task.entry);
            let sent = Sent { started_ms: task.started_ms, duration_ms, now_ms, seed, refers_to: task.refers_to };
            let (one, end) = settle(task.entry, task.probe, report, sent, &settings);
            self.count(&one, task.created_ms, now_ms);
            progress.push(one);
            finished.push((end, settings, seed));
        }
        // Only what is on the disk counts: the next of a lane must not overtake it.
        self.record(progress).await?;
        for (end, settings, seed) in finished {
            let change = self.lanes.finish(&end, &settings, now_ms, seed);
            let integration = &*end.entry.integration;
            match change {
                CircuitChange::Opened => tracing::warn!(integration, "the receiver is down: probing"),
                CircuitChange::Closed => tracing::info!(integration, "the receiver is back"),
                CircuitChange::None => {}
            }
        }
        Ok(())
    }

    async fn record(&self, progress: Vec<Progress>) -> Result<(), OutboxError> {
        if progress.is_empty() {
            return Ok(());
        }
        let begun = self.clock.monotonic();
        let attempts = self.blocking(move |outbox| outbox.record(&progress)).await?;
        let took = self.clock.monotonic().saturating_sub(begun);
        self.outbox.metrics().record_seconds.observe(took.as_secs_f64());
        for attempt in &attempts {
            self.outbox.metrics().attempts.with_label_values(&[&attempt.integration, attempt.outcome.as_str()]).inc();
            if let crate::Decision::GaveUp(reason) = attempt.decision {
                let labels = [attempt.integration.as_str(), reason.as_str()];
                self.outbox.metrics().given_up.with_label_values(&labels).inc();
                tracing::warn!(key = attempt.key, ?reason, detail = attempt.detail, "gave up a message");
            } else {
                tracing::debug!(key = attempt.key, outcome = ?attempt.outcome, detail = attempt.detail, "attempt");
            }
            self.ledger.record(attempt);
        }
        Ok(())
    }

    async fn sweep(&mut self) -> Result<(), OutboxError> {
        let now = self.clock.monotonic();
        if self.swept.is_some_and(|swept| now.saturating_sub(swept) < self.settings.sweep_interval) {
            return Ok(());
        }
        let now_ms = self.clock.now_ms();
        // What is left is soon looked at again: sending goes first.
        let forgotten = self.blocking(move |outbox| outbox.sweep(now_ms)).await?;
        self.swept = (forgotten == 0).then_some(now);
        Ok(())
    }

    /// Lets what is on its way end, for a while.
    async fn drain(mut self) -> Result<(), OutboxError> {
        let deadline = tokio::time::Instant::now() + self.settings.drain_max;
        while let Ok(Some(joined)) = tokio::time::timeout_at(deadline, self.sending.join_next_with_id()).await {
            self.finish(Some(joined)).await?;
        }
        if !self.sending.is_empty() {
            let left = self.sending.len();
            tracing::warn!(left, "stopped while messages were on their way: they are sent again after the next start");
        }
        self.show();
        Ok(())
    }

    fn sleep(&self) -> Duration {
        let now_ms = self.clock.now_ms();
        let wake_ms = self.lanes.next_wake_ms(now_ms, &|name| self.transport.delivery_settings(name));
        let wake = wake_ms.map_or(SLEEP_MAX, |ms| Duration::from_millis(u64::try_from(ms - now_ms).unwrap_or(0)));
        // At least a moment, so that a clock that stands still does not make this loop spin.
        wake.clamp(Duration::from_millis(1), SLEEP_MAX.min(self.settings.sweep_interval))
    }

    fn seed(&self, entry: &Entry) -> u64 {
        let name = [entry.seq.to_be_bytes(), u64::from(entry.attempts).to_be_bytes()].concat();
        xxh3_64_with_seed(&name, self.settings.seed)
    }

    fn count(&self, progress: &Progress, created_ms: i64, now_ms: i64) {
        let (metrics, attempt) = (self.outbox.metrics(), &progress.attempt);
        let seconds = Duration::from_millis(attempt.duration_ms).as_secs_f64();
        metrics.attempt_seconds.with_label_values(&[&attempt.integration]).observe(seconds);
        if attempt.outcome == Outcome::Delivered {
            let age = Duration::from_millis(u64::try_from(now_ms - created_ms).unwrap_or(0)).as_secs_f64();
            metrics.delivery_seconds.with_label_values(&[&attempt.integration]).observe(age);
        }
    }

    fn show(&self) {
        let metrics = self.outbox.metrics();
        let gauge = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        metrics.in_flight.set(gauge(self.lanes.in_flight()));
        metrics.oldest.set(self.lanes.oldest_created_ms().map_or(0, |ms| ms / 1_000));
        for (integration, waiting, open) in self.lanes.integrations() {
            metrics.waiting.with_label_values(&[integration]).set(gauge(waiting));
            metrics.circuit_open.with_label_values(&[integration]).set(i64::from(open));
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Outbox) -> Result<T, OutboxError> + Send + 'static,
    ) -> Result<T, OutboxError> {
        let outbox = Arc::clone(&self.outbox);
        let task = tokio::task::spawn_blocking(move || work(&outbox));
        task.await.map_err(|error| OutboxError::Aborted(error.to_string()))?
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.outbox.unclaim();
    }
}

type Joined = Result<(Id, (Report, u64)), JoinError>;

fn panicked(error: &JoinError) -> Report {
    Report::new(Outcome::Deferred, format!("the sender ended without a report: {error}"))
}

/// How long an outbox keeps a message that is made now, in the terms of [`Outgoing`](crate::Outgoing).
pub fn give_up_ms(created_ms: i64, give_up_after: Duration) -> i64 {
    created_ms.saturating_add(millis(give_up_after).max(1))
}

#[cfg(test)]
mod tests;

//! One Alertmanager: its queue, and the task that empties it.

use super::metrics::LaneMetrics;
use super::queue::Queue;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tidewatch_notify::http::HttpSender;
use tidewatch_notify::{Clock, HttpMessage, HttpReply, Outcome, SecretUrl};
use tokio::sync::{Notify, watch};
use xxhash_rust::xxh3::xxh3_64;

/// After a stop what waits is sent for so long; what is left then is told after the next start.
const DRAIN_MAX: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Lane {
    /// What logs and metrics call it.
    pub address: String,
    pub url: SecretUrl,
    pub sender: HttpSender,
    pub batch_max: usize,
    pub metrics: LaneMetrics,
    queue: Mutex<Queue>,
    news: Notify,
    /// No more alerts come.
    is_closing: AtomicBool,
    /// The last request failed.
    is_failing: AtomicBool,
}

impl Lane {
    pub fn new(
        address: String,
        url: SecretUrl,
        sender: HttpSender,
        bounds: (usize, usize),
        metrics: LaneMetrics,
    ) -> Self {
        let (capacity, batch_max) = bounds;
        Self {
            address,
            url,
            sender,
            batch_max: batch_max.max(1),
            metrics,
            queue: Mutex::new(Queue::new(capacity)),
            news: Notify::new(),
            is_closing: AtomicBool::new(false),
            is_failing: AtomicBool::new(false),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes alerts and returns at once.
    pub fn push(&self, alerts: &[Arc<str>]) {
        let (dropped, length) = {
            let mut queue = self.queue();
            (queue.push(alerts), queue.len())
        };
        self.note_length(length);
        if dropped > 0 {
            self.metrics.dropped.inc_by(dropped as u64);
            tracing::warn!(alertmanager = %self.address, dropped, "the queue is full: the oldest alerts are dropped");
        }
        self.news.notify_one();
    }

    fn note_length(&self, length: usize) {
        self.metrics.queue_length.set(i64::try_from(length).unwrap_or(i64::MAX));
    }

    /// What is to be sent next.
    pub fn take(&self) -> Vec<Arc<str>> {
        let (batch, length) = {
            let mut queue = self.queue();
            (queue.take(self.batch_max), queue.len())
        };
        self.note_length(length);
        batch
    }

    /// Sends until it is stopped, then what waits.
    pub async fn run(self: Arc<Self>, clock: Arc<dyn Clock>, mut stop: watch::Receiver<bool>) {
        let mut work = pin!(self.work(&*clock));
        tokio::select! {
            () = &mut work => return,
            // A sender that is gone stops it, too.
            _ = stop.wait_for(|stopped| *stopped) => {}
        }
        self.is_closing.store(true, Ordering::SeqCst);
        self.news.notify_one();
        if tokio::time::timeout(DRAIN_MAX, work).await.is_err() {
            let dropped = self.queue().abandon();
            self.note_length(0);
            self.metrics.dropped.inc_by(dropped as u64);
            tracing::warn!(alertmanager = %self.address, dropped, "stopped before all alerts were forwarded");
        }
    }

    async fn work(&self, clock: &dyn Clock) {
        loop {
            let batch = self.take();
            if !batch.is_empty() {
                self.post(&batch, clock).await;
                self.queue().settle();
            } else if self.is_closing.load(Ordering::SeqCst) {
                return;
            } else {
                self.news.notified().await;
            }
        }
    }

    async fn post(&self, batch: &[Arc<str>], clock: &dyn Clock) {
        let body = format!("[{}]", batch.join(","));
        let key = format!("{:016x}", xxh3_64(body.as_bytes()));
        let message = HttpMessage::post_json(Some(self.url.clone()), body, HttpReply::plain());
        let began = clock.monotonic();
        let report = self.sender.send(&message, &key, None, clock.now_ms()).await;
        self.metrics.latency.observe((clock.monotonic() - began).as_secs_f64());
        let (alerts, failed) = (batch.len() as u64, report.outcome != Outcome::Delivered);
        if failed { &self.metrics.errors } else { &self.metrics.sent }.inc_by(alerts);
        let has_failed = self.is_failing.swap(failed, Ordering::SeqCst);
        if failed && !has_failed {
            let (code, detail) = (report.code.unwrap_or(0), &report.detail);
            tracing::warn!(alertmanager = %self.address, alerts, code, "alerts could not be forwarded: {detail}");
        } else if has_failed && !failed {
            tracing::info!(alertmanager = %self.address, "alerts are forwarded again");
        }
    }
}

//! A sink that behaves as it is told, and a worker that runs against it.

pub mod sink;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tidewatch_notify::*;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use sink::{Act, Received, Sink};

/// Milliseconds.
pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What a ledger got.
#[derive(Debug, Default)]
pub struct Kept(pub Mutex<Vec<Attempt>>);

impl Ledger for Kept {
    fn record(&self, attempt: &Attempt) {
        self.0.lock().unwrap().push(attempt.clone());
    }
}

/// Settings with waits that tests can wait for: a second is ten milliseconds.
pub fn quick(url: &str) -> IntegrationSettings {
    IntegrationSettings {
        http: http::HttpSettings {
            url: Some(SecretUrl::parse(url).unwrap()),
            connect_timeout: ms(500),
            timeout: ms(500),
            ..http::HttpSettings::default()
        },
        mail: None,
        delivery: DeliverySettings {
            backoff_min: ms(10),
            backoff_max: ms(200),
            probe_min: ms(20),
            probe_max: ms(200),
            concurrency_max: 16,
            ..DeliverySettings::default()
        },
    }
}

/// A message to the integration's own URL.
pub fn message(key: &str, order_key: &str, integration: &str, body: &str) -> Outgoing {
    let created_ms = SystemClock::new().now_ms();
    Outgoing {
        key: key.to_owned(),
        order_key: order_key.to_owned(),
        integration: integration.to_owned(),
        created_ms,
        give_up_ms: worker::give_up_ms(created_ms, Duration::from_secs(600)),
        payload: Payload::Http(HttpMessage::post_json(None, body, HttpReply::plain())),
    }
}

/// An outbox, its worker and what it wrote down.
pub struct Running {
    pub outbox: Arc<Outbox>,
    pub kept: Arc<Kept>,
    stop: watch::Sender<bool>,
    worker: JoinHandle<Result<(), OutboxError>>,
}

/// Starts a worker over an outbox in a folder.
pub fn start(folder: &Path, integrations: &[(&str, IntegrationSettings)]) -> Running {
    let metrics = NotifyMetrics::register(&prometheus::Registry::new()).unwrap();
    let outbox = Arc::new(Outbox::open(folder, OutboxSettings::default(), metrics).unwrap());
    start_over(outbox, integrations)
}

/// Starts a worker over an outbox.
pub fn start_over(outbox: Arc<Outbox>, integrations: &[(&str, IntegrationSettings)]) -> Running {
    let settings: BTreeMap<_, _> = integrations.iter().map(|(name, s)| ((*name).to_owned(), s.clone())).collect();
    let transport = Arc::new(Integrations::new(&settings).unwrap());
    let (kept, clock) = (Arc::new(Kept::default()), Arc::new(SystemClock::new()));
    let (stop, stopped) = watch::channel(false);
    let settings = WorkerSettings { drain_max: ms(2_000), ..WorkerSettings::default() };
    let worker = Worker::new(outbox.clone(), transport, kept.clone(), clock, settings).unwrap();
    Running { outbox, kept, stop, worker: tokio::spawn(worker.run(stopped)) }
}

impl Running {
    /// Waits until nothing waits any more; panics after `longest`.
    pub async fn until_empty(&self, longest: Duration) {
        let begun = tokio::time::Instant::now();
        while self.outbox.waiting() > 0 {
            assert!(!self.worker.is_finished(), "the worker has ended");
            assert!(begun.elapsed() < longest, "{} still wait, such as {}", self.outbox.waiting(), self.oldest());
            tokio::time::sleep(ms(5)).await;
        }
    }

    /// What is known of the oldest message that is not delivered.
    fn oldest(&self) -> String {
        let oldest = self.outbox.undelivered(1).unwrap();
        let explained = oldest.first().and_then(|(key, _)| self.outbox.explain(key).unwrap());
        explained.map_or_else(String::new, |e| format!("{:?}, last {:?}", e.phase, e.tries.last()))
    }

    /// Stops the worker; gives the outbox back.
    pub async fn stop(self) -> Arc<Outbox> {
        self.finish().await.0
    }

    /// Stops the worker; gives the outbox back and what its ledger got. (The ledger is told after the outbox.)
    pub async fn finish(self) -> (Arc<Outbox>, Vec<Attempt>) {
        self.stop.send(true).unwrap();
        self.worker.await.unwrap().unwrap();
        let attempts = self.kept.0.lock().unwrap().clone();
        (self.outbox, attempts)
    }

    /// What the ledger has got so far.
    pub fn attempts(&self) -> Vec<Attempt> {
        self.kept.0.lock().unwrap().clone()
    }
}

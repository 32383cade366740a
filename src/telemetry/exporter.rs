//! Sends spans to a collector, many at once.

use super::otlp::{Ended, request};
use crate::settings;
use anyhow::{Context, Result};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Spans of one request.
const BATCH_MAX: usize = 512;
/// How long spans wait for others.
const EVERY: Duration = Duration::from_secs(1);
/// Longest time of one request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// See the module page.
#[derive(Debug)]
pub(super) struct Exporter {
    client: reqwest::Client,
    url: String,
    service: String,
    dropped: Arc<AtomicU64>,
    is_failing: bool,
}

impl Exporter {
    pub(super) fn new(settings: &settings::Telemetry) -> Result<Self> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in &settings.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).with_context(|| format!("headers: {name}"))?;
            let mut value = HeaderValue::from_str(value).with_context(|| format!("headers: the value of {name}"))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let client = reqwest::Client::builder().timeout(TIMEOUT).default_headers(headers).build()?;
        let url = format!("{}/v1/traces", settings.endpoint.trim_end_matches('/'));
        Ok(Self { client, url, service: settings.service_name.clone(), dropped: Arc::default(), is_failing: false })
    }

    /// Where the layer counts what it could not hand over.
    pub(super) fn dropped(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.dropped)
    }

    /// Sends until it is told to stop, and then what is left.
    pub(super) async fn run(mut self, mut ended: mpsc::Receiver<Ended>, mut stop: oneshot::Receiver<()>) {
        let mut batch = Vec::new();
        loop {
            let is_over = tokio::select! {
                // A sender that is gone says the same.
                _ = &mut stop => true,
                filled = tokio::time::timeout(EVERY, fill(&mut ended, &mut batch)) => filled == Ok(Fill::Ended),
            };
            if is_over {
                ended.close();
                while ended.recv_many(&mut batch, BATCH_MAX).await > 0 {
                    self.send(&mut batch).await;
                }
                return self.send(&mut batch).await;
            }
            self.send(&mut batch).await;
        }
    }

    async fn send(&mut self, batch: &mut Vec<Ended>) {
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            tracing::warn!(spans = dropped, "spans were dropped: the collector does not keep up");
        }
        if batch.is_empty() {
            return;
        }
        let body = request(&self.service, batch).to_string();
        let spans = std::mem::take(batch).len();
        let answer = self.client.post(&self.url).body(body).send().await.and_then(|a| a.error_for_status());
        match answer {
            Ok(_) => self.is_failing = false,
            // Said once, until it is well again.
            Err(error) if !self.is_failing => {
                self.is_failing = true;
                tracing::warn!(%error, spans, "spans were dropped: the collector does not take them");
            }
            Err(_) => {}
        }
    }
}

/// How taking spans ended.
#[derive(Debug, PartialEq, Eq)]
enum Fill {
    /// There are enough for a request.
    Full,
    /// There will be no more.
    Ended,
}

/// Takes spans until there are enough for a request.
async fn fill(ended: &mut mpsc::Receiver<Ended>, batch: &mut Vec<Ended>) -> Fill {
    while batch.len() < BATCH_MAX {
        let missing = BATCH_MAX - batch.len();
        if ended.recv_many(batch, missing).await == 0 {
            return Fill::Ended;
        }
    }
    Fill::Full
}

//! Traces for OpenTelemetry: what a request, a commit, a maintenance task, an evaluation of rules and a delivery
//! consist of, and how long each part took. Off unless the settings name a collector.
//!
//! ```text
//! tracing's spans of the target "otel" ─▶ layer (ids, parents, sampling) ─▶ queue ─▶ exporter ─▶ OTLP over HTTP, JSON
//!                                                                           bounded
//! ```
//!
//! Nothing waits for a collector: what does not fit into the queue, or is not taken, is dropped, and the log says so.

mod exporter;
mod layer;
mod otlp;

pub use layer::{TARGET, TraceLayer};

use crate::settings;
use anyhow::{Context, Result};
use exporter::Exporter;
use std::sync::Arc;
use std::time::Duration;
use tidewatch_ingest::clock::Clock;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Spans that wait for the exporter.
const QUEUE_MAX: usize = 8192;
/// Longest time that the end of the process waits for the collector.
const END_MAX: Duration = Duration::from_secs(3);

/// Sends spans until it is stopped.
#[derive(Debug)]
pub struct Telemetry {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Telemetry {
    /// Starts to send, if the settings want that; the layer is to be given the spans.
    pub fn start(settings: &settings::Telemetry, clock: Arc<dyn Clock>) -> Result<Option<(TraceLayer, Self)>> {
        if settings.traces.is_none() {
            return Ok(None);
        }
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        let (stop, stopped) = oneshot::channel();
        let exporter = Exporter::new(settings).context("[telemetry]")?;
        let layer = TraceLayer::new(sender, settings.sample_ratio, clock, exporter.dropped());
        let task = tokio::spawn(exporter.run(receiver, stopped));
        Ok(Some((layer, Self { stop, task })))
    }

    /// Sends what is there, and ends.
    pub async fn stop(self) {
        // It may have ended already.
        let _ = self.stop.send(());
        let _ = tokio::time::timeout(END_MAX, self.task).await;
    }
}

//! Samples that others push: Prometheus remote write 1.0 and 2.0, OTLP metrics.
//!
//! ```text
//! body ─▶ decompress ─▶ message ─▶ series ─▶ refuse what cannot be kept ─▶ one record ─▶ local log ─▶ answer
//! bounded               v1, v2, otlp         batch, admit                  record        durable      204, 200
//! ```
//!
//! A worker counts the topic [`SAMPLES_TOPIC`] of the log into the rollup `samples` like events of Kafka. The
//! state of a series is a set, so what is sent twice is there once, in whatever order it comes.
//!
//! | bound | at the bound |
//! |---|---|
//! | [`SampleLimits::body_bytes_max`], `message_bytes_max` | 413 |
//! | [`SampleLimits::samples_max`] of one request | 413 |
//! | [`SampleLimits::requests_max`] at the same time | 503 with `Retry-After`: senders come again, and lose nothing |
//! | the log's | 503 with `Retry-After` |
//! | labels of a series, and their bytes | the series is refused with 400; the rest of the request is kept |
//! | [`SampleLimits::series_max`] of a tenant and day | the same: new series are refused, known ones go on |
//!
//! Refused samples are counted by reason. A 400 is final: senders do not repeat it, as it would not help.

mod admit;
mod batch;
mod metrics;
mod otlp;
mod record;
mod response;
mod v1;
mod v2;

pub use batch::Refusal;
pub use metrics::SampleMetrics;
pub(crate) use record::Record;

use crate::clock::Clock;
use crate::log::EventLog;
use admit::Admitted;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use axum::routing::post;
use batch::{Batch, Incoming};
use response::{Answer, Failure};
use std::sync::{Arc, Mutex, PoisonError};
use tidewatch_engine::samples::NO_TENANT;
use tidewatch_engine::samples::metadata::MetadataBook;
use tokio::sync::Semaphore;

/// Topic of the log that samples lie in.
pub const LOG_TOPIC: &str = "samples";
/// How sources of a pack name that topic: a name that Kafka does not allow.
pub const SAMPLES_TOPIC: &str = "samples@";

/// Who pushes: Cortex' and Mimir's header.
const TENANT_HEADER: &str = "x-scope-orgid";
/// Longest name of a tenant.
const TENANT_BYTES_MAX: usize = 150;

/// What counters call samples that were not pushed but made here.
const OWN_PROTOCOL: &str = "own";

/// Samples of a series that this process made.
#[derive(Debug, Clone)]
pub struct OwnSeries {
    /// All labels, `__name__` among them.
    pub labels: Vec<(String, String)>,
    /// Milliseconds since the epoch, and values.
    pub floats: Vec<(i64, f64)>,
}

/// Bounds of what is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleLimits {
    /// Larger bodies are refused, as they are sent.
    pub body_bytes_max: usize,
    /// Larger messages are refused, once decompressed.
    pub message_bytes_max: usize,
    /// Samples of one request.
    pub samples_max: usize,
    /// Labels of one series.
    pub labels_max: usize,
    /// Bytes of all names and values of a series' labels.
    pub label_bytes_max: usize,
    /// Series that a tenant may push in a day. 0: no limit.
    pub series_max: usize,
    /// Requests that are worked on at the same time.
    pub requests_max: usize,
    /// How far a sample may lie in the future, milliseconds.
    pub future_max_ms: i64,
}

/// What receives samples. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SampleReceiver {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Where they go, or why they go nowhere.
    log: Result<Arc<EventLog>, String>,
    limits: SampleLimits,
    admitted: Mutex<Admitted>,
    requests: Semaphore,
    metadata: Arc<MetadataBook>,
    metrics: SampleMetrics,
    clock: Arc<dyn Clock>,
}

impl SampleReceiver {
    /// Appends to `log`; without one, every request is answered with the reason. What senders say about their
    /// metrics goes to `metadata`.
    pub fn new(
        log: Result<Arc<EventLog>, String>,
        limits: SampleLimits,
        metadata: Arc<MetadataBook>,
        metrics: SampleMetrics,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (admitted, requests) = (Mutex::new(Admitted::new(limits.series_max)), Semaphore::new(limits.requests_max));
        Self { shared: Arc::new(Shared { log, limits, admitted, requests, metadata, metrics, clock }) }
    }

    /// `POST /api/v1/write` and `POST /api/v1/otlp/v1/metrics`.
    pub fn routes(self) -> Router {
        let body_max = self.shared.limits.body_bytes_max;
        Router::new()
            .route("/api/v1/write", post(write))
            .route("/api/v1/otlp/v1/metrics", post(otlp::export))
            .layer(DefaultBodyLimit::max(body_max))
            .with_state(self)
    }

    /// # Errors
    /// Samples go nowhere; in words, with a hint.
    pub fn is_open(&self) -> Result<(), &str> {
        self.shared.log.as_ref().map(|_| ()).map_err(String::as_str)
    }

    /// Keeps samples that this process made itself, under `tenant`: labels with `__name__` among them, and times in
    /// milliseconds. Durable when it returns.
    ///
    /// # Errors
    /// There is no log, or it takes nothing; in words. What is refused of single series is counted, not an error.
    pub async fn append(&self, tenant: &str, series: Vec<OwnSeries>) -> Result<(), String> {
        let mut batch = self.batch(tenant.to_owned());
        for OwnSeries { labels, floats } in series {
            let incoming = Incoming { labels, floats, histograms: Vec::new() };
            batch.add(incoming).map_err(|failure| failure.message)?;
        }
        self.keep(batch, OWN_PROTOCOL).await.map(|_| ()).map_err(|failure| failure.message)
    }

    fn batch(&self, tenant: String) -> Batch {
        Batch::new(tenant, self.shared.limits, self.shared.clock.now_us().div_euclid(1000))
    }

    /// Makes what is admitted of a batch durable.
    async fn keep(&self, mut batch: Batch, protocol: &str) -> Result<Answer, Failure> {
        let shared = &*self.shared;
        let log = shared.log.as_ref().map_err(|reason| Failure::unavailable(reason.clone()))?;
        let day = shared.clock.now_us().div_euclid(tidewatch_engine::time::DAY_US);
        let admitted_before = {
            let mut admitted = shared.admitted.lock().unwrap_or_else(PoisonError::into_inner);
            batch.admit(&mut admitted, day);
            admitted.len()
        };
        shared.metrics.series.set(admitted_before as i64);
        for (name, metadata) in batch.take_metadata() {
            if !shared.metadata.note(&name, metadata) {
                shared.metrics.metadata_dropped.inc();
            }
        }
        let answer = batch.answer();
        if let Some(record) = batch.record() {
            log.append(LOG_TOPIC, shared.clock.now_us(), vec![Bytes::from(record)]).await?;
        }
        shared.metrics.accepted.with_label_values(&[protocol]).inc_by(answer.samples + answer.histograms);
        shared.metrics.exemplars_dropped.inc_by(answer.exemplars_dropped);
        for (refusal, count) in &answer.refused {
            shared.metrics.refused.with_label_values(&[refusal.as_str()]).inc_by(*count);
        }
        Ok(answer)
    }
}

/// Which message a remote write request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    V1,
    V2,
}

async fn write(State(receiver): State<SampleReceiver>, headers: HeaderMap, body: Bytes) -> Response {
    let message = match message_of(&headers) {
        Ok(message) => message,
        Err(failure) => return failure.response_of_write(Message::V1),
    };
    match receive(&receiver, message, &headers, &body).await {
        Ok(answer) => answer.response_of_write(message),
        Err(failure) => failure.response_of_write(message),
    }
}

async fn receive(
    receiver: &SampleReceiver,
    message: Message,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Answer, Failure> {
    let tenant = tenant_of(headers)?;
    let _permit =
        receiver.shared.requests.try_acquire().map_err(|_| Failure::busy(receiver.shared.limits.requests_max))?;
    let bytes = decompress(body, receiver.shared.limits.message_bytes_max)?;
    let mut batch = receiver.batch(tenant);
    match message {
        Message::V1 => v1::read(&bytes, &mut batch)?,
        Message::V2 => v2::read(&bytes, &mut batch)?,
    }
    let protocol = if message == Message::V1 { "remote_write_1" } else { "remote_write_2" };
    receiver.keep(batch, protocol).await
}

/// By `Content-Type` and `Content-Encoding`, as the specification has it: no `proto` is the first version.
fn message_of(headers: &HeaderMap) -> Result<Message, Failure> {
    let text = |name| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().trim().to_ascii_lowercase();
    let encoding = text(header::CONTENT_ENCODING);
    if !matches!(encoding.as_str(), "snappy" | "") {
        return Err(Failure::unsupported(format!("Content-Encoding: expected snappy, found {encoding:?}")));
    }
    let media_type = text(header::CONTENT_TYPE);
    let mut parts = media_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    if !matches!(essence, "application/x-protobuf" | "") {
        return Err(Failure::unsupported(format!("Content-Type: expected application/x-protobuf, found {essence:?}")));
    }
    match parts.find_map(|p| p.strip_prefix("proto=")).unwrap_or("prometheus.writerequest") {
        "prometheus.writerequest" => Ok(Message::V1),
        "io.prometheus.write.v2.request" => Ok(Message::V2),
        other => Err(Failure::unsupported(format!(
            "Content-Type: expected proto=prometheus.WriteRequest or proto=io.prometheus.write.v2.Request, found {other:?}"
        ))),
    }
}

/// The tenant of the header, [`NO_TENANT`] without one.
fn tenant_of(headers: &HeaderMap) -> Result<String, Failure> {
    let Some(value) = headers.get(TENANT_HEADER) else { return Ok(NO_TENANT.to_owned()) };
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!-_.*'()".contains(&b);
    match value.to_str() {
        Ok("") => Ok(NO_TENANT.to_owned()),
        Ok(text) if text.len() <= TENANT_BYTES_MAX && text.bytes().all(allowed) => Ok(text.to_owned()),
        _ => Err(Failure::bad(format!(
            "X-Scope-OrgID: expected at most {TENANT_BYTES_MAX} letters, digits and !-_.*'(), found {value:?}"
        ))),
    }
}

/// Snappy's block format, which says first how much comes out.
fn decompress(body: &[u8], bytes_max: usize) -> Result<Vec<u8>, Failure> {
    let bad = |error: snap::Error| Failure::bad(format!("the body is not snappy (block format): {error}"));
    let length = snap::raw::decompress_len(body).map_err(bad)?;
    if length > bytes_max {
        return Err(Failure::too_large(format!(
            "{length} bytes decompressed, the limit is {bytes_max} (samples.message_bytes_max)"
        )));
    }
    snap::raw::Decoder::new().decompress_vec(body).map_err(bad)
}

#[cfg(test)]
mod tests;

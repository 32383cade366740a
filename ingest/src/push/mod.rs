//! `POST /api/v1/events`: CloudEvents 1.0 over HTTP, answered when they lie durably in the local log.
//!
//! ```text
//! request ─▶ body ─▶ records ─▶ door ─▶ log ─▶ 202          from there as Kafka's records: source::LogSource
//!            bounded one per    the decoder of the worker
//!                    event      says what it would refuse
//! ```
//!
//! | content type | is |
//! |---|---|
//! | `application/cloudevents+json` | one event |
//! | `application/cloudevents-batch+json` | a JSON array of events |
//! | `application/x-ndjson` | an event per line |
//! | `application/json` with headers `ce-…` | one event in binary mode |
//!
//! An event is known by its `source` and `id`: whoever got no answer sends the same again, and it counts once
//! (`dedupe.horizon`). Of a request with a mistake nothing is taken, and the answer names every mistake up to
//! [`PROBLEMS_MAX`]; with `?on_error=dead_letter` all is taken, and what is wrong becomes dead letters.
//!
//! | status | when |
//! |---|---|
//! | 202 | all of it is durable |
//! | 400 | mistakes in the request or its events |
//! | 408 | the body did not come within `push.body_timeout` |
//! | 413 | larger than `push.body_bytes_max`, also unpacked, or more events than `push.events_max` |
//! | 415 | another content type or encoding |
//! | 429 | at a bound: `Retry-After` says when to come again |
//! | 503 | the log cannot be written, or there is none |

mod answer;
mod binary;
mod body;
mod door;
mod form;
mod metrics;

pub use answer::Refusal;
pub use metrics::PushMetrics;

use crate::clock::Clock;
use crate::decode::DecodeLimits;
use crate::log::{AppendError, EVENTS_TOPIC, EventLog};
use crate::personal::HashKey;
use answer::Taken;
use axum::Router;
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use body::Packing;
use door::Door;
use form::Form;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tidewatch_engine::rollup::Catalog;
use tokio::sync::Semaphore;

/// Mistakes that an answer lists.
pub const PROBLEMS_MAX: usize = 20;
/// Smaller bodies are read where they come in; larger ones beside, so that they keep no other request waiting.
const ASIDE_BYTES: usize = 16 * 1024;
/// When to come again, seconds: commits make room; a queue empties at once.
const RETRY_FULL_S: u32 = 10;
const RETRY_BUSY_S: u32 = 1;

/// Bounds of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushSettings {
    /// Bytes of a body, as it comes and unpacked.
    pub body_bytes_max: usize,
    /// Events of a request.
    pub events_max: usize,
    /// Requests at the same time.
    pub concurrency_max: usize,
    /// How long a body may take to come.
    pub body_timeout: Duration,
}

/// What the endpoint works with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Push(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    target: Target,
    settings: PushSettings,
    permits: Semaphore,
    metrics: PushMetrics,
    clock: Arc<dyn Clock>,
}

/// Where events go.
#[derive(Debug)]
enum Target {
    On { log: Arc<EventLog>, door: RwLock<Arc<Door>>, limits: DecodeLimits, hash_key: HashKey },
    Off { reason: String, hint: String },
}

impl Push {
    /// Takes events of the catalogue's types into a log.
    pub fn on(
        log: Arc<EventLog>,
        catalog: &Arc<Catalog>,
        (limits, hash_key): (DecodeLimits, HashKey),
        settings: PushSettings,
        metrics: PushMetrics,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let door = RwLock::new(Arc::new(Door::new(catalog, limits, hash_key)));
        Self::new(Target::On { log, door, limits, hash_key }, settings, metrics, clock)
    }

    /// Takes nothing, and says why and what to do.
    pub fn off(
        (reason, hint): (String, String),
        settings: PushSettings,
        metrics: PushMetrics,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self::new(Target::Off { reason, hint }, settings, metrics, clock)
    }

    fn new(target: Target, settings: PushSettings, metrics: PushMetrics, clock: Arc<dyn Clock>) -> Self {
        let permits = Semaphore::new(settings.concurrency_max.clamp(1, Semaphore::MAX_PERMITS));
        Self(Arc::new(Inner { target, settings, permits, metrics, clock }))
    }

    /// Takes events of another catalogue's types from now on.
    pub fn define(&self, catalog: &Arc<Catalog>) {
        if let Target::On { door, limits, hash_key, .. } = &self.0.target {
            *door.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Door::new(catalog, *limits, *hash_key));
        }
    }
}

/// The endpoint.
pub fn routes(push: Push) -> Router {
    Router::new().route("/api/v1/events", post(events)).with_state(push)
}

async fn events(State(push): State<Push>, RawQuery(query): RawQuery, request: Request) -> Response {
    let started = push.0.clock.monotonic();
    let answer = push.take(query.as_deref(), request).await;
    let seconds = push.0.clock.monotonic().saturating_sub(started).as_secs_f64();
    let outcome = match &answer {
        Ok(taken) => {
            push.0.metrics.events.with_label_values(&["accepted"]).inc_by(taken.accepted as u64);
            push.0.metrics.events.with_label_values(&["dead_letter"]).inc_by(taken.dead_letters as u64);
            push.0.metrics.events.with_label_values(&["ignored"]).inc_by(taken.ignored as u64);
            "accepted"
        }
        Err(refusal) => refusal.code(),
    };
    push.0.metrics.requests.with_label_values(&[outcome]).inc();
    push.0.metrics.seconds.observe(seconds);
    answer.map_or_else(|refusal| refusal.into_response(), Taken::into_response)
}

/// What becomes of a request with mistakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnError {
    /// Nothing of it is taken.
    Refuse,
    /// All of it is taken.
    DeadLetter,
}

impl OnError {
    fn parse(query: Option<&str>) -> Result<Self, Box<Refusal>> {
        let mut chosen = Self::Refuse;
        for pair in query.unwrap_or_default().split('&').filter(|p| !p.is_empty()) {
            chosen = match pair {
                "on_error=dead_letter" => Self::DeadLetter,
                "on_error=refuse" => Self::Refuse,
                other => {
                    let message =
                        format!("parameters: expected on_error=refuse or on_error=dead_letter, found {other:?}");
                    return Err(Refusal::new(StatusCode::BAD_REQUEST, "bad_request", message));
                }
            };
        }
        Ok(chosen)
    }
}

impl Push {
    async fn take(&self, query: Option<&str>, request: Request) -> Result<Taken, Box<Refusal>> {
        let inner = &*self.0;
        let (log, door) = match &inner.target {
            Target::On { log, door, .. } => (log, Arc::clone(&door.read().unwrap_or_else(PoisonError::into_inner))),
            Target::Off { reason, hint } => {
                let off = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "push_off", reason.clone());
                return Err(off.hint(hint.clone()));
            }
        };
        let Ok(_permit) = inner.permits.try_acquire() else {
            let max = inner.settings.concurrency_max;
            let message = format!("{max} requests are under way already (push.concurrency_max)");
            return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "busy", message).retry_after(RETRY_BUSY_S));
        };
        log.health().map_err(of_append)?;
        let on_error = OnError::parse(query)?;
        let form = Form::of(request.headers())?;
        let packing = Packing::of(request.headers())?;
        let (head, body) = request.into_parts();
        let body = body::receive(&head.headers, body, &inner.settings).await?;
        let now_us = inner.clock.now_us();
        let is_small = packing == Packing::Plain && body.len() <= ASIDE_BYTES;
        let (body_bytes_max, events_max) = (inner.settings.body_bytes_max, inner.settings.events_max);
        let read = move || {
            let body = packing.unpack(body, body_bytes_max)?;
            let records = form.records(&head.headers, body, events_max)?;
            let verdict = door.judge(&records, now_us);
            Ok::<_, Box<Refusal>>((records, verdict))
        };
        let (records, verdict) = match is_small {
            true => read()?,
            false => tokio::task::spawn_blocking(read).await.map_err(|error| {
                Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", format!("reading the body: {error}"))
            })??,
        };
        if on_error == OnError::Refuse && verdict.is_bad() {
            return Err(verdict.refusal(records.len()));
        }
        let taken = verdict.taken();
        if records.is_empty() {
            return Ok(taken);
        }
        let first_offset = log.append(EVENTS_TOPIC, now_us, records).await.map_err(of_append)?;
        Ok(Taken { first_offset: Some(first_offset), ..taken })
    }
}

fn of_append(error: AppendError) -> Box<Refusal> {
    let (too_many, unavailable) = (StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE);
    match &error {
        AppendError::Full { .. } => Refusal::new(too_many, "log_full", error.to_string())
            .hint("send it again later: a commit of the tables makes room")
            .retry_after(RETRY_FULL_S),
        AppendError::Busy { .. } => Refusal::new(too_many, "busy", error.to_string()).retry_after(RETRY_BUSY_S),
        AppendError::Failed(reason) => {
            Refusal::new(unavailable, "log_failed", format!("the log cannot be written: {reason}"))
                .hint("the operator is to make room or mend the disk and start Tidewatch again; then send it again")
        }
        AppendError::Closed => Refusal::new(unavailable, "stopping", "the process is stopping")
            .hint("send it again to the next one")
            .retry_after(RETRY_BUSY_S),
        AppendError::Topic(_) => Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string()),
    }
}

#[cfg(test)]
mod tests;

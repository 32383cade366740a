//! Answers as senders understand them: what is final and what is worth another try.

use super::Message;
use super::batch::Refusal;
use crate::log::AppendError;
use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::collections::BTreeMap;

/// When to come again, seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

const SAMPLES_WRITTEN: &str = "x-prometheus-remote-write-samples-written";
const HISTOGRAMS_WRITTEN: &str = "x-prometheus-remote-write-histograms-written";
const EXEMPLARS_WRITTEN: &str = "x-prometheus-remote-write-exemplars-written";

/// What became of a request: the rest is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub samples: u64,
    pub histograms: u64,
    pub exemplars_dropped: u64,
    pub refused: BTreeMap<Refusal, u64>,
    /// Some of what was refused, in words.
    pub named: Vec<String>,
}

impl Answer {
    /// How many samples were refused.
    pub fn refused_count(&self) -> u64 {
        self.refused.values().sum()
    }

    /// What was refused, for a person.
    pub fn refused_text(&self) -> String {
        let counts: Vec<String> = self.refused.iter().map(|(reason, n)| format!("{} {n}", reason.as_str())).collect();
        format!(
            "{} samples refused ({}), the others are kept; among them: {}",
            self.refused_count(),
            counts.join(", "),
            self.named.join("; ")
        )
    }

    /// 204, or 400 when something was refused: the same request would be refused again.
    pub fn response_of_write(&self, message: Message) -> Response {
        let written = written(message, self.samples, self.histograms);
        match self.refused.is_empty() {
            true => (StatusCode::NO_CONTENT, written).into_response(),
            false => (StatusCode::BAD_REQUEST, written, error_body(StatusCode::BAD_REQUEST, &self.refused_text()))
                .into_response(),
        }
    }
}

/// An error in the shape of Prometheus' HTTP API.
fn error_body(status: StatusCode, message: &str) -> Json<serde_json::Value> {
    let kind = if status == StatusCode::SERVICE_UNAVAILABLE { "unavailable" } else { "bad_data" };
    Json(json!({ "status": "error", "errorType": kind, "error": message }))
}

/// What 2.0 wants to be told; to a sender of 1.0 it would mean that we had understood 2.0.
fn written(message: Message, samples: u64, histograms: u64) -> HeaderMap {
    if message == Message::V1 {
        return HeaderMap::new();
    }
    let counts = [(SAMPLES_WRITTEN, samples), (HISTOGRAMS_WRITTEN, histograms), (EXEMPLARS_WRITTEN, 0)];
    counts.into_iter().map(|(name, count)| (header::HeaderName::from_static(name), HeaderValue::from(count))).collect()
}

/// Why nothing of a request was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub status: StatusCode,
    pub message: String,
}

impl Failure {
    fn new(status: StatusCode, message: String) -> Self {
        Self { status, message }
    }

    pub fn bad(message: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub fn unsupported(message: String) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
    }

    pub fn too_large(message: String) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    }

    pub fn unavailable(message: String) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// Not 429: Prometheus drops what is answered with it, unless it is told otherwise.
    pub fn busy(requests_max: usize) -> Self {
        Self::unavailable(format!("{requests_max} requests are worked on already (samples.requests_max)"))
    }

    /// As a remote write sender reads it.
    pub fn response_of_write(self, message: Message) -> Response {
        let (headers, status) = (written(message, 0, 0), self.status);
        let mut response = (status, headers, error_body(status, &self.message)).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}

impl From<AppendError> for Failure {
    fn from(error: AppendError) -> Self {
        Self::unavailable(error.to_string())
    }
}

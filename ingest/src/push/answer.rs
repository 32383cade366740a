//! Answers as clients see them.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

/// A request that was taken: all of it is durable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Taken {
    /// Events that will count, or that a declared type names and no rollup reads.
    pub accepted: usize,
    /// Events that become dead letters.
    pub dead_letters: usize,
    /// Events of types that no pack declares.
    pub ignored: usize,
    /// Offset of the first one in the log; the others follow it.
    pub first_offset: Option<i64>,
}

impl IntoResponse for Taken {
    fn into_response(self) -> Response {
        (StatusCode::ACCEPTED, Json(self)).into_response()
    }
}

/// What is wrong with one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Problem {
    /// Its place in the request, from 0.
    pub index: usize,
    /// Kind of mistake, as dead letters name it, or `unknown_type`.
    pub reason: &'static str,
    /// Where in the event, as far as it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What was expected and what was found.
    pub detail: String,
    /// What to do.
    pub hint: &'static str,
    /// CloudEvents `id`, when it could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// CloudEvents `type`, when it could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
}

/// A request of which nothing was taken: `{"error": {"code", "message", "hint", "events"}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    hint: Option<String>,
    retry_after_s: Option<u32>,
    problems: Vec<Problem>,
    not_listed: usize,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Box<Self> {
        let message = message.into();
        Box::new(Self { status, code, message, hint: None, retry_after_s: None, problems: Vec::new(), not_listed: 0 })
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Box<Self> {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub(super) fn hint(mut self: Box<Self>, hint: impl Into<String>) -> Box<Self> {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn retry_after(mut self: Box<Self>, seconds: u32) -> Box<Self> {
        self.retry_after_s = Some(seconds);
        self
    }

    pub(super) fn problems(mut self: Box<Self>, problems: Vec<Problem>, not_listed: usize) -> Box<Self> {
        (self.problems, self.not_listed) = (problems, not_listed);
        self
    }

    /// Stable name of the kind of error.
    pub fn code(&self) -> &'static str {
        self.code
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let Some(hint) = self.hint {
            error["hint"] = hint.into();
        }
        if !self.problems.is_empty() {
            error["events"] = json!(self.problems);
            error["not_listed"] = self.not_listed.into();
        }
        let mut response = (self.status, Json(json!({ "error": error }))).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

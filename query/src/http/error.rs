//! Errors as clients see them: a status, a stable code, a message, a hint.

use crate::sql::SqlError;
use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// `{"error": {"code": …, "message": …, "hint": …}}` with a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    hint: Option<String>,
    retry_after_s: Option<u32>,
}

impl ApiError {
    /// An error without a hint.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), hint: None, retry_after_s: None }
    }

    /// Says after how many seconds to try again.
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// Adds what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<SqlError> for ApiError {
    fn from(error: SqlError) -> Self {
        let status = match &error {
            SqlError::Query { .. } => StatusCode::BAD_REQUEST,
            SqlError::TooManyRows(_) | SqlError::Memory { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            SqlError::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
            SqlError::Busy(_) => StatusCode::TOO_MANY_REQUESTS,
            SqlError::Snapshot(_) => StatusCode::SERVICE_UNAVAILABLE,
            SqlError::Execution(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let api = Self::new(status, error.code(), error.to_string());
        match error.hint() {
            Some(hint) => api.hint(hint),
            None => api,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let Some(hint) = self.hint {
            error["hint"] = hint.into();
        }
        let mut response = (self.status, Json(json!({ "error": error }))).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

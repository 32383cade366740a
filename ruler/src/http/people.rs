//! What people ask about an alert, and what they do about it.

use super::{parameters, refused, success};
use crate::begin::Shared;
use crate::evaluate::timestamp;
use crate::explain::{ExplainError, explain as explain_alert};
use crate::ledger::{Row, STAGE_PERSON};
use crate::store::Change;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, body::Bytes};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use tidewatch_alerting::escalation::incident::Act;
use tidewatch_alerting::route::{Fingerprint, Notifier};

pub async fn explain(
    State(shared): State<Arc<Shared>>,
    Path(fingerprint): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let is_text = parameters(query.as_deref()).iter().any(|(name, value)| name == "format" && value == "text");
    let explained = tokio::task::spawn_blocking(move || explain_alert(&shared, &fingerprint)).await;
    match explained {
        Ok(Ok(explained)) if is_text => {
            ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], explained.to_string()).into_response()
        }
        Ok(Ok(explained)) => Json(json!({ "status": "success", "data": explained })).into_response(),
        Ok(Err(error @ ExplainError::NotAFingerprint(_))) => {
            refused(StatusCode::BAD_REQUEST, "bad_data", error.to_string())
        }
        Ok(Err(error @ ExplainError::Unknown(_))) => refused(StatusCode::NOT_FOUND, "not_found", error.to_string()),
        Ok(Err(error)) => refused(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string()),
        Err(error) => refused(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string()),
    }
}

/// Who, and why.
#[derive(Debug, Deserialize)]
struct Person {
    by: String,
    #[serde(default)]
    note: String,
}

pub async fn acknowledge(State(shared): State<Arc<Shared>>, Path(fingerprint): Path<String>, body: Bytes) -> Response {
    act(shared, fingerprint, &body, "acknowledged", |notifier, alert, act| {
        notifier.state.escalation.acknowledge(alert, act)
    })
    .await
}

pub async fn unacknowledge(
    State(shared): State<Arc<Shared>>,
    Path(fingerprint): Path<String>,
    body: Bytes,
) -> Response {
    act(shared, fingerprint, &body, "not acknowledged any more", |notifier, alert, act| {
        notifier.state.escalation.unacknowledge(alert, act.at)
    })
    .await
}

pub async fn close(State(shared): State<Arc<Shared>>, Path(fingerprint): Path<String>, body: Bytes) -> Response {
    act(shared, fingerprint, &body, "closed", |notifier, alert, _| notifier.state.escalation.close(alert).is_some())
        .await
}

async fn act(
    shared: Arc<Shared>,
    fingerprint: String,
    body: &[u8],
    what: &'static str,
    change: impl FnOnce(&mut Notifier, Fingerprint, Act) -> bool + Send + 'static,
) -> Response {
    let person: Person = match serde_json::from_slice(body) {
        Ok(person) => person,
        Err(error) => {
            let message = format!("expected {{\"by\": \"who\", \"note\": \"why\"}}: {error}");
            return refused(StatusCode::BAD_REQUEST, "bad_data", message);
        }
    };
    let Ok(alert) = u64::from_str_radix(&fingerprint, 16).map(Fingerprint) else {
        let error = ExplainError::NotAFingerprint(fingerprint);
        return refused(StatusCode::BAD_REQUEST, "bad_data", error.to_string());
    };
    let done = tokio::task::spawn_blocking(move || {
        let now_ms = shared.clock.now_ms();
        let mut notifier = shared.notifier();
        let act = Act { by: person.by.clone(), at: timestamp(now_ms), note: person.note.clone() };
        if !change(&mut notifier, alert, act) {
            return Ok(false);
        }
        let labels = notifier.state.store.get(alert).map(|alert| alert.labels.0.clone()).unwrap_or_default();
        let row = Row {
            time_ms: now_ms,
            stage: STAGE_PERSON.to_owned(),
            alert: Some(fingerprint),
            labels,
            reason: format!("{what} by {}: {}", person.by, person.note),
            by: vec![person.by],
            ..Row::default()
        };
        let change = Change { notifier: Some(&notifier.state), rows: &[row], durable: true, ..Change::default() };
        let written = shared.store.write(&change).map(|()| true);
        drop(notifier);
        shared.poke.notify_one();
        written
    });
    match done.await {
        Ok(Ok(true)) => success(json!({})),
        Ok(Ok(false)) => {
            let message =
                "no incident of this alert is open: no policy of `tidewatch.escalation` covers it, or it is over";
            refused(StatusCode::NOT_FOUND, "not_found", message)
        }
        Ok(Err(error)) => refused(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string()),
        Err(error) => refused(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string()),
    }
}

//! Alertmanager's API, version 2.

use super::parameters;
use crate::begin::Shared;
use crate::evaluate::timestamp;
use crate::store::Change;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tidewatch_alerting::api_v2::query::{self, AlertsQuery, ApiError, GroupsQuery, SilencesQuery};
use tidewatch_alerting::api_v2::{PostableAlert, PostableSilence, VersionInfo};
use tidewatch_alerting::route::{Notifier, Timestamp};

pub fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/api/v2/status", get(status))
        .route("/api/v2/receivers", get(receivers))
        .route("/api/v2/alerts", get(alerts).post(post_alerts))
        .route("/api/v2/alerts/groups", get(groups))
        .route("/api/v2/silences", get(silences).post(post_silence))
        .route("/api/v2/silence/{id}", get(silence).delete(delete_silence))
}

/// Alertmanager answers errors with a text in JSON.
struct Refused(ApiError);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, message) = match self.0 {
            ApiError::BadRequest(message) => (StatusCode::BAD_REQUEST, message),
            ApiError::NotFound(message) => (StatusCode::NOT_FOUND, message),
        };
        let body = serde_json::Value::from(message).to_string();
        (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}

fn answer<T: Serialize>(result: Result<T, ApiError>) -> Response {
    match result {
        Ok(value) => Json(value).into_response(),
        Err(error) => Refused(error).into_response(),
    }
}

/// Parameters of one request.
struct Asked(Vec<(String, String)>);

impl Asked {
    fn of(query: Option<&str>) -> Self {
        Self(parameters(query))
    }

    fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()) {
            None => Ok(true),
            Some("true" | "1" | "t" | "T" | "TRUE" | "True") => Ok(true),
            Some("false" | "0" | "f" | "F" | "FALSE" | "False") => Ok(false),
            Some(other) => Err(ApiError::BadRequest(format!("{name} in query must be of type boolean: {other:?}"))),
        }
    }

    fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect()
    }

    fn alerts(&self) -> Result<AlertsQuery, ApiError> {
        Ok(AlertsQuery {
            active: self.flag("active")?,
            silenced: self.flag("silenced")?,
            inhibited: self.flag("inhibited")?,
            unprocessed: self.flag("unprocessed")?,
            filter: self.all("filter"),
            receiver: self.all("receiver").into_iter().next(),
            receiver_matchers: self.all("receiver_matchers"),
        })
    }
}

fn now(shared: &Shared) -> Timestamp {
    timestamp(shared.clock.now_ms())
}

async fn status(State(shared): State<Arc<Shared>>) -> Response {
    let version = VersionInfo { version: env!("CARGO_PKG_VERSION").to_owned(), ..VersionInfo::default() };
    let started = timestamp(shared.started_ms);
    answer(Ok(query::service_status(&shared.notifier(), version, started)))
}

async fn receivers(State(shared): State<Arc<Shared>>, RawQuery(asked): RawQuery) -> Response {
    let matchers = Asked::of(asked.as_deref()).all("receiver_matchers");
    answer(query::receivers(&shared.notifier(), &matchers))
}

async fn alerts(State(shared): State<Arc<Shared>>, RawQuery(asked): RawQuery) -> Response {
    let asked = Asked::of(asked.as_deref()).alerts();
    answer(asked.and_then(|asked| query::alerts(&shared.notifier(), &asked, now(&shared))))
}

async fn groups(State(shared): State<Arc<Shared>>, RawQuery(asked): RawQuery) -> Response {
    let asked = Asked::of(asked.as_deref());
    let groups = || -> Result<_, ApiError> {
        let asked = GroupsQuery { alerts: asked.alerts()?, muted: asked.flag("muted")? };
        query::groups(&shared.notifier(), &asked, now(&shared))
    };
    answer(groups())
}

async fn silences(State(shared): State<Arc<Shared>>, RawQuery(asked): RawQuery) -> Response {
    let asked = SilencesQuery { filter: Asked::of(asked.as_deref()).all("filter"), ..SilencesQuery::default() };
    answer(query::silences(&shared.notifier(), &asked, now(&shared)))
}

async fn silence(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    answer(query::silence(&shared.notifier(), &id, now(&shared)))
}

async fn post_alerts(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    change(shared, &body, |notifier, posted: Vec<PostableAlert>, now, _| query::post_alerts(notifier, posted, now))
        .await
}

async fn post_silence(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    change(shared, &body, |notifier, posted: PostableSilence, now, entropy| {
        query::post_silence(notifier, posted, now, entropy)
    })
    .await
}

async fn delete_silence(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    change(shared, b"null", move |notifier, (): (), now, _| query::delete_silence(notifier, &id, now)).await
}

/// Changes the notifier's state and answers once that is on the disk. What was valid of a request that was not
/// altogether is kept, too.
async fn change<P: DeserializeOwned + Send + 'static, T: Serialize + Send + 'static>(
    shared: Arc<Shared>,
    body: &[u8],
    change: impl FnOnce(&mut Notifier, P, Timestamp, u128) -> Result<T, ApiError> + Send + 'static,
) -> Response {
    let posted: P = match serde_json::from_slice(body) {
        Ok(posted) => posted,
        Err(error) => return Refused(ApiError::BadRequest(format!("parsing body failed: {error}"))).into_response(),
    };
    let changed = tokio::task::spawn_blocking(move || {
        let entropy = entropy(&shared);
        let mut notifier = shared.notifier();
        let result = change(&mut notifier, posted, now(&shared), entropy);
        let state = Change { notifier: Some(&notifier.state), durable: true, ..Change::default() };
        let written = shared.store.write(&state);
        drop(notifier);
        shared.poke.notify_one();
        written.map(|()| result)
    });
    match changed.await {
        Ok(Ok(Ok(value))) => {
            // Where Alertmanager answers without a body, `()` would be `null`.
            match serde_json::to_value(&value) {
                Ok(serde_json::Value::Null) => StatusCode::OK.into_response(),
                _ => Json(value).into_response(),
            }
        }
        Ok(Ok(Err(error))) => Refused(error).into_response(),
        Ok(Err(error)) => failed(error.to_string()),
        Err(error) => failed(error.to_string()),
    }
}

fn failed(message: String) -> Response {
    let body = serde_json::Value::from(message).to_string();
    (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Bits that no other silence was made with: ids must not repeat, and need not be secret.
fn entropy(shared: &Shared) -> u128 {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let seed = format!("{}:{}:{}:{count}", shared.started_ms, shared.clock.now_ms(), std::process::id());
    xxhash_rust::xxh3::xxh3_128(seed.as_bytes())
}

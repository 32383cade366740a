//! The door: open from the first moment, so that probes are answered while tables are opened. Everything else is asked
//! to come again until the endpoints stand behind it.

use super::Life;
use super::decide;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use std::sync::{Arc, PoisonError, RwLock};
use tidewatch_query::http::ApiError;
use tower::ServiceExt;
use tracing::field::Empty;
use tracing::{Instrument, Span};

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Front {
    life: Life,
    behind: Arc<RwLock<Option<Router>>>,
}

impl Front {
    /// A door with nothing behind it yet.
    pub fn new(life: Life) -> Self {
        Self { life, behind: Arc::default() }
    }

    /// Lets requests through to these endpoints from now on, instead of those before.
    pub fn open(&self, routes: Router) {
        *self.behind.write().unwrap_or_else(PoisonError::into_inner) = Some(routes);
    }

    fn behind(&self) -> Option<Router> {
        self.behind.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The door as a server sees it.
    pub fn routes(&self) -> Router {
        Router::new().fallback(pass).with_state(self.clone())
    }
}

async fn pass(State(front): State<Front>, request: Request) -> Response {
    match front.behind() {
        Some(routes) => {
            let span = traced(&request);
            let Ok(response) = routes.oneshot(request).instrument(span.clone()).await;
            let status = response.status();
            span.record("http.response.status_code", status.as_u16());
            if status.is_server_error() {
                span.record("error", status.as_str());
            }
            response
        }
        None if request.uri().path() == "/-/healthy" => "healthy\n".into_response(),
        None => {
            let doing = decide::started(front.life.stage(), &[]).err().unwrap_or_else(|| "starting".to_owned());
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "starting", doing)
                .hint("come again in a moment; GET /-/startup says when")
                .into_response()
        }
    }
}

/// The span of a request, which goes on a caller's trace. Probes would be most of all traces, and tell nothing.
fn traced(request: &Request) -> Span {
    let path = request.uri().path();
    if path.starts_with("/-/") {
        return Span::none();
    }
    let traceparent = request.headers().get("traceparent").and_then(|value| value.to_str().ok()).unwrap_or_default();
    tracing::info_span!(
        target: "otel",
        "http.request",
        traceparent,
        kind = "server",
        http.request.method = request.method().as_str(),
        url.path = path,
        http.response.status_code = Empty,
        error = Empty,
    )
}

#[cfg(test)]
mod tests;

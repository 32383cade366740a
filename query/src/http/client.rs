//! Who asks: for limits per client, not for rights.

use super::{ApiError, Endpoints};
use crate::gate::{QueryPermit, Refused, client_at, client_named};
use crate::metrics::QueryMetrics;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::StatusCode;
use axum::http::request::Parts;
use std::convert::Infallible;
use std::net::SocketAddr;
use tokio::time::Instant;

/// Seconds after which a client that was refused may ask again.
const RETRY_AFTER_S: u32 = 1;

/// A client by what it says of itself (`X-Api-Key`, `Authorization`, `X-Client`), else by its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Client(String);

impl<S: Send + Sync> FromRequestParts<S> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let named = ["x-api-key", "authorization", "x-client"]
            .iter()
            .find_map(|name| parts.headers.get(*name).map(|value| client_named(name, value.as_bytes())));
        let address = || parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| client_at(peer.0.ip()));
        Ok(Self(named.or_else(address).unwrap_or_default()))
    }
}

impl Client {
    /// A permit for a query of this client, which waits for its turn until then.
    pub(crate) async fn turn(&self, endpoints: &Endpoints, until: Instant) -> Result<QueryPermit, Refused> {
        let permit = endpoints.queries.wait(&self.0, until).await;
        permit.inspect_err(|refused| count_refused(&endpoints.metrics, *refused))
    }

    /// A permit for a list of series, labels or the newest samples, which waits as long as a query of PromQL may take.
    pub(crate) async fn wait(&self, endpoints: &Endpoints) -> Result<QueryPermit, Refused> {
        self.turn(endpoints, Instant::now() + endpoints.promql.limits().timeout).await
    }
}

fn count_refused(metrics: &QueryMetrics, refused: Refused) {
    metrics.queries.with_label_values(&[refused.code()]).inc();
}

/// Counts a query by how it ended, once it is dropped: as canceled when nobody waited for its end.
#[derive(Debug)]
pub(crate) struct Counted {
    metrics: QueryMetrics,
    started: Instant,
    outcome: &'static str,
}

impl Counted {
    /// A query begins.
    pub(crate) fn begin(metrics: &QueryMetrics) -> Self {
        Self { metrics: metrics.clone(), started: Instant::now(), outcome: "canceled" }
    }

    /// It ended, well or with the code of an error.
    pub(crate) fn end(mut self, outcome: &'static str) {
        self.outcome = outcome;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.metrics.query_seconds.observe(self.started.elapsed().as_secs_f64());
        self.metrics.queries.with_label_values(&[self.outcome]).inc();
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, refused.code(), refused.message())
            .hint("try again in a moment")
            .retry_after(RETRY_AFTER_S)
    }
}

//! Who asks: for limits per client, not for rights.

use super::ApiError;
use crate::gate::{QueryPermit, Refused};
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::StatusCode;
use axum::http::request::Parts;
use std::convert::Infallible;
use std::net::SocketAddr;
use xxhash_rust::xxh3::xxh3_64;

/// Seconds after which a client that was refused may ask again.
const RETRY_AFTER_S: u32 = 1;

/// A client by what it says of itself (`X-Api-Key`, `Authorization`, `X-Client`), else by its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Client(String);

impl<S: Send + Sync> FromRequestParts<S> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let named = ["x-api-key", "authorization", "x-client"].iter().find_map(|name| {
            // Secrets are not kept, and names have no length that they could fill memory with.
            parts.headers.get(*name).map(|value| format!("{name} {:016x}", xxh3_64(value.as_bytes())))
        });
        let address = || parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip().to_string());
        Ok(Self(named.or_else(address).unwrap_or_default()))
    }
}

impl Client {
    /// A permit for a query of this client.
    pub(crate) fn enter(&self, endpoints: &super::Endpoints) -> Result<QueryPermit, Refused> {
        endpoints.queries.enter(&self.0).inspect_err(|refused| {
            endpoints.metrics.queries.with_label_values(&[refused.code()]).inc();
        })
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, refused.code(), refused.message())
            .hint("try again in a moment")
            .retry_after(RETRY_AFTER_S)
    }
}

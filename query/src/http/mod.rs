//! The HTTP endpoints.
//!
//! | path | answers |
//! |---|---|
//! | `GET /` | browsers: the page, whose files are `GET /page/…`; others: what is here |
//! | `GET /metrics` | Prometheus text or OpenMetrics, by `Accept`; `?rollups=false`: our own metrics only |
//! | `POST /api/v1/sql` | a query: JSON `{"sql": …, "format": …}`, or its bare text |
//! | `GET /api/v1/tables` | names, kinds and columns of rollups, tables and views |
//! | `/api/v1/query`, … | Prometheus' API: `http/prometheus_api/mod.rs` |
//! | `GET /-/healthy` | 200 while the process lives; 503 when only a restart helps |
//! | `GET /-/startup` | 503 until tables, workers and rules are there, then 200 for ever |
//! | `POST /api/v1/events` | takes events: not here, in the ingest crate |
//! | `GET /-/ready` | 200 when workers and store answer and what is pushed can be taken, else 503 with the reason |

mod client;
mod error;
mod index;
mod page;
mod probes;
mod prometheus_api;
mod sql;

pub use error::ApiError;
pub use probes::{Check, Checks, Probes};

use crate::exposition::Exposition;
use crate::gate::QueryGate;
use crate::metrics::QueryMetrics;
use crate::promql::PromEngine;
use crate::scrape::Scrape;
use crate::sql::SqlEngine;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use std::sync::Arc;

/// What the endpoints answer from. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Endpoints {
    /// Queries.
    pub engine: Arc<SqlEngine>,
    /// PromQL.
    pub promql: PromEngine,
    /// `/metrics`.
    pub scrape: Arc<Scrape>,
    /// Our own metrics.
    pub metrics: QueryMetrics,
    /// Queries that may run at the same time, in all and of one client; more wait for their turn.
    pub queries: Arc<QueryGate>,
    /// What must be well for the process to be alive, started, and ready.
    pub probes: Probes,
    /// When the process began to answer, milliseconds since the epoch.
    pub started_ms: i64,
}

/// The routes.
pub fn router(endpoints: Endpoints) -> Router {
    // A JSON string may spell every byte of the query with six.
    let body_max = endpoints.engine.limits().query_bytes_max.saturating_mul(6).saturating_add(1024);
    Router::new()
        .route("/", get(page::first))
        .route("/page/{file}", get(page::file))
        .route("/metrics", get(metrics))
        .route("/api/v1/sql", post(sql::query))
        .route("/api/v1/tables", get(sql::tables))
        .merge(prometheus_api::routes())
        .route("/-/healthy", get(probes::healthy))
        .route("/-/startup", get(probes::startup))
        .route("/-/ready", get(probes::ready))
        .fallback(|| async {
            ApiError::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path")
                .hint("GET / lists the endpoints")
        })
        .layer(DefaultBodyLimit::max(body_max))
        .with_state(endpoints)
}

#[derive(Debug, Deserialize)]
struct MetricsParameters {
    /// Whether the newest windows of the rollups come as well, which is nearly all of the work.
    #[serde(default = "with_rollups")]
    rollups: bool,
}

fn with_rollups() -> bool {
    true
}

async fn metrics(
    State(endpoints): State<Endpoints>,
    Query(parameters): Query<MetricsParameters>,
    headers: HeaderMap,
) -> Response {
    let exposition = Exposition::accepted(headers.get(header::ACCEPT).and_then(|a| a.to_str().ok()));
    let families = match parameters.rollups {
        true => endpoints.scrape.families().await,
        false => endpoints.scrape.own(),
    };
    ([(header::CONTENT_TYPE, exposition.media_type())], exposition.write(&families)).into_response()
}

#[cfg(test)]
mod tests;

//! Prometheus' HTTP API, version 1: what Grafana, promtool and vmalert ask.
//!
//! | path | answers |
//! |---|---|
//! | `query`, `query_range` | PromQL |
//! | `series`, `labels`, `label/<name>/values` | which series there are |
//! | `metadata` | kinds and help of the metrics |
//! | `format_query`, `parse_query` | the query itself |
//! | `status/buildinfo`, `status/runtimeinfo`, `status/tsdb`, `status/config`, `features` | about this process |
//! | `query_exemplars`, `targets`, … | that there are none: `absent.rs` |
//! | `rules`, `alerts` | not here: in the ruler crate |
//!
//! `/federate` gives newest samples to another Prometheus.
//!
//! Whatever takes a query or matchers also takes `POST` with a form. Whatever reads data takes one of its client's turns:
//! queries at once or not at all, lists when it is theirs.

mod absent;
mod discover;
mod federate;
mod query;
mod request;
mod response;
mod status;
mod tree;

use super::Endpoints;
use crate::gate::Refused;
use crate::promql::PromError;
use axum::Router;
use axum::routing::get;
use response::{Failure, success};
use serde_json::json;

/// The routes below `/api/v1`.
pub fn routes() -> Router<Endpoints> {
    Router::new()
        .route("/federate", get(federate::federate))
        .route("/api/v1/query", get(query::instant).post(query::instant))
        .route("/api/v1/query_range", get(query::range).post(query::range))
        .route("/api/v1/format_query", get(query::format).post(query::format))
        .route("/api/v1/parse_query", get(query::parse).post(query::parse))
        .route("/api/v1/query_exemplars", get(query::exemplars).post(query::exemplars))
        .route("/api/v1/series", get(discover::series).post(discover::series))
        .route("/api/v1/labels", get(discover::labels).post(discover::labels))
        .route("/api/v1/label/{name}/values", get(discover::values))
        .route("/api/v1/metadata", get(discover::metadata))
        .route("/api/v1/status/buildinfo", get(status::build))
        .route("/api/v1/status/runtimeinfo", get(status::runtime))
        .route("/api/v1/status/tsdb", get(status::tsdb))
        .route("/api/v1/status/config", get(|| async { success(&json!({ "yaml": "" })) }))
        .route("/api/v1/features", get(status::features))
        .merge(absent::routes())
}

impl From<PromError> for Failure {
    fn from(error: PromError) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::new("too_many_requests", refused.message())
    }
}

#[cfg(test)]
mod tests;

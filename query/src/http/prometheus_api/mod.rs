//! Prometheus' HTTP API, version 1: what Grafana, promtool and vmalert ask.
//!
//! | path | answers |
//! |---|---|
//! | `query`, `query_range` | PromQL |
//! | `series`, `labels`, `label/<name>/values` | which series there are |
//! | `metadata` | kinds and help of the metrics |
//! | `format_query`, `parse_query` | the query itself |
//! | `query_exemplars`, `rules`, `alerts`, `targets`, `alertmanagers` | that there are none |
//! | `status/buildinfo`, `status/runtimeinfo`, `status/tsdb`, `status/flags`, `status/config` | about this process |
//!
//! `/federate` gives newest samples to another Prometheus.
//!
//! Those of the first two rows, `format_query` and `query_exemplars` also take `POST` with a form.

mod discover;
mod federate;
mod query;
mod request;
mod response;
mod status;

use super::Endpoints;
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
        .route("/api/v1/query_exemplars", get(query::exemplars).post(query::exemplars))
        .route("/api/v1/series", get(discover::series).post(discover::series))
        .route("/api/v1/labels", get(discover::labels).post(discover::labels))
        .route("/api/v1/label/{name}/values", get(discover::values))
        .route("/api/v1/metadata", get(discover::metadata))
        .route("/api/v1/rules", get(|| async { success(&json!({ "groups": [] })) }))
        .route("/api/v1/alerts", get(|| async { success(&json!({ "alerts": [] })) }))
        .route("/api/v1/targets", get(|| async { success(&json!({ "activeTargets": [], "droppedTargets": [] })) }))
        .route(
            "/api/v1/alertmanagers",
            get(|| async { success(&json!({ "activeAlertmanagers": [], "droppedAlertmanagers": [] })) }),
        )
        .route("/api/v1/status/buildinfo", get(status::build))
        .route("/api/v1/status/runtimeinfo", get(status::runtime))
        .route("/api/v1/status/tsdb", get(status::tsdb))
        .route("/api/v1/status/flags", get(|| async { success(&json!({})) }))
        .route("/api/v1/status/config", get(|| async { success(&json!({ "yaml": "" })) }))
}

impl From<PromError> for Failure {
    fn from(error: PromError) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

#[cfg(test)]
mod tests;

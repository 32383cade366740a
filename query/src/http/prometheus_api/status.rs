//! `status/…`: about this process, in the shapes that clients of Prometheus read.

use super::super::Endpoints;
use super::response::success;
use axum::extract::State;
use axum::response::Response;
use serde_json::json;

/// The version whose semantics queries have: clients turn features on by it.
const PROMETHEUS_VERSION: &str = "3.5.0";

pub async fn build() -> Response {
    success(&json!({
        "version": PROMETHEUS_VERSION,
        "revision": concat!("tidewatch ", env!("CARGO_PKG_VERSION")),
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    }))
}

pub async fn runtime(State(endpoints): State<Endpoints>) -> Response {
    let time = chrono::DateTime::from_timestamp_millis(endpoints.promql.now_ms()).unwrap_or_default().to_rfc3339();
    success(&json!({
        "startTime": time,
        "CWD": "",
        "hostname": "",
        "serverTime": time,
        "reloadConfigSuccess": true,
        "lastConfigTime": time,
        "corruptionCount": 0,
        "goroutineCount": 0,
        "GOMAXPROCS": std::thread::available_parallelism().map_or(1, usize::from),
        "GOMEMLIMIT": 0,
        "GOGC": "",
        "GODEBUG": "",
        "storageRetention": "",
    }))
}

pub async fn tsdb(State(endpoints): State<Endpoints>) -> Response {
    let metrics = endpoints.promql.metrics();
    success(&json!({
        "headStats": { "numSeries": 0, "numLabelPairs": 0, "chunkCount": 0, "minTime": 0, "maxTime": 0 },
        "seriesCountByMetricName": [],
        "labelValueCountByLabelName": [{ "name": "__name__", "value": metrics.len() }],
        "memoryInBytesByLabelName": [],
        "seriesCountByLabelValuePair": [],
    }))
}

//! `status/…`: about this process, in the shapes that clients of Prometheus read.

use super::super::Endpoints;
use super::request::Form;
use super::response::{Failure, success};
use axum::extract::State;
use axum::response::Response;
use serde_json::json;

/// The version whose semantics queries have: clients turn features on by it.
const PROMETHEUS_VERSION: &str = "3.5.0";

/// What `status/tsdb` looks at.
const SPAN_MS: i64 = 3_600_000;
/// Items per list of `status/tsdb`, unless fewer are asked for.
const ITEMS_MAX: usize = 1000;

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
    let time = |ms: i64| chrono::DateTime::from_timestamp_millis(ms).unwrap_or_default().to_rfc3339();
    let started = time(endpoints.started_ms);
    success(&json!({
        "startTime": started,
        "CWD": "",
        "hostname": "",
        "serverTime": time(endpoints.promql.now_ms()),
        "reloadConfigSuccess": true,
        "lastConfigTime": started,
        "corruptionCount": 0,
        "goroutineCount": 0,
        "GOMAXPROCS": std::thread::available_parallelism().map_or(1, usize::from),
        "GOMEMLIMIT": 0,
        "GOGC": "",
        "GODEBUG": "",
        "storageRetention": "",
    }))
}

/// Features as Prometheus 3.10 lists them: of the parts that are here, what can be relied upon.
pub async fn features() -> Response {
    success(&json!({
        "api": { "query": true, "query_range": true, "federation": true },
        "promql": { "at_modifier": true, "negative_offset": true, "native_histograms": true, "subqueries": true },
    }))
}

/// Counts the series of the last hour: by metric, the largest first.
pub async fn tsdb(State(endpoints): State<Endpoints>, form: Form) -> Result<Response, Failure> {
    let limit = form.limit()?.min(ITEMS_MAX);
    let now_ms = endpoints.promql.now_ms();
    let mut counts = endpoints.promql.series_counts(now_ms - SPAN_MS, now_ms).await?;
    let series: u64 = counts.iter().map(|(_, count)| count).sum();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let by_metric: Vec<_> =
        counts.iter().take(limit).map(|(name, count)| json!({ "name": name, "value": count })).collect();
    Ok(success(&json!({
        "headStats": {
            "numSeries": series, "numLabelPairs": 0, "chunkCount": 0, "minTime": now_ms - SPAN_MS, "maxTime": now_ms,
        },
        "seriesCountByMetricName": by_metric,
        "labelValueCountByLabelName": [{ "name": "__name__", "value": counts.len() }],
        "memoryInBytesByLabelName": [],
        "seriesCountByLabelValuePair": [],
    })))
}

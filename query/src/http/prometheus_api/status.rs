//! `status/…`: about this process, in the shapes that clients of Prometheus read.

use super::super::Endpoints;
use super::super::client::Client;
use super::request::Form;
use super::response::{Failure, success};
use axum::extract::State;
use axum::response::Response;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use tidewatch_promql::labels::METRIC_NAME;

/// The version whose semantics queries have: clients turn features on by it.
const PROMETHEUS_VERSION: &str = "3.5.0";

/// What `status/tsdb` looks at.
const SPAN_MS: i64 = 3_600_000;
/// Items per list of `status/tsdb`, unless a request says how many, and at most.
const ITEMS: usize = 10;
const ITEMS_MAX: usize = 10_000;

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

/// Counts the series of the last hour, which stand for those of Prometheus' head; files and batches in memory stand for
/// its chunks. Lists have the largest first.
pub(crate) async fn tsdb(State(endpoints): State<Endpoints>, client: Client, form: Form) -> Result<Response, Failure> {
    let limit = if form.get("limit").is_some() { form.limit()?.min(ITEMS_MAX) } else { ITEMS };
    let _permit = client.wait(&endpoints).await?;
    let now_ms = endpoints.promql.now_ms();
    let found = endpoints.promql.cardinality(now_ms - SPAN_MS, now_ms).await?;
    let plain = |name: &&String| (*name).clone();
    let of_metrics: Vec<(&String, u64)> =
        found.pairs.get(METRIC_NAME).into_iter().flatten().map(|(name, series)| (name, *series)).collect();
    let values: Vec<(&String, u64)> = found.pairs.iter().map(|(label, values)| (label, values.len() as u64)).collect();
    // As Prometheus counts them: what the values of all series take.
    let bytes =
        |values: &BTreeMap<String, u64>| values.iter().map(|(value, series)| value.len() as u64 * series).sum::<u64>();
    let memory: Vec<(&String, u64)> = found.pairs.iter().map(|(label, values)| (label, bytes(values))).collect();
    let pairs: Vec<((&String, &String), u64)> = found
        .pairs
        .iter()
        .flat_map(|(label, values)| values.iter().map(move |(value, series)| ((label, value), *series)))
        .collect();
    Ok(success(&json!({
        "headStats": {
            "numSeries": found.series,
            "numLabelPairs": pairs.len(),
            "chunkCount": found.pieces,
            "minTime": now_ms - SPAN_MS,
            "maxTime": now_ms,
        },
        "seriesCountByMetricName": largest(of_metrics, limit, plain),
        "labelValueCountByLabelName": largest(values, limit, plain),
        "memoryInBytesByLabelName": largest(memory, limit, plain),
        "seriesCountByLabelValuePair": largest(pairs, limit, |(label, value)| format!("{label}={value}")),
    })))
}

fn largest<N: Ord>(mut counts: Vec<(N, u64)>, limit: usize, named: impl Fn(&N) -> String) -> Json {
    counts.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts.iter().take(limit).map(|(name, count)| json!({ "name": named(name), "value": count })).collect()
}

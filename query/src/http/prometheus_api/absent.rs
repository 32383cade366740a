//! What Prometheus has and Tidewatch, which scrapes nothing, does not: empty lists where there is nothing to
//! list, refusals that say why where something is asked for by name.

use super::super::Endpoints;
use super::response::{Failure, success};
use axum::Router;
use axum::routing::{any, get};
use serde_json::{Value as Json, json};

/// Lists that are empty.
fn empty() -> [(&'static str, Json); 8] {
    [
        ("alertmanagers", json!({ "activeAlertmanagers": [], "droppedAlertmanagers": [] })),
        ("targets", json!({ "activeTargets": [], "droppedTargets": [], "droppedTargetCounts": {} })),
        ("targets/metadata", json!([])),
        ("scrape_pools", json!({ "scrapePools": [] })),
        ("notifications", json!([])),
        ("status/walreplay", json!({ "min": 0, "max": 0, "current": 0 })),
        ("status/tsdb/blocks", json!({ "blocks": [] })),
        ("status/flags", json!({})),
    ]
}

const NO_SCRAPING: &str = "Tidewatch scrapes nothing: there are no scrape pools and no targets";
const NO_DELETING: &str = "series are not deleted over HTTP: rollups go after the retention of their tiers";
const REFUSED: [(&str, &str); 10] = [
    ("scrape_pools/config", NO_SCRAPING),
    ("targets/relabel_steps", NO_SCRAPING),
    ("admin/tsdb/delete_series", NO_DELETING),
    ("admin/tsdb/clean_tombstones", NO_DELETING),
    ("admin/tsdb/snapshot", "every commit is a snapshot: copy the store's folder, or read any version of its tables"),
    ("status/self_metrics", "our own metrics are at /metrics"),
    ("read", "remote read is not offered: the tables are Delta Lake, and /api/v1/sql answers in Arrow and Parquet"),
    ("search/metric_names", "ask /api/v1/label/__name__/values"),
    ("search/label_names", "ask /api/v1/labels"),
    ("search/label_values", "ask /api/v1/label/<name>/values"),
];

/// The routes.
pub fn routes() -> Router<Endpoints> {
    let mut router = Router::new();
    for (path, data) in empty() {
        router = router.route(&format!("/api/v1/{path}"), get(move || async move { success(&data) }));
    }
    for (path, why) in REFUSED {
        let refuse = move || async move { Failure::new("not_found", why) };
        router = router.route(&format!("/api/v1/{path}"), any(refuse));
    }
    router
}

//! PromQL range queries over 24 hours at a step of 15 s for 500 series, beside Debian's Prometheus over the
//! same counters in the same run, both asked over HTTP.
//!
//! ```text
//! cargo bench -p tidewatch-query --bench range              needs prometheus and promtool
//! cargo bench -p tidewatch-query --bench range -- --tiny    a few series, without Prometheus
//! ```
//!
//! Tidewatch reads panes of 10 s from Parquet and makes running totals of them; Prometheus has samples of these
//! totals every 15 s in one block, as compaction leaves them. Before anything is timed, both must give the same
//! totals. Each figure is the least of several rounds, in turn.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::missing_docs_in_private_items,
    reason = "a bench measures, and fails by panicking"
)]

mod prometheus;
#[allow(dead_code, reason = "only the other bench says how large the store is")]
#[path = "../panels/store.rs"]
mod store;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::Shape;
use tidewatch_query::gate::QueryGate;
use tidewatch_query::http::{Endpoints, Probes, router};
use tidewatch_query::metrics::QueryMetrics;
use tidewatch_query::promql::{PromEngine, PromLimits};
use tidewatch_query::scrape::Scrape;
use tidewatch_query::{Definitions, NoLiveStates, Now, Snapshots, SqlEngine, SqlLimits};

const QUERIES: [&str; 8] = [
    "sum by (shop) (rate(calls_requests_total[5m]))",
    "sum(increase(calls_errors_total[5m])) / sum(increase(calls_requests_total[5m]))",
    "sum by (endpoint) (rate(calls_requests_total[1h]))",
    "sum(calls_requests_total)",
    "topk(5, rate(calls_requests_total[5m]))",
    "max_over_time(calls_requests_total{shop=\"shop-1\"}[10m])",
    "sum by (shop) (calls_requests_total) > 1000",
    "rate(calls_requests_total[5m])",
];

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_tiny = arguments.iter().any(|a| a == "--tiny") || !arguments.iter().any(|a| a == "--bench");
    let shape = if is_tiny {
        Shape { days: 1, pane_hours: 1, shops: 2, endpoints: 3 }
    } else {
        Shape { days: 1, pane_hours: 24, shops: 10, endpoints: 50 }
    };
    let rounds = if is_tiny { 1 } else { 5 };
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let filled = runtime.block_on(store::fill(&folder.path().join("data"), &shape));
    let ours = runtime.block_on(serve(&filled));
    let theirs = (!is_tiny).then(|| prometheus::Prometheus::start(folder.path(), &shape)).flatten();

    let end_s = store::END_US / 1_000_000;
    let hours = shape.pane_hours.min(24) as i64;
    // From the first full range on.
    let start_s = end_s - hours * 3600 + 3600.min(hours * 1800);
    if let Some(theirs) = &theirs {
        let totals = |address| {
            let path = format!("/api/v1/query?query=sum%20by%20(shop)%20(calls_requests_total)&time={end_s}");
            let mut all: Vec<(String, String)> = serde_json::from_slice::<serde_json::Value>(&get(address, &path).1)
                .unwrap()["data"]["result"]
                .as_array()
                .unwrap()
                .iter()
                .map(|s| (s["metric"]["shop"].to_string(), s["value"][1].to_string()))
                .collect();
            all.sort();
            all
        };
        assert_eq!(totals(ours), totals(theirs.address), "both hold the same totals");
    }
    println!("{:80} {:>12} {:>14} {:>7}", "query", "tidewatch ms", "prometheus ms", "ratio");
    for query in QUERIES {
        let encoded: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let path = format!("/api/v1/query_range?query={encoded}&start={start_s}&end={end_s}&step=15");
        let (mut least, mut other) = (Duration::MAX, Duration::MAX);
        for _ in 0..rounds {
            least = least.min(get(ours, &path).0);
            if let Some(theirs) = &theirs {
                other = other.min(get(theirs.address, &path).0);
            }
        }
        let ms = |elapsed: Duration| elapsed.as_secs_f64() * 1e3;
        match &theirs {
            Some(_) => {
                let ratio = least.as_secs_f64() / other.as_secs_f64();
                println!("{query:80} {:>12.0} {:>14.0} {ratio:>7.2}", ms(least), ms(other));
            }
            None => println!("{query:80} {:>12.0} {:>14} {:>7}", ms(least), "-", "-"),
        }
    }
}

/// The server on a port of its own.
async fn serve(filled: &store::Filled) -> SocketAddr {
    let snapshots = Snapshots::new(filled.store.clone(), Arc::new(NoLiveStates));
    snapshots.define(Definitions::default().with_table("calls", store::declared()));
    let limits = SqlLimits {
        rows_max: 1_000_000,
        timeout: Duration::from_secs(600),
        memory_bytes_max: 8 << 30,
        spill_bytes_max: 0,
        query_bytes_max: 100_000,
        cache_bytes_max: 0,
    };
    let engine = Arc::new(SqlEngine::new(snapshots, limits, Now::fixed(store::END_US)));
    let registry = ::prometheus::Registry::new();
    let metrics = QueryMetrics::register(&registry).unwrap();
    let limits = PromLimits {
        samples_max: 50_000_000,
        timeout: Duration::from_secs(600),
        points_max: 11_000,
        options: Default::default(),
        // What is measured is how answers come about.
        cache_bytes_max: 0,
    };
    let endpoints = Endpoints {
        engine: Arc::clone(&engine),
        promql: PromEngine::new(Arc::clone(&engine), limits),
        scrape: Arc::new(Scrape::new(engine, registry, metrics.clone(), 1000)),
        metrics,
        queries: QueryGate::new(8, 8),
        probes: Probes::default(),
        started_ms: 0,
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router(endpoints)).await });
    address
}

/// How long an answer takes, and its body.
pub fn get(address: SocketAddr, path: &str) -> (Duration, Vec<u8>) {
    let started = Instant::now();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let elapsed = started.elapsed();
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(400)]).into_owned();
    assert!(head.starts_with("HTTP/1.0 200") || head.starts_with("HTTP/1.1 200"), "{path}: {head}");
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    (elapsed, bytes.split_off(end))
}

mod turns;

use super::*;
use crate::promql::PromLimits;
use crate::testing::{FakeWorkers, Partial, commit, declared, engine, prom_limits, store};
use axum::body::Body;
use axum::http::{Method, Request};
use http_body_util::BodyExt;
use tower::ServiceExt;

/// Routes that answer so many queries at the same time, one of each client.
pub(super) async fn routes(queries: usize) -> (tempfile::TempDir, Arc<FakeWorkers>, Router) {
    routes_within(queries, prom_limits()).await
}

async fn routes_within(queries: usize, limits: PromLimits) -> (tempfile::TempDir, Arc<FakeWorkers>, Router) {
    let (folder, store) = store();
    commit(&store, -1, 4, &[Partial(0, Some("orders"), &[10], &["a"])]).await;
    let workers = Arc::new(FakeWorkers::default());
    let engine = Arc::new(engine(&store, workers.clone()));
    let registry = prometheus::Registry::new();
    let metrics = QueryMetrics::register(&registry).unwrap();
    engine.snapshots().define(declared());
    let scrape = Arc::new(Scrape::new(engine.clone(), registry, metrics.clone(), 100));
    let promql = PromEngine::new(Arc::clone(&engine), limits);
    let queries = QueryGate::new(queries, 1);
    let (probes, started_ms) = (Probes::default(), 1000);
    let endpoints = Endpoints { engine, promql, scrape, metrics, queries, probes, started_ms };
    (folder, workers, router(endpoints))
}

pub(super) async fn send(
    router: &Router,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, String, String) {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
    let media_type = response.headers().get("content-type").map_or("", |v| v.to_str().unwrap()).to_owned();
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, media_type, String::from_utf8_lossy(&bytes).into_owned())
}

#[tokio::test]
async fn a_query_comes_as_text_or_json_and_answers_as_asked() {
    let (_folder, _workers, router) = routes(1).await;
    let sql = "SELECT api, requests FROM calls";
    let json = "{\"columns\":[{\"name\":\"api\",\"type\":\"text\"},{\"name\":\"requests\",\"type\":\"bigint\"}],\"rows\":[\n[\"orders\",1]],\"row_count\":1}\n";
    let post = |path: &'static str, headers: Vec<(&'static str, &'static str)>, body: String| {
        let router = router.clone();
        async move { send(&router, Method::POST, path, &headers, &body).await }
    };
    assert_eq!(
        post("/api/v1/sql", vec![], sql.to_owned()).await,
        (200, "application/json".to_owned(), json.to_owned())
    );
    let request = format!("{{\"sql\": \"{sql}\", \"format\": \"csv\"}}");
    let csv = "api,requests\norders,1\n";
    assert_eq!(post("/api/v1/sql", vec![("content-type", "application/json")], request.clone()).await.2, csv);
    assert_eq!(post("/api/v1/sql", vec![], request).await.2, csv, "JSON is seen without its type");
    assert_eq!(post("/api/v1/sql?format=csv", vec![("accept", "application/json")], sql.to_owned()).await.2, csv);
    assert_eq!(post("/api/v1/sql", vec![("accept", "text/csv")], sql.to_owned()).await.2, csv);
    let (status, _, body) = post("/api/v1/sql?format=xml", vec![], sql.to_owned()).await;
    assert_eq!((status, body.contains("one of table, csv, json, ndjson, parquet, arrow, xlsx")), (400, true), "{body}");
}

#[tokio::test]
async fn too_many_queries_at_once_are_refused() {
    let (_folder, _workers, router) = routes(0).await;
    let (status, _, body) = send(&router, Method::POST, "/api/v1/sql", &[], "SELECT 1").await;
    assert_eq!((status, body.contains("sql.concurrency_max")), (429, true), "{body}");
}

#[tokio::test]
async fn readiness_says_why_not() {
    let (_folder, workers, router) = routes(1).await;
    assert_eq!(send(&router, Method::GET, "/-/ready", &[], "").await.0, 200);
    *workers.is_down.lock().unwrap() = true;
    let (status, _, body) = send(&router, Method::GET, "/-/ready", &[], "").await;
    assert_eq!((status, body.contains("the worker is busy")), (503, true), "{body}");
    assert_eq!(send(&router, Method::GET, "/-/healthy", &[], "").await.0, 200);
    assert_eq!(send(&router, Method::GET, "/-/startup", &[], "").await.2, "started\n");
    let (status, _, body) = send(&router, Method::GET, "/metrics", &[], "").await;
    assert_eq!(
        (status, body.contains("tidewatch_scrape_rollups_up 0")),
        (200, true),
        "own metrics come all the same: {body}"
    );
    let (status, _, body) = send(&router, Method::GET, "/metrics?rollups=false", &[], "").await;
    assert_eq!((status, body.contains("tidewatch_scrape_rollups_up")), (200, false), "not asked for: {body}");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_unread() {
    let (_folder, _workers, router) = routes(1).await;
    let (status, ..) = send(&router, Method::POST, "/api/v1/sql", &[], &" ".repeat(100_000)).await;
    assert_eq!(status, 413);
    let listed = send(&router, Method::GET, "/", &[], "").await;
    assert_eq!((listed.0, listed.2.contains("/api/v1/tables")), (200, true));
    let page = send(&router, Method::GET, "/", &[("accept", "text/html,*/*;q=0.8")], "").await;
    assert_eq!((page.0, page.1.as_str(), page.2.contains("page/app.js")), (200, "text/html; charset=utf-8", true));
    assert_eq!(send(&router, Method::GET, "/page/app.js", &[], "").await.1, "text/javascript; charset=utf-8");
    assert_eq!(send(&router, Method::GET, "/page/none.js", &[], "").await.0, 404);
    assert!(send(&router, Method::GET, "/api/v1/tables", &[], "").await.2.contains("\"window_seconds\":10.0"));
}

#[tokio::test]
async fn whoever_is_refused_is_told_when_to_come_again() {
    let (_folder, _workers, router) = routes(0).await;
    let request = Request::builder().method(Method::POST).uri("/api/v1/sql").body(Body::from("SELECT 1")).unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str().unwrap()), (429, "1"));
}

#[tokio::test]
async fn answers_come_as_spreadsheets_and_lines_too() {
    let (_folder, _workers, router) = routes(1).await;
    let (status, media_type, body) =
        send(&router, Method::POST, "/api/v1/sql?format=ndjson", &[], "SELECT api, requests FROM calls").await;
    assert_eq!(
        (status, media_type.as_str(), body.as_str()),
        (200, "application/x-ndjson", "{\"api\":\"orders\",\"requests\":1}\n")
    );
    let xlsx = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
    let (status, media_type, body) =
        send(&router, Method::POST, "/api/v1/sql", &[("accept", xlsx)], "SELECT 1 AS n").await;
    assert_eq!((status, media_type.as_str(), body.starts_with("PK")), (200, xlsx, true));
    let formula = "SELECT '=1+1' AS f";
    let (_, _, body) = send(&router, Method::POST, "/api/v1/sql?format=csv&spreadsheet=true", &[], formula).await;
    assert_eq!(body, "f\n'=1+1\n");
}

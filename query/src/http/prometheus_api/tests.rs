use crate::http::tests::{routes, send};
use axum::http::Method;

async fn get(path: &str) -> (u16, serde_json::Value) {
    let (_folder, _workers, router) = routes(1).await;
    let (status, media_type, body) = send(&router, Method::GET, path, &[], "").await;
    assert_eq!(media_type, "application/json", "{body}");
    (status, serde_json::from_str(&body).unwrap())
}

#[tokio::test]
async fn queries_answer_in_the_shape_of_prometheus() {
    let (status, answer) = get("/api/v1/query?query=increase(calls_requests_total[10s])&time=10").await;
    assert_eq!(status, 200, "{answer}");
    let expected = serde_json::json!({ "status": "success", "data": { "resultType": "vector", "result": [
        { "metric": { "api": "orders" }, "value": [10, "1"] }
    ] } });
    assert_eq!(answer, expected);
    let (_, answer) = get("/api/v1/query_range?query=calls_requests_total&start=0&end=20.5&step=10").await;
    let values = &answer["data"]["result"][0]["values"];
    assert_eq!(values, &serde_json::json!([[10, "1"], [20, "1"]]));
    let (_, answer) = get("/api/v1/query?query=calls_duration_seconds&time=12.5").await;
    assert_eq!(answer["data"]["result"][0]["histogram"][1]["count"], "1", "{answer}");
    let (_, answer) = get("/api/v1/query?query=1%2B1&time=2.25").await;
    assert_eq!(answer["data"], serde_json::json!({ "resultType": "scalar", "result": [2.25, "2"] }));
}

#[tokio::test]
async fn mistakes_are_bad_data() {
    for path in [
        "/api/v1/query",
        "/api/v1/query?query=sum(",
        "/api/v1/query?query=up&time=soon",
        "/api/v1/query_range?query=up&start=0&end=10",
        "/api/v1/query_range?query=up&start=10&end=0&step=1",
        "/api/v1/query_range?query=up&start=0&end=1000000&step=1",
        "/api/v1/query_range?query=up&start=0&end=10&step=0",
        "/api/v1/query_range?query=up[1m]&start=0&end=10&step=1",
        "/api/v1/series",
        "/api/v1/series?match[]=sum(up)",
        "/api/v1/labels?limit=-1",
        "/api/v1/format_query?query=1%2B",
    ] {
        let (status, answer) = get(path).await;
        assert_eq!(
            (status, &answer["status"], &answer["errorType"]),
            (400, &"error".into(), &"bad_data".into()),
            "{path}"
        );
        assert!(!answer["error"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn the_rest_of_the_api_answers() {
    for (path, expected) in [
        ("/api/v1/labels", serde_json::json!(["__name__", "api"])),
        ("/api/v1/label/api/values?start=0&end=10", serde_json::json!(["orders"])),
        (
            "/api/v1/series?match[]=calls_slowest&start=0&end=10",
            serde_json::json!([{ "__name__": "calls_slowest", "api": "orders" }]),
        ),
        ("/api/v1/format_query?query=1%2B1", "1 + 1".into()),
        ("/api/v1/query_exemplars?query=up", serde_json::json!([])),
        (
            "/api/v1/metadata?metric=calls_requests_total",
            serde_json::json!({ "calls_requests_total": [{ "type": "counter", "help": "Count of calls.requests.", "unit": "" }] }),
        ),
    ] {
        let (status, answer) = get(path).await;
        assert_eq!((status, &answer["data"]), (200, &expected), "{path}");
    }
    for path in ["buildinfo", "runtimeinfo", "tsdb", "flags", "config"] {
        assert_eq!(get(&format!("/api/v1/status/{path}")).await.0, 200, "{path}");
    }
    let (_, about) = get("/api/v1/status/runtimeinfo").await;
    assert_eq!(about["data"]["startTime"], "1970-01-01T00:00:01+00:00");
    assert_eq!(about["data"]["serverTime"], "2026-03-14T12:00:00+00:00");
}

#[tokio::test]
async fn newest_samples_are_federated() {
    let (_folder, _workers, router) = routes(1).await;
    let path = "/federate?match[]=calls_requests_total&match[]=%7B__name__=~%22calls_req.*%22%7D";
    let (status, media_type, body) = send(&router, Method::GET, path, &[], "").await;
    assert_eq!((status, media_type.starts_with("text/plain; version=0.0.4")), (200, true));
    let expected = "# TYPE calls_requests_total counter\ncalls_requests_total{api=\"orders\"} 1 1773489600000\n";
    assert_eq!(body, expected);
    let (status, _, body) = send(&router, Method::GET, "/federate?match[]=sum(up)", &[], "").await;
    assert_eq!((status, body.contains("bad_data")), (400, true), "{body}");
}

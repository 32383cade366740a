use crate::http::tests::{routes, send};
use crate::testing::{FakePiece, NOW_US, Partial};
use axum::http::Method;
use serde_json::json;

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

#[tokio::test]
async fn what_a_limit_leaves_out_is_said() {
    let two = "%7B__name__=~%22calls_(mean%7Cslowest)%22%7D";
    let items = |answer: &serde_json::Value| {
        let list = answer["data"]["result"].as_array().or(answer["data"].as_array());
        list.unwrap_or_else(|| panic!("{answer}")).len()
    };
    for path in [
        format!("/api/v1/query?query={two}&time=10"),
        format!("/api/v1/query_range?query={two}&start=10&end=20&step=10"),
        format!("/api/v1/series?match[]={two}&start=0&end=10"),
        format!("/api/v1/label/__name__/values?match[]={two}&start=0&end=10"),
        "/api/v1/labels?start=0".to_owned(),
    ] {
        for (parameter, count, warnings) in [
            ("&limit=1", 1, json!(["results truncated due to limit"])),
            ("&limit=2", 2, json!(null)),
            ("", 2, json!(null)),
        ] {
            let (status, answer) = get(&format!("{path}{parameter}")).await;
            assert_eq!((status, items(&answer), &answer["warnings"]), (200, count, &warnings), "{path}{parameter}");
        }
    }
}

#[tokio::test]
async fn how_long_a_sample_stands_can_be_asked() {
    for (parameters, expected) in [
        ("time=15", 1),
        ("time=400", 0),
        ("time=400&lookback_delta=10m", 1),
        ("time=400&lookback_delta=600", 1),
        ("time=15&lookback_delta=4s", 0),
    ] {
        let (status, answer) = get(&format!("/api/v1/query?query=calls_slowest&{parameters}")).await;
        let found = answer["data"]["result"].as_array().map(Vec::len);
        assert_eq!((status, found), (200, Some(expected)), "{parameters}: {answer}");
    }
    let (status, answer) = get("/api/v1/query?query=calls_slowest&lookback_delta=long").await;
    assert_eq!((status, &answer["errorType"]), (400, &json!("bad_data")), "{answer}");
}

#[tokio::test]
async fn series_are_counted_by_metric_and_by_label() {
    let (_folder, workers, router) = routes(1).await;
    let second = NOW_US / 1_000_000 - 60;
    let partials = [
        Partial(second, Some("orders"), &[10], &["a"]),
        Partial(second, Some("rates"), &[5], &["b"]),
        Partial(second + 10, Some("rates"), &[7], &["b"]),
    ];
    workers.pieces.lock().unwrap().push(FakePiece::of(4, 6, &partials));
    let data = async |path: &str| {
        let (_, _, body) = send(&router, Method::GET, path, &[], "").await;
        let mut answer: serde_json::Value = serde_json::from_str(&body).unwrap();
        answer["data"].take()
    };
    let all = data("/api/v1/status/tsdb").await;
    let now_ms = NOW_US / 1000;
    // Two label sets, each with six metrics; all in one batch in memory.
    let expected = json!({
        "numSeries": 12, "numLabelPairs": 8, "chunkCount": 1, "minTime": now_ms - 3_600_000, "maxTime": now_ms,
    });
    assert_eq!(all["headStats"], expected);
    let of_metrics = all["seriesCountByMetricName"].as_array().unwrap();
    assert_eq!(of_metrics[0], json!({ "name": "calls_cost_total", "value": 2 }));
    assert_eq!(of_metrics.len(), 6);
    assert_eq!(
        all["labelValueCountByLabelName"],
        json!([{ "name": "__name__", "value": 6 }, { "name": "api", "value": 2 }])
    );
    assert_eq!(all["memoryInBytesByLabelName"][1], json!({ "name": "api", "value": 6 * 6 + 6 * 5 }));
    let pairs = all["seriesCountByLabelValuePair"].as_array().unwrap();
    let expected = [json!({ "name": "api=orders", "value": 6 }), json!({ "name": "api=rates", "value": 6 })];
    assert_eq!((&pairs[..2], pairs.len()), (&expected[..], 8));
    let first = data("/api/v1/status/tsdb?limit=1").await;
    assert_eq!(first["seriesCountByLabelValuePair"], json!([{ "name": "api=orders", "value": 6 }]));
    assert_eq!(first["headStats"], all["headStats"]);
}

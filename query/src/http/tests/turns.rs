//! Who waits, who is refused, and what becomes of queries that take too long or that nobody waits for.

use super::*;
use serde_json::json;
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Time in which everything happens that is going to.
const LONG: Duration = Duration::from_secs(30);
/// Time in which nothing is expected to happen.
const MOMENT: Duration = Duration::from_millis(50);

async fn until(what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, waiting).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

/// Status, when to come again, and the answer to a request of a client.
async fn asked(router: Router, path: &str, client: &str, sql: &str) -> (u16, Option<String>, serde_json::Value) {
    let method = if sql.is_empty() { Method::GET } else { Method::POST };
    let request = Request::builder().method(method).uri(path).header("x-client", client);
    let response = router.oneshot(request.body(Body::from(sql.to_owned())).unwrap()).await.unwrap();
    let retry = response.headers().get("retry-after").map(|after| after.to_str().unwrap().to_owned());
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, retry, serde_json::from_slice(&bytes).unwrap_or_default())
}

#[tokio::test]
async fn a_client_that_asks_too_much_waits_for_its_turn_as_long_as_it_likes() {
    let (_folder, workers, router) = routes(3).await;
    workers.is_stuck.store(true, Ordering::Relaxed);
    let first = tokio::spawn({
        let router = router.clone();
        async move { asked(router, "/api/v1/query?query=1", "a", "").await }
    });
    until("the first query runs", || workers.stuck.load(Ordering::Relaxed) == 1).await;

    for path in
        ["/api/v1/query?query=1&timeout=20ms", "/api/v1/query_range?query=1&start=0&end=10&step=10&timeout=20ms"]
    {
        let (status, retry, answer) = asked(router.clone(), path, "a", "").await;
        assert_eq!((status, retry.as_deref()), (429, Some("1")), "{answer}");
        let expected = json!({
            "status": "error",
            "errorType": "too_many_requests",
            "error": "too many queries of this client are running (sql.concurrency_per_client_max)",
        });
        assert_eq!(answer, expected);
    }
    // Another one is let in, and has to wait for an answer only.
    let (status, _, answer) = asked(router.clone(), "/api/v1/query?query=1&timeout=20ms", "b", "").await;
    assert_eq!((status, &answer["errorType"]), (503, &json!("timeout")), "{answer}");

    let lists = [
        "/api/v1/query?query=1",
        "/api/v1/query_range?query=1&start=0&end=10&step=10",
        "/api/v1/sql",
        "/api/v1/series?match[]=calls_slowest&start=0&end=10",
        "/api/v1/labels",
        "/api/v1/label/api/values?start=0&end=10",
        "/api/v1/metadata",
        "/api/v1/query_exemplars?query=up",
        "/api/v1/status/tsdb",
        "/federate?match[]=calls_requests_total",
    ];
    let waiting = lists.map(|path| {
        let router = router.clone();
        let sql = if path == "/api/v1/sql" { "SELECT 1" } else { "" };
        tokio::spawn(async move { asked(router, path, "a", sql).await })
    });
    tokio::time::sleep(MOMENT).await;
    assert!(waiting.iter().all(|list| !list.is_finished()));
    assert_eq!(workers.stuck.load(Ordering::Relaxed), 2, "none of them has begun");
    workers.is_stuck.store(false, Ordering::Relaxed);
    first.abort();
    for (path, list) in lists.iter().zip(waiting) {
        let (status, _, answer) = list.await.unwrap();
        assert_eq!(status, 200, "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_query_has_the_time_that_it_asks_for_and_no_more_than_all_queries_have() {
    let short = PromLimits { timeout: Duration::from_millis(30), ..prom_limits() };
    for (limits, parameter) in [(prom_limits(), "&timeout=30ms"), (short.clone(), "&timeout=1h"), (short, "")] {
        let (_folder, workers, router) = routes_within(1, limits).await;
        workers.is_stuck.store(true, Ordering::Relaxed);
        for path in ["/api/v1/query?query=1", "/api/v1/query_range?query=1&start=0&end=10&step=10"] {
            let (status, _, answer) = asked(router.clone(), &format!("{path}{parameter}"), "a", "").await;
            let expected = json!({
                "status": "error",
                "errorType": "timeout",
                "error": "query timed out (promql.timeout, or the timeout that was asked for)",
            });
            assert_eq!((status, answer), (503, expected), "{path}{parameter}");
        }
        assert_eq!(workers.given_up.load(Ordering::Relaxed), 2, "nothing goes on");
    }
    let (_folder, _workers, router) = routes(1).await;
    let (status, _, answer) = asked(router, "/api/v1/query?query=1&timeout=soon", "a", "").await;
    assert_eq!((status, &answer["errorType"]), (400, &json!("bad_data")), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_stops_when_its_client_hangs_up() {
    let (_folder, workers, router) = routes(4).await;
    workers.is_stuck.store(true, Ordering::Relaxed);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = router.clone();
    let server = tokio::spawn(async move { axum::serve(listener, served).await });
    let requests = [
        ("GET /api/v1/query?query=1", ""),
        ("POST /api/v1/sql", "SELECT 1"),
        ("GET /api/v1/series?match%5B%5D=calls_slowest", ""),
    ];
    for (at, (line, body)) in requests.into_iter().enumerate() {
        let length = body.len();
        let request =
            format!("{line} HTTP/1.1\r\nhost: here\r\nx-client: {at}\r\ncontent-length: {length}\r\n\r\n{body}");
        let mut socket = TcpStream::connect(address).unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        until(line, || workers.stuck.load(Ordering::Relaxed) == at + 1).await;
        assert_eq!(workers.given_up.load(Ordering::Relaxed), at, "{line}: its client waits");
        drop(socket);
        until(line, || workers.given_up.load(Ordering::Relaxed) == at + 1).await;
    }
    workers.is_stuck.store(false, Ordering::Relaxed);
    let (_, _, metrics) = send(&router, Method::GET, "/metrics?rollups=false", &[], "").await;
    assert!(metrics.contains("tidewatch_sql_queries_total{outcome=\"canceled\"} 2"), "{metrics}");
    for (at, _) in requests.iter().enumerate() {
        let (status, _, answer) = asked(router.clone(), "/api/v1/query?query=1", &at.to_string(), "").await;
        assert_eq!(status, 200, "its turn is over: {answer}");
    }
    server.abort();
}

/// It takes minutes and waits for nothing: only that it asks whether to go on ends it.
#[test]
fn an_evaluation_ends_when_its_time_is_over() {
    let mut terms = vec!["quantile_over_time(0.5,vector(time())[100000s:1s])".to_owned(); 128];
    while terms.len() > 1 {
        terms = terms.chunks(2).map(|pair| format!("({})", pair.join("%2B"))).collect();
    }
    let path = format!("/api/v1/query_range?query={}&start=200000&end=210000&step=1&timeout=1s", terms[0]);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (_folder, _workers, router) = routes(1).await;
        let (status, _, answer) = asked(router, &path, "a", "").await;
        assert_eq!((status, &answer["errorType"]), (503, &json!("timeout")), "{answer}");
    });
    // Whoever drops a runtime waits for the work that blocks its threads.
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        drop(runtime);
        tell.send(())
    });
    told.recv_timeout(LONG).expect("the evaluation goes on");
}

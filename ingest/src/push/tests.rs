use super::*;
use crate::clock::SystemClock;
use crate::log::{LogMetrics, LogSettings};
use axum::body::{Body, to_bytes};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::io::Write;
use tempfile::TempDir;
use tower::ServiceExt;

const SOURCES: &str = "
personal: { drop: [email] }
sources:
  - { name: calls, topic: calls.v1, type: call.v1, fields: { ms: { type: int64, required: true }, provider: string } }
  - { name: unread, topic: calls.v1, type: unread.v1, fields: { a: string } }
";
const ROLLUPS: &str = "CREATE ROLLUP calls_by_provider AS
SELECT provider, count(*) AS calls, sum(ms) AS ms FROM calls GROUP BY tumble(INTERVAL '10 seconds'), provider;";

const SINGLE: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json; charset=UTF-8";
const LINES: &str = "application/x-ndjson";

struct Setup {
    _folder: TempDir,
    log: Arc<EventLog>,
    router: Router,
    push: Push,
}

fn settings() -> PushSettings {
    PushSettings {
        body_bytes_max: 64 * 1024,
        events_max: 100,
        concurrency_max: 4,
        body_timeout: Duration::from_secs(5),
    }
}

fn limits() -> DecodeLimits {
    DecodeLimits { record_bytes_max: 8192, string_bytes_max: 4096, explode_max: 10, future_max_us: 300_000_000 }
}

fn catalog(sources: &str) -> Arc<Catalog> {
    let named = |name: &str, text: &str| vec![(name.to_owned(), text.to_owned())];
    Arc::new(Catalog::parse(&named("sources.yaml", sources), &named("rollups.sql", ROLLUPS)).unwrap())
}

fn setup_with(settings: PushSettings, bytes_max: u64) -> Setup {
    let folder = tempfile::tempdir().unwrap();
    let registry = prometheus::Registry::new();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let bounds = LogSettings { bytes_max, retention: Duration::from_secs(60), queue_max: 16 };
    let metrics = LogMetrics::register(&registry).unwrap();
    let log = EventLog::open(folder.path(), bounds, || "id".to_owned(), metrics, Arc::clone(&clock)).unwrap();
    let metrics = PushMetrics::register(&registry).unwrap();
    let keys = (limits(), HashKey::default());
    let push = Push::on(Arc::clone(&log), &catalog(SOURCES), keys, settings, metrics, clock);
    Setup { _folder: folder, log, router: routes(push.clone()), push }
}

fn setup() -> Setup {
    setup_with(settings(), 1024 * 1024)
}

fn call(id: &str, ms: impl Into<Value>) -> Value {
    json!({ "specversion": "1.0", "id": id, "source": "/s", "type": "com.example.call.v1", "time": "2026-03-14T12:00:00Z",
        "tenantkind": "creator", "tenantid": "c1", "data": { "ms": ms.into(), "provider": "usps" } })
}

fn request(content_type: &str, body: impl Into<Body>) -> Request {
    let request = Request::builder().method("POST").uri("/api/v1/events").header("content-type", content_type);
    request.body(body.into()).unwrap()
}

impl Setup {
    async fn send(&self, request: Request) -> (u16, Value, Option<String>) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let retry_after = response.headers().get("retry-after").map(|v| v.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null), retry_after)
    }

    async fn post(&self, content_type: &str, body: &str) -> (u16, Value) {
        let (status, body, _) = self.send(request(content_type, body.to_owned())).await;
        (status, body)
    }

    fn records(&self) -> Vec<Value> {
        let mut found = Vec::new();
        let count = self.log.end(EVENTS_TOPIC) as usize;
        let sink = &mut |r: &crate::log::LogRecord<'_>| {
            found.push(serde_json::from_slice(r.payload).unwrap_or_else(|_| String::from_utf8_lossy(r.payload).into()));
        };
        self.log.read(EVENTS_TOPIC, 0, count, sink).unwrap();
        found
    }
}

fn accepted(count: usize, first_offset: i64) -> Value {
    json!({ "accepted": count, "dead_letters": 0, "ignored": 0, "first_offset": first_offset })
}

#[tokio::test]
async fn every_content_type_becomes_records() {
    let setup = setup();
    let [a, b, c, d, e] = ["a", "b", "c", "d", "e"].map(|id| call(id, 1));
    assert_eq!(setup.post(SINGLE, &a.to_string()).await, (202, accepted(1, 0)));
    assert_eq!(setup.post(BATCH, &json!([b, c]).to_string()).await, (202, accepted(2, 1)));
    assert_eq!(setup.post(LINES, &format!("{d}\r\n\n{e}")).await, (202, accepted(2, 3)));
    let binary = Request::builder().method("POST").uri("/api/v1/events").header("content-type", "application/json");
    let attributes = ["specversion", "id", "source", "type", "time", "tenantkind", "tenantid"];
    let binary = attributes.iter().fold(binary, |request, &name| {
        request.header(format!("ce-{name}"), a[name].as_str().unwrap().replace(' ', "%20"))
    });
    let (status, body, _) = setup.send(binary.body(a["data"].to_string().into()).unwrap()).await;
    assert_eq!((status, body), (202, accepted(1, 5)));
    let mut as_binary = a.clone();
    as_binary["datacontenttype"] = "application/json".into();
    assert_eq!(setup.records(), [a, b, c, d, e, as_binary]);
    let nothing = json!({ "accepted": 0, "dead_letters": 0, "ignored": 0, "first_offset": null });
    assert_eq!(setup.post(BATCH, "[]").await, (202, nothing));
}

#[tokio::test]
async fn a_mistake_refuses_the_whole_request_and_is_named() {
    let setup = setup();
    let mut unknown = call("u", 1);
    unknown["type"] = "other.v1".into();
    let mut nobody = call("n", 1);
    nobody.as_object_mut().unwrap().remove("tenantid");
    let mut wrong = call("w", "slow ann@example.com");
    wrong["data"]["email"] = "ann@example.com".into();
    let batch = json!([call("a", 1), wrong, unknown, nobody, 5]);
    let (status, body) = setup.post(BATCH, &batch.to_string()).await;
    let error = &body["error"];
    assert_eq!((status, &error["code"]), (400, &json!("invalid_events")));
    assert!(error["message"].as_str().unwrap().starts_with("4 of 5 events"), "{error}");
    let events = error["events"].as_array().unwrap();
    let named: Vec<_> = events.iter().map(|e| (e["index"].as_u64().unwrap(), e["reason"].as_str().unwrap())).collect();
    assert_eq!(named[..3], [(1, "wrong_type"), (2, "unknown_type"), (3, "missing_tenant")]);
    assert_eq!((named[3].0, events[0]["field"].as_str()), (4, Some("data.ms")));
    assert_eq!((events[0]["event_id"].as_str(), events[1]["event_id"].as_str()), (Some("w"), Some("u")));
    assert!(
        events.iter().all(|e| !e["hint"].as_str().unwrap().is_empty() && !e["detail"].as_str().unwrap().is_empty())
    );
    assert!(!body.to_string().contains("ann@example.com"), "{body}");
    assert_eq!(setup.log.end(EVENTS_TOPIC), 0, "nothing was taken");

    let lines = "no JSON\n".repeat(PROBLEMS_MAX + 7);
    let (_, body) = setup.post(LINES, &lines).await;
    assert_eq!(
        (body["error"]["events"].as_array().unwrap().len(), &body["error"]["not_listed"]),
        (PROBLEMS_MAX, &json!(7))
    );
}

#[tokio::test]
async fn mistakes_become_dead_letters_when_asked() {
    let setup = setup();
    let mut unknown = call("u", 1);
    unknown["type"] = "other.v1".into();
    let mut unread = call("r", 1);
    unread["type"] = "unread.v1".into();
    let body = format!("{}\nno JSON\n{unknown}\n{unread}\n", call("a", 1));
    let mut asked = request(LINES, body);
    *asked.uri_mut() = "/api/v1/events?on_error=dead_letter".parse().unwrap();
    let (status, body, _) = setup.send(asked).await;
    assert_eq!((status, body), (202, json!({ "accepted": 2, "dead_letters": 1, "ignored": 1, "first_offset": 0 })));
    assert_eq!(setup.records()[1], json!("no JSON"));
    let mut asked = request(LINES, "");
    *asked.uri_mut() = "/api/v1/events?on_eror=dead_letter".parse().unwrap();
    assert_eq!(setup.send(asked).await.0, 400);
}

#[tokio::test]
async fn types_of_another_catalogue_count_once_it_is_defined() {
    let setup = setup();
    let mut fresh = call("f", 1);
    fresh["type"] = "fresh.v1".into();
    assert_eq!(setup.post(SINGLE, &fresh.to_string()).await.0, 400);
    setup.push.define(&catalog(&SOURCES.replace("unread.v1", "fresh.v1")));
    assert_eq!(setup.post(SINGLE, &fresh.to_string()).await.0, 202);
}

#[tokio::test]
async fn what_is_not_understood_is_refused() {
    let setup = setup();
    let event = call("a", 1).to_string();
    for content_type in [
        "text/plain",
        "application/json",
        "application/cloudevents+avro",
        "application/cloudevents+json; charset=utf-16",
    ] {
        assert_eq!(setup.post(content_type, &event).await.0, 415, "{content_type}");
    }
    let mut packed = request(SINGLE, event.clone());
    packed.headers_mut().insert("content-encoding", "br".parse().unwrap());
    assert_eq!(setup.send(packed).await.0, 415);
    for body in ["{}", "[1,2", "[] []", "\"x\""] {
        assert_eq!(setup.post(BATCH, body).await.0, 400, "{body}");
    }
    assert_eq!(setup.post(BATCH, &"[".repeat(60_000)).await.0, 400);
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn bounds_have_names() {
    let setup = setup();
    let packed = |text: &str| {
        let mut request = request(LINES, gzip(text));
        request.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
        request
    };
    let event = call("a", 1).to_string();
    assert_eq!(setup.send(packed(&event)).await.0, 202);
    // A few hundred bytes that would be a gigabyte's thousandth part.
    let bomb = packed(&" ".repeat(1024 * 1024));
    let (status, body, _) = setup.send(bomb).await;
    assert_eq!(status, 413);
    assert!(body["error"]["message"].as_str().unwrap().contains("push.body_bytes_max"), "{body}");
    assert_eq!(setup.post(LINES, &" ".repeat(70 * 1024)).await.0, 413);
    let stream = futures::stream::iter((0..70).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1024])));
    assert_eq!(setup.send(request(LINES, Body::from_stream(stream))).await.0, 413, "without a length, too");
    let (status, body) = setup.post(LINES, &"1\n".repeat(101)).await;
    assert_eq!(status, 413);
    assert!(body["error"]["message"].as_str().unwrap().contains("push.events_max"), "{body}");
    let mut broken = request(LINES, "no gzip");
    broken.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    assert_eq!(setup.send(broken).await.0, 400);
    assert_eq!(setup.log.end(EVENTS_TOPIC), 1);
}

#[tokio::test]
async fn slow_bodies_and_too_many_requests_are_turned_away() {
    let setup = setup_with(PushSettings { body_timeout: Duration::from_millis(200), ..settings() }, 1024 * 1024);
    let slow = || {
        let request = request(SINGLE, Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>()));
        setup.send(request)
    };
    let (four, fifth) = futures::join!(futures::future::join_all((0..4).map(|_| slow())), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        setup.send(request(SINGLE, call("a", 1).to_string())).await
    });
    assert!(four.iter().all(|(status, ..)| *status == 408), "{four:?}");
    assert_eq!((fifth.0, fifth.2.as_deref()), (429, Some("1")));
    assert_eq!(setup.post(SINGLE, &call("a", 1).to_string()).await.0, 202, "the places are free again");
}

#[tokio::test]
async fn a_full_log_says_when_to_come_again() {
    let setup = setup_with(settings(), 64 * 1024);
    let mut long = call("a", 1);
    long["data"]["provider"] = "x".repeat(4000).into();
    let full = loop {
        let answer = setup.send(request(SINGLE, long.to_string())).await;
        if answer.0 != 202 {
            break answer;
        }
    };
    assert_eq!((full.0, full.2.as_deref(), full.1["error"]["code"].as_str()), (429, Some("10"), Some("log_full")));
    setup.log.committed(EVENTS_TOPIC, i64::MAX);
    assert_eq!(setup.post(SINGLE, &long.to_string()).await.0, 202);
}

#[tokio::test]
async fn without_a_log_it_says_why() {
    let metrics = PushMetrics::register(&prometheus::Registry::new()).unwrap();
    let off = ("push.enabled is false".to_owned(), "set it".to_owned());
    let router = routes(Push::off(off, settings(), metrics, Arc::new(SystemClock::new())));
    let response = router.oneshot(request(SINGLE, "{}")).await.unwrap();
    assert_eq!(response.status(), 503);
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let expected = json!({ "code": "push_off", "message": "push.enabled is false", "hint": "set it" });
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["error"], expected);
}

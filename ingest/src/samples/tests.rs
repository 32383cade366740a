//! Requests in, records of the log out. The messages of remote write are spelled by hand here, field by field, so
//! that a slip in our own declarations shows.

use super::*;
use crate::clock::Clock;
use crate::log::{EventLog, LogMetrics, LogSettings};
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use prost::Message as _;
use serde_json::json;
use std::time::Duration;
use tempfile::TempDir;
use tidewatch_engine::samples::{NativeHistogram, STALE_BITS, SampleSet};
use tower::ServiceExt;

const NOW_MS: i64 = 1_773_489_600_000;

#[derive(Debug)]
struct Fixed;

impl Clock for Fixed {
    fn now_us(&self) -> i64 {
        NOW_MS * 1000
    }
    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

struct Setup {
    _folder: TempDir,
    log: Arc<EventLog>,
    router: Router,
    metadata: Arc<MetadataBook>,
    metrics: SampleMetrics,
}

fn limits() -> SampleLimits {
    SampleLimits {
        body_bytes_max: 1 << 20,
        message_bytes_max: 1 << 16,
        samples_max: 100,
        labels_max: 5,
        label_bytes_max: 200,
        series_max: 4,
        requests_max: 2,
        future_max_ms: 60_000,
    }
}

fn setup() -> Setup {
    setup_with(limits())
}

fn setup_with(limits: SampleLimits) -> Setup {
    let folder = tempfile::tempdir().unwrap();
    let registry = prometheus::Registry::new();
    let bounds = LogSettings { bytes_max: 1 << 20, retention: Duration::from_secs(60), queue_max: 4 };
    let metrics = LogMetrics::register(&registry).unwrap();
    let log = EventLog::open(folder.path(), bounds, || "id".to_owned(), metrics, Arc::new(Fixed)).unwrap();
    let metrics = SampleMetrics::register(&registry).unwrap();
    let metadata = Arc::new(MetadataBook::default());
    let receiver =
        SampleReceiver::new(Ok(Arc::clone(&log)), limits, Arc::clone(&metadata), metrics.clone(), Arc::new(Fixed));
    Setup { _folder: folder, log, router: receiver.routes(), metadata, metrics }
}

impl Setup {
    async fn send(&self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> (u16, HeaderMap, Vec<u8>) {
        let mut request = Request::builder().method("POST").uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        (status, headers, to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec())
    }

    async fn write(&self, message: &[u8]) -> (u16, String) {
        let (status, headers, body) = self.send("/api/v1/write", &[V1, SNAPPY], snappy(message)).await;
        assert!(headers.get("x-prometheus-remote-write-samples-written").is_none(), "a header of 2.0");
        (status, String::from_utf8(body).unwrap())
    }

    /// Every sample in the log: `tenant metric labels time value`.
    fn kept(&self) -> Vec<String> {
        let mut kept = Vec::new();
        let read = self.log.read(LOG_TOPIC, 0, 1000, &mut |record| {
            let record = Record::decode(record.payload).unwrap();
            for series in &record.series {
                let set = SampleSet::from_bytes(&series.samples).unwrap();
                let floats = set.floats().iter().map(|(time, value)| {
                    let value = if value.to_bits() == STALE_BITS { "stale".to_owned() } else { value.to_string() };
                    (*time, value)
                });
                let histograms = set.histograms().iter().map(|(time, bytes)| {
                    let h = NativeHistogram::from_bytes(bytes).unwrap();
                    let sum = if h.sum.to_bits() == STALE_BITS { "stale".to_owned() } else { h.sum.to_string() };
                    (*time, format!("{}/{sum} {:?} {:?} {}", h.count, h.positive, h.negative, h.zero_count))
                });
                for (time, value) in floats.chain(histograms) {
                    kept.push(format!(
                        "{} {} {} {} {value}",
                        record.tenant,
                        series.metric,
                        series.labels,
                        time - NOW_MS
                    ));
                }
            }
        });
        read.unwrap();
        kept.sort();
        kept
    }
}

const V1: (&str, &str) = ("content-type", "application/x-protobuf");
const V2: (&str, &str) = ("content-type", "application/x-protobuf;proto=io.prometheus.write.v2.Request");
const SNAPPY: (&str, &str) = ("content-encoding", "snappy");

fn snappy(bytes: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(bytes).unwrap()
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

fn number(tag: u64, value: u64) -> Vec<u8> {
    [varint(tag << 3), varint(value)].concat()
}

fn double(tag: u64, value: f64) -> Vec<u8> {
    [varint(tag << 3 | 1), value.to_le_bytes().to_vec()].concat()
}

fn nested(tag: u64, bytes: &[u8]) -> Vec<u8> {
    [varint(tag << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

fn text(tag: u64, text: &str) -> Vec<u8> {
    nested(tag, text.as_bytes())
}

fn packed(tag: u64, numbers: &[u64]) -> Vec<u8> {
    nested(tag, &numbers.iter().flat_map(|n| varint(*n)).collect::<Vec<u8>>())
}

fn labels(pairs: &[(&str, &str)]) -> Vec<u8> {
    pairs.iter().flat_map(|(name, value)| nested(1, &[text(1, name), text(2, value)].concat())).collect()
}

fn sample(offset_ms: i64, value: f64) -> Vec<u8> {
    nested(2, &[double(1, value), number(2, (NOW_MS + offset_ms) as u64)].concat())
}

fn series(pairs: &[(&str, &str)], samples: &[(i64, f64)]) -> Vec<u8> {
    let samples: Vec<u8> = samples.iter().flat_map(|&(offset, value)| sample(offset, value)).collect();
    nested(1, &[labels(pairs), samples].concat())
}

/// Two buckets: of index 1 and 3, of 2 and 5 observations.
fn histogram(tag: u64, offset_ms: i64, deltas: &[i64]) -> Vec<u8> {
    let span = |offset: i64, length: u64| nested(11, &[number(1, zigzag(offset)), number(2, length)].concat());
    let deltas: Vec<u64> = deltas.iter().map(|d| zigzag(*d)).collect();
    let fields = [
        number(1, 8),
        double(3, 2.5),
        number(4, zigzag(3)),
        double(5, 1e-128),
        number(6, 1),
        span(1, 1),
        span(1, 1),
        packed(12, &deltas),
        number(15, (NOW_MS + offset_ms) as u64),
    ];
    nested(tag, &fields.concat())
}

#[tokio::test]
async fn the_first_version_is_kept_as_it_came() {
    let setup = setup();
    let stale = f64::from_bits(STALE_BITS);
    let metadata = nested(3, &[number(1, 1), text(2, "up"), text(4, "Is it up?"), text(5, "bool")].concat());
    let message = [
        series(&[("__name__", "up"), ("job", "x"), ("empty", ""), ("a", "ä\"b")], &[(-15_000, 1.0), (0, stale)]),
        series(&[("__name__", "inf")], &[(0, f64::INFINITY)]),
        nested(1, &[labels(&[("__name__", "h")]), histogram(4, 0, &[2, 3]), nested(3, b"")].concat()),
        metadata,
    ];
    assert_eq!(setup.write(&message.concat()).await, (204, String::new()));
    assert_eq!(
        setup.kept(),
        [
            "anonymous h {} 0 8/2.5 [(1, 2.0), (3, 5.0)] [] 1",
            "anonymous inf {} 0 inf",
            "anonymous up {\"a\":\"ä\\\"b\",\"job\":\"x\"} -15000 1",
            "anonymous up {\"a\":\"ä\\\"b\",\"job\":\"x\"} 0 stale",
        ]
    );
    let described = setup.metadata.get("up").unwrap();
    assert_eq!((described.kind, described.help.as_str(), described.unit.as_str()), ("counter", "Is it up?", "bool"));
    assert_eq!(setup.metrics.exemplars_dropped.get(), 1);
    assert_eq!(setup.metrics.accepted.with_label_values(&["remote_write_1"]).get(), 4);
}

#[tokio::test]
async fn what_cannot_be_kept_is_refused_by_reason_and_the_rest_is_kept() {
    let setup = setup();
    let long = "x".repeat(300);
    let message = [
        series(&[("__name__", "good")], &[(0, 1.0), (61_000, 2.0), (-NOW_MS - 1, 3.0)]),
        series(&[("job", "x")], &[(0, 1.0)]),
        series(&[("__name__", "twice"), ("a", "1"), ("a", "2")], &[(0, 1.0)]),
        series(&[("__name__", "nameless"), ("", "1")], &[(0, 1.0)]),
        series(&[("__name__", "long"), ("a", &long)], &[(0, 1.0)]),
        series(&[("__name__", "m"), ("a", "1"), ("b", "1"), ("c", "1"), ("d", "1"), ("e", "1")], &[(0, 1.0)]),
        nested(1, &[labels(&[("__name__", "h")]), histogram(4, 0, &[2]), histogram(4, 1, &[2, -3])].concat()),
    ];
    let (status, said) = setup.write(&message.concat()).await;
    assert_eq!(status, 400);
    assert!(said.contains("9 samples refused (no_name 1, labels 2, labels_max 2, time 2, histogram 2)"), "{said}");
    assert_eq!(setup.kept(), ["anonymous good {} 0 1"]);
    let refused = |reason: &str| setup.metrics.refused.with_label_values(&[reason]).get();
    assert_eq!((refused("time"), refused("labels"), refused("histogram")), (2, 2, 2));
}

#[tokio::test]
async fn a_tenant_has_a_budget_of_series_and_others_have_theirs() {
    let setup = setup();
    let many = |names: std::ops::Range<u32>| -> Vec<u8> {
        names.flat_map(|n| series(&[("__name__", &format!("m{n}"))], &[(0, 1.0)])).collect()
    };
    assert_eq!(setup.write(&many(0..4)).await.0, 204);
    let (status, said) = setup.write(&many(3..6)).await;
    assert!(status == 400 && said.contains("series_max 2") && said.contains("samples.series_max_per_tenant"), "{said}");
    let other = setup.send("/api/v1/write", &[V1, SNAPPY, ("X-Scope-OrgID", "shop")], snappy(&many(3..6))).await;
    assert_eq!(other.0, 204);
    assert_eq!(setup.kept().iter().filter(|k| k.starts_with("anonymous m3 ")).count(), 2, "known series go on");
    assert_eq!(setup.kept().iter().filter(|k| k.starts_with("shop ")).count(), 3);
    let bad = setup.send("/api/v1/write", &[V1, SNAPPY, ("X-Scope-OrgID", "a/b")], snappy(&many(3..6))).await;
    assert_eq!(bad.0, 400);
}

#[tokio::test]
async fn bodies_have_bounds_and_types() {
    let setup = setup();
    let post = |headers: Vec<(&'static str, &'static str)>, body: Vec<u8>| {
        let setup = &setup;
        async move { setup.send("/api/v1/write", &headers, body).await.0 }
    };
    let good = snappy(&series(&[("__name__", "m")], &[(0, 1.0)]));
    let v1 = ("content-type", "application/x-protobuf;proto=prometheus.WriteRequest");
    assert_eq!(post(vec![v1, SNAPPY], good.clone()).await, 204);
    assert_eq!(
        post(vec![("content-type", "application/x-protobuf;proto=other.Request"), SNAPPY], good.clone()).await,
        415
    );
    assert_eq!(post(vec![("content-type", "application/json"), SNAPPY], good.clone()).await, 415);
    assert_eq!(post(vec![V1, ("content-encoding", "zstd")], good.clone()).await, 415);
    assert_eq!(post(vec![V1, SNAPPY], b"not snappy at all".to_vec()).await, 400);
    assert_eq!(post(vec![V1, SNAPPY], snappy(b"no protobuf")).await, 400);
    assert_eq!(post(vec![V1, SNAPPY], snappy(&vec![0; 1 << 17])).await, 413, "a bomb");
    let many: Vec<(i64, f64)> = (0..101).map(|at| (-at, 1.0)).collect();
    assert_eq!(post(vec![V1, SNAPPY], snappy(&series(&[("__name__", "m")], &many))).await, 413);
    assert_eq!(post(vec![V1, SNAPPY], vec![0; (1 << 20) + 1]).await, 413);
    assert_eq!(setup.kept().len(), 1);
}

#[tokio::test]
async fn the_second_version_has_symbols_and_tells_what_it_wrote() {
    let setup = setup();
    let symbols: Vec<u8> =
        ["", "__name__", "up", "job", "x", "Is it up?"].iter().flat_map(|symbol| text(4, symbol)).collect();
    let metadata = nested(5, &[number(1, 2), number(3, 5)].concat());
    let fields =
        [packed(1, &[1, 2, 3, 4]), sample(0, 1.5), histogram(3, 5, &[2, 3]), nested(4, b""), metadata, number(6, 7)];
    let message = [symbols.clone(), nested(5, &fields.concat())].concat();
    let (status, headers, _) = setup.send("/api/v1/write", &[V2, SNAPPY], snappy(&message)).await;
    let written =
        |name: &str| headers[&format!("x-prometheus-remote-write-{name}-written")].to_str().unwrap().to_owned();
    assert_eq!(
        (status, written("samples"), written("histograms"), written("exemplars")),
        (204, "1".into(), "1".into(), "0".into())
    );
    let x = "anonymous up {\"job\":\"x\"}";
    assert_eq!(setup.kept(), [format!("{x} 0 1.5"), format!("{x} 5 8/2.5 [(1, 2.0), (3, 5.0)] [] 1")]);
    assert_eq!(setup.metadata.get("up").unwrap().kind, "gauge");
    let wrong = [symbols, nested(5, &[packed(1, &[1, 2, 3, 99]), sample(0, 1.5)].concat())].concat();
    let (status, headers, _) = setup.send("/api/v1/write", &[V2, SNAPPY], snappy(&wrong)).await;
    assert_eq!((status, headers["x-prometheus-remote-write-samples-written"].to_str().unwrap()), (400, "0"));
}

#[tokio::test]
async fn without_a_log_the_reason_is_told_and_senders_come_again() {
    let metrics = SampleMetrics::register(&prometheus::Registry::new()).unwrap();
    let receiver = SampleReceiver::new(Err("no disk".to_owned()), limits(), Arc::default(), metrics, Arc::new(Fixed));
    let request = Request::post("/api/v1/write").body(Body::from(snappy(&series(&[("__name__", "m")], &[(0, 1.0)]))));
    let response = receiver.routes().oneshot(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key("retry-after"));
}

/// One metric of every kind, as the specification of OTLP writes JSON.
fn otlp() -> serde_json::Value {
    let at = (NOW_MS * 1_000_000).to_string();
    let route = json!([{ "key": "http.route", "value": { "stringValue": "/a" } }, { "key": "n", "value": { "intValue": "3" } }]);
    let attribute = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    json!({ "resourceMetrics": [{
        "resource": { "attributes": [
            attribute("service.name", "shop"), attribute("service.namespace", "eu"),
            attribute("service.instance.id", "i1"), attribute("host.name", "h")
        ] },
        "scopeMetrics": [{ "scope": { "name": "s" }, "metrics": [
            { "name": "queue.size", "unit": "1", "gauge": { "dataPoints": [
                { "timeUnixNano": at, "asDouble": 0.5, "attributes": route },
                { "timeUnixNano": at, "flags": 1 } ] } },
            { "name": "requests", "description": "All.", "unit": "{request}", "sum": {
                "aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [{ "timeUnixNano": at, "asInt": "7" }] } },
            { "name": "deltas", "sum": { "aggregationTemporality": 1, "isMonotonic": true,
                "dataPoints": [{ "timeUnixNano": at, "asInt": "7" }] } },
            { "name": "latency", "unit": "s", "histogram": { "aggregationTemporality": 2, "dataPoints": [{
                "timeUnixNano": at, "count": "6", "sum": 3.5, "bucketCounts": ["1", "2", "3"], "explicitBounds": [0.1, 1.0] }] } },
            { "name": "sizes", "unit": "By", "exponentialHistogram": { "aggregationTemporality": 2, "dataPoints": [{
                "timeUnixNano": at, "count": "10", "sum": 5, "scale": 9, "zeroCount": "1",
                "positive": { "offset": -2, "bucketCounts": ["1", "2", "3", "3"] } }] } },
            { "name": "old", "summary": { "dataPoints": [{ "timeUnixNano": at, "count": "2", "sum": 4,
                "quantileValues": [{ "quantile": 0.5, "value": 1.5 }] }] } }
        ] }]
    }] })
}

const TRANSLATED: [&str; 13] = [
    r#"latency_seconds_bucket {"instance":"i1","job":"eu/shop","le":"+Inf"} 0 6"#,
    r#"latency_seconds_bucket {"instance":"i1","job":"eu/shop","le":"0.1"} 0 1"#,
    r#"latency_seconds_bucket {"instance":"i1","job":"eu/shop","le":"1"} 0 3"#,
    r#"latency_seconds_count {"instance":"i1","job":"eu/shop"} 0 6"#,
    r#"latency_seconds_sum {"instance":"i1","job":"eu/shop"} 0 3.5"#,
    r#"old {"instance":"i1","job":"eu/shop","quantile":"0.5"} 0 1.5"#,
    r#"old_count {"instance":"i1","job":"eu/shop"} 0 2"#,
    r#"old_sum {"instance":"i1","job":"eu/shop"} 0 4"#,
    r#"queue_size_ratio {"http_route":"/a","instance":"i1","job":"eu/shop","n":"3"} 0 0.5"#,
    r#"queue_size_ratio {"instance":"i1","job":"eu/shop"} 0 stale"#,
    r#"requests_total {"instance":"i1","job":"eu/shop"} 0 7"#,
    // Scale 9 to 8: buckets -2 and -1 become one, 0 and 1 another; ours are numbered by their upper bound.
    r#"sizes_bytes {"instance":"i1","job":"eu/shop"} 0 10/5 [(0, 3.0), (1, 6.0)] [] 1"#,
    r#"target_info {"host_name":"h","instance":"i1","job":"eu/shop"} 0 1"#,
];

#[tokio::test]
async fn otlp_is_translated_as_prometheus_does() {
    let setup = setup_with(SampleLimits { series_max: 0, ..limits() });
    let json_type = ("content-type", "application/json");
    let (status, headers, body) =
        setup.send("/api/v1/otlp/v1/metrics", &[json_type], otlp().to_string().into_bytes()).await;
    assert_eq!((status, headers["content-type"].to_str().unwrap()), (200, "application/json"));
    let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(answer["partialSuccess"]["rejectedDataPoints"], "1", "{answer}");
    assert!(answer["partialSuccess"]["errorMessage"].as_str().unwrap().contains("delta"), "{answer}");
    let kept: Vec<String> = setup.kept().iter().map(|k| k.replacen("anonymous ", "", 1)).collect();
    assert_eq!(kept, TRANSLATED);
    let broken = setup.send("/api/v1/otlp/v1/metrics", &[json_type], b"{\"resourceMetrics\": 3}".to_vec()).await;
    assert_eq!(broken.0, 400);
    let unknown = setup.send("/api/v1/otlp/v1/metrics", &[("content-type", "text/plain")], Vec::new()).await;
    assert_eq!(unknown.0, 415);
}

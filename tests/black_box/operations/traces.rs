//! Traces reach a collector, and go on from the caller's.

use super::shop::{ORDERS, pushed};
use crate::support::{Sink, Tidewatch, pack, post, wait_until, write_settings};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

fn settings(folder: &Path, rest: &str) -> PathBuf {
    let text =
        "[storage]\nlocation = \"data\"\n[http]\nlisten = \"127.0.0.1:0\"\n[ingest]\nflush_interval = \"200ms\"\n";
    write_settings(folder, &format!("packs = [\"{}\"]\n{text}{rest}", pack("shop")))
}

fn telemetry(collector: &Sink, ratio: f64) -> String {
    format!(
        "[telemetry]\ntraces = \"otlp\"\nendpoint = \"http://{}\"\nsample_ratio = {ratio}\nservice_name = \"shop\"\nheaders = {{ authorization = \"Bearer t\" }}\n",
        collector.address
    )
}

/// Spans that have come, each with its service.
fn spans(collector: &Sink) -> Vec<Value> {
    let mut all = Vec::new();
    for one in collector.received() {
        assert_eq!((one.path.as_str(), one.header("content-type")), ("/v1/traces", "application/json"));
        assert_eq!(one.header("authorization"), "Bearer t");
        let body = one.json();
        let resource = &body["resourceSpans"][0];
        assert_eq!(resource["resource"]["attributes"][0]["value"]["stringValue"], "shop");
        all.extend(resource["scopeSpans"][0]["spans"].as_array().unwrap().iter().cloned());
    }
    all
}

fn ask(process: &mut Tidewatch, headers: &[&str]) {
    let headers = [&["Content-Type: text/plain"][..], headers].concat();
    assert_eq!(post(&process.address(), "/api/v1/sql", &headers, ORDERS.as_bytes()).unwrap().status, 200);
}

fn named<'a>(spans: &'a [Value], name: &str, trace: &str) -> Option<&'a Value> {
    spans.iter().find(|span| span["name"] == name && span["traceId"] == trace)
}

#[test]
fn a_query_is_part_of_the_callers_trace() {
    let folder = tempfile::tempdir().unwrap();
    let collector = Sink::start();
    let mut process = Tidewatch::run(&settings(folder.path(), &telemetry(&collector, 1.0)));
    let content = ["Content-Type: application/cloudevents-batch+json"];
    let pushed = post(&process.address(), "/api/v1/events", &content, pushed(0..10).as_bytes()).unwrap();
    assert_eq!(pushed.status, 202);
    ask(&mut process, &[&format!("traceparent: 00-{TRACE}-{CALLER}-01")]);
    wait_until("the query's spans", SOON, || named(&spans(&collector), "http.request", TRACE).is_some());
    let all = spans(&collector);
    let of = |name: &str| named(&all, name, TRACE).unwrap_or_else(|| panic!("no {name} in {all:#?}"));
    let (request, query) = (of("http.request"), of("sql.query"));
    assert_eq!((request["parentSpanId"].as_str(), request["kind"].as_i64()), (Some(CALLER), Some(2)));
    assert_eq!(query["parentSpanId"], request["spanId"]);
    for part in ["sql.plan", "sql.run"] {
        assert_eq!(of(part)["parentSpanId"], query["spanId"], "{part}");
    }
    let attributes = request["attributes"].as_array().unwrap();
    let value = |key: &str| attributes.iter().find(|a| a["key"] == key).map(|a| a["value"].clone()).unwrap_or_default();
    assert_eq!(value("url.path")["stringValue"], "/api/v1/sql");
    assert_eq!(value("http.response.status_code")["intValue"], "200");
    let lasts = |span: &Value| {
        let at = |key: &str| span[key].as_str().unwrap().parse::<u64>().unwrap();
        at("endTimeUnixNano") - at("startTimeUnixNano")
    };
    assert!(lasts(request) >= lasts(query));
    // Commits are traces of their own, with a part for each table.
    wait_until("a commit's spans", SOON, || {
        let all = spans(&collector);
        let commit = all.iter().find(|span| span["name"] == "commit");
        commit.is_some_and(|commit| {
            all.iter().any(|s| s["name"] == "commit.table" && s["parentSpanId"] == commit["spanId"])
        })
    });
    process.get("/-/ready");
    process.stop();
    let of_probes = spans(&collector).iter().filter(|s| s.to_string().contains("/-/ready")).count();
    assert_eq!(of_probes, 0, "probes would be most of all traces");
}

#[test]
fn a_collector_that_is_down_costs_nothing_and_none_is_asked_unless_told() {
    let folder = tempfile::tempdir().unwrap();
    let collector = Sink::start();
    collector.answer(503);
    let mut process = Tidewatch::run(&settings(folder.path(), &telemetry(&collector, 1.0)));
    ask(&mut process, &[]);
    wait_until("it was asked", SOON, || !collector.received().is_empty());
    wait_until("the log says so", SOON, || process.log().contains("the collector does not take them"));
    ask(&mut process, &[]);
    process.stop();
    let silent = Sink::start();
    let mut process = Tidewatch::run(&settings(folder.path(), &telemetry(&silent, 0.0)));
    ask(&mut process, &[]);
    process.stop();
    assert_eq!(spans(&silent).len(), 0, "none are sampled");
}

//! Schemathesis makes requests from the OpenAPI description that Prometheus publishes of its HTTP API, sensible
//! and senseless ones: none may be answered with a 5xx, or with anything that the description does not allow. The
//! description's examples are made to speak of what the server has: an empty list fits any description.

use crate::prometheus_api::{LATER, START, served_with};
use crate::support::{data, get, python, run_tool, wait_until};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

/// Not checked: `negative_data_rejection` and `positive_data_acceptance` (Prometheus itself takes a limit of
/// text for an error and a query of any text for possible), `unsupported_method` (`OPTIONS`).
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

/// Where there is something to be answered, with GET and with POST. Tidewatch has no targets and no exemplars.
const FULL: [(&str, &[&str]); 2] = [
    (
        "GET",
        &[
            "/query",
            "/query_range",
            "/format_query",
            "/parse_query",
            "/labels",
            "/label/{name}/values",
            "/series",
            "/metadata",
            "/rules",
            "/alerts",
            "/status/tsdb",
        ],
    ),
    ("POST", &["/query", "/query_range", "/format_query", "/parse_query", "/labels", "/series"]),
];

/// What was recorded is looked at by the rule after it.
const RULES: &str = r#"
groups:
  - name: calls
    interval: 10s
    rules:
      - record: provider:calls:total
        expr: sum by (provider) (api_calls_requests_total @ AT)
        labels: {kept: "yes"}
      - alert: CallsCounted
        expr: provider:calls:total > 0
        labels: {severity: critical}
        annotations: {summary: '{{ $value }} calls of {{ $labels.provider }}'}
"#;

/// Values by the name of a parameter: what the store has, and the rules of `file`.
fn examples(file: &str) -> Value {
    let seconds = |text: &str| chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp();
    let (rate, provider) = ("sum by (provider) (rate(api_calls_requests_total[5m]))", "{provider=\"dhl\"}");
    let histogram = format!("sum(increase(api_calls_duration_seconds{provider}[5m]))");
    // No text among the results: the description says that its time is one as well, and Prometheus writes a number.
    let instants = json!([
        rate,
        histogram,
        format!("api_calls_requests_total{provider}[1m]"),
        format!("api_calls_duration_seconds{provider}[1m]"),
        "scalar(sum(api_calls_requests_total))",
    ]);
    let end = "2026-03-14T12:20:00Z";
    json!({
        "query": [rate, histogram, format!("api_calls_requests_total{provider}")],
        "/query query": instants,
        "match[]": [["api_calls_requests_total"], ["{__name__=~\"api_calls_.*\",provider=\"ups\"}"]],
        "time": [end, seconds(end)],
        "start": [START, seconds(START)],
        "end": [end, seconds(end)],
        "step": ["5m", 300],
        "timeout": ["90s", 90],
        "lookback_delta": ["5m", 300],
        "name": ["provider", "__name__"],
        "metric": ["api_calls_requests_total"],
        "type": ["alert", "record"],
        "rule_name[]": [["CallsCounted"], ["provider:calls:total"]],
        "rule_group[]": [["calls"]],
        "file[]": [[file]],
        "/rules match[]": [["{severity=\"critical\"}"], ["{kept=\"yes\"}"]],
        // Only an answer can tell one.
        "group_next_token": [],
    })
}

#[test]
fn no_answer_is_outside_of_the_description() {
    let Some(python) = python() else { return };
    let Some(description) = data("prometheus-openapi/openapi_3.1_golden.yaml") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = chrono::DateTime::parse_from_rfc3339(LATER).unwrap().timestamp();
    std::fs::write(folder.path().join("rules.yml"), RULES.replace("AT", &at.to_string())).unwrap();
    let packs = "packs = [\"builtin:creatorflow\", \"builtin:prometheus\"]\nalerting.rules = [\"rules.yml\"]\n";
    let mut server = served_with(folder.path(), packs);
    let address = server.address();
    let ask = |path: &str| -> Value {
        let response = get(&address, &format!("/api/v1{path}"), &[]).unwrap();
        serde_json::from_slice(&response.body).unwrap_or_else(|e| panic!("{path}: {e}: {}", response.text()))
    };
    wait_until("an alert that fires", Duration::from_secs(60), || {
        let alerts = ask("/alerts");
        alerts["data"]["alerts"].as_array().is_some_and(|all| all.iter().any(|alert| alert["state"] == "firing"))
    });

    let file = ask("/rules")["data"]["groups"][0]["file"].as_str().unwrap().to_owned();
    let [prepared, examples_file, seen] =
        ["description.json", "examples.json", "seen.har"].map(|name| folder.path().join(name).display().to_string());
    std::fs::write(&examples_file, examples(&file).to_string()).unwrap();
    let prepare =
        ["tests/truth/openapi_examples.py", description.to_str().unwrap(), examples_file.as_str(), prepared.as_str()];
    let requests = run_tool(&python, &prepare);
    let mut asked: BTreeMap<String, usize> = BTreeMap::new();
    for request in requests.lines().filter(|request| FULL[0].1.contains(&operation(request).as_str())) {
        let answer = ask(request);
        assert!(answer["status"] == "success" && is_full(&answer), "{request}: {answer}");
        *asked.entry(operation(request)).or_default() += 1;
    }
    assert!(FULL[0].1.iter().all(|path| asked.contains_key(*path)), "{asked:?}");
    let recorded = ask("/rules?type=record")["data"]["groups"][0]["rules"].as_array().unwrap().len();
    assert_eq!(recorded, 1, "the recording rule is there");

    let url = format!("http://{address}/api/v1");
    let output = Command::new(python.with_file_name("schemathesis"))
        .args(["run", prepared.as_str(), "--url", &url, "--checks", CHECKS])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", "12", "--seed", "7", "--no-shrink"])
        // A build for development on a busy machine takes its time.
        .args(["--request-timeout", "60"])
        .args(["--continue-on-failure", "--warnings", "off", "--suppress-health-check", "all"])
        .args(["--report", "har", "--report-har-path", seen.as_str()])
        .env("PYTHONWARNINGS", "ignore")
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(said.contains("passed"), "{said}");

    // What it judged was full, too: an example that does not fit its schema is left out without a word.
    let seen: Value = serde_json::from_slice(&std::fs::read(seen).unwrap()).unwrap();
    let mut judged: BTreeMap<(String, String), usize> = BTreeMap::new();
    for entry in seen["log"]["entries"].as_array().unwrap() {
        let Some(request) = entry["request"]["url"].as_str().unwrap().strip_prefix(&url) else { continue };
        let method = entry["request"]["method"].as_str().unwrap().to_owned();
        let body = entry["response"]["content"]["text"].as_str().unwrap_or_default();
        let is_one = entry["response"]["status"] == 200
            && serde_json::from_str(body).is_ok_and(|answer: Value| is_full(&answer));
        *judged.entry((method, operation(request))).or_default() += usize::from(is_one);
    }
    for (method, paths) in FULL {
        for path in paths {
            let full = judged.get(&(method.to_owned(), (*path).to_owned())).copied().unwrap_or_default();
            assert!(full >= 2, "{method} {path} had {full} answers that are not empty: {judged:?}");
        }
    }
    server.stop();
}

/// The path of the description that a request is one of.
fn operation(request: &str) -> String {
    let path = request.split('?').next().unwrap_or_default();
    let is_values = path.starts_with("/label/") && path.ends_with("/values");
    if is_values { "/label/{name}/values".to_owned() } else { path.to_owned() }
}

/// Whether an answer of success holds anything.
fn is_full(answer: &Value) -> bool {
    let data = &answer["data"];
    let list = ["result", "groups", "alerts"].map(|name| &data[name]).into_iter().find(|list| !list.is_null());
    match list.unwrap_or(data) {
        Value::Array(all) => !all.is_empty(),
        Value::Object(all) => !all.is_empty(),
        Value::String(text) => !text.is_empty(),
        _ => false,
    }
}

//! Prometheus' own tool asks for what was counted, and gets the numbers that SQL gives.

use crate::support::{Csv, Tidewatch, get, program, sql, tidewatch, write_settings};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Where the simulated time begins.
pub const START: &str = "2026-03-14T12:00:00Z";
/// An hour after the start: everything lies before it.
pub const LATER: &str = "2026-03-14T13:00:00Z";

/// A server over twenty simulated minutes, all committed.
pub fn served(folder: &Path) -> Tidewatch {
    served_with(folder, "packs = [\"builtin:creatorflow\"]\n")
}

/// The same, with settings of its own: those that stand before all sections, with the packs.
pub fn served_with(folder: &Path, first: &str) -> Tidewatch {
    let events = folder.join("events.ndjson").display().to_string();
    let what = ["--start", START, "--duration", "20m", "--rate", "20", "--seed", "3"];
    tidewatch(&[&["simulate", "--to", "file", "--path", &events], &what[..]].concat());
    // What is older than its retention is not to go away between two questions about it.
    let sections = "[storage]\nlocation = \"data\"\n[files]\npaths = [\"events.ndjson\"]\n\
                    [http]\nlisten = \"127.0.0.1:0\"\n[maintenance]\nenabled = false\n";
    let settings = write_settings(folder, &format!("packs = [\"builtin:creatorflow\"]\n{sections}"));
    Tidewatch::start(&["run", "-c", settings.to_str().unwrap(), "--until-caught-up"]).wait(Duration::from_secs(300));
    Tidewatch::run(&write_settings(folder, &format!("{first}{sections}")))
}

#[test]
fn promtool_gets_the_numbers_of_sql() {
    if program("promtool", "prometheus").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut server = served(folder.path());
    let data = folder.path().join("data");
    let server_at = format!("http://{}", server.address());
    let ask = |query: &str| by_provider(&promtool(&["query", "instant", "--time", LATER, &server_at, query]));
    let truth = |column: &str| {
        let csv = sql(&data, &format!("SELECT provider, {column} AS v FROM api_calls GROUP BY provider"));
        let csv = Csv::parse(&csv);
        let rows = csv.rows(["provider", "v"]).into_iter().map(|[p, v]| (p.to_owned(), v.parse().unwrap()));
        rows.collect::<BTreeMap<String, f64>>()
    };

    let requests = truth("sum(requests)");
    assert!(requests.len() > 2 && requests.values().sum::<f64>() > 1000.0, "{requests:?}");
    assert_eq!(ask("sum by (provider) (increase(api_calls_requests_total[1h]))"), requests);
    assert_eq!(ask("sum by (provider) (api_calls_requests_total)"), requests);
    assert_eq!(ask("sum by (provider) (rate(api_calls_requests_total[1h])) * 3600").len(), requests.len());
    let observed = ask("histogram_count(sum by (provider) (increase(api_calls_duration_seconds[1h])))");
    assert_eq!(observed, truth("sum(hdr_count(duration_ms))"));
    // The bound of the state, and half of the width of a native bucket.
    let exact = truth("quantile(duration_ms, 0.95)");
    for (provider, p95) in ask("histogram_quantile(0.95, sum by (provider) (increase(api_calls_duration_seconds[1h])))")
    {
        assert!((p95 * 1000.0 / exact[&provider] - 1.0).abs() < 0.005, "{provider}: {p95} {}", exact[&provider]);
    }

    let range = promtool(&[
        "query",
        "range",
        "--start",
        START,
        "--end",
        LATER,
        "--step",
        "60s",
        &server_at,
        "sum(increase(api_calls_requests_total[1m]))",
    ]);
    let by_minute: f64 =
        range[0]["values"].as_array().unwrap().iter().map(|v| v[1].as_str().unwrap().parse::<f64>().unwrap()).sum();
    assert_eq!(by_minute, requests.values().sum::<f64>(), "minutes add up to the whole");

    let plain = |arguments: &[&str]| {
        let output = Command::new("promtool").args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let span = ["--start", START, "--end", LATER];
    let labels = plain(&[&["query", "labels"], &span[..], &[server_at.as_str(), "provider"]].concat());
    assert_eq!(labels.lines().map(str::trim).filter(|l| !l.is_empty()).count(), requests.len(), "{labels}");
    let series = plain(
        &[&["query", "series"], &span[..], &["--match", "api_calls_requests_total", server_at.as_str()]].concat(),
    );
    assert!(series.contains("__name__=\"api_calls_requests_total\"") && series.contains("provider="), "{series}");
    server.stop();
}

/// What an instant query gives at a time, or now if that is empty: numbers by the value of a label.
pub fn numbers(address: &str, query: &str, time: &str, label: &str) -> BTreeMap<String, f64> {
    let encoded: String = query.bytes().map(|b| format!("%{b:02X}")).collect();
    let answer = get(address, &format!("/api/v1/query?query={encoded}&time={time}"), &[]).unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(answer["status"], "success", "{query}: {answer}");
    let one = |series: &serde_json::Value| {
        let name = series["metric"][label].as_str().unwrap_or_default().to_owned();
        (name, series["value"][1].as_str().unwrap().parse().unwrap())
    };
    answer["data"]["result"].as_array().unwrap().iter().map(one).collect()
}

/// The series of an answer.
fn promtool(arguments: &[&str]) -> serde_json::Value {
    let output = Command::new("promtool").args(arguments).args(["-o", "json"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stdout)))
}

fn by_provider(series: &serde_json::Value) -> BTreeMap<String, f64> {
    let one = |s: &serde_json::Value| {
        let value = s["value"][1].as_str().unwrap().parse().unwrap();
        (s["metric"]["provider"].as_str().unwrap_or_default().to_owned(), value)
    };
    series.as_array().unwrap().iter().map(one).collect()
}

//! Native histograms of several shapes, pushed here and to a real Prometheus 3: both answer alike, down to the buckets.

use super::{Prometheus, SENT, free_address, instant, now_ms, sender, settings};
use crate::support::{Tidewatch, get, prometheus_3, run_tool, wait_until};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Buckets on both sides of zero, narrow ones, bounds of its own; counters, one of which begins anew.
const ALL: &str = "{__name__=~\"v2_(seconds|shapes)\"}";

const MORE: [&str; 28] = [
    "sum(v2_shapes{of!=\"bounds\"})",
    "avg(v2_shapes{of!=\"bounds\"})",
    "sum(rate(v2_shapes{of!=\"bounds\"}[2m]))",
    "v2_shapes{of=\"signs\"} + ignoring(of) v2_shapes{of=\"fine\"}",
    "v2_shapes{of=\"signs\"} - ignoring(of) v2_shapes{of=\"fine\"}",
    "v2_shapes * 2",
    "v2_shapes / 3",
    "-v2_shapes{of=\"bounds\"}",
    "v2_seconds == v2_seconds",
    "v2_shapes and v2_shapes",
    "histogram_count(v2_seconds offset 1m)",
    "sum_over_time(v2_seconds[1m])",
    "avg_over_time(v2_shapes[1m])",
    "last_over_time(v2_shapes[1m])",
    "histogram_sum(sum_over_time(v2_shapes{of=\"bounds\"}[2m]))",
    "irate(v2_shapes[1m])",
    "idelta(v2_seconds[1m])",
    "delta(v2_seconds[2m])",
    "increase(v2_shapes[5m:30s])",
    "topk(1, v2_shapes)",
    "max(v2_shapes)",
    "count(v2_shapes)",
    "group(v2_shapes)",
    "absent(v2_shapes)",
    "timestamp(v2_shapes)",
    "count_values(\"v\", v2_shapes{of=\"bounds\"})",
    "v2_gauge",
    "increase(v2_requests_total[5m])",
];

fn queries() -> Vec<String> {
    let mut all = vec![ALL.to_owned()];
    for function in ["rate", "increase", "resets", "changes", "count_over_time"] {
        all.push(format!("{function}({ALL}[2m])"));
    }
    for function in ["count", "sum", "avg", "stddev", "stdvar"] {
        all.extend(["{}", "rate({}[2m])", "increase({}[4m])"].map(|of| format!("histogram_{function}({of})")));
    }
    for rank in ["0", "0.1", "0.4", "0.9", "0.99", "1"] {
        all.extend(["{}", "rate({}[2m])"].map(|of| format!("histogram_quantile({rank}, {of})")));
    }
    for bounds in ["0, 1", "-2, 1.5", "-Inf, 0", "1, +Inf", "2.1, 3.3", "7, 15"] {
        all.extend(["{}", "increase({}[4m])"].map(|of| format!("histogram_fraction({bounds}, {of})")));
    }
    all.iter().map(|query| query.replace("{}", ALL)).chain(MORE.map(str::to_owned)).collect()
}

/// A Prometheus that takes what is pushed.
fn start(programs: &Path, folder: &Path) -> Prometheus {
    let address = free_address();
    std::fs::write(folder.join("prometheus.yml"), "global: {}\n").unwrap();
    let child = Command::new(programs.join("prometheus"))
        .args(["--config.file=prometheus.yml", "--storage.tsdb.path=tsdb", "--web.enable-remote-write-receiver"])
        .args(["--enable-feature=native-histograms", &format!("--web.listen-address={address}")])
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let server = Prometheus { child, address };
    wait_until("Prometheus is ready", Duration::from_secs(60), || {
        get(&server.address, "/-/ready", &[]).is_ok_and(|r| r.status == 200)
    });
    server
}

/// The series of an answer, by their labels.
fn result(address: &str, query: &str, time_ms: i64) -> Vec<Value> {
    let answer: Value = serde_json::from_slice(&get(address, &instant(query, time_ms), &[]).unwrap().body).unwrap();
    assert_eq!(answer["status"], "success", "{query}: {answer}");
    let mut series = answer["data"]["result"].as_array().unwrap().clone();
    series.sort_by_key(|series| series["metric"].to_string());
    series
}

/// Numbers that went through arithmetic may differ in their last digits.
fn is_same(ours: &Value, theirs: &Value) -> bool {
    let is_near = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * b.abs();
    match (ours, theirs) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| is_same(a, b)))
        }
        (Value::String(a), Value::String(b)) => {
            a == b || a.parse::<f64>().ok().zip(b.parse::<f64>().ok()).is_some_and(|(a, b)| is_near(a, b))
        }
        _ => ours.as_f64().zip(theirs.as_f64()).is_some_and(|(a, b)| is_near(a, b)),
    }
}

#[test]
fn native_histograms_are_what_prometheus_3_makes_of_them() {
    let Some(programs) = prometheus_3() else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some(sender) = sender(folder.path()) else { return };
    let mut server = Tidewatch::run(&settings(folder.path(), "127.0.0.1:0"));
    let address = server.address();
    let prometheus = start(&programs, folder.path());
    let end_ms = now_ms() / 1000 * 1000;
    for receiver in [&address, &prometheus.address] {
        assert_eq!(run_tool(&sender, &[receiver, &end_ms.to_string()]).trim(), SENT, "{receiver}");
    }
    for receiver in [&address, &prometheus.address] {
        wait_until("all series", Duration::from_secs(30), || result(receiver, ALL, end_ms).len() == 4);
    }
    let (mut compared, mut filled) = (0, 0);
    for query in queries() {
        let (ours, theirs) = (result(&address, &query, end_ms), result(&prometheus.address, &query, end_ms));
        let is_equal = ours.len() == theirs.len() && ours.iter().zip(&theirs).all(|(a, b)| is_same(a, b));
        assert!(is_equal, "{query}\n  ours   {ours:?}\n  theirs {theirs:?}");
        compared += 1;
        filled += usize::from(!theirs.is_empty());
    }
    assert!(filled > 60 && compared - filled < 6, "{filled} of {compared} answers hold anything");
    server.stop();
}

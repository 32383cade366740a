//! `/metrics` as Prometheus' own linter and the OpenMetrics parser of the Python client see it.

use crate::live::{broker, calls, events, send, settings};
use crate::support::{Tidewatch, get, python, repository, run_tool, skipped, wait_until};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn promtool_and_the_openmetrics_parser_accept_it() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let events = events(5, 3);
    let mut process = Tidewatch::run(&settings(folder.path(), &broker, "[watermark]\nidle_after = \"1s\""));
    let address = process.address();
    send(&broker, &events);
    wait_until("a closed window of api_calls", Duration::from_secs(60), || {
        process.metric("tidewatch_ingest_records_total") as usize == events.len()
            && process.metric("api_calls_requests") > 0.0
    });
    assert!(calls(&events) > 0);
    let text = get(&address, "/metrics", &[]).unwrap();
    assert!(text.head.contains("text/plain; version=0.0.4"), "{}", text.head);
    assert!(text.text().contains("api_calls_duration_seconds{window=\"10s\""), "{}", text.text());
    assert_eq!(process.metric("tidewatch_scrape_rollups_up"), 1.0);
    let open = get(&address, "/metrics", &["Accept: application/openmetrics-text; version=1.0.0"]).unwrap();
    assert!(open.head.contains("application/openmetrics-text; version=1.0.0"), "{}", open.head);
    process.stop();

    promtool(&text.body);
    let Some(python) = python() else { return };
    for (format, body) in [("openmetrics", &open.body), ("text", &text.body)] {
        let file = folder.path().join(format);
        std::fs::write(&file, body).unwrap();
        let script = repository().join("tests/truth/openmetrics.py");
        let families = run_tool(&python, &[script.to_str().unwrap(), file.to_str().unwrap(), "--format", format]);
        assert!(families.contains("api_calls_duration_seconds\tsummary"), "{format}: {families}");
    }
}

fn promtool(metrics: &[u8]) {
    let child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "promtool is missing and CI=true: .ci/setup.sh installs it"
        );
        skipped("promtool", "install the package prometheus");
        return;
    };
    child.stdin.take().unwrap().write_all(metrics).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.is_empty(), "promtool check metrics: {said}");
}

//! Schemathesis makes requests from the OpenAPI description that Prometheus publishes of its HTTP API, sensible
//! and senseless ones: none may be answered with a 5xx, or with anything that the description does not allow.

use crate::prometheus_api::served;
use crate::support::{data, python};
use std::process::Command;

/// Not checked: `negative_data_rejection` and `positive_data_acceptance` (Prometheus itself takes a limit of
/// text for an error and a query of any text for possible), `unsupported_method` (`OPTIONS`).
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

#[test]
fn no_answer_is_outside_of_the_description() {
    let Some(python) = python() else { return };
    let Some(description) = data("prometheus-openapi/openapi_3.1_golden.yaml") else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut server = served(folder.path());
    let url = format!("http://{}/api/v1", server.address());
    let output = Command::new(python.with_file_name("schemathesis"))
        .args(["run", description.to_str().unwrap(), "--url", &url, "--checks", CHECKS])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", "12", "--seed", "7", "--no-shrink"])
        // A build for development on a busy machine takes its time.
        .args(["--request-timeout", "60"])
        .args(["--continue-on-failure", "--warnings", "off", "--suppress-health-check", "all"])
        .env("PYTHONWARNINGS", "ignore")
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(said.contains("passed"), "{said}");
    server.stop();
}

//! Tables in an object store: the S3 protocol as `moto` speaks it, conditional puts included.

use crate::support::{Tidewatch, put, python, tidewatch, wait_until, write_settings};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const RUN: Duration = Duration::from_secs(180);

/// A server with one empty bucket, named `bucket`.
pub struct S3 {
    server: Child,
    pub address: String,
}

impl S3 {
    pub fn start(python: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Command::new(python)
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let s3 = Self { server, address: format!("127.0.0.1:{port}") };
        wait_until("the S3 server has a bucket", Duration::from_secs(60), || {
            put(&s3.address, "/bucket", &[], b"").is_ok_and(|r| r.status == 200)
        });
        s3
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[test]
fn tables_live_in_s3_as_they_do_in_a_folder() {
    let Some(python) = python() else { return };
    let (s3, folder) = (S3::start(&python), tempfile::tempdir().unwrap());
    let path = |name: &str| folder.path().join(name).display().to_string();
    let start = "2026-03-14T18:00:00Z";
    tidewatch(&[
        "simulate",
        "--to",
        "file",
        "--path",
        &path("all.ndjson"),
        "--duration",
        "2m",
        "--rate",
        "50",
        "--start",
        start,
    ]);
    let all = std::fs::read_to_string(path("all.ndjson")).unwrap();
    let half = all[..all.len() / 2].rfind('\n').unwrap() + 1;
    let settings = write_settings(
        folder.path(),
        &format!(
            "[storage]\nlocation = \"s3://bucket/tables\"\n\
             options = {{ aws_access_key_id = \"a\", aws_secret_access_key = \"b\", aws_region = \"us-east-1\", aws_endpoint = \"http://{}\", aws_allow_http = \"true\" }}\n\
             [files]\npaths = [\"events.ndjson\"]\n[http]\nlisten = \"127.0.0.1:0\"\n",
            s3.address
        ),
    );
    // Two runs: the second finds tables and positions of the first.
    for part in [&all[..half], &all] {
        std::fs::write(path("events.ndjson"), part).unwrap();
        Tidewatch::start(&["run", "-c", settings.to_str().unwrap(), "--until-caught-up"]).wait(RUN);
    }
    let expected = all.matches("\"type\":\"apihealth.api_call.completed.v1\"").count();
    let query = "SELECT sum(requests) AS n, hdr_count(hdr_merge(duration_ms)) AS h FROM api_calls";
    let found = tidewatch(&["sql", "-c", settings.to_str().unwrap(), "--format", "csv", query]);
    assert_eq!(found, format!("n,h\n{expected},{expected}\n"));
}

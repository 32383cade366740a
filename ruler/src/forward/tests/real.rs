//! Against Debian's Alertmanager.

use super::*;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

struct Alertmanager {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn program() -> Option<PathBuf> {
    let named = std::env::var("TIDEWATCH_ALERTMANAGER").map(PathBuf::from).ok();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let names = ["prometheus-alertmanager", "alertmanager"];
    let usual = || names.iter().flat_map(|name| places.iter().map(move |at| at.join(name))).find(|it| it.is_file());
    let found = named.or_else(usual);
    if found.is_none() {
        let how = "install Debian's prometheus-alertmanager or set TIDEWATCH_ALERTMANAGER";
        assert!(std::env::var("CI").as_deref() != Ok("true"), "Alertmanager is missing and CI=true: {how}");
        let _ = writeln!(std::io::stderr(), "SKIPPED: Alertmanager is missing: {how}");
    }
    found
}

impl Alertmanager {
    fn start() -> Option<Self> {
        let (program, folder) = (program()?, tempfile::tempdir().unwrap());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = folder.path().join("alertmanager.yml");
        std::fs::write(&config, NOBODY).unwrap();
        let process = Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", folder.path().display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--cluster.listen-address=")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Self { process, port, _folder: folder };
        until("Alertmanager", || started.get("/-/ready").is_some());
        Some(started)
    }

    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let mut answer = String::new();
        write!(stream, "GET {path} HTTP/1.0\r\nHost: x\r\n\r\n").ok()?;
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.contains(" 200 ").then(|| body.to_owned())
    }

    fn alerts(&self) -> Vec<Value> {
        serde_json::from_str(&self.get("/api/v2/alerts").unwrap()).unwrap()
    }
}

#[test]
fn debians_alertmanager_shows_what_fires_and_forgets_what_is_over() {
    let Some(alertmanager) = Alertmanager::start() else { return };
    // It goes by its own clock.
    let now_ms = SystemClock::new().now_ms() - 60_000;
    let mut bench = Bench::new(now_ms);
    let text = "groups: [{name: g, interval: 30s, rules: [{alert: A, expr: up == 0, labels: {severity: page},
      annotations: {summary: '{{ $labels.job }} \"is\" down'}}]}]";
    let address = SecretUrl::parse(&format!("http://127.0.0.1:{}", alertmanager.port)).unwrap();
    let ruler = bench.open(groups(text), NOBODY, |settings| {
        settings.forward.alertmanagers = vec![address];
        settings.groups.external_labels = vec![("zone".to_owned(), "eu".to_owned())];
        settings.groups.external_url = "http://tidewatch:9890".to_owned();
    });
    let running = start(&bench, &ruler);
    for (after_ms, b) in [(0, 0.0), (30_000, 1.0)] {
        down(&bench, "a", now_ms + after_ms);
        bench.data.push(&[("__name__", "up"), ("job", "b")], now_ms + after_ms, b);
        bench.evaluate(&ruler, now_ms + after_ms);
        let left = if after_ms == 0 { 2 } else { 1 };
        until("what fires", || alertmanager.alerts().len() == left);
    }
    let alert = alertmanager.alerts().remove(0);
    assert_eq!(alert["labels"], serde_json::json!({"alertname": "A", "job": "a", "severity": "page", "zone": "eu"}));
    assert_eq!(alert["annotations"]["summary"], "a \"is\" down");
    assert!(alert["generatorURL"].as_str().unwrap().starts_with("http://tidewatch:9890/graph?g0.expr=up"), "{alert}");
    let time = |key: &str| chrono::DateTime::parse_from_rfc3339(alert[key].as_str().unwrap()).unwrap();
    assert_eq!(time("startsAt").timestamp_millis(), now_ms);
    assert_eq!(time("endsAt").timestamp_millis(), now_ms + 240_000);
    stop(&bench, running);
    assert_eq!(
        (bench.metric("tidewatch_forward_sent_total"), bench.metric("tidewatch_forward_errors_total")),
        (3.0, 0.0)
    );
}

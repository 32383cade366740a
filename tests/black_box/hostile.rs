//! Whoever reaches the ports and means harm: requests that never end, bodies without bounds, what is nested too deeply,
//! paths out of the folder, bytes that are no protocol. Others are answered all the while, nothing panics, and memory
//! stays where it was.

use crate::support::{Response, Tidewatch, get, pack, post, put, wait_until, write_settings};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Connections of one who never finishes.
const SLOW: usize = 100;
/// Others are answered within this, in a development build on a busy machine.
const ANSWERED: Duration = Duration::from_secs(5);
/// By so much the process may grow.
const GROWTH_MAX: u64 = 200 << 20;
const NESTED: usize = 100_000;

struct Victim {
    process: Tidewatch,
    address: String,
    before: u64,
    _folder: TempDir,
}

impl Victim {
    fn start(http: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "packs = [\"{}\", \"builtin:prometheus\"]\n[storage]\nlocation = \"data\"\n\
             [http]\nlisten = \"127.0.0.1:0\"\n{http}\n[postgres]\nlisten = \"127.0.0.1:0\"\n\
             [push]\nbody_bytes_max = 1_000_000\n",
            pack("shop")
        );
        let mut process = Tidewatch::run(&write_settings(folder.path(), &text));
        let address = process.address();
        // What the first of everything takes is no growth.
        process.sql("SELECT 1 AS n");
        let before = peak(&process);
        Self { process, address, before, _folder: folder }
    }

    /// Somebody else is answered.
    fn answers(&mut self, after: &str) {
        let begun = Instant::now();
        assert_eq!(self.process.sql("SELECT 1 AS n"), "n\n1\n", "after {after}");
        assert_eq!(get(&self.address, "/-/healthy", &[]).unwrap().status, 200, "after {after}");
        assert!(begun.elapsed() < ANSWERED, "after {after}: {:?}", begun.elapsed());
    }

    fn end(mut self) {
        let grown = peak(&self.process).saturating_sub(self.before);
        assert!(grown < GROWTH_MAX, "grown by {} MB", grown >> 20);
        let log = self.process.log().to_owned();
        let log = log + &self.process.stop();
        assert!(!log.contains("panicked"), "{log}");
    }
}

/// The most memory that the process has had.
fn peak(process: &Tidewatch) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// Is the connection closed by the other side?
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let mut byte = [0; 256];
    loop {
        match stream.read(&mut byte) {
            Ok(0) => return true,
            // An answer that says why.
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

#[test]
fn connections_that_never_finish_a_request_are_closed_and_hold_nobody_up() {
    let mut victim = Victim::start("head_timeout = \"3s\"\nbody_timeout = \"2s\"\nconnections_max = 200");
    let open = |first: &str| {
        let mut stream = TcpStream::connect(&victim.address).unwrap();
        stream.write_all(first.as_bytes()).unwrap();
        stream
    };
    let kinds = [
        // A head that is never whole.
        "GET /metrics HTTP/1.1\r\nHost: a\r\nX-",
        // Nothing at all.
        "",
        // A body that stands still.
        "POST /api/v1/sql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
        "POST /api/v1/events HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
    ];
    let mut slow: Vec<TcpStream> = (0..SLOW).map(|number| open(kinds[number % kinds.len()])).collect();
    victim.answers("connections that do nothing");
    wait_until("all of them are closed", Duration::from_secs(30), || {
        // A byte now and then does not help the first kind.
        slow.iter_mut().step_by(kinds.len()).for_each(|stream| drop(stream.write_all(b"a")));
        slow.iter_mut().all(is_closed)
    });
    assert!(victim.process.metric("tidewatch_wire_refused_total") > 0.0);

    // More than there may be: those that are there are served.
    let many: Vec<TcpStream> = (0..300).filter_map(|_| TcpStream::connect(&victim.address).ok()).collect();
    drop(many);
    wait_until("there is room again", Duration::from_secs(30), || get(&victim.address, "/-/healthy", &[]).is_ok());
    victim.answers("more connections than there may be");
    victim.end();
}

#[test]
fn bodies_heads_and_nesting_without_bounds_are_refused() {
    let mut victim = Victim::start("");
    let address = victim.address.clone();
    // What is refused while it is sent may end with a reset instead of an answer.
    let refused = |what: &str, answer: std::io::Result<Response>| {
        if let Ok(answer) = answer {
            assert!((400..500).contains(&answer.status), "{what}: {} {}", answer.status, answer.head);
        }
    };
    let json = "Content-Type: application/json";
    let huge = vec![b' '; 40 << 20];
    for path in ["/api/v1/events", "/api/v1/sql", "/api/v1/query", "/api/v1/write", "/v1/metrics", "/api/v2/silences"] {
        refused(path, post(&address, path, &[json], &huge));
        victim.answers(path);
    }
    let deep = "[".repeat(NESTED);
    let event = format!(
        r#"{{"specversion":"1.0","id":"1","source":"/t","type":"shop.order.created.v1","time":"2026-03-14T18:00:00Z","tenantkind":"creator","tenantid":"c","data":{{"deep":{deep}"#
    );
    refused(
        "a nested event",
        post(&address, "/api/v1/events", &["Content-Type: application/x-ndjson"], event.as_bytes()),
    );
    refused("a nested silence", post(&address, "/api/v2/silences", &[json], deep.as_bytes()));
    victim.answers("nested JSON");
    let nested = |open: &str, middle: &str, close: &str, times| open.repeat(times) + middle + &close.repeat(times);
    let text = "Content-Type: text/plain";
    let sql = format!("SELECT {} AS n", nested("(", "1", ")", 10_000));
    refused("nested SQL", post(&address, "/api/v1/sql", &[text], sql.as_bytes()));
    let sql = nested("SELECT * FROM (", "SELECT 1", ")", 5_000);
    refused("nested queries", post(&address, "/api/v1/sql", &[text], sql.as_bytes()));
    victim.answers("nested SQL");
    let form = "Content-Type: application/x-www-form-urlencoded";
    for query in [nested("(", "1", ")", NESTED), nested("abs(", "up", ")", 20_000), "-".repeat(NESTED) + "1"] {
        let body = "query=".to_owned() + &query;
        refused("nested PromQL", post(&address, "/api/v1/query", &[form], body.as_bytes()));
    }
    victim.answers("nested PromQL");
    let long = "a".repeat(1 << 20);
    refused("a long URL", get(&address, &format!("/api/v1/query?query={long}"), &[]));
    refused("a long header", get(&address, "/metrics", &[&format!("X-Long: {long}")]));
    let headers: Vec<String> = (0..1000).map(|number| format!("X-{number}: a")).collect();
    refused("many headers", get(&address, "/metrics", &headers.iter().map(String::as_str).collect::<Vec<_>>()));
    for method in [put, post] {
        refused("a method", method(&address, "/metrics", &[], b"x"));
    }
    victim.answers("long heads");
    victim.end();
}

#[test]
fn paths_lead_nowhere_else() {
    let mut victim = Victim::start("");
    let tricks = [
        "/../../../../etc/passwd",
        "/..%2f..%2f..%2fetc%2fpasswd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/page/../../etc/passwd",
        "/%00",
        "/assets/%00.js",
        "/assets/..%5c..%5cetc%5cpasswd",
        "/api/v1/label/..%2f..%2fname/values",
        "/api/v1/label/%00/values",
        "/api/v2/silence/..%2f..%2f",
        "/api/v2/silence/%F0%28%8C%28",
        "/dashboards/../../../etc/passwd",
        "/.%2e/.%2e/tidewatch.toml",
        "/data/",
        "http://example.com/metrics/../../etc/passwd",
        "*",
    ];
    for path in tricks {
        if let Ok(answer) = get(&victim.address, path, &[]) {
            let text = String::from_utf8_lossy(&answer.body);
            assert!(answer.status < 500, "{path}: {} {text}", answer.status);
            assert!(!text.contains("root:") && !text.contains("[storage]"), "{path}: {text}");
        }
    }
    victim.answers("tricks with paths");
    victim.end();
}

#[test]
fn bytes_that_are_no_protocol_end_their_connection_alone() {
    let mut victim = Victim::start("");
    let postgres = victim.process.named_address("postgres");
    let length = |length: i32, rest: &[u8]| [&length.to_be_bytes()[..], rest].concat();
    let garbage: Vec<u8> = (0..100_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let startup = length(8 + 5 + 2, b"\0\x03\0\0user\0a\0\0");
    let bytes = [
        garbage.clone(),
        length(i32::MAX, b"\0\x03\0\0user\0"),
        length(-1, b"\0\x03\0\0"),
        length(0, b""),
        length(100, b"\0\x03"),
        [&startup[..], b"Q", &length(i32::MAX, b"SELECT")].concat(),
        [&startup[..], b"Q", &length(-5, b"")].concat(),
        [&startup[..], &garbage[..]].concat(),
    ];
    for address in [&postgres, &victim.address] {
        for bytes in &bytes {
            let mut stream = TcpStream::connect(address).unwrap();
            // It may be closed before everything is sent.
            let _ = stream.write_all(bytes);
            stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
            let _ = stream.read(&mut [0; 100]);
        }
    }
    victim.answers("garbage");
    victim.end();
}

//! Others push samples, and PromQL answers as Prometheus does: Prometheus itself with remote write 1.0, its Go client
//! with 2.0, vmagent, OpenTelemetry's Python SDK with OTLP.

mod native_histograms;

use crate::support::{
    Tidewatch, get, prometheus_3, python, repository, run_tool, skipped, tidewatch, tidewatch_fails, wait_until,
    write_settings,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Prometheus scrapes so long before the kill, and after it.
const BEFORE: Duration = Duration::from_secs(12);
const AFTER: Duration = Duration::from_secs(14);

struct Prometheus {
    child: Child,
    address: String,
}

impl Prometheus {
    /// Scrapes itself and `target` every second and pushes everything there.
    fn start(programs: &Path, folder: &Path, target: &str) -> Self {
        let address = free_address();
        let config = format!(
            "global: {{ scrape_interval: 1s }}\n\
             scrape_configs:\n\
             - {{ job_name: prometheus, static_configs: [{{ targets: ['{address}'] }}] }}\n\
             - {{ job_name: tidewatch, static_configs: [{{ targets: ['{target}'] }}] }}\n\
             remote_write:\n\
             - url: http://{target}/api/v1/write\n  \
               queue_config: {{ batch_send_deadline: 500ms, min_backoff: 100ms, max_backoff: 500ms }}\n  \
               metadata_config: {{ send_interval: 2s }}\n"
        );
        let file = folder.join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        let child = Command::new(programs.join("prometheus"))
            .args([
                format!("--config.file={}", file.display()),
                format!("--storage.tsdb.path={}", folder.join("tsdb").display()),
                format!("--web.listen-address={address}"),
                "--log.level=warn".to_owned(),
            ])
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.join("prometheus.log")).unwrap())
            .spawn()
            .unwrap();
        let server = Self { child, address };
        wait_until("Prometheus is ready", Duration::from_secs(60), || {
            get(&server.address, "/-/ready", &[]).is_ok_and(|r| r.status == 200)
        });
        server
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn has(program: &str, how: &str) -> bool {
    let found = Command::new(program).arg("version").output().is_ok()
        || Command::new(program).arg("--version").output().is_ok();
    if !found {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{program} is missing and CI=true");
        skipped(program, how);
    }
    found
}

fn settings(folder: &Path, address: &str) -> PathBuf {
    let text = format!(
        "packs = [\"builtin:prometheus\"]\n[storage]\nlocation = \"data\"\n[http]\nlisten = \"{address}\"\n\
         [samples]\nflush_interval = \"3s\"\n"
    );
    write_settings(folder, &text)
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { (b as char).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// The result of a query: samples by label set.
fn ask(address: &str, path: &str) -> BTreeMap<String, Vec<(f64, f64)>> {
    let response = get(address, path, &[]).unwrap();
    let answer: Value =
        serde_json::from_slice(&response.body).unwrap_or_else(|e| panic!("{path}: {e}: {}", response.text()));
    assert_eq!(answer["status"], "success", "{path}: {answer}");
    let sample = |pair: &Value| (pair[0].as_f64().unwrap(), pair[1].as_str().unwrap().parse().unwrap());
    let series = answer["data"]["result"].as_array().unwrap().iter().map(|series| {
        let samples = match series.get("values") {
            Some(values) => values.as_array().unwrap().iter().map(sample).collect(),
            None => vec![sample(&series["value"])],
        };
        (series["metric"].to_string(), samples)
    });
    series.collect()
}

fn instant(query: &str, time_ms: i64) -> String {
    format!("/api/v1/query?query={}&time={}", encoded(query), time_ms as f64 / 1000.0)
}

fn range(query: &str, start_ms: i64, end_ms: i64) -> String {
    let seconds = |ms: i64| ms as f64 / 1000.0;
    format!("/api/v1/query_range?query={}&start={}&end={}&step=1", encoded(query), seconds(start_ms), seconds(end_ms))
}

/// Equal series at equal times; numbers that went through arithmetic may differ in their last digits.
fn assert_same(what: &str, ours: &BTreeMap<String, Vec<(f64, f64)>>, theirs: &BTreeMap<String, Vec<(f64, f64)>>) {
    let names = |all: &BTreeMap<String, _>| all.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(ours), names(theirs), "{what}");
    for (labels, expected) in theirs {
        let found = &ours[labels];
        let same = |(a, b): (&(f64, f64), &(f64, f64))| {
            a.0 == b.0 && (a.1 == b.1 || (a.1 - b.1).abs() <= 1e-12 * b.1.abs() || (a.1.is_nan() && b.1.is_nan()))
        };
        let is_same = found.len() == expected.len() && found.iter().zip(expected).all(same);
        assert!(is_same, "{what}: {labels}\n  ours   {found:?}\n  theirs {expected:?}");
    }
}

#[test]
fn prometheus_pushes_through_a_kill_and_both_answer_alike() {
    // Whose ranges leave out their left end, and which extrapolates counters that have just begun as we do; Debian's has
    // neither.
    let Some(programs) = prometheus_3() else { return };
    let folder = tempfile::tempdir().unwrap();
    let address = free_address();
    let settings = settings(folder.path(), &address);
    let mut server = Tidewatch::run(&settings);
    server.address();
    let prometheus = Prometheus::start(&programs, folder.path(), &address);
    let begun_ms = now_ms();
    std::thread::sleep(BEFORE);
    let killed_ms = now_ms();
    server.kill();
    std::thread::sleep(Duration::from_secs(2));
    let mut server = Tidewatch::run(&settings);
    server.address();
    std::thread::sleep(AFTER);

    // Everything up to here has arrived once both have the same newest sample of what was scraped.
    let end_ms = now_ms() - 2_000;
    let newest = "min(timestamp(up))";
    wait_until("everything is pushed", Duration::from_secs(30), || {
        let times = ask(&address, &instant(newest, now_ms()));
        times.values().all(|samples| samples[0].1 * 1000.0 > end_ms as f64) && !times.is_empty()
    });
    let (start_ms, end_ms) = (begun_ms + 4_000, end_ms - 1_000);

    for query in [
        "{__name__=~\".+\"}",
        "up",
        "up{job=\"tidewatch\"}",
        "rate(prometheus_http_requests_total[5s])",
        "increase(prometheus_tsdb_head_samples_appended_total[10s])",
        "sum by (job) (rate(process_cpu_seconds_total{job=\"prometheus\"}[7s]))",
        "count_over_time(up{job=\"prometheus\"}[20s])",
        "histogram_quantile(0.9, sum by (le) (rate(prometheus_http_request_duration_seconds_bucket[15s])))",
        "max_over_time(go_goroutines[10s]) - min_over_time(go_goroutines[10s])",
        "changes(process_start_time_seconds[20s])",
        "count by (job) ({__name__=~\"tidewatch_.*|go_.*\"})",
        "absent(up{job=\"nothing\"})",
    ] {
        let (ours, theirs) =
            (ask(&address, &instant(query, end_ms)), ask(&prometheus.address, &instant(query, end_ms)));
        assert!(!theirs.is_empty(), "{query}");
        assert_same(query, &ours, &theirs);
        let path = range(query, start_ms, end_ms);
        assert_same(&format!("{query} over time"), &ask(&address, &path), &ask(&prometheus.address, &path));
    }
    let during = ask(&address, &range("up{job=\"tidewatch\"}", killed_ms, killed_ms + 4000));
    assert!(during.values().flatten().any(|s| s.1 == 0.0), "the scrape of the killed process failed: {during:?}");

    let data = |address: &str, path: &str| -> Value {
        let answer: Value = serde_json::from_slice(&get(address, path, &[]).unwrap().body).unwrap();
        answer["data"].clone()
    };
    // Prometheus names all that its head holds, whatever span is asked for: here all of it, and what comes meanwhile.
    let span = format!("start={}&end={}", begun_ms / 1000 - 60, end_ms / 1000 + 600);
    // Series come in the order in which Prometheus met them; their labels tell ports, which are others each time.
    let sorted = |mut answer: Value| {
        answer.as_array_mut().unwrap().sort_by_key(Value::to_string);
        answer
    };
    for path in [
        format!("/api/v1/labels?{span}"),
        format!("/api/v1/label/__name__/values?{span}"),
        format!("/api/v1/label/job/values?{span}"),
        format!("/api/v1/series?match[]=up&{span}"),
    ] {
        let is_same = || sorted(data(&address, &path)) == sorted(data(&prometheus.address, &path));
        wait_until(&path, Duration::from_secs(20), is_same);
    }
    // The metadata of what Prometheus scraped from itself, in its own words.
    wait_until("metadata is pushed", Duration::from_secs(20), || {
        data(&address, "/api/v1/metadata?metric=prometheus_build_info")["prometheus_build_info"].is_array()
    });
    let path = "/api/v1/metadata?metric=prometheus_build_info";
    assert_eq!(data(&address, path), data(&prometheus.address, path));
    let federated = get(&address, "/federate?match%5B%5D=up", &[]).unwrap().text();
    assert!(federated.contains("up{") && federated.contains("job=\"prometheus\""), "{federated}");

    drop(prometheus);
    // What came last is shown a moment later.
    std::thread::sleep(Duration::from_millis(500));
    let counted = server.sql("SELECT sum(samples_count(samples)) AS n FROM samples WHERE metric = 'up'");
    server.stop();
    let committed = crate::support::sql(
        &folder.path().join("data"),
        "SELECT sum(samples_count(samples)) AS n FROM samples WHERE metric = 'up'",
    );
    assert_eq!(counted, committed, "what was in memory is committed when it stops");
}

/// Pushes with Prometheus' Go client: address, and time of the last samples in milliseconds.
fn sender(folder: &Path) -> Option<PathBuf> {
    if !has("go", "install Go 1.25 or newer") {
        return None;
    }
    let sender = folder.join("sender");
    let built = Command::new("go")
        .args(["build", "-o", sender.to_str().unwrap(), "."])
        .current_dir(repository().join("tests/remote_write/sender"))
        .output()
        .unwrap();
    if !built.status.success() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{}", String::from_utf8_lossy(&built.stderr));
        skipped("the Go module proxy", "the sender cannot be built");
        return None;
    }
    Some(sender)
}

/// Samples, histograms and exemplars of one run of the sender.
const SENT: &str = "42 84 0";

#[test]
fn remote_write_2_from_the_go_client() {
    let folder = tempfile::tempdir().unwrap();
    let Some(sender) = sender(folder.path()) else { return };
    let settings = settings(folder.path(), "127.0.0.1:0");
    let mut server = Tidewatch::run(&settings);
    let address = server.address();
    let end_ms = now_ms() / 1000 * 1000;
    let written = run_tool(&sender, &[&address, &end_ms.to_string()]);
    assert_eq!(written.trim(), SENT);
    assert_eq!(run_tool(&sender, &[&address, &end_ms.to_string()]).trim(), SENT, "sent again");
    let one = |server: &mut Tidewatch, query: &str, time_ms: i64| -> Vec<f64> {
        ask(&server.address(), &instant(query, time_ms)).into_values().map(|samples| samples[0].1).collect()
    };
    let check = |server: &mut Tidewatch| {
        assert_eq!(one(server, "v2_requests_total{job=\"go\"}", end_ms), [60.0]);
        // 57 between 285 s ago and now, extrapolated to 300 s.
        assert_eq!(one(server, "increase(v2_requests_total[5m])", end_ms), [60.0]);
        assert_eq!(one(server, "count_over_time(v2_requests_total[10m])", end_ms), [21.0], "each once");
        assert_eq!(one(server, "v2_gauge", end_ms - 1), [19.0 / 7.0]);
        assert_eq!(one(server, "v2_gauge", end_ms), [0.0; 0], "the series has ended");
        assert_eq!(one(server, "histogram_count(v2_seconds)", end_ms), [80.0]);
        assert_eq!(one(server, "histogram_sum(increase(v2_seconds[5m]))", end_ms), [100.0]);
        // 20 of 80 lie around zero, 20 in (0.5, 1], 40 in (2, 4]. From a half on Prometheus comes from above.
        assert_eq!(one(server, "histogram_quantile(0.5, v2_seconds)", end_ms), [2.0]);
        let below = one(server, "histogram_quantile(0.4, v2_seconds)", end_ms)[0];
        assert!((below - 0.5 * 2f64.powf(0.6)).abs() < 1e-9, "{below}");
    };
    check(&mut server);
    let metadata = server.get("/api/v1/metadata?metric=v2_requests_total").text();
    assert!(metadata.contains("\"counter\"") && metadata.contains("Requests, as 2.0 says."), "{metadata}");
    assert_eq!(server.metric("tidewatch_samples_accepted_total"), 252.0, "the second time as well");
    server.kill();
    let mut server = Tidewatch::run(&settings);
    wait_until("the log is counted", Duration::from_secs(30), || {
        one(&mut server, "count_over_time(v2_requests_total[10m])", end_ms) == [21.0]
    });
    check(&mut server);
    server.stop();
}

#[test]
fn otlp_from_the_python_sdk() {
    let Some(python) = python() else { return };
    if !Command::new(&python).args(["-c", "import opentelemetry.sdk"]).output().unwrap().status.success() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "opentelemetry-sdk is missing and CI=true");
        return skipped("opentelemetry-sdk", "run tests/truth/venv.sh");
    }
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), "127.0.0.1:0");
    let mut server = Tidewatch::run(&settings);
    let address = server.address();
    run_tool(&python, &["tests/truth/otlp_push.py", &format!("http://{address}/api/v1/otlp/v1/metrics")]);
    let time_ms = now_ms() + 1000;
    let answer = |query: &str| -> Vec<String> {
        let series = ask(&address, &instant(query, time_ms));
        series.into_iter().map(|(labels, samples)| format!("{labels} {}", samples[0].1)).collect()
    };
    let is_of = "\"instance\":\"i-1\",\"job\":\"eu/shop\"";
    assert_eq!(
        answer("http_server_requests_total"),
        [
            format!("{{\"__name__\":\"http_server_requests_total\",\"http_route\":\"/a\",{is_of}}} 5"),
            format!("{{\"__name__\":\"http_server_requests_total\",\"http_route\":\"/b\",{is_of}}} 2"),
        ]
    );
    assert_eq!(answer("sum(queue_length)"), ["{} -3"]);
    assert_eq!(answer("temperature_celsius{room=\"1\"} * 2"), [format!("{{{is_of},\"room\":\"1\"}} 43")]);
    assert_eq!(
        answer("sum by (le) (latency_seconds_bucket)"),
        ["{\"le\":\"+Inf\"} 4", "{\"le\":\"0.1\"} 1", "{\"le\":\"1\"} 3", "{\"le\":\"10\"} 3"]
    );
    assert_eq!(answer("sum(latency_seconds_sum) / sum(latency_seconds_count)"), [format!("{{}} {}", 21.25 / 4.0)]);
    assert_eq!(answer("sum(histogram_count(sizes_bytes)) + sum(histogram_sum(sizes_bytes))"), ["{} 5150"]);
    let median: f64 =
        answer("histogram_quantile(0.5, sum(sizes_bytes))")[0].split_whitespace().last().unwrap().parse().unwrap();
    assert!((median / 50.0 - 1.0).abs() < 0.05, "{median}");
    assert!(answer("target_info")[0].contains("\"host_name\":\"box\""));
    let metadata = server.get("/api/v1/metadata?metric=http_server_requests_total").text();
    assert!(metadata.contains("Requests so far."), "{metadata}");
    server.stop();
    let replayed = tidewatch(&["verify", "-c", settings.to_str().unwrap()]);
    assert!(replayed.contains("equal     samples") && !replayed.contains("DIFFERENT"), "{replayed}");
}

#[test]
fn vmagent_pushes_what_it_scrapes() {
    if !has("vmagent", "install the package victoria-metrics") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut server = Tidewatch::run(&settings(folder.path(), "127.0.0.1:0"));
    let address = server.address();
    let scrape = format!(
        "global: {{ scrape_interval: 1s }}\n\
         scrape_configs: [{{ job_name: tidewatch, static_configs: [{{ targets: ['{address}'] }}] }}]\n"
    );
    std::fs::write(folder.path().join("scrape.yml"), scrape).unwrap();
    let agent = Command::new("vmagent")
        .args([
            format!("-promscrape.config={}", folder.path().join("scrape.yml").display()),
            format!("-remoteWrite.tmpDataPath={}", folder.path().join("queue").display()),
            format!("-remoteWrite.url=http://{address}/api/v1/write"),
            "-remoteWrite.flushInterval=500ms".to_owned(),
            format!("-httpListenAddr={}", free_address()),
        ])
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(folder.path().join("vmagent.log")).unwrap())
        .spawn()
        .unwrap();
    // It is ended with the test, however that ends.
    let _agent = Prometheus { child: agent, address: String::new() };
    let value = |query: &str| {
        let found = ask(&address, &instant(query, now_ms()));
        found.into_values().next().map_or(0.0, |samples| samples[0].1)
    };
    wait_until("what it scraped is answered", Duration::from_secs(60), || {
        value("up{job=\"tidewatch\"}") == 1.0 && value("count_over_time(up{job=\"tidewatch\"}[1m])") > 3.0
    });
    let pushed = value("max_over_time(tidewatch_samples_accepted_total{job=\"tidewatch\"}[1m])");
    assert!(pushed > 0.0 && pushed <= server.metric("tidewatch_samples_accepted_total"), "{pushed}");
    server.stop();
}

#[test]
fn what_a_process_knows_of_itself_is_kept_and_its_own_alerts_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let address = free_address();
    let text = |packs: &str| {
        format!(
            "packs = [{packs}]\n[http]\nlisten = \"{address}\"\n[scrape]\nkeep_interval = \"1s\"\n\
             [alerting]\npack_rules = true\n[samples]\nflush_interval = \"2s\"\n"
        )
    };
    let nowhere = write_settings(folder.path(), &text("\"builtin:engine\", \"builtin:creatorflow\""));
    let refused = tidewatch_fails(&["run", "-c", nowhere.to_str().unwrap()]);
    assert!(refused.contains("scrape.keep_interval") && refused.contains("builtin:prometheus"), "{refused}");

    let settings = write_settings(folder.path(), &text("\"builtin:engine\", \"builtin:prometheus\""));
    let mut server = Tidewatch::run(&settings);
    server.address();
    let of_two = "count(count_over_time(tidewatch_start_duration_seconds[1h]) >= 2)";
    wait_until("two samples are kept", Duration::from_secs(60), || {
        !ask(&address, &instant(of_two, now_ms())).is_empty()
    });
    let began = ask(&address, &instant("tidewatch_start_duration_seconds", now_ms()));
    let (labels, samples) = began.first_key_value().unwrap();
    assert!(
        labels.contains(&format!("\"instance\":\"{address}\"")) && labels.contains("\"job\":\"tidewatch\""),
        "{labels}"
    );
    assert!(samples[0].1 > 0.0 && samples[0].1 < 60.0, "{samples:?}");
    // A histogram is one of buckets, as scraped.
    let buckets = "count(tidewatch_log_sync_duration_seconds_bucket) > 3";
    assert_eq!(ask(&address, &instant(buckets, now_ms())).len(), 1);
    server.stop();

    let mut server = Tidewatch::run(&settings);
    server.address();
    let before = "count_over_time(tidewatch_start_duration_seconds[1h]) >= 2";
    assert_eq!(ask(&address, &instant(before, now_ms())).len(), 1, "a restart forgets nothing");
    let rules: Value = serde_json::from_slice(&get(&address, "/api/v1/rules", &[]).unwrap().body).unwrap();
    let names: Vec<&str> =
        rules["data"]["groups"].as_array().unwrap().iter().map(|group| group["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["engine-live", "engine-day"], "{rules}");
    wait_until("the rules are evaluated, and well", Duration::from_secs(60), || {
        let rules: Value = serde_json::from_slice(&get(&address, "/api/v1/rules", &[]).unwrap().body).unwrap();
        let groups = rules["data"]["groups"].as_array().unwrap().clone();
        groups[0]["rules"].as_array().unwrap().iter().all(|rule| rule["health"] == "ok")
    });
    server.stop();
}

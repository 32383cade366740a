//! The topology of `deploy/compose.yaml` without containers: Apache Kafka, Tidewatch, Prometheus and Alertmanager with
//! the files of `deploy/`, in which only addresses, paths and intervals are others, under the load that compose starts.

use crate::support::{PROGRAM, RealKafka, Tidewatch, get, kafka, post, program, repository, run_tool, wait_until};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(180);
/// As compose makes them.
const PARTITIONS: i32 = 4;
const WATCHDOG: &str = "EventsAreCounted";

/// A child that ends with the test.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_topology_of_compose_works_from_event_to_alert() {
    let Some(_) = kafka() else { return };
    let Some(prometheus) = program("prometheus", "prometheus") else { return };
    let Some(alertmanager) = program("prometheus-alertmanager", "prometheus-alertmanager") else { return };
    let Some(amtool) = program("amtool", "prometheus-alertmanager") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let compose: serde_yaml_ng::Value = serde_yaml_ng::from_str(&deployed("compose.yaml")).unwrap();

    let broker = RealKafka::start();
    let topics = compose["services"]["topics"]["environment"]["TOPICS"].as_str().unwrap();
    create_topics(&broker.bootstrap_servers, topics);

    let am_address = free_address();
    let _alertmanager = Running::start(
        Command::new(alertmanager)
            .arg(format!("--config.file={}", repository().join("deploy/alertmanager/alertmanager.yml").display()))
            .args([format!("--storage.path={}", at("am")), format!("--web.listen-address={am_address}")])
            .args(["--cluster.listen-address=", "--log.level=error"]),
    );

    let mut server = start_tidewatch(folder.path(), &broker.bootstrap_servers, &am_address);
    let address = server.address();

    let prometheus_address = free_address();
    let config = deployed("prometheus/prometheus.yml")
        .replace("tidewatch:9890", &address)
        .replace("alertmanager:9093", &am_address)
        .replace("localhost:9090", &prometheus_address)
        // A development build on a busy machine takes its time for a scrape, and the test does not want to wait.
        .replace("scrape_interval: 15s", "scrape_interval: 5s");
    std::fs::write(at("prometheus.yml"), config).unwrap();
    std::fs::write(at("rules.yml"), deployed("prometheus/rules.yml")).unwrap();
    let _prometheus = Running::start(
        Command::new(prometheus)
            .arg(format!("--config.file={}", at("prometheus.yml")))
            .args([format!("--storage.tsdb.path={}", at("tsdb")), format!("--web.listen-address={prometheus_address}")])
            .arg("--log.level=error"),
    );

    let command = compose["services"]["load"]["command"].as_sequence().unwrap();
    let command = command.iter().map(|a| a.as_str().unwrap().replace("kafka:9092", &broker.bootstrap_servers));
    let load = Running::start(Command::new(PROGRAM).args(command));

    // Tidewatch counts.
    wait_until("events are counted", SOON, || number(&server.sql("SELECT sum(requests) AS n FROM api_calls")) > 0.0);

    // Prometheus sees it, and all that its rules read.
    wait_until("Prometheus has scraped", SOON, || {
        value(&prometheus_address, "sum(tidewatch_ingest_events_total{job=\"tidewatch\"})") > 0.0
    });
    assert_eq!(value(&prometheus_address, "min(up{job=\"tidewatch\"})"), 1.0);
    assert_eq!(value(&prometheus_address, "absent(api_calls_requests_total)"), 1.0, "rollups are left out");
    assert_eq!(names_without_metric(&server.get("/metrics?rollups=false").text()), [""; 0]);

    // Alertmanager is told by both.
    let told =
        || run_tool(&amtool, &["--alertmanager.url", &format!("http://{am_address}"), "alert", "query", WATCHDOG]);
    wait_until("an alert in Alertmanager", SOON, || told().contains(WATCHDOG));
    let alertmanagers = get(&prometheus_address, "/api/v1/alertmanagers", &[]).unwrap().text();
    assert!(alertmanagers.contains(&format!("http://{am_address}/")), "{alertmanagers}");

    // Grafana's data sources have answers: the one of Prometheus asks so, and the one of Postgres.
    let form = ["Content-Type: application/x-www-form-urlencoded"];
    let asked = post(&address, "/api/v1/query", &form, b"query=1%2B1").unwrap();
    assert!(asked.text().contains("\"2\""), "{}", asked.text());
    wait_until("a panel has an answer", SOON, || {
        let now = chrono::Utc::now().timestamp();
        let query = "query=sum%20by%20%28provider%29%20%28rate%28api_calls_requests_total%5B1m%5D%29%29";
        let body = format!("{query}&start={}&end={now}&step=10", now - 60);
        let answer = post(&address, "/api/v1/query_range", &form, body.as_bytes()).unwrap();
        let json: serde_json::Value = serde_json::from_str(&answer.text()).unwrap();
        json["data"]["result"].as_array().is_some_and(|series| !series.is_empty())
    });
    if let Some(psql) = crate::support::psql() {
        let postgres = server.named_address("postgres");
        let (host, port) = postgres.split_once(':').unwrap();
        let query = ["-At", "-c", "SELECT sum(requests) FROM api_calls"];
        let counted = run_tool(&psql, &[&["-h", host, "-p", port, "-U", "grafana", "tidewatch"][..], &query].concat());
        assert!(counted.trim().parse::<f64>().unwrap() > 0.0, "{counted}");
    }

    // Every record that Kafka has is committed.
    let sent = stopped(load);
    let there = records(&broker.bootstrap_servers, topics);
    assert!(there >= sent && sent > 0.0, "{sent} events were sent, Kafka has {there}");
    let committed = "SELECT coalesce(sum(committed + 1), 0) AS n FROM system.lag WHERE topic NOT LIKE '%@%'";
    wait_until("all records are committed", SOON, || number(&server.sql(committed)) >= there);
    assert_eq!(number(&server.sql(committed)), there);
    println!("{there} records, from Kafka to Alertmanager");
    server.stop();
}

/// A file of `deploy/`.
fn deployed(name: &str) -> String {
    std::fs::read_to_string(repository().join("deploy").join(name)).unwrap()
}

/// A port that was free a moment ago.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn create_topics(bootstrap_servers: &str, names: &str) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", bootstrap_servers).create().unwrap();
    let topics: Vec<_> =
        names.split_whitespace().map(|n| NewTopic::new(n, PARTITIONS, TopicReplication::Fixed(1))).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let created = runtime.block_on(admin.create_topics(&topics, &AdminOptions::new())).unwrap();
    assert!(created.iter().all(Result::is_ok), "{created:?}");
}

/// How many records the topics have.
fn records(bootstrap_servers: &str, topics: &str) -> f64 {
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", bootstrap_servers).create().unwrap();
    let partitions = topics.split_whitespace().flat_map(|topic| (0..PARTITIONS).map(move |p| (topic, p)));
    let ends = partitions.map(|(topic, p)| consumer.fetch_watermarks(topic, p, Duration::from_secs(30)).unwrap().1);
    ends.sum::<i64>() as f64
}

fn start_tidewatch(folder: &Path, bootstrap_servers: &str, alertmanager: &str) -> Tidewatch {
    let text = deployed("compose/tidewatch.toml")
        .replace("/var/lib/tidewatch", &folder.display().to_string())
        .replace("kafka:9092", bootstrap_servers)
        .replace("alertmanager:9093", alertmanager)
        .replace("../routes", &repository().join("deploy/routes").display().to_string())
        .replace("0.0.0.0:9890", "127.0.0.1:0")
        .replace("0.0.0.0:5433", "127.0.0.1:0")
        .replace("0.0.0.0:9891", "127.0.0.1:0")
        // In a development build the rules of the pack take longer than their intervals.
        .replace("pack_rules = true", "pack_rules = false")
        // The address is read from the log's text.
        .replace("format = \"json\"", "format = \"text\"");
    let settings = crate::support::write_settings(folder, &text);
    std::fs::create_dir(folder.join("rules")).unwrap();
    for rules in std::fs::read_dir(repository().join("deploy/compose/rules")).unwrap() {
        let rules = rules.unwrap();
        std::fs::copy(rules.path(), folder.join("rules").join(rules.file_name())).unwrap();
    }
    Tidewatch::run(&settings)
}

/// Names in `deploy/prometheus/rules.yml` that are no metric of ours. One that has counted nothing yet and has labels
/// stands in the catalogue only.
fn names_without_metric(metrics: &str) -> Vec<String> {
    use tidewatch_engine::metrics as all;
    let known: Vec<&str> = [all::INGEST, all::PUSH, all::PROCESS].concat().iter().map(|m| m.name).collect();
    let rules = deployed("prometheus/rules.yml");
    let words = rules.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let names = words.filter(|w| w.starts_with("tidewatch_"));
    let is_known = |name: &&str| known.contains(name) || metrics.contains(&format!("# TYPE {name} "));
    names.filter(|name| !is_known(name)).map(str::to_owned).collect()
}

/// The only number of an answer in CSV; 0 for none.
fn number(csv: &str) -> f64 {
    csv.lines().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0.0)
}

/// The first value of an instant query; NaN for none.
fn value(address: &str, query: &str) -> f64 {
    let form = format!("query={}", crate::book::form(query));
    let headers = ["Content-Type: application/x-www-form-urlencoded"];
    let Ok(answer) = post(address, "/api/v1/query", &headers, form.as_bytes()) else { return f64::NAN };
    let json: serde_json::Value = serde_json::from_str(&answer.text()).unwrap_or_default();
    json["data"]["result"][0]["value"][1].as_str().and_then(|v| v.parse().ok()).unwrap_or(f64::NAN)
}

/// Asks the load to stop, as Ctrl-C does; how many events it has sent.
fn stopped(mut load: Running) -> f64 {
    run_tool(Path::new("/bin/kill"), &["-INT", &load.0.id().to_string()]);
    let mut said = String::new();
    std::io::Read::read_to_string(&mut load.0.stderr.take().unwrap(), &mut said).unwrap();
    let status = load.0.wait().unwrap();
    let count = said.split("\u{1b}[2K").last().and_then(|line| line.split(' ').next()).and_then(|n| n.parse().ok());
    count.filter(|_| status.success()).unwrap_or_else(|| panic!("{status}: {said}"))
}

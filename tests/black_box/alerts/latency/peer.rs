//! The same with Prometheus and Alertmanager: a counter that is scraped and evaluated every second.

use crate::support::{Sink, program, wait_until};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const RULES: &str = "
groups:
  - name: payments
    interval: 1s
    rules:
      - alert: PaymentFailed
        expr: payments_failed_total > 0
";

/// Ended when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The shops whose payments failed, as a page to scrape.
fn exporter(shops: &Arc<Mutex<BTreeSet<String>>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let shops = Arc::clone(shops);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            let mut page = "# TYPE payments_failed_total counter\n".to_owned();
            for shop in shops.lock().unwrap().iter() {
                writeln!(page, "payments_failed_total{{shop=\"{shop}\"}} 1").unwrap();
            }
            let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain; version=0.0.4\r\n";
            let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{page}", page.len());
        }
    });
    address
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn start(program: &Path, arguments: &[String]) -> Running {
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    Running(command.spawn().unwrap())
}

/// From the counter to the webhook, of so many probes; `None` where the programs are missing.
pub fn prometheus(probes: usize) -> Option<Vec<Duration>> {
    let prometheus = program("prometheus", "prometheus")?;
    let alertmanager = program("prometheus-alertmanager", "prometheus-alertmanager")?;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (sink, shops) = (Sink::start(), Arc::new(Mutex::new(BTreeSet::new())));
    let (scraped, manager) = (exporter(&shops), format!("127.0.0.1:{}", free_port()));
    let server = format!("127.0.0.1:{}", free_port());
    std::fs::write(at("rules.yml"), RULES).unwrap();
    std::fs::write(
        at("alertmanager.yml"),
        format!(
            "route: {{receiver: hook, group_by: [shop], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}\n\
             receivers:\n- name: hook\n  webhook_configs: [{{url: 'http://{}/hook', send_resolved: false}}]\n",
            sink.address
        ),
    )
    .unwrap();
    std::fs::write(
        at("prometheus.yml"),
        format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [rules.yml]\n\
             alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{manager}']}}]}}]}}\n\
             scrape_configs: [{{job_name: shops, static_configs: [{{targets: ['{scraped}']}}]}}]\n"
        ),
    )
    .unwrap();
    let _alertmanager = start(
        &alertmanager,
        &[
            format!("--config.file={}", at("alertmanager.yml")),
            format!("--storage.path={}", at("alertmanager")),
            format!("--web.listen-address={manager}"),
            "--cluster.listen-address=".to_owned(),
        ],
    );
    let _prometheus = start(
        &prometheus,
        &[
            format!("--config.file={}", at("prometheus.yml")),
            format!("--storage.tsdb.path={}", at("prometheus")),
            format!("--web.listen-address={server}"),
        ],
    );
    let told = |shop: &str| {
        let is_shop = |one: &crate::support::Received| one.json()["commonLabels"]["shop"] == shop;
        sink.taken().into_iter().find(is_shop).map(|one| one.at)
    };
    let mut latencies = Vec::new();
    for probe in 0..=probes {
        std::thread::sleep(Duration::from_secs_f64(1.0 + super::chance(probe)));
        let shop = format!("shop-{probe}");
        let sent = Instant::now();
        shops.lock().unwrap().insert(shop.clone());
        wait_until("a message", super::SOON, || told(&shop).is_some());
        latencies.extend(told(&shop).map(|at| at.saturating_duration_since(sent)));
    }
    // The first one waits for the servers to start.
    latencies.remove(0);
    Some(latencies)
}

//! How long it takes from an event that the broker has acknowledged to the webhook, while other events keep the
//! machine busy; beside Prometheus and Alertmanager with the shortest intervals they are used with, on a machine
//! that does nothing else:
//!
//! ```sh
//! cargo test --release --test black_box -- alerts::latency --ignored --nocapture
//! ```
//!
//! Beside the tests it runs in small, so that it does not rot.

mod load;
mod peer;

use crate::support::{RealKafka, Sink, Tidewatch, kafka, pack, wait_until, write_settings};
use load::{Load, Producer};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(90);

/// The group has no clock to speak of: what is measured is how soon it hears of events.
const RULES: &str = "
groups:
  - name: payments
    interval: 1m
    rules:
      - alert: PaymentFailed
        expr: sum by (shop) (increase(payments_failed_total[20s])) > 0
";

/// What is measured.
#[derive(Debug, Clone, Copy)]
struct Case {
    /// Events per second beside those that are waited for.
    load: u32,
    /// Events that are waited for, one after another.
    probes: usize,
    /// A group is not evaluated more often.
    react_min: &'static str,
    /// Between two probes at least; half of it more by chance.
    gap: Duration,
}

#[test]
fn tiny() {
    if kafka().is_none() {
        return;
    }
    let case = Case { load: 500, probes: 3, react_min: "100ms", gap: Duration::from_millis(300) };
    let latencies = tidewatch(&RealKafka::start(), case);
    assert_eq!(latencies.len(), case.probes, "each failure is told, once");
}

#[test]
#[ignore = "a measurement"]
fn full() {
    if kafka().is_none() {
        return;
    }
    let gap = Duration::from_millis(1100);
    let usual = Case { load: 50_000, probes: 100, react_min: "1s", gap };
    let cases = [
        ("at most one evaluation a second, as usual", usual),
        ("an evaluation every 20 ms at most", Case { react_min: "20ms", gap: gap / 4, probes: 200, ..usual }),
        ("the same on an idle machine", Case { react_min: "20ms", gap: gap / 4, load: 0, ..usual }),
    ];
    for (name, case) in cases {
        // With the events of the case before, it would be catching up.
        let latencies = tidewatch(&RealKafka::start(), case);
        report(&format!("tidewatch, {} events/s beside it, {name}", case.load), latencies);
    }
    if let Some(latencies) = peer::prometheus(30) {
        report("prometheus and alertmanager, every second, group_wait 0, idle machine", latencies);
    }
}

/// Prints the distribution.
fn report(name: &str, mut latencies: Vec<Duration>) {
    latencies.sort();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1e3;
    println!(
        "{name}: p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms, longest {:.1} ms ({} messages)",
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0),
        latencies.len()
    );
}

fn settings(folder: &Path, broker: &RealKafka, sink: &Sink, react_min: &str) -> PathBuf {
    std::fs::write(folder.join("rules.yml"), RULES).unwrap();
    let routes = format!(
        "route: {{receiver: hook, group_by: [shop], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}\n\
         receivers:\n- name: hook\n  webhook_configs: [{{url: 'http://{}/hook', send_resolved: false}}]\n",
        sink.address
    );
    std::fs::write(folder.join("alertmanager.yml"), routes).unwrap();
    write_settings(
        folder,
        &format!(
            "packs = [\"{}\"]\n[storage]\nlocation = \"data\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
             [alerting]\nrules = [\"rules.yml\"]\nconfig = \"alertmanager.yml\"\nreact_min = \"{react_min}\"\n\
             [kafka.properties]\n\"bootstrap.servers\" = \"{}\"\n\"group.id\" = \"latency-{}\"\n",
            pack("latency"),
            broker.bootstrap_servers,
            folder.file_name().unwrap().display()
        ),
    )
}

/// From the broker's acknowledgement to the webhook, of every probe.
fn tidewatch(broker: &RealKafka, case: Case) -> Vec<Duration> {
    let folder = tempfile::tempdir().unwrap();
    let sink = Sink::start();
    let mut producer = Producer::new(&broker.bootstrap_servers);
    // Topics exist before anyone subscribes to them.
    producer.acknowledged("calls", &load::call(u64::MAX, "warm", chrono::Utc::now()));
    let run = folder.path().file_name().unwrap().display().to_string();
    producer.acknowledged("payments", &load::payment(&format!("{run}-first"), chrono::Utc::now()));
    let mut process = Tidewatch::run(&settings(folder.path(), broker, &sink, case.react_min));
    process.address();
    let told = |shop: &str| {
        let is_shop = |one: &crate::support::Received| one.json()["commonLabels"]["shop"] == shop;
        sink.taken().into_iter().find(is_shop).map(|one| one.at)
    };
    let load = Load::start(&broker.bootstrap_servers, case.load);
    // The first takes plans and connections with it.
    let warm = format!("{run}-warm");
    producer.acknowledged("payments", &load::payment(&warm, chrono::Utc::now()));
    wait_until("the first message", SOON, || told(&warm).is_some());
    let mut sent = Vec::new();
    for probe in 0..case.probes {
        std::thread::sleep(case.gap + case.gap.mul_f64(0.5 * chance(probe)));
        let shop = format!("{run}-{probe}");
        sent.push((shop.clone(), producer.acknowledged("payments", &load::payment(&shop, chrono::Utc::now()))));
    }
    let deadline = Instant::now() + SOON;
    wait_until("all messages", SOON, || {
        assert!(Instant::now() < deadline);
        sent.last().is_none_or(|(shop, _)| told(shop).is_some())
    });
    let taken = sink.taken();
    let counted = process.metric("tidewatch_ingest_records_total");
    let produced = load.stop();
    process.stop();
    eprintln!("{produced} events beside it, {counted} counted at the end of the last probe");
    let latency = |(shop, at): &(String, Instant)| {
        let messages: Vec<Instant> =
            taken.iter().filter(|one| one.json()["commonLabels"]["shop"] == **shop).map(|one| one.at).collect();
        assert_eq!(messages.len(), 1, "messages about {shop}");
        messages[0].saturating_duration_since(*at)
    };
    sent.iter().map(latency).collect()
}

/// A number from 0 to 1 that looks like chance, the same in every run.
fn chance(of: usize) -> f64 {
    (of as f64 * 0.618_033_988_75).fract()
}

use super::*;
use crate::begin::Ruler;
use crate::testing::bench::{Bench, NOBODY, groups};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;
use std::net::TcpListener;
use std::sync::Mutex;
use tidewatch_notify::http::Authorization;
use tidewatch_notify::{Secret, SystemClock};

mod real;

const START_MS: i64 = 1_800_000_000_000;
const RULES: &str = "groups: [{name: g, interval: 30s, rules: [{alert: A, expr: up == 0}]}]";

/// An Alertmanager that writes down what it is told, and answers as it is told to.
#[derive(Default)]
struct Fake {
    requests: Mutex<Vec<(HeaderMap, Vec<Value>)>>,
    status: Mutex<u16>,
}

impl Fake {
    fn start(bench: &Bench) -> (Arc<Self>, String) {
        let fake = Arc::new(Self { status: Mutex::new(200), ..Self::default() });
        let told = |State(fake): State<Arc<Self>>, headers: HeaderMap, body: String| async move {
            let status = *fake.status.lock().unwrap();
            fake.requests.lock().unwrap().push((headers, serde_json::from_str(&body).unwrap()));
            (StatusCode::from_u16(status).unwrap(), "{}")
        };
        let router = Router::new().route("/prefix/api/v2/alerts", post(told)).with_state(Arc::clone(&fake));
        let listener = bench.runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = format!("http://{}/prefix/", listener.local_addr().unwrap());
        bench.runtime.spawn(async { axum::serve(listener, router).await.unwrap() });
        (fake, address)
    }

    fn alerts(&self) -> Vec<Value> {
        self.requests.lock().unwrap().iter().flat_map(|(_, alerts)| alerts.clone()).collect()
    }
}

fn open(bench: &mut Bench, addresses: &[&str], change: impl FnOnce(&mut ForwardSettings)) -> Ruler {
    bench.open(groups(RULES), NOBODY, |settings| {
        let addresses = addresses.iter().map(|address| SecretUrl::parse(address).unwrap());
        settings.forward.alertmanagers = addresses.collect();
        change(&mut settings.forward);
    })
}

/// Runs the lanes until `stop` is sent.
fn start(bench: &Bench, ruler: &Ruler) -> (watch::Sender<bool>, JoinSet<()>) {
    let (stop, stopped) = watch::channel(false);
    let _guard = bench.runtime.enter();
    let mut tasks = JoinSet::new();
    let clock = Arc::clone(&bench.clock) as Arc<dyn Clock>;
    ruler.shared().forward.start(&mut tasks, &clock, &stopped);
    (stop, tasks)
}

fn stop(bench: &Bench, (stop, mut tasks): (watch::Sender<bool>, JoinSet<()>)) {
    stop.send(true).unwrap();
    bench.runtime.block_on(async { while tasks.join_next().await.is_some() {} });
}

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let began = SystemClock::new();
    while !is() {
        assert!(began.monotonic() < Duration::from_secs(20), "{what} did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn down(bench: &Bench, job: &str, now_ms: i64) {
    bench.data.push(&[("__name__", "up"), ("job", job)], now_ms, 0.0);
}

#[test]
fn alerts_go_out_in_batches_with_credentials_oldest_first() {
    let mut bench = Bench::new(START_MS);
    let (fake, address) = Fake::start(&bench);
    let bearer = Authorization::Bearer(Secret::new("token-of-ours"));
    let ruler = open(&mut bench, &[&address], |settings| settings.http.authorization = Some(bearer));
    for job in 0..150 {
        down(&bench, &format!("{job:03}"), START_MS);
    }
    bench.evaluate(&ruler, START_MS);
    let running = start(&bench, &ruler);
    until("all alerts", || fake.alerts().len() == 150);
    stop(&bench, running);
    let requests = fake.requests.lock().unwrap();
    let sizes: Vec<usize> = requests.iter().map(|(_, alerts)| alerts.len()).collect();
    assert_eq!(sizes, [64, 64, 22]);
    for (headers, _) in &*requests {
        assert_eq!(headers["authorization"], "Bearer token-of-ours");
        assert!(headers["content-type"].to_str().unwrap().starts_with("application/json"));
    }
    drop(requests);
    assert_eq!(
        (bench.metric("tidewatch_forward_sent_total"), bench.metric("tidewatch_forward_errors_total")),
        (150.0, 0.0)
    );
    assert_eq!(bench.metric("tidewatch_forward_queue_length"), 0.0);
    assert_eq!(bench.metric("tidewatch_forward_queue_capacity"), 10_000.0);
}

#[test]
fn the_user_of_an_address_is_sent_and_not_shown() {
    let mut bench = Bench::new(START_MS);
    let (fake, address) = Fake::start(&bench);
    let with_user = address.replace("http://", "http://anna:hidden@");
    let ruler = open(&mut bench, &[&with_user], |_| {});
    down(&bench, "x", START_MS);
    bench.evaluate(&ruler, START_MS);
    stop(&bench, start(&bench, &ruler));
    assert_eq!(fake.requests.lock().unwrap()[0].0["authorization"], "Basic YW5uYTpoaWRkZW4=");
    let shown: Vec<String> = ruler.shared().forward.lanes.iter().map(|lane| lane.address.clone()).collect();
    assert_eq!(shown, [format!("{address}api/v2/alerts")]);
    let failed = Forwarder::new(
        &ForwardSettings {
            alertmanagers: [&*with_user, &*address].map(|address| SecretUrl::parse(address).unwrap()).into(),
            ..ForwardSettings::default()
        },
        &Registry::new(),
    );
    assert!(failed.unwrap_err().to_string().contains("named twice"));
}

#[test]
fn what_fails_is_counted_and_told_again_by_the_rule() {
    let mut bench = Bench::new(START_MS);
    let (fake, address) = Fake::start(&bench);
    *fake.status.lock().unwrap() = 500;
    let ruler = open(&mut bench, &[&address], |_| {});
    let running = start(&bench, &ruler);
    for (after_s, status, told) in [(0, 500, 1), (30, 200, 1), (60, 200, 2)] {
        *fake.status.lock().unwrap() = status;
        down(&bench, "x", START_MS + after_s * 1000);
        bench.evaluate(&ruler, START_MS + after_s * 1000);
        until("the alert", || fake.alerts().len() == told);
    }
    stop(&bench, running);
    assert_eq!(
        (bench.metric("tidewatch_forward_sent_total"), bench.metric("tidewatch_forward_errors_total")),
        (1.0, 1.0)
    );
}

#[test]
fn who_is_slow_or_half_open_delays_neither_rules_nor_others() {
    let mut bench = Bench::new(START_MS);
    let (fake, address) = Fake::start(&bench);
    // It takes connections (the system does) and never reads.
    let half_open = TcpListener::bind("127.0.0.1:0").unwrap();
    let deaf = format!("http://{}/", half_open.local_addr().unwrap());
    let ruler = open(&mut bench, &[&deaf, &address], |settings| {
        (settings.capacity, settings.http.timeout) = (100, Duration::from_secs(60));
    });
    let running = start(&bench, &ruler);
    for step in 0..40 {
        let now_ms = START_MS + step * 60_000;
        for job in 0..10 {
            down(&bench, &job.to_string(), now_ms);
        }
        let began = SystemClock::new();
        bench.evaluate(&ruler, now_ms);
        assert!(began.monotonic() < Duration::from_secs(5), "step {step}");
        until("the other's alerts", || fake.alerts().len() == 10 * (step as usize + 1));
    }
    let lanes = &ruler.shared().forward.lanes;
    assert_eq!((lanes[0].metrics.queue_length.get(), lanes[0].metrics.sent.get()), (100, 0));
    // 10 or so are on their way to nowhere, 100 wait for it, and the others were too old.
    let dropped = lanes[0].metrics.dropped.get();
    assert!((280..=290).contains(&dropped), "{dropped}");
    // Counted once the answer is there, which is after the other side has them.
    until("what was sent to be counted", || lanes[1].metrics.sent.get() == 400);
    assert_eq!(lanes[1].metrics.dropped.get(), 0);
    let began = SystemClock::new();
    stop(&bench, running);
    assert!(began.monotonic() < Duration::from_secs(10), "a stop waits for a bounded time");
    assert_eq!(lanes[0].metrics.dropped.get(), 400, "and all are accounted for");
}

#[test]
fn a_stop_sends_what_waits() {
    let mut bench = Bench::new(START_MS);
    let (fake, address) = Fake::start(&bench);
    let ruler = open(&mut bench, &[&address], |_| {});
    for job in 0..200 {
        down(&bench, &job.to_string(), START_MS);
    }
    bench.evaluate(&ruler, START_MS);
    stop(&bench, start(&bench, &ruler));
    assert_eq!(fake.alerts().len(), 200);
}

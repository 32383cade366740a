//! `kill -9` between an event and the end of its alert's last message: while the rule waits, before and after the
//! message is told, and at any moment of an evaluation. Each alert is told, and told to be over; copies carry the same
//! key.

use super::proxy::wire::{Answer, Request};
use crate::alerts::json;
use crate::support::{Tidewatch, pack, post, wait_until, write_settings};
use chrono::Utc;
use std::collections::BTreeSet;
use std::io::BufReader;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(120);

/// Orders in a currency that begin its alert, and that end it: however long a process takes to come back.
const BEGIN: usize = 5;
const END: usize = 20;
const RULES: &str = r#"
groups:
  - name: orders
    interval: 1s
    rules:
      - alert: FewOrders
        expr: >-
          sum by (currency) (increase(orders_orders_total{currency!="USD"}[30m])) > 2
          unless sum by (currency) (increase(orders_orders_total[30m])) >= 20
        for: 1s
        labels: {severity: critical}
"#;

/// Sends orders of now.
struct Shop {
    next: AtomicU64,
}

impl Shop {
    fn order(&self, address: &str, currency: &str) -> bool {
        let (id, time) = (self.next.fetch_add(1, Ordering::SeqCst), Utc::now().to_rfc3339());
        let event = format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"/t","type":"shop.order.created.v1","time":"{time}","tenantkind":"creator","tenantid":"c1","data":{{"order_id":"o{id}","total_minor":5,"currency":"{currency}"}}}}"#
        );
        let sent = post(address, "/api/v1/events", &["Content-Type: application/cloudevents+json"], event.as_bytes());
        sent.is_ok_and(|answer| answer.status == 202)
    }

    /// Keeps time going beside `work`: windows are complete when later events have come.
    fn beside(&self, address: &str, work: impl FnOnce()) {
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    // The process may be dead by now.
                    self.order(address, "USD");
                    std::thread::sleep(Duration::from_millis(300));
                }
            });
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            is_over.store(true, Ordering::SeqCst);
            result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
    }
}

/// When the process of a life dies.
#[derive(Debug, Clone, Copy)]
enum Death {
    /// When the alert waits for its `for`.
    Pending,
    /// When it fires, or does no more, and nobody was told.
    Untold,
    /// When the receiver has its message and has not answered.
    Unanswered,
    /// When the receiver has just answered.
    Answered,
    /// So long after the events were taken, in milliseconds.
    After(u64),
}

/// What a process dies of when an alert begins, and when the same one ends.
const DEATHS: [(Death, Death); 6] = [
    (Death::Unanswered, Death::Unanswered),
    (Death::Answered, Death::Answered),
    (Death::Pending, Death::Untold),
    (Death::Untold, Death::Untold),
    (Death::After(0), Death::After(700)),
    (Death::After(350), Death::After(1400)),
];

/// A message that came.
#[derive(Debug, Clone)]
struct Message {
    status: String,
    currency: String,
    key: String,
    is_answered: bool,
}

/// Which message kills.
#[derive(Debug, Clone)]
struct Plan {
    status: &'static str,
    currency: String,
    /// Is it answered before that?
    answers: bool,
}

#[derive(Debug, Default)]
struct State {
    messages: Vec<Message>,
    process: u32,
    plan: Option<Plan>,
}

/// A receiver of webhooks that kills who sends them.
struct Receiver {
    address: String,
    state: Arc<Mutex<State>>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, state) = (listener.local_addr().unwrap().to_string(), Arc::<Mutex<State>>::default());
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || {
                    let mut client = BufReader::new(client);
                    while receive(&mut client, &state).is_some() {}
                });
            }
        });
        Self { address, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn plan(&self, status: &'static str, currency: &str, answers: bool) {
        self.state().plan = Some(Plan { status, currency: currency.to_owned(), answers });
    }

    fn has_killed(&self) -> bool {
        self.state().plan.is_none()
    }

    /// Those of a currency with a status.
    fn of(&self, currency: &str, status: &str) -> Vec<Message> {
        let state = self.state();
        state.messages.iter().filter(|m| m.currency == currency && m.status == status).cloned().collect()
    }

    fn has_answered(&self, currency: &str, status: &str) -> bool {
        self.of(currency, status).iter().any(|message| message.is_answered)
    }
}

/// One message and its answer; `None` when the connection is over.
fn receive(client: &mut BufReader<TcpStream>, state: &Mutex<State>) -> Option<()> {
    let mut request = Request::head(client)?;
    request.read(client, request.length())?;
    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let (status, currency) = (text(&body["status"]), text(&body["groupLabels"]["currency"]));
    let key = request.header("idempotency-key").to_owned();
    let mut state = state.lock().unwrap();
    let plan = state.plan.take_if(|p| p.status == status && p.currency == currency);
    let is_answered = plan.as_ref().is_none_or(|plan| plan.answers);
    state.messages.push(Message { status, currency, key, is_answered });
    let goes_on = if is_answered { Answer::empty(200).send(client, 0) } else { None };
    if plan.is_some() {
        assert!(Command::new("/bin/kill").args(["-9", &state.process.to_string()]).status().unwrap().success());
    }
    goes_on.filter(|()| plan.is_none())
}

fn settings(folder: &Path, receiver: &Receiver) -> PathBuf {
    std::fs::write(folder.join("rules.yml"), RULES).unwrap();
    let routes = format!(
        "route: {{receiver: hook, group_by: [alertname, currency], group_wait: 2s, group_interval: 3s, repeat_interval: 1h}}\n\
         receivers:\n- name: hook\n  webhook_configs: [{{url: 'http://{}/hook', send_resolved: true}}]\n",
        receiver.address
    );
    std::fs::write(folder.join("alertmanager.yml"), routes).unwrap();
    write_settings(
        folder,
        &format!(
            "packs = [\"{}\"]\n[storage]\nlocation = \"data\"\n[http]\nlisten = \"127.0.0.1:0\"\n[ingest]\nflush_interval = \"500ms\"\n\
         [alerting]\nrules = [\"rules.yml\"]\nconfig = \"alertmanager.yml\"\nevaluation_interval = \"1s\"\n",
            pack("shop")
        ),
    )
}

/// State of each currency's alert.
fn alerts(address: &str) -> Vec<(String, String)> {
    let found = json(address, "/api/v1/alerts");
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let all = found["data"]["alerts"].as_array().unwrap().iter();
    all.map(|alert| (text(&alert["labels"]["currency"]), text(&alert["state"]))).collect()
}

#[test]
fn a_kill_at_every_phase_of_an_alert_loses_no_message() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start();
    let config = settings(folder.path(), &receiver);
    let (shop, begun) = (Shop { next: AtomicU64::new(0) }, Instant::now());
    let currencies: Vec<String> = (0..DEATHS.len()).map(|number| format!("C{number}")).collect();
    let mut untold = 0;
    // A life, with traffic, so that windows are complete: orders of one currency, and then a death.
    let mut live = |currency: &str, status: &'static str, death: Death| {
        let orders = if status == "firing" { BEGIN } else { END };
        let mut process = Tidewatch::run(&config);
        let address = process.address();
        receiver.state().process = process.id();
        shop.beside(&address, || {
            let state = || alerts(&address).into_iter().find(|(of, _)| of == currency).map(|(_, state)| state);
            if status == "resolved" {
                wait_until("the alert to fire", SOON, || state().as_deref() == Some("firing"));
                wait_until("it to be told", SOON, || receiver.has_answered(currency, "firing"));
            }
            match death {
                Death::Unanswered => receiver.plan(status, currency, false),
                Death::Answered => receiver.plan(status, currency, true),
                Death::Pending | Death::Untold | Death::After(_) => {}
            }
            (0..orders).for_each(|_| assert!(shop.order(&address, currency)));
            match death {
                Death::Pending => wait_until("the alert to wait", SOON, || state().as_deref() == Some("pending")),
                Death::Untold if status == "firing" => {
                    wait_until("the alert to fire", SOON, || state().as_deref() == Some("firing"));
                }
                Death::Untold => wait_until("the alert to end", SOON, || state().is_none()),
                Death::Unanswered | Death::Answered => {
                    wait_until("a message to kill", SOON, || receiver.has_killed());
                }
                Death::After(time) => std::thread::sleep(Duration::from_millis(time)),
            }
        });
        process.kill();
        untold += usize::from(matches!(death, Death::Untold) && receiver.of(currency, status).is_empty());
    };
    for (currency, (death, _)) in currencies.iter().zip(DEATHS) {
        live(currency, "firing", death);
    }
    for (currency, (_, death)) in currencies.iter().zip(DEATHS) {
        live(currency, "resolved", death);
    }
    assert!(untold > 0, "no kill came between a decision and its message");
    let mut process = Tidewatch::run(&config);
    let address = process.address();
    shop.beside(&address, || {
        for (currency, deaths) in currencies.iter().zip(DEATHS) {
            for status in ["firing", "resolved"] {
                let what = format!("{currency} ({deaths:?}) to be told as {status}");
                wait_until(&what, SOON, || receiver.has_answered(currency, status));
            }
        }
    });
    process.stop();
    let mut copies = 0;
    for (currency, deaths) in currencies.iter().zip(DEATHS) {
        let (firing, resolved) = (receiver.of(currency, "firing"), receiver.of(currency, "resolved"));
        for messages in [&firing, &resolved] {
            let keys: BTreeSet<&str> = messages.iter().map(|message| message.key.as_str()).collect();
            assert_eq!(keys.len(), 1, "{currency} ({deaths:?}): one message, however often it came: {messages:?}");
            assert!(!keys.contains(""), "{messages:?}");
            copies += messages.len() - 1;
        }
        assert_ne!(firing[0].key, resolved[0].key);
    }
    let (kills, time) = (2 * DEATHS.len(), begun.elapsed());
    eprintln!("{kills} kills, {} alerts, {copies} copies; {untold} kills before a message; {time:?}", DEATHS.len());
    assert!(copies >= 2, "what was not answered is sent again");
}

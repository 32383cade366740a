use super::*;
use crate::attempt::{Attempt, Reply};
use crate::clock::SystemClock;
use crate::message::{HttpMessage, HttpReply, Outgoing, Payload, Reference};
use crate::metrics::NotifyMetrics;
use crate::outbox::{OutboxSettings, Phase};
use crate::retry::GiveUpReason;
use futures::future::BoxFuture;
use prometheus::Registry;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

/// Answers as its function says, and remembers what was sent.
#[derive(Clone)]
struct Fake {
    answer: Arc<dyn Fn(&Delivery) -> Report + Send + Sync>,
    sent: Arc<Mutex<Vec<Delivery>>>,
}

impl std::fmt::Debug for Fake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fake")
    }
}

impl Transport for Fake {
    fn send(&self, delivery: Delivery) -> BoxFuture<'static, Report> {
        let fake = self.clone();
        Box::pin(async move {
            fake.sent.lock().unwrap().push(delivery.clone());
            (fake.answer)(&delivery)
        })
    }

    fn delivery_settings(&self, _integration: &str) -> DeliverySettings {
        let ms = Duration::from_millis;
        DeliverySettings {
            backoff_min: ms(1),
            backoff_max: ms(20),
            probe_min: ms(1),
            probe_max: ms(20),
            ..Default::default()
        }
    }
}

impl Fake {
    fn new(answer: impl Fn(&Delivery) -> Report + Send + Sync + 'static) -> Self {
        Self { answer: Arc::new(answer), sent: Arc::default() }
    }

    fn keys(&self) -> Vec<String> {
        self.sent.lock().unwrap().iter().map(|d| d.message.key.clone()).collect()
    }
}

#[derive(Debug, Default)]
struct Kept(Mutex<Vec<Attempt>>);

impl Ledger for Kept {
    fn record(&self, attempt: &Attempt) {
        self.0.lock().unwrap().push(attempt.clone());
    }
}

fn outbox(folder: &Path) -> Arc<Outbox> {
    let metrics = NotifyMetrics::register(&Registry::new()).unwrap();
    Arc::new(Outbox::open(folder, OutboxSettings::default(), metrics).unwrap())
}

fn message(key: &str, order_key: &str) -> Outgoing {
    let created_ms = SystemClock::new().now_ms();
    Outgoing {
        key: key.to_owned(),
        order_key: order_key.to_owned(),
        integration: "fake".to_owned(),
        created_ms,
        give_up_ms: give_up_ms(created_ms, Duration::from_secs(60)),
        payload: Payload::Http(HttpMessage::post_json(None, "{}", HttpReply::slack_api())),
    }
}

/// Runs a worker until nothing waits; returns what its ledger got.
async fn run_dry(outbox: &Arc<Outbox>, fake: &Fake) -> Vec<Attempt> {
    let kept = Arc::new(Kept::default());
    let (stop, stopped) = watch::channel(false);
    let clock = Arc::new(SystemClock::new());
    let settings = WorkerSettings::default();
    let worker = Worker::new(outbox.clone(), Arc::new(fake.clone()), kept.clone(), clock, settings).unwrap();
    let running = tokio::spawn(worker.run(stopped));
    for _ in 0..2_000 {
        if outbox.waiting() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.send(true).unwrap();
    running.await.unwrap().unwrap();
    assert_eq!(outbox.waiting(), 0);
    std::mem::take(&mut *kept.0.lock().unwrap())
}

fn delivered() -> Report {
    Report::new(Outcome::Delivered, "ok")
}

#[tokio::test]
async fn delivers_in_order_whatever_fails_before() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = outbox(folder.path());
    outbox.enqueue(&[message("a1", "a"), message("a2", "a"), message("b1", "b")]).unwrap();
    let tries = Mutex::new(0);
    let fake = Fake::new(move |delivery| {
        let mut tries = tries.lock().unwrap();
        *tries += u32::from(delivery.message.key == "a1");
        if delivery.message.key == "a1" && *tries < 4 { Report::new(Outcome::Deferred, "later") } else { delivered() }
    });
    let attempts = run_dry(&outbox, &fake).await;
    let of_a: Vec<_> = fake.keys().into_iter().filter(|key| key.starts_with('a')).collect();
    assert_eq!(of_a, ["a1", "a1", "a1", "a1", "a2"]);
    assert_eq!(outbox.attempts_after(0, 100).unwrap(), attempts, "the ledger gets what the outbox keeps");
    assert_eq!(attempts.len(), 6);
    assert_eq!(outbox.metrics().attempts.with_label_values(&["fake", "delivered"]).get(), 3);
}

#[tokio::test]
async fn gives_up_what_is_refused_or_too_old_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = outbox(folder.path());
    let old = Outgoing { created_ms: 1, give_up_ms: 2, ..message("old", "a") };
    outbox.enqueue(&[old, message("bad", "a"), message("good", "a")]).unwrap();
    let fake =
        Fake::new(
            |delivery| {
                if delivery.message.key == "bad" { Report::new(Outcome::Refused, "never") } else { delivered() }
            },
        );
    let attempts = run_dry(&outbox, &fake).await;
    assert_eq!(fake.keys(), ["bad", "good"]);
    let of: BTreeMap<_, _> = attempts.iter().map(|a| (a.key.as_str(), (a.outcome, a.attempt, a.decision))).collect();
    assert_eq!(of["old"], (Outcome::NotSent, 0, crate::Decision::GaveUp(GiveUpReason::TooOld)));
    assert_eq!(of["bad"], (Outcome::Refused, 1, crate::Decision::GaveUp(GiveUpReason::Refused)));
    assert_eq!(of["good"], (Outcome::Delivered, 1, crate::Decision::Delivered));
}

#[tokio::test]
async fn what_was_on_its_way_is_sent_again_and_said_so() {
    let folder = tempfile::tempdir().unwrap();
    {
        let outbox = outbox(folder.path());
        outbox.enqueue(&[message("a1", "a")]).unwrap();
        let seq = outbox.take_intake()[0].entry.seq;
        outbox.start(&[seq], SystemClock::new().now_ms()).unwrap();
    }
    let outbox = outbox(folder.path());
    let attempts = run_dry(&outbox, &Fake::new(|_| delivered())).await;
    let outcomes: Vec<_> = attempts.iter().map(|a| (a.attempt, a.outcome)).collect();
    assert_eq!(outcomes, [(1, Outcome::Unknown), (2, Outcome::Delivered)]);
}

#[tokio::test]
async fn a_reply_reaches_the_message_that_refers_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = outbox(folder.path());
    let http = HttpMessage::post_json(None, "{}", HttpReply::slack_api());
    let edit = http.clone().referring(Reference::slack_edit("a1", http));
    let edit = Outgoing { payload: Payload::Http(edit), ..message("a2", "a") };
    outbox.enqueue(&[message("a1", "a"), edit]).unwrap();
    let reply = Reply(BTreeMap::from([("ts".to_owned(), "1.2".to_owned())]));
    let given = reply.clone();
    let fake = Fake::new(move |_| Report { reply: Some(given.clone()), ..delivered() });
    run_dry(&outbox, &fake).await;
    let sent = fake.sent.lock().unwrap();
    assert_eq!((sent[0].referred.as_ref(), sent[1].referred.as_ref()), (None, Some(&reply)));
}

#[tokio::test]
async fn recipients_that_are_settled_are_not_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = outbox(folder.path());
    outbox.enqueue(&[message("a1", "a")]).unwrap();
    let fake = Fake::new(|delivery| match delivery.recipients.accepted.is_empty() {
        true => {
            let mut report = Report::new(Outcome::Deferred, "one is later");
            report.recipients.accepted.push("a@example.com".to_owned());
            report
        }
        false => delivered(),
    });
    run_dry(&outbox, &fake).await;
    let explained = outbox.explain("a1").unwrap().unwrap();
    assert_eq!(explained.recipients.accepted, ["a@example.com"]);
    assert!(matches!(explained.phase, Phase::Delivered { .. }));
    assert_eq!(fake.keys().len(), 2);
}

#[tokio::test]
async fn a_sender_that_panics_costs_an_attempt_and_not_the_worker() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = outbox(folder.path());
    outbox.enqueue(&[message("a1", "a"), message("b1", "b")]).unwrap();
    let panicked = Mutex::new(false);
    let fake = Fake::new(move |delivery| {
        let first = delivery.message.key == "a1" && !std::mem::replace(&mut *panicked.lock().unwrap(), true);
        assert!(!first, "the sender's own fault");
        delivered()
    });
    let attempts = run_dry(&outbox, &fake).await;
    assert_eq!(attempts.len(), 3);
    assert!(attempts.iter().any(|a| a.outcome == Outcome::Deferred && a.key == "a1"));
}

#[tokio::test]
async fn is_woken_by_what_is_enqueued_and_stops_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = outbox(folder.path());
    let (stop, stopped) = watch::channel(false);
    let (fake, clock) = (Fake::new(|_| delivered()), Arc::new(SystemClock::new()));
    let no_ledger = Arc::new(crate::NoLedger);
    let make = || {
        let (fake, settings) = (Arc::new(fake.clone()), WorkerSettings::default());
        Worker::new(outbox.clone(), fake, no_ledger.clone(), clock.clone(), settings)
    };
    let running = tokio::spawn(make().unwrap().run(stopped));
    assert!(matches!(make(), Err(OutboxError::Claimed)));
    tokio::time::sleep(Duration::from_millis(30)).await;
    let begun = clock.monotonic();
    outbox.enqueue_async(vec![message("a1", "a")]).await.unwrap();
    while outbox.waiting() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let took = clock.monotonic() - begun;
    assert!(took < Duration::from_secs(5), "{took:?}: by the notice, not by the clock");
    stop.send(true).unwrap();
    running.await.unwrap().unwrap();
    make().unwrap();
}

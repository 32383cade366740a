use super::*;
use crate::testing::{START_MS, run, settings};
use crate::{DemoBroker, Settings, TOPICS};
use flate2::read::GzDecoder;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

static NEVER: AtomicBool = AtomicBool::new(false);

fn events() -> Vec<SimulatedEvent> {
    run(Settings { events_per_second: 50.0, ..settings("demo", 1) })
}

fn lines(reader: impl Read) -> Vec<Vec<u8>> {
    BufReader::new(reader).split(b'\n').map(Result::unwrap).collect()
}

fn names_in(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_file_has_one_event_on_each_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.ndjson");
    let events = events();
    let summary = to_file(events.iter().cloned(), &path, Run::new(&NEVER)).unwrap();
    let bodies: Vec<_> = events.into_iter().map(|event| event.body).collect();
    assert_eq!(lines(File::open(&path).unwrap()), bodies);
    let bytes = bodies.iter().map(|body| body.len() as u64).sum();
    assert_eq!(summary, Summary { events: bodies.len() as u64, bytes, is_stopped: false });
    assert_eq!(names_in(folder.path()), ["events.ndjson"]);
}

#[test]
fn a_name_in_gz_is_compressed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.ndjson.gz");
    let events = events();
    let summary = to_file(events.iter().cloned(), &path, Run::new(&NEVER)).unwrap();
    let bodies: Vec<_> = events.into_iter().map(|event| event.body).collect();
    assert_eq!(lines(GzDecoder::new(File::open(&path).unwrap())), bodies);
    assert!(fs::metadata(&path).unwrap().len() * 3 < summary.bytes);
}

#[test]
fn an_error_leaves_no_file_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("taken");
    fs::create_dir(&path).unwrap();
    let error = to_file(events().into_iter(), &path, Run::new(&NEVER)).unwrap_err();
    assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
    assert_eq!(names_in(folder.path()), ["taken"]);
}

#[test]
fn a_panic_while_generating_leaves_no_file_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.ndjson");
    let broken = events().into_iter().map(|_| panic!("no more"));
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| to_file(broken, &path, Run::new(&NEVER))));
    assert!(caught.is_err());
    assert!(names_in(folder.path()).is_empty());
}

#[test]
fn a_stopped_run_keeps_what_it_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.ndjson");
    let stop = AtomicBool::new(false);
    let events = events();
    let stopping = events.iter().cloned().enumerate().map(|(index, event)| {
        stop.store(index == 10, Ordering::Relaxed);
        event
    });
    let summary = to_file(stopping, &path, Run::new(&stop)).unwrap();
    assert_eq!((summary.events, summary.is_stopped), (10, true));
    assert_eq!(lines(File::open(&path).unwrap()).len(), 10);
}

#[test]
fn progress_knows_the_total() {
    let folder = tempfile::tempdir().unwrap();
    let events = crate::Generator::new(Settings { duration_ms: None, ..settings("steady", 0) }).unwrap().take(2500);
    let mut reports = Vec::new();
    let run = Run::new(&NEVER).on_progress(|progress| reports.push((progress.events, progress.total)));
    to_file(events, &folder.path().join("events"), run).unwrap();
    assert_eq!(reports, [(1000, Some(2500)), (2000, Some(2500)), (2500, Some(2500))]);
}

/// A sink that passes the time of a clock made by hand.
struct Watched<'a> {
    now_ms: &'a Cell<i64>,
    written: &'a RefCell<Vec<(i64, i64)>>,
}

impl Sink for Watched<'_> {
    fn write(&mut self, event: &SimulatedEvent, _run: &Run<'_>) -> Result<bool, OutputError> {
        self.written.borrow_mut().push((event.arrival_ms, self.now_ms.get()));
        Ok(true)
    }

    fn wait(&mut self, time: Duration) {
        self.now_ms.set(self.now_ms.get() + time.as_millis() as i64);
    }
}

#[test]
fn in_real_time_events_are_written_when_they_arrive() {
    let (now_ms, written) = (Cell::new(START_MS), RefCell::new(Vec::new()));
    let clock = || now_ms.get();
    let mut run = Run::new(&NEVER).paced(Pace::RealTime(&clock));
    drain(events().into_iter(), &mut Watched { now_ms: &now_ms, written: &written }, &mut run).unwrap();
    assert!(written.borrow().len() > 1000);
    assert!(written.borrow().iter().all(|(arrival_ms, written_ms)| arrival_ms == written_ms));
}

#[test]
fn a_stop_ends_a_long_wait() {
    let (now_ms, written) = (Cell::new(START_MS - 3_600_000), RefCell::new(Vec::new()));
    let stop = AtomicBool::new(false);
    let clock = || {
        stop.store(now_ms.get() > START_MS - 3_599_000, Ordering::Relaxed);
        now_ms.get()
    };
    let mut run = Run::new(&stop).paced(Pace::RealTime(&clock));
    let summary = drain(events().into_iter(), &mut Watched { now_ms: &now_ms, written: &written }, &mut run).unwrap();
    assert_eq!(summary, Summary { events: 0, bytes: 0, is_stopped: true });
    assert!(now_ms.get() < START_MS - 3_598_000);
}

/// Everything in the topics, by (topic, key) in the order of offsets.
fn consume(bootstrap_servers: &str, count: usize) -> HashMap<(String, String), Vec<Vec<u8>>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap_servers)
        .set("group.id", "reader")
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    consumer.subscribe(&TOPICS).unwrap();
    let mut found: HashMap<(String, String), Vec<Vec<u8>>> = HashMap::new();
    for read in 0..count {
        // A poll that serves a rebalance returns empty-handed before its time is over.
        let mut polls = (0..600).map(|_| consumer.poll(Duration::from_millis(100)));
        let message = polls.find_map(|m| m).unwrap_or_else(|| panic!("{read} of {count} messages"));
        let message = message.unwrap();
        let key = String::from_utf8(message.key().unwrap().to_vec()).unwrap();
        found.entry((message.topic().to_owned(), key)).or_default().push(message.payload().unwrap().to_vec());
    }
    assert!(consumer.poll(Duration::from_millis(300)).is_none(), "more messages than were sent");
    found
}

#[test]
fn kafka_gets_every_event_in_order_per_key() {
    let broker = DemoBroker::start(&TOPICS.map(|topic| (topic, 3))).unwrap();
    let events = events();
    let target = KafkaTarget::new(broker.bootstrap_servers());
    let summary = to_kafka(events.iter().cloned(), &target, Run::new(&NEVER)).unwrap();
    assert_eq!(summary.events, events.len() as u64);
    let mut expected: HashMap<_, Vec<Vec<u8>>> = HashMap::new();
    for event in &events {
        expected.entry((event.topic.to_owned(), event.key.clone())).or_default().push(event.body.clone());
    }
    assert_eq!(consume(broker.bootstrap_servers(), events.len()), expected);
}

#[test]
fn a_full_queue_only_slows_down() {
    let broker = DemoBroker::start(&TOPICS.map(|topic| (topic, 1))).unwrap();
    let target = KafkaTarget::new(broker.bootstrap_servers()).with("queue.buffering.max.messages", "10");
    let events: Vec<_> = events().into_iter().take(500).collect();
    let summary = to_kafka(events.into_iter(), &target, Run::new(&NEVER)).unwrap();
    assert_eq!((summary.events, summary.is_stopped), (500, false));
    consume(broker.bootstrap_servers(), 500);
}

#[test]
fn losses_are_counted_and_explained() {
    // A port that nobody listens on.
    let target = KafkaTarget::new("127.0.0.1:1").with("message.timeout.ms", "300");
    let error = to_kafka(events().into_iter().take(5), &target, Run::new(&NEVER)).unwrap_err();
    let OutputError::Delivery { lost, delivered, first } = error else { panic!("{error}") };
    assert_eq!((lost, delivered), (5, 0));
    assert!(first.contains("timed out"), "{first}");
}

#[test]
fn a_lost_event_ends_an_endless_run() {
    let events = crate::Generator::new(Settings { duration_ms: None, ..settings("steady", 0) }).unwrap();
    let target = KafkaTarget::new("127.0.0.1:1").with("message.timeout.ms", "300");
    let error = to_kafka(events, &target, Run::new(&NEVER)).unwrap_err();
    assert!(matches!(error, OutputError::Delivery { delivered: 0, lost: 1.., .. }), "{error}");
}

#[test]
fn a_message_too_large_is_an_error() {
    let broker = DemoBroker::start(&[(TOPICS[0], 1)]).unwrap();
    let large = events().into_iter().take(1).map(|event| SimulatedEvent { body: vec![b'x'; 2_000_000], ..event });
    let error = to_kafka(large, &KafkaTarget::new(broker.bootstrap_servers()), Run::new(&NEVER)).unwrap_err();
    assert!(matches!(error, OutputError::Send { event: 1, .. }), "{error}");
}

#[test]
fn weaker_acknowledgement_is_refused() {
    let target = KafkaTarget::new("127.0.0.1:1").with("acks", "1");
    let error = to_kafka(std::iter::empty(), &target, Run::new(&NEVER)).unwrap_err();
    assert!(matches!(error, OutputError::Acks { .. }), "{error}");
}

#[test]
fn an_unknown_property_is_an_error() {
    let target = KafkaTarget::new("127.0.0.1:1").with("no.such.property", "1");
    let error = to_kafka(std::iter::empty(), &target, Run::new(&NEVER)).unwrap_err().to_string();
    assert!(error.contains("no.such.property"), "{error}");
}

#[test]
fn passwords_are_not_shown() {
    let target = KafkaTarget::new("127.0.0.1:1").with("sasl.password", "hush");
    assert_eq!(format!("{target:?}"), r#"KafkaTarget { properties: ["bootstrap.servers", "sasl.password"] }"#);
}

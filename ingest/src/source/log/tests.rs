use super::*;
use crate::clock::SystemClock;
use crate::log::{LogMetrics, LogSettings};
use bytes::Bytes;
use tempfile::TempDir;

const WAIT: Duration = Duration::from_millis(1);
const KIB: u64 = 1024;

fn open(folder: &TempDir) -> Arc<EventLog> {
    let settings = LogSettings { bytes_max: 256 * KIB, retention: Duration::ZERO, queue_max: 8 };
    let metrics = LogMetrics::register(&prometheus::Registry::new()).unwrap();
    EventLog::open(folder.path(), settings, || "id".to_owned(), metrics, Arc::new(SystemClock::new())).unwrap()
}

fn append(log: &EventLog, topic: &str, texts: &[&str]) {
    let records = texts.iter().map(|t| Bytes::copy_from_slice(t.as_bytes())).collect();
    futures::executor::block_on(log.append(topic, 7, records)).unwrap();
}

/// Polls once: what came, or the event.
fn poll(source: &mut LogSource, max: usize) -> Result<Vec<String>, SourceEvent> {
    let mut found = Vec::new();
    let polled = source.poll(max, WAIT, &mut |r| {
        assert_eq!(r.raw.timestamp_us, Some(7));
        let text = String::from_utf8_lossy(r.raw.payload);
        found.push(format!("{}:{} {text} {:?}", r.partition, r.offset, r.raw.topic));
    });
    match polled.unwrap() {
        Polled::Records(_) => Ok(found),
        Polled::Event(event) => Err(event),
    }
}

fn starting(log: &Arc<EventLog>, topics: &[&str], position: i64) -> Result<LogSource, SourceError> {
    let mut source = LogSource::new(Arc::clone(log), topics, false);
    assert!(matches!(poll(&mut source, 1), Err(SourceEvent::Assigned(p)) if p.len() == topics.len()));
    let positions = topics.iter().map(|t| (log.partition(t), position)).collect();
    source.start_after(&positions)?;
    Ok(source)
}

#[test]
fn it_goes_on_after_the_position_and_waits() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(&folder);
    append(&log, "events", &["a", "b"]);
    let mut source = starting(&log, &["events"], 0).unwrap();
    assert_eq!(poll(&mut source, 10), Ok(vec!["events@id/0:1 b None".to_owned()]));
    assert_eq!(poll(&mut source, 10), Ok(Vec::new()));
    source.pause().unwrap();
    append(&log, "events", &["c", "", "d"]);
    assert_eq!(poll(&mut source, 10), Ok(Vec::new()));
    source.resume().unwrap();
    assert_eq!(poll(&mut source, 2), Ok(vec!["events@id/0:2 c None".to_owned()]), "an empty record is passed");
    assert_eq!(poll(&mut source, 2), Ok(vec!["events@id/0:4 d None".to_owned()]));
    assert_eq!(source.end_offsets(), BTreeMap::from([(log.partition("events"), 4)]));
}

#[test]
fn topics_take_turns() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(&folder);
    append(&log, "events", &["a", "b", "c"]);
    append(&log, "samples", &["x", "y", "z"]);
    let mut source = starting(&log, &["events", "samples"], -1).unwrap();
    let first: Vec<_> = (0..2).flat_map(|_| poll(&mut source, 2).unwrap()).collect();
    let expected = ["samples@id/0:0 x Some(\"samples@\")", "samples@id/0:1 y Some(\"samples@\")"];
    assert_eq!(first[..2], expected);
    assert_eq!(first[2..], ["events@id/0:0 a None", "events@id/0:1 b None"]);
}

#[test]
fn a_source_with_an_end_finishes_there() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(&folder);
    append(&log, "events", &["a"]);
    let mut source = LogSource::replay(Arc::clone(&log), &["events"]);
    assert!(matches!(poll(&mut source, 1), Err(SourceEvent::Assigned(_))));
    assert_eq!(poll(&mut source, 10).unwrap().len(), 1);
    assert_eq!(poll(&mut source, 10), Err(SourceEvent::Finished));
}

#[test]
fn positions_that_the_log_does_not_have_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(&folder);
    append(&log, "events", &["a"]);
    let error = starting(&log, &["events"], 5).unwrap_err().to_string();
    assert!(error.contains("events@id/0: offset 6 is not there") && error.contains("earlier state"), "{error}");

    // Fill the log with what tables have, until its first records go.
    let big = "x".repeat(4 * KIB as usize);
    while log.first("events") == 0 {
        append(&log, "events", &[&big]);
        log.committed("events", i64::MAX);
    }
    let error = starting(&log, &["events"], 0).unwrap_err().to_string();
    assert!(error.contains("offset 1 is not there") && error.contains("before every table had them"), "{error}");
    let first = log.first("events");
    assert!(poll(&mut starting(&log, &["events"], -1).unwrap(), 1).unwrap()[0].contains(&format!("/0:{first} ")));
}

#[test]
fn only_who_counts_says_what_may_go() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(&folder);
    let big = "x".repeat(4 * KIB as usize);
    let fill = || {
        (0..80).try_for_each(|_| {
            let records = vec![Bytes::copy_from_slice(big.as_bytes())];
            futures::executor::block_on(log.append("events", 7, records)).map(|_| ())
        })
    };
    assert!(fill().is_err(), "full");
    let all = BTreeMap::from([(log.partition("events"), log.end("events") - 1)]);
    LogSource::replay(Arc::clone(&log), &["events"]).publish_progress(&all);
    assert!(fill().is_err(), "a replay is nobody's progress");
    LogSource::new(Arc::clone(&log), &["events"], false).publish_progress(&all);
    append(&log, "events", &["there is room"]);
}

use super::*;
use crate::clock::SystemClock;
use prometheus::Registry;
use std::sync::atomic::{AtomicI64, Ordering};
use tempfile::TempDir;

const KIB: u64 = 1024;

/// A clock whose wall is turned by hand.
#[derive(Debug)]
struct Turned(SystemClock, AtomicI64);

impl Clock for Turned {
    fn now_us(&self) -> i64 {
        self.1.load(Ordering::Relaxed)
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }
}

fn turned() -> Arc<Turned> {
    Arc::new(Turned(SystemClock::new(), AtomicI64::new(1_000_000)))
}

fn settings(bytes_max: u64) -> LogSettings {
    LogSettings { bytes_max, retention: Duration::from_secs(3600), queue_max: 64 }
}

fn metrics() -> LogMetrics {
    LogMetrics::register(&Registry::new()).unwrap()
}

fn open_with(folder: &TempDir, settings: LogSettings, clock: Arc<dyn Clock>) -> Arc<EventLog> {
    EventLog::open(folder.path(), settings, random_identity, metrics(), clock).unwrap()
}

fn open(folder: &TempDir) -> Arc<EventLog> {
    open_with(folder, settings(1024 * KIB), turned())
}

fn records(texts: &[&str]) -> Vec<Bytes> {
    texts.iter().map(|t| Bytes::copy_from_slice(t.as_bytes())).collect()
}

fn append(log: &EventLog, topic: &str, records: Vec<Bytes>) -> Result<i64, AppendError> {
    futures::executor::block_on(log.append(topic, 5, records))
}

fn read(log: &EventLog, topic: &str, from: i64, max: usize) -> Result<Vec<(i64, String)>, ReadError> {
    let mut found = Vec::new();
    let count = log.read(topic, from, max, &mut |r| {
        found.push((r.offset, String::from_utf8_lossy(r.payload).into_owned()));
    })?;
    assert_eq!(count, found.len());
    Ok(found)
}

#[test]
fn offsets_are_without_gaps_and_survive_a_new_start() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(&folder);
    assert_eq!((append(&log, "a", records(&["x", "y"])), append(&log, "b", records(&["1"]))), (Ok(0), Ok(0)));
    assert_eq!(append(&log, "a", records(&["z", ""])), Ok(2));
    let expected = [(1, "y"), (2, "z"), (3, "")].map(|(o, t)| (o, t.to_owned()));
    assert_eq!(read(&log, "a", 1, 10).unwrap(), expected);
    assert_eq!(read(&log, "a", 1, 2).unwrap(), expected[..2]);
    assert_eq!(read(&log, "a", 4, 2).unwrap(), []);
    let (identity, bytes) = (log.identity().to_owned(), log.bytes());
    drop(log);

    let log = open(&folder);
    assert_eq!((log.identity(), log.bytes()), (identity.as_str(), bytes));
    assert_eq!((log.end("a"), log.end("b"), log.first("a")), (4, 1, 0));
    assert_eq!(read(&log, "a", 1, 10).unwrap(), expected);
    assert_eq!(append(&log, "a", records(&["later"])), Ok(4));
    assert_eq!(log.time_of("a", 4), Ok(Some(5)));
}

#[test]
fn times_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(&folder);
    for time_us in [10, 20, 20, 30] {
        futures::executor::block_on(log.append("a", time_us, records(&["x", "y"]))).unwrap();
    }
    let at = |time_us| log.offset_at("a", time_us).unwrap();
    assert_eq!([0, 10, 11, 20, 21, 30, 31].map(at), [0, 0, 2, 2, 6, 6, 8]);
    assert_eq!(log.offset_at("b", 5), Ok(0));
}

#[test]
fn what_does_not_exist_is_out_of_range() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(&folder);
    assert_eq!(read(&log, "a", 0, 1), Ok(Vec::new()));
    append(&log, "a", records(&["x"])).unwrap();
    let out = |wanted| Err(ReadError::OutOfRange { topic: "a".to_owned(), wanted, first: 0, last: 0 });
    assert_eq!((read(&log, "a", 2, 1), read(&log, "a", -1, 1)), (out(2), out(-1)));
    assert_eq!(append(&log, "A@b", records(&["x"])), Err(AppendError::Topic("A@b".to_owned())));
}

#[test]
fn another_log_in_the_same_folder_is_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(&folder).partition(EVENTS_TOPIC);
    assert_eq!(topic_of(&first), Some(EVENTS_TOPIC));
    std::fs::remove_dir_all(folder.path()).unwrap();
    let log = open(&folder);
    assert_ne!(log.partition(EVENTS_TOPIC), first);
    assert_eq!(log.own_topic(&first), None);
    assert_eq!(stored_identity(folder.path()).unwrap().as_deref(), Some(log.identity()));
    assert_eq!(topic_of(&TopicPartition::new("file:a@b", 0)), None);
}

#[test]
fn one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let _log = open(&folder);
    let second = EventLog::open(folder.path(), settings(KIB), random_identity, metrics(), Arc::new(SystemClock::new()));
    let error = second.unwrap_err();
    assert!(matches!(error, LogError::Locked(_)), "{error}");
}

#[test]
fn many_requests_share_one_sync() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(&folder);
    let (threads, each) = (16, 50);
    let firsts: Vec<i64> = std::thread::scope(|scope| {
        let append_all = || (0..each).map(|_| append(&log, "a", records(&["x", "y"])).unwrap()).collect::<Vec<_>>();
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(append_all)).collect();
        running.into_iter().flat_map(|t| t.join().unwrap()).collect()
    });
    let mut sorted = firsts.clone();
    sorted.sort_unstable();
    let expected: Vec<i64> = (0..threads * each).map(|n| 2 * n).collect();
    assert_eq!(sorted, expected, "every request has its own offsets, next to each other");
    let syncs = log.shared.metrics.sync_seconds.get_sample_count();
    assert!(syncs < (threads * each) as u64 / 2, "{syncs} syncs for {} requests", threads * each);
    assert_eq!(read(&log, "a", 0, usize::MAX).unwrap().len(), 2 * (threads * each) as usize);
}

#[test]
fn readers_wait_for_what_comes() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(&folder);
    assert!(!log.wait(&[("a", 0), ("b", 0)], Duration::from_millis(5)));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| (0..100).any(|_| log.wait(&[("a", 0), ("b", 0)], Duration::from_millis(100))));
        append(&log, "b", records(&["x"])).unwrap();
        assert!(waiting.join().unwrap());
    });
}

#[test]
fn a_full_log_refuses_until_tables_have_something() {
    let folder = tempfile::tempdir().unwrap();
    let log = open_with(&folder, settings(256 * KIB), turned());
    let big = || records(&["x".repeat(4 * KIB as usize).as_str()]);
    let error = loop {
        match append(&log, "a", big()) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(error, AppendError::Full { bytes_max, .. } if bytes_max == 256 * KIB), "{error}");
    let end = log.end("a");
    assert!((50..64).contains(&end), "{end} records of 4 KiB fit into 256 KiB");
    assert_eq!(log.first("a"), 0, "nothing that is needed was dropped");
    log.committed("a", end / 2);
    assert_eq!(append(&log, "a", big()), Ok(end));
    let first = log.first("a");
    assert!(0 < first && first <= end / 2 + 1, "{first}: only what tables have was dropped");
    assert_eq!(read(&log, "a", first, usize::MAX).unwrap().len() as i64, end + 1 - first);
    assert!(matches!(read(&log, "a", 0, 1), Err(ReadError::OutOfRange { .. })));
    drop(log);
    let log = open_with(&folder, settings(256 * KIB), turned());
    assert_eq!((log.first("a"), log.end("a")), (first, end + 1));
    // After a new start nothing counts as committed until somebody says so.
    log.committed("a", i64::MAX);
    while log.first("a") <= end {
        append(&log, "a", big()).unwrap();
    }
}

#[test]
fn what_tables_have_goes_after_the_retention() {
    let folder = tempfile::tempdir().unwrap();
    let clock = turned();
    let log = open_with(&folder, settings(1024 * KIB), Arc::clone(&clock) as _);
    append(&log, "a", records(&["x"])).unwrap();
    let wait_for = |is_reached: &dyn Fn() -> bool| {
        let until = clock.monotonic() + Duration::from_secs(20);
        while !is_reached() && clock.monotonic() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        is_reached()
    };
    clock.1.fetch_add(7200 * 1_000_000, Ordering::Relaxed);
    let segments = || log.shared.topic("a").unwrap().state().segments.len();
    assert!(wait_for(&|| segments() == 2), "an old segment is ended");
    assert_eq!(log.first("a"), 0, "no table has it");
    log.committed("a", 0);
    assert!(wait_for(&|| log.first("a") == 1));
    assert_eq!(append(&log, "a", records(&["y"])), Ok(1));
}

#[test]
fn blocks_that_are_cut_are_refused() {
    let block = segment::encode(7, 100, &records(&["one", "", "three"]));
    let read = segment::Block::read(&block).unwrap();
    assert_eq!((read.time_us, read.segment_bytes, read.count), (7, 100 + block.len() as u64, 3));
    assert_eq!(read.records().collect::<Vec<_>>(), [&b"one"[..], b"", b"three"]);
    for len in 0..block.len() {
        assert!(segment::Block::read(&block[..len]).is_err(), "{len} of {} bytes", block.len());
    }
}

use super::*;
use crate::clock::SystemClock;
use crate::source::FileSource;
use std::path::PathBuf;
use tidewatch_engine::commit::BEFORE_FIRST;

const WAIT: Duration = Duration::from_millis(1);

fn span(name: &str, from: i64, to: i64, deleted: i64) -> Span {
    Span { partition: TopicPartition::new(format!("file:{name}"), 0), from, to, ids_from: from, deleted }
}

/// Two files of ten lines; a line is its number.
fn source(spans: &[Span], rate: Option<f64>) -> (tempfile::TempDir, RangeSource, Arc<Progress>) {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = ["a", "b"].iter().map(|name| folder.path().join(name)).collect();
    for path in &paths {
        let lines: String =
            (0..10).map(|n| format!("{{\"specversion\":\"1.0\",\"time\":\"2026-01-01T00:00:{n:02}Z\"}}\n")).collect();
        std::fs::write(path, lines).unwrap();
    }
    let progress = Arc::new(Progress::new(spans));
    let inner = Box::new(FileSource::new(paths, 1000));
    let source = RangeSource::new(inner, spans, rate, Arc::clone(&progress), Arc::new(SystemClock::new()));
    (folder, source, progress)
}

/// Answers the assignment with positions, then reads to the end: offsets per file.
fn read(source: &mut RangeSource, positions: &[(&str, i64)]) -> Vec<String> {
    let mut found = Vec::new();
    loop {
        let polled = source.poll(3, WAIT, &mut |record| {
            found.push(format!("{}{}", &record.partition.topic[5..], record.offset));
        });
        match polled.unwrap() {
            Polled::Event(SourceEvent::Assigned(partitions)) => {
                let position = |p: &TopicPartition| positions.iter().find(|(n, _)| *n == &p.topic[5..]).unwrap().1;
                let starts = partitions.iter().map(|p| (p.clone(), position(p))).collect();
                source.start_after(&starts).unwrap();
            }
            Polled::Event(SourceEvent::Finished) => return found,
            Polled::Event(other) => panic!("{other:?}"),
            Polled::Records(_) => {}
        }
    }
}

#[test]
fn spans_are_read_and_nothing_beyond_and_their_ends_are_covered() {
    let spans = [span("a", -1, 3, 0), span("b", 4, 6, 5)];
    let (_folder, mut source, progress) = source(&spans, None);
    assert_eq!(read(&mut source, &[("a", BEFORE_FIRST), ("b", BEFORE_FIRST)]), ["a0", "a1", "a2", "a3", "b5", "b6"]);
    let covered: Vec<i64> = source.covered().into_values().collect();
    assert_eq!(covered, [3, 6]);
    assert_eq!((progress.offsets(), progress.deleted()), ((6, 6), 5));
    // The first event that is left of b happened at second 5; one second late it may be, in windows of two.
    assert_eq!(progress.whole_from(1_000_000, Some(2_000_000)), Some(1_767_225_606_000_000));
}

#[test]
fn a_job_goes_on_after_its_positions_and_skips_what_is_filled() {
    let spans = [span("a", -1, 9, 0), span("b", -1, 9, 0)];
    let (_folder, mut source, _) = source(&spans, None);
    assert_eq!(read(&mut source, &[("a", 9), ("b", 7)]), ["b8", "b9"]);
}

#[test]
fn ids_are_read_from_before_the_span_and_are_no_progress() {
    let spans = [span("a", 5, 9, 0).with_ids_from(2), span("b", 9, 9, 0)];
    let (_folder, mut source, progress) = source(&spans, None);
    assert_eq!(read(&mut source, &[("a", 2), ("b", 9)]), ["a3", "a4", "a5", "a6", "a7", "a8", "a9"]);
    assert_eq!(progress.offsets(), (4, 4));
}

#[test]
fn a_span_of_deleted_records_is_covered_without_a_record() {
    let (_folder, mut source, progress) = source(&[span("b", 9, 9, 10)], None);
    assert_eq!(read(&mut source, &[("b", BEFORE_FIRST)]), Vec::<String>::new());
    assert_eq!(source.covered(), [(span("b", 0, 0, 0).partition, 9)].into());
    assert_eq!(progress.whole_from(0, None), None, "nothing was read that could tell");
}

#[test]
fn a_rate_is_kept() {
    let (_folder, mut source, _) = source(&[span("a", -1, 9, 0), span("b", -1, 9, 0)], Some(100.0));
    let clock = SystemClock::new();
    assert_eq!(read(&mut source, &[("a", BEFORE_FIRST), ("b", BEFORE_FIRST)]).len(), 20);
    assert!(clock.monotonic() >= Duration::from_millis(150), "20 records at 100/s");
}

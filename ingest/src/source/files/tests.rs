//! Lines and their offsets, whatever the file: plain, gzip, cut off, read again from the middle.

use super::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

/// A folder of files; the source reads all of them in the order given.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }
}

/// Polls to the end; each record as `topic/partition@offset text`.
fn read(source: &mut FileSource) -> Result<Vec<String>, SourceError> {
    let mut records = Vec::new();
    let mut sink = |r: &SourceRecord<'_>| {
        records.push(format!("{}@{} {}", r.partition, r.offset, String::from_utf8_lossy(r.raw.payload)))
    };
    while source.poll(2, Duration::ZERO, &mut sink)? != Polled::Event(SourceEvent::Finished) {}
    Ok(records)
}

fn from_start(paths: Vec<PathBuf>) -> FileSource {
    let mut source = FileSource::new(paths, 8);
    let assigned = source.poll(2, Duration::ZERO, &mut |_| panic!("a record before the answer")).unwrap();
    assert!(matches!(assigned, Polled::Event(SourceEvent::Assigned(_))));
    source.start_after(&BTreeMap::new()).unwrap();
    source
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn lines_come_in_order_with_their_numbers_as_offsets() {
    let folder = Folder::new();
    let paths = vec![
        folder.file("a.ndjson", b"one\r\ntwo\n\nfour\n"),
        folder.file("empty.ndjson", b""),
        folder.file("b.ndjson.gz", &[gzip(b"five\nsi"), gzip(b"x")].concat()),
    ];
    assert_eq!(
        read(&mut from_start(paths)).unwrap(),
        [
            "file:a.ndjson/0@0 one",
            "file:a.ndjson/0@1 two",
            "file:a.ndjson/0@3 four",
            "file:b.ndjson.gz/0@0 five",
            "file:b.ndjson.gz/0@1 six",
        ]
    );
}

#[test]
fn a_replay_goes_on_after_the_committed_line_of_each_file() {
    let folder = Folder::new();
    let mut source =
        from_start(vec![folder.file("a", b"0\n1\n2\n"), folder.file("b", b"0\n1\n"), folder.file("c", b"0\n")]);
    assert_eq!(read(&mut source).unwrap().len(), 6);
    let position = |name: &str, offset| (TopicPartition::new(format!("{FILE_TOPIC}{name}"), 0), offset);
    source.start_after(&[position("a", 1), position("b", 1), position("c", BEFORE_FIRST)].into()).unwrap();
    assert_eq!(read(&mut source).unwrap(), ["file:a/0@2 2", "file:c/0@0 0"]);
}

#[test]
fn a_file_with_fewer_lines_than_are_counted_is_another_file() {
    let folder = Folder::new();
    let mut source = from_start(vec![folder.file("a", b"0\n1\n")]);
    source.start_after(&[(TopicPartition::new(format!("{FILE_TOPIC}a"), 0), 7)].into()).unwrap();
    let error = read(&mut source).unwrap_err().to_string();
    assert!(error.contains("8 lines were counted already, but it has 2 only"), "{error}");
}

#[test]
fn files_of_equal_name_are_partitions_of_one_topic() {
    let folder = Folder::new();
    let paths =
        vec![folder.file("monday/e", b"1\n"), folder.file("tuesday/e", b"2\n"), folder.file("tuesday/f", b"3\n")];
    assert_eq!(read(&mut from_start(paths)).unwrap(), ["file:e/0@0 1", "file:e/1@0 2", "file:f/0@0 3"]);
}

#[test]
fn a_line_beyond_the_limit_is_cut_off_one_byte_beyond_it() {
    let folder = Folder::new();
    let content = b"12345678\r\n123456789\n12345678\rtail\n1234567890123456789012\nlast";
    let records = read(&mut from_start(vec![folder.file("a", content)])).unwrap();
    assert_eq!(
        records,
        [
            "file:a/0@0 12345678",
            "file:a/0@1 123456789",
            "file:a/0@2 12345678\r",
            "file:a/0@3 123456789",
            "file:a/0@4 last",
        ]
    );
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_that_names_it() {
    let folder = Folder::new();
    let missing = folder.0.path().join("missing.ndjson");
    let error = read(&mut from_start(vec![missing.clone()])).unwrap_err().to_string();
    assert!(error.starts_with(missing.to_str().unwrap()), "{error}");
    let damaged = folder.file("damaged.gz", &gzip(b"one\ntwo\n")[..12]);
    let error = read(&mut from_start(vec![damaged.clone()])).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}, line ", damaged.display())), "{error}");
}

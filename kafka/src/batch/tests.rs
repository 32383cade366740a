use super::{Batch, BatchError, first};
use crate::compression::tests::pack;
use crate::compression::{Codec, Unpacker};
use crate::wire::tests::put_varlong;
use proptest::prelude::*;

/// A batch to be written.
#[derive(Debug, Clone)]
pub struct Written {
    pub base_offset: i64,
    /// Distance from the base and value of each record.
    pub records: Vec<(i64, Vec<u8>)>,
    /// Distance of the last offset, beyond that of the last record where that was compacted away.
    pub last: i32,
    pub codec: Codec,
    pub attributes: i16,
    pub producer: i64,
}

impl Written {
    pub fn new(base_offset: i64, values: &[&str]) -> Self {
        Self {
            base_offset,
            records: values.iter().enumerate().map(|(at, value)| (at as i64, value.as_bytes().to_vec())).collect(),
            last: values.len().max(1) as i32 - 1,
            codec: Codec::Plain,
            attributes: 0,
            producer: -1,
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut records = Vec::new();
        for (distance, value) in &self.records {
            let mut record = vec![0];
            put_varlong(&mut record, 10 * distance);
            put_varlong(&mut record, *distance);
            put_varlong(&mut record, -1);
            put_varlong(&mut record, value.len() as i64);
            record.extend_from_slice(value);
            put_varlong(&mut record, 1);
            for text in ["name", "of a header"] {
                put_varlong(&mut record, text.len() as i64);
                record.extend_from_slice(text.as_bytes());
            }
            put_varlong(&mut records, record.len() as i64);
            records.extend(record);
        }
        let codec = [Codec::Plain, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
        let codec = codec.iter().position(|codec| *codec == self.codec).unwrap() as i16;
        let mut checked = (self.attributes | codec).to_be_bytes().to_vec();
        checked.extend(self.last.to_be_bytes());
        checked.extend(1_000_i64.to_be_bytes());
        checked.extend(9_000_i64.to_be_bytes());
        checked.extend(self.producer.to_be_bytes());
        checked.extend(0_i16.to_be_bytes());
        checked.extend(0_i32.to_be_bytes());
        checked.extend((self.records.len() as i32).to_be_bytes());
        checked.extend(pack(self.codec, &records));
        let mut bytes = self.base_offset.to_be_bytes().to_vec();
        bytes.extend((checked.len() as i32 + 9).to_be_bytes());
        bytes.extend([0, 0, 0, 1, 2]);
        bytes.extend(crc32c::crc32c(&checked).to_be_bytes());
        bytes.extend(checked);
        bytes
    }
}

/// Offset, timestamp and value of each record.
fn read(bytes: &[u8]) -> Result<Vec<(i64, i64, Vec<u8>)>, BatchError> {
    let batch = Batch::read(bytes)?;
    let mut unpacker = Unpacker::default();
    unpacker.unpack(batch.codec.unwrap(), batch.body).map_err(BatchError::Compression)?;
    let (mut records, mut found) = (batch.records(), Vec::new());
    while let Some(record) = records.next(unpacker.unpacked()) {
        let record = record?;
        let _ = record.headers.iter().count();
        found.push((record.offset, record.timestamp_ms, record.value.unwrap_or_default().to_vec()));
    }
    Ok(found)
}

#[test]
fn records_read_back_in_every_codec() {
    for codec in [Codec::Plain, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let written = Written { codec, ..Written::new(40, &["a", "", "a much longer value"]) };
        let bytes = written.bytes();
        assert_eq!(first(&bytes), Some((bytes.len(), 43)));
        let expected = [(40, 1_000, &b"a"[..]), (41, 1_010, b""), (42, 1_020, b"a much longer value")];
        assert_eq!(read(&bytes).unwrap(), expected.map(|(offset, time, value)| (offset, time, value.to_vec())));
    }
}

/// For `fuzz/run.sh`.
#[test]
#[ignore = "writes seeds"]
fn seeds() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/record_batches");
    std::fs::create_dir_all(&folder).unwrap();
    for codec in [Codec::Plain, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let batch = Written { codec, ..Written::new(40, &["a", "", "a value that repeats, a value that repeats"]) };
        std::fs::write(folder.join(format!("{codec:?}")), batch.bytes()).unwrap();
    }
}

#[test]
fn headers_are_read_when_asked_for() {
    let bytes = Written::new(0, &["a"]).bytes();
    let batch = Batch::read(&bytes).unwrap();
    let record = batch.records().next(batch.body).unwrap().unwrap();
    let headers: Vec<_> = record.headers.iter().collect();
    assert_eq!(headers, [(&b"name"[..], Some(&b"of a header"[..]))]);
}

#[test]
fn the_time_that_the_broker_wrote_it_is_that_of_the_batch() {
    let bytes = Written { attributes: 8, ..Written::new(0, &["a", "b"]) }.bytes();
    assert!(read(&bytes).unwrap().iter().all(|(_, time, _)| *time == 9_000));
}

#[test]
fn a_changed_byte_is_found_and_an_old_format_is_named() {
    let mut bytes = Written::new(7, &["value"]).bytes();
    *bytes.last_mut().unwrap() ^= 1;
    assert!(matches!(read(&bytes), Err(BatchError::Checksum { .. })));
    bytes[16] = 1;
    assert_eq!(read(&bytes), Err(BatchError::OldFormat(1)));
    assert_eq!(first(&bytes), Some((bytes.len(), 8)));
}

proptest! {
    #[test]
    fn cut_and_changed_batches_are_refused_without_a_panic(
        values in proptest::collection::vec("[a-z]{0,40}", 0..20), end: prop::sample::Index, at: prop::sample::Index, byte: u8
    ) {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let bytes = Written { codec: Codec::Lz4, ..Written::new(3, &values) }.bytes();
        let cut = &bytes[..end.index(bytes.len())];
        prop_assert_eq!(first(cut), None);
        prop_assert!(read(cut).is_err());
        // With a checksum that fits, so that everything behind it is reached.
        let mut changed = bytes;
        let at = at.index(changed.len());
        changed[at] = byte;
        let sum = crc32c::crc32c(&changed[21..]);
        changed[17..21].copy_from_slice(&sum.to_be_bytes());
        let batch = Batch::read(&changed);
        if batch.is_ok_and(|batch| batch.codec.is_some()) {
            let _ = read(&changed);
        }
    }
}

//! What a Kafka broker sends: a response, its batches, their compression, their records, transactions that were
//! aborted. Bytes that are not what they should be are refused; nothing is read beyond them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidewatch_kafka::aborted::Aborted;
use tidewatch_kafka::batch::{Batch, first};
use tidewatch_kafka::compression::Unpacker;
use tidewatch_kafka::fetch::read_response;

/// Where a batch holds its checksum, and what it covers.
const CHECKSUM: std::ops::Range<usize> = 17..21;

fuzz_target!(|bytes: &[u8]| {
    batches(bytes, &[]);
    if let Ok((_, answers)) = read_response(bytes) {
        for answer in answers {
            batches(&bytes[answer.records], &answer.aborted);
        }
    }
});

fn batches(bytes: &[u8], transactions: &[(i64, i64)]) {
    let mut aborted = Aborted::new(transactions);
    let mut unpacker = Unpacker::default();
    let mut rest = bytes;
    while let Some((length, _)) = first(rest) {
        let (batch, behind) = rest.split_at(length);
        rest = behind;
        // Chance finds no checksum: what lies behind it is to be reached all the same.
        let mut batch = batch.to_vec();
        if batch.len() > CHECKSUM.end {
            let sum = crc32c::crc32c(&batch[CHECKSUM.end..]);
            batch[CHECKSUM].copy_from_slice(&sum.to_be_bytes());
        }
        let Ok(batch) = Batch::read(&batch) else { continue };
        let Some(codec) = batch.codec.filter(|_| aborted.counts(&batch)) else { continue };
        if unpacker.unpack(codec, batch.body).is_err() {
            continue;
        }
        let mut records = batch.records();
        while let Some(Ok(record)) = records.next(unpacker.unpacked()) {
            let value = record.value.unwrap_or_default().len() + record.key.unwrap_or_default().len();
            assert!(value <= unpacker.unpacked().len());
            assert!(record.headers.iter().count() <= unpacker.unpacked().len());
        }
    }
}

//! The bytes of a Fetch request and its response, version 11: the first that names no preferred replica away, knows
//! zstd, and is spoken by every broker since Kafka 2.3 (2019), Kafka 4 among them.

use crate::wire::{Cursor, Malformed, Put};
use std::ops::Range;

/// Key of the Fetch request.
pub const API_KEY: i16 = 1;
/// The one version that is spoken.
pub const API_VERSION: i16 = 11;

/// What is wanted of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// Its number.
    pub number: i32,
    /// The first offset wanted.
    pub offset: i64,
}

/// What holds for a whole request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How long the broker waits for the first byte, milliseconds.
    pub wait_ms: i32,
    /// How many bytes it waits for.
    pub bytes_min: i32,
    /// About how many bytes a response may have; the first batch comes whole.
    pub bytes_max: i32,
    /// About how many of them of one partition.
    pub partition_bytes_max: i32,
    /// Leave records of open transactions out, and name those of aborted ones.
    pub read_committed: bool,
}

/// Writes the body of a request. Neighbours of one topic should stand together.
pub fn put_request(buffer: &mut Vec<u8>, limits: &Limits, wanted: &[Wanted<'_>]) {
    // No replica, no session: a request says all that it wants.
    buffer.put_i32(-1);
    buffer.put_i32(limits.wait_ms);
    buffer.put_i32(limits.bytes_min);
    buffer.put_i32(limits.bytes_max);
    buffer.push(u8::from(limits.read_committed));
    buffer.put_i32(0);
    buffer.put_i32(-1);
    let topics = wanted.chunk_by(|a, b| a.topic == b.topic);
    buffer.put_i32(topics.clone().count() as i32);
    for partitions in topics {
        buffer.put_text(partitions.first().map_or("", |wanted| wanted.topic));
        buffer.put_i32(partitions.len() as i32);
        for wanted in partitions {
            buffer.put_i32(wanted.number);
            // Any epoch of the leader.
            buffer.put_i32(-1);
            buffer.put_i64(wanted.offset);
            // Only followers say where their log begins.
            buffer.put_i64(-1);
            buffer.put_i32(limits.partition_bytes_max);
        }
    }
    // Nothing to forget, no rack.
    buffer.put_i32(0);
    buffer.put_text("");
}

/// What a broker says of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// Its number.
    pub number: i32,
    /// 0, or one of the protocol's error codes.
    pub error: i16,
    /// The offset after the last record that all replicas have.
    pub high_watermark: i64,
    /// The offset of the first record of an open transaction, or the high watermark.
    pub last_stable: i64,
    /// Producer and first offset of each aborted transaction among the records.
    pub aborted: Vec<(i64, i64)>,
    /// Where its batches lie in the response.
    pub records: Range<usize>,
}

/// Reads the body of a response: the error of the whole, and what is said of each partition.
///
/// # Errors
///
/// When the bytes are no such response.
pub fn read_response(body: &[u8]) -> Result<(i16, Vec<Answer<'_>>), Malformed> {
    let mut cursor = Cursor::new(body);
    cursor.i32("throttle time")?;
    let error = cursor.i16("error of the response")?;
    cursor.i32("session")?;
    let mut answers = Vec::new();
    for _ in 0..cursor.count(6, "number of topics")? {
        let topic = cursor.text("topic")?;
        for _ in 0..cursor.count(42, "number of partitions")? {
            let number = cursor.i32("partition")?;
            let error = cursor.i16("error of a partition")?;
            let high_watermark = cursor.i64("high watermark")?;
            let last_stable = cursor.i64("last stable offset")?;
            cursor.i64("log start offset")?;
            let count = cursor.count(16, "number of aborted transactions")?;
            let aborted = (0..count).map(|_| Ok((cursor.i64("producer")?, cursor.i64("first offset")?)));
            let aborted = aborted.collect::<Result<_, Malformed>>()?;
            cursor.i32("preferred replica")?;
            let length = cursor.i32("length of records")?.max(0) as usize;
            let start = body.len() - cursor.rest().len();
            cursor.bytes(length, "records")?;
            let records = start..start + length;
            answers.push(Answer { topic, number, error, high_watermark, last_stable, aborted, records });
        }
    }
    Ok((error, answers))
}

#[cfg(test)]
pub(crate) mod tests;

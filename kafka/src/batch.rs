//! The bytes of record batches (format 2, Kafka 0.11 and later) and of the records in them.

use crate::compression::Codec;
use crate::wire::{Cursor, Malformed};
use std::fmt;
use thiserror::Error;

/// Bytes before the first record.
pub const HEADER_BYTES: usize = 61;
/// Bytes before what the length counts.
const LENGTH_END: usize = 12;
/// Where its format stands, in older formats too.
const FORMAT_AT: usize = 16;
/// Where the distance of its last offset stands.
const LAST_AT: usize = 23;
/// Bytes before what the checksum covers.
const CHECKED_START: usize = 21;

/// Why a batch cannot be read.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum BatchError {
    /// Its bytes are not what they should be.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Its checksum says that its bytes have changed.
    #[error("its checksum is {found:08x}, and {written:08x} was written")]
    Checksum {
        /// Of the bytes that came.
        found: u32,
        /// In its header.
        written: u32,
    },
    /// A format of before Kafka 0.11.
    #[error("it has message format {0}, of before Kafka 0.11\n  hint: librdkafka reads it, if kafka.fetch says so")]
    OldFormat(i8),
    /// Its records cannot be decompressed.
    #[error("{0}")]
    Compression(String),
}

/// The head of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch<'a> {
    /// Offset of its first record, whether or not that is still there.
    pub base_offset: i64,
    /// Offset of its last.
    pub last_offset: i64,
    /// How its records are compressed; `None` is a codec nobody knows.
    pub codec: Option<Codec>,
    /// Milliseconds since the epoch that records count from.
    base_timestamp_ms: i64,
    /// When the broker wrote it, if that is its time.
    appended_ms: Option<i64>,
    /// Part of a transaction.
    pub is_transactional: bool,
    /// Holds a marker, no records.
    pub is_control: bool,
    /// Who wrote it.
    pub producer: i64,
    count: i32,
    /// Its records, compressed or not.
    pub body: &'a [u8],
}

/// The bytes of the first batch in a slice, and the offset after its last record; `None` when it is cut off, which
/// the last one of a response may be.
pub fn first(bytes: &[u8]) -> Option<(usize, i64)> {
    let mut cursor = Cursor::new(bytes);
    let base = cursor.i64("base offset").ok()?;
    let length = usize::try_from(cursor.i32("length").ok()?).ok()?.checked_add(LENGTH_END)?;
    if bytes.len() < length {
        return None;
    }
    // Of whatever is no batch of today's format, the reader says so.
    let is_batch = length >= HEADER_BYTES && bytes.get(FORMAT_AT) == Some(&2);
    let last = if is_batch { i32::from_be_bytes(bytes.get(LAST_AT..)?.first_chunk().copied()?) } else { 0 };
    Some((length, base.checked_add(last.into())?.checked_add(1)?))
}

impl<'a> Batch<'a> {
    /// Reads the head of a batch, which `bytes` are the whole of, and compares its checksum.
    ///
    /// # Errors
    ///
    /// When it has another format, is damaged, or is no batch.
    pub fn read(bytes: &'a [u8]) -> Result<Self, BatchError> {
        let mut cursor = Cursor::new(bytes);
        let base_offset = cursor.i64("base offset")?;
        cursor.i32("length of a batch")?;
        cursor.i32("epoch of the leader")?;
        let magic = cursor.i8("format")?;
        if magic != 2 {
            return Err(BatchError::OldFormat(magic));
        }
        let written = cursor.u32("checksum")?;
        let found = crc32c::crc32c(&bytes[CHECKED_START.min(bytes.len())..]);
        if found != written {
            return Err(BatchError::Checksum { found, written });
        }
        let attributes = cursor.i16("attributes")?;
        let last = cursor.i32("last offset")?;
        let base_timestamp_ms = cursor.i64("first timestamp")?;
        let last_timestamp_ms = cursor.i64("last timestamp")?;
        let producer = cursor.i64("producer")?;
        cursor.i16("epoch of the producer")?;
        cursor.i32("first sequence")?;
        let count = cursor.i32("number of records")?;
        Ok(Self {
            base_offset,
            last_offset: base_offset.saturating_add(last.into()),
            codec: Codec::of(attributes),
            base_timestamp_ms,
            appended_ms: (attributes & 8 != 0).then_some(last_timestamp_ms),
            is_transactional: attributes & 16 != 0,
            is_control: attributes & 32 != 0,
            producer,
            count,
            body: cursor.rest(),
        })
    }

    /// Its place among records that are decompressed already.
    pub fn records(&self) -> Records {
        Records {
            base_offset: self.base_offset,
            base_timestamp_ms: self.base_timestamp_ms,
            appended_ms: self.appended_ms,
            left: self.count.max(0),
            at: 0,
        }
    }
}

/// A place among the records of a batch. It borrows nothing, so that it can be left and come back to.
#[derive(Debug, Clone, Copy)]
pub struct Records {
    base_offset: i64,
    base_timestamp_ms: i64,
    appended_ms: Option<i64>,
    left: i32,
    at: usize,
}

impl Records {
    /// The next record of `body`, the decompressed records of the batch.
    #[inline]
    pub fn next<'a>(&mut self, body: &'a [u8]) -> Option<Result<Record<'a>, Malformed>> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        Some(self.read(body))
    }

    /// Was the last one handed out?
    pub fn is_done(&self) -> bool {
        self.left == 0
    }

    #[inline]
    fn read<'a>(&mut self, body: &'a [u8]) -> Result<Record<'a>, Malformed> {
        let mut all = Cursor::new(body.get(self.at..).unwrap_or_default());
        let bytes = all.nullable("a record")?.unwrap_or_default();
        self.at = body.len() - all.rest().len();
        let mut cursor = Cursor::new(bytes);
        cursor.i8("attributes of a record")?;
        let timestamp_ms = cursor.varlong("timestamp of a record")?;
        let offset = cursor.varlong("offset of a record")?;
        let key = cursor.nullable("key")?;
        let value = cursor.nullable("value")?;
        let headers = cursor.varlong("number of headers")?;
        Ok(Record {
            offset: self.base_offset.saturating_add(offset),
            timestamp_ms: self.appended_ms.unwrap_or(self.base_timestamp_ms.saturating_add(timestamp_ms)),
            key,
            value,
            headers: RecordHeaders { count: headers.max(0), bytes: cursor.rest() },
        })
    }
}

/// A record.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Its offset.
    pub offset: i64,
    /// When it was made, or when the broker wrote it: milliseconds since the epoch, negative for none.
    pub timestamp_ms: i64,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: RecordHeaders<'a>,
}

/// The headers of a record, read when asked for.
#[derive(Clone, Copy)]
pub struct RecordHeaders<'a> {
    count: i64,
    bytes: &'a [u8],
}

impl fmt::Debug for RecordHeaders<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(key, _)| String::from_utf8_lossy(key))).finish()
    }
}

impl<'a> RecordHeaders<'a> {
    /// Name and value of each; it ends before one that is malformed.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        let mut cursor = Cursor::new(self.bytes);
        (0..self.count).map_while(move |_| {
            let key = cursor.nullable("key of a header").ok()??;
            Some((key, cursor.nullable("value of a header").ok()?))
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;

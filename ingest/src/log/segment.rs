//! Segments and blocks: how records lie on disk.
//!
//! A segment is a keyspace of its own, named `topic@offset` by its first offset in 20 digits: dropping the
//! oldest one is one step and leaves nothing to be compacted. Within it a block per append, under the offset of
//! its **last** record (8 bytes, big-endian), so that the first key at or after an offset is its block:
//!
//! ```text
//! 1   version, 1
//! 8   arrival time, microseconds since the epoch
//! 8   bytes of the segment's blocks up to and with this one
//! 4   number of records
//! 4   length of each record, then all their bytes
//! ```
//!
//! Numbers are little-endian. The library keeps a checksum of every block.

use bytes::Bytes;
use fjall::{Keyspace, KeyspaceCreateOptions, config::FilterPolicy};

const VERSION: u8 = 1;
const HEADER: usize = 1 + 8 + 8 + 4;
const LENGTH: usize = 4;
/// Memory of a segment before it is written out.
const MEMTABLE_BYTES: u64 = 8 * 1024 * 1024;

/// One segment; its blocks hold the offsets from `first` to the next segment's.
#[derive(Clone)]
pub(super) struct Segment {
    /// First offset.
    pub first: i64,
    /// Where its blocks are.
    pub keyspace: Keyspace,
    /// Bytes of its blocks.
    pub bytes: u64,
    /// Arrival of its first and of its last block, microseconds since the epoch.
    pub times_us: Option<(i64, i64)>,
}

/// The name of a segment's keyspace.
pub(super) fn name(topic: &str, first: i64) -> String {
    format!("{topic}@{first:020}")
}

/// Topic and first offset of a segment's keyspace.
pub(super) fn parse_name(name: &str) -> Option<(&str, i64)> {
    let (topic, first) = name.split_once('@')?;
    Some((topic, first.parse().ok()?))
}

/// Blocks come in order and are read in order.
pub(super) fn options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES).filter_policy(FilterPolicy::disabled())
}

/// The key of a block.
pub(super) fn key(last: i64) -> [u8; 8] {
    last.to_be_bytes()
}

/// The last offset of a block, from its key.
pub(super) fn last_of(key: &[u8]) -> Option<i64> {
    Some(i64::from_be_bytes(key.try_into().ok()?))
}

/// Bytes of a block of these records.
pub(super) fn encoded_len(records: &[Bytes]) -> u64 {
    (HEADER + records.iter().map(|r| LENGTH + r.len()).sum::<usize>()) as u64
}

/// Writes a block. `before` is the size of the segment without it.
pub(super) fn encode(time_us: i64, before: u64, records: &[Bytes]) -> Vec<u8> {
    let len = encoded_len(records);
    let mut block = Vec::with_capacity(len as usize);
    block.push(VERSION);
    block.extend_from_slice(&time_us.to_le_bytes());
    block.extend_from_slice(&(before + len).to_le_bytes());
    block.extend_from_slice(&(records.len() as u32).to_le_bytes());
    records.iter().for_each(|r| block.extend_from_slice(&(r.len() as u32).to_le_bytes()));
    records.iter().for_each(|r| block.extend_from_slice(r));
    block
}

/// A block, understood.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block<'b> {
    /// When its records arrived, microseconds since the epoch.
    pub time_us: i64,
    /// Bytes of the segment up to and with it.
    pub segment_bytes: u64,
    /// Number of records.
    pub count: usize,
    lengths: &'b [u8],
    bodies: &'b [u8],
}

impl<'b> Block<'b> {
    /// Reads a block; the error says what is wrong with it.
    pub fn read(block: &'b [u8]) -> Result<Self, &'static str> {
        let (header, rest) = block.split_at_checked(HEADER).ok_or("shorter than its header")?;
        if header[0] != VERSION {
            return Err("its version is not 1: it was written by a newer Tidewatch");
        }
        let eight = |at: usize| <[u8; 8]>::try_from(&header[at..at + 8]).unwrap_or_default();
        let count = <[u8; 4]>::try_from(&header[17..21]).map_or(0, u32::from_le_bytes) as usize;
        let (lengths, bodies) = rest.split_at_checked(count * LENGTH).ok_or("shorter than its lengths")?;
        let block = Self {
            time_us: i64::from_le_bytes(eight(1)),
            segment_bytes: u64::from_le_bytes(eight(9)),
            count,
            lengths,
            bodies,
        };
        let total: usize = block.lengths().sum();
        if total == bodies.len() { Ok(block) } else { Err("its lengths do not add up") }
    }

    fn lengths(&self) -> impl Iterator<Item = usize> + use<'b> {
        self.lengths.chunks_exact(LENGTH).map(|l| <[u8; 4]>::try_from(l).map_or(0, u32::from_le_bytes) as usize)
    }

    /// Its records in order.
    pub fn records(&self) -> impl Iterator<Item = &'b [u8]> + use<'b> {
        let mut rest = self.bodies;
        self.lengths().map(move |length| {
            let (record, after) = rest.split_at(length);
            rest = after;
            record
        })
    }
}

//! Numbers, texts and arrays as Kafka writes them: big-endian, or variable-length zigzag within records.

use thiserror::Error;

/// Bytes ended before what they promised, or promise what cannot be.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// Something ends too early.
    #[error("the bytes end within {0}")]
    Truncated(&'static str),
    /// A length or number that cannot be.
    #[error("{0} cannot be {1}")]
    Impossible(&'static str, i64),
}

/// Reads from the front of a slice.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub fn bytes(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed::Truncated(what))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Malformed::Truncated(what))?;
        self.rest = rest;
        Ok(*taken)
    }

    pub fn i8(&mut self, what: &'static str) -> Result<i8, Malformed> {
        self.array(what).map(i8::from_be_bytes)
    }

    pub fn i16(&mut self, what: &'static str) -> Result<i16, Malformed> {
        self.array(what).map(i16::from_be_bytes)
    }

    pub fn i32(&mut self, what: &'static str) -> Result<i32, Malformed> {
        self.array(what).map(i32::from_be_bytes)
    }

    pub fn u32(&mut self, what: &'static str) -> Result<u32, Malformed> {
        self.array(what).map(u32::from_be_bytes)
    }

    pub fn i64(&mut self, what: &'static str) -> Result<i64, Malformed> {
        self.array(what).map(i64::from_be_bytes)
    }

    /// A count of things of at least `size` bytes each, of which there cannot be more than bytes are left. A null
    /// array counts as empty.
    pub fn count(&mut self, size: usize, what: &'static str) -> Result<usize, Malformed> {
        let count = self.i32(what)?.max(0);
        let is_possible = (count as usize).checked_mul(size).is_some_and(|bytes| bytes <= self.rest.len());
        is_possible.then_some(count as usize).ok_or(Malformed::Impossible(what, count.into()))
    }

    pub fn text(&mut self, what: &'static str) -> Result<&'a str, Malformed> {
        let length = self.i16(what)?;
        let bytes = self.bytes(length.max(0) as usize, what)?;
        std::str::from_utf8(bytes).map_err(|_| Malformed::Impossible(what, length.into()))
    }

    /// A variable-length number of at most 64 bits.
    #[inline]
    pub fn varlong(&mut self, what: &'static str) -> Result<i64, Malformed> {
        // Most lengths and deltas take one or two bytes.
        if let [first @ 0..0x80, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(zigzag(u64::from(*first)));
        }
        if let [first, second @ 0..0x80, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(zigzag(u64::from(first & 0x7f) | u64::from(*second) << 7));
        }
        let mut value = 0;
        for (at, &byte) in self.rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                self.rest = &self.rest[at + 1..];
                return Ok(zigzag(value));
            }
        }
        Err(Malformed::Truncated(what))
    }

    /// Bytes behind their variable length; `None` is null.
    #[inline]
    pub fn nullable(&mut self, what: &'static str) -> Result<Option<&'a [u8]>, Malformed> {
        match self.varlong(what)? {
            length if length < 0 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| Malformed::Impossible(what, length))?;
                self.bytes(length, what).map(Some)
            }
        }
    }
}

fn zigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Writes behind a buffer.
pub trait Put {
    fn put_i16(&mut self, value: i16);
    fn put_i32(&mut self, value: i32);
    fn put_i64(&mut self, value: i64);
    /// Longer texts than 32 KiB are cut: no name in Kafka may be as long.
    fn put_text(&mut self, text: &str);
}

impl Put for Vec<u8> {
    fn put_i16(&mut self, value: i16) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_i32(&mut self, value: i32) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_i64(&mut self, value: i64) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_text(&mut self, text: &str) {
        let bytes = &text.as_bytes()[..text.len().min(i16::MAX as usize)];
        self.put_i16(bytes.len() as i16);
        self.extend_from_slice(bytes);
    }
}

#[cfg(test)]
pub(crate) mod tests;

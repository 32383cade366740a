//! Numbers of as few bytes as they need, and a reader that never runs past the end.

use crate::sketch::SketchError;

/// Appends an unsigned LEB128 number.
pub(super) fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends a signed number, zig-zag coded.
pub(super) fn put_signed(out: &mut Vec<u8>, number: i64) {
    put(out, ((number << 1) ^ (number >> 63)) as u64);
}

/// Bytes that are still to be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'b>(pub &'b [u8]);

const ENDS: SketchError = SketchError::Truncated("samples end early");

impl<'b> Reader<'b> {
    pub(super) fn byte(&mut self) -> Result<u8, SketchError> {
        let (&first, rest) = self.0.split_first().ok_or(ENDS)?;
        self.0 = rest;
        Ok(first)
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<&'b [u8], SketchError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(ENDS)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn float(&mut self) -> Result<f64, SketchError> {
        let bytes = self.bytes(8)?;
        Ok(f64::from_le_bytes(bytes.try_into().map_err(|_| ENDS)?))
    }

    #[inline]
    pub(super) fn number(&mut self) -> Result<u64, SketchError> {
        let mut number = 0u64;
        for (at, &byte) in self.0.iter().enumerate().take(10) {
            number |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                self.0 = &self.0[at + 1..];
                return Ok(number);
            }
        }
        Err(if self.0.len() < 10 { ENDS } else { SketchError::Damaged("a number of samples is too long") })
    }

    #[inline]
    pub(super) fn signed(&mut self) -> Result<i64, SketchError> {
        let number = self.number()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    /// A count of things that take at least `bytes_each` bytes: more than that cannot be there.
    pub(super) fn count(&mut self, bytes_each: usize) -> Result<usize, SketchError> {
        let count = self.number()?;
        match usize::try_from(count) {
            Ok(count) if count.saturating_mul(bytes_each) <= self.0.len() => Ok(count),
            _ => Err(SketchError::Damaged("samples claim more than their bytes hold")),
        }
    }
}

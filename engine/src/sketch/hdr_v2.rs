//! HdrHistogram V2 bytes, uncompressed: what the Java, C, Python and JavaScript libraries read.
//!
//! Big-endian header of 40 bytes (cookie, payload length, normalising offset 0, significant digits,
//! lowest 1, highest trackable, ratio 1.0), then zig-zag LEB128 counts, a negative number standing
//! for that many empty buckets. The highest trackable value is the smallest one that its array
//! needs for the largest value counted: equal content gives equal bytes.

use super::SketchError;
use super::hdr::{HdrSketch, Layout};

/// V2 encoding cookie with the word-size nibble that the reference writes.
const COOKIE: u32 = 0x1c84_9303 | 0x10;
const COOKIE_BASE: u32 = 0x1c84_9303;
const HEADER_BYTES: usize = 40;
/// More buckets than any layout has; a stored index beyond it is damage, not data.
pub(super) const BUCKETS_MAX: usize = 1 << 16;

impl HdrSketch {
    /// The canonical V2 bytes.
    pub fn to_v2(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(64);
        let (mut next, mut last) = (0, 0);
        for (index, count) in self.buckets() {
            match index - next {
                0 => {}
                // A single empty bucket is a plain zero in the reference's encoder.
                1 => put_zigzag(&mut payload, 0),
                gap => put_zigzag(&mut payload, -(gap as i64)),
            }
            put_zigzag(&mut payload, i64::try_from(count).unwrap_or(i64::MAX));
            next = index + 1;
            last = index;
        }
        let layout = self.layout();
        let highest = layout.highest_equivalent(layout.array_len(layout.highest_equivalent(last)) - 1);
        let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
        bytes.extend(COOKIE.to_be_bytes());
        bytes.extend((payload.len() as u32).to_be_bytes());
        bytes.extend(0u32.to_be_bytes());
        bytes.extend(u32::from(self.digits()).to_be_bytes());
        bytes.extend(1u64.to_be_bytes());
        bytes.extend(highest.min(i64::MAX as u64).to_be_bytes());
        bytes.extend(1f64.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    /// Reads V2 bytes, ours or another library's with lowest value 1.
    pub fn from_v2(bytes: &[u8]) -> Result<Self, SketchError> {
        let (layout, payload) = read_header(bytes)?;
        let mut sketch = Self::with_layout(layout);
        sketch.add_payload(payload)?;
        Ok(sketch)
    }

    /// Adds the counts of V2 bytes without building a second histogram.
    pub fn merge_v2(&mut self, bytes: &[u8]) -> Result<(), SketchError> {
        let (layout, payload) = read_header(bytes)?;
        if layout != self.layout() {
            return Err(SketchError::Layout(self.digits(), layout.digits));
        }
        self.add_payload(payload)
    }

    fn add_payload(&mut self, mut payload: &[u8]) -> Result<(), SketchError> {
        let mut index = 0usize;
        while !payload.is_empty() {
            let number = take_zigzag(&mut payload)?;
            if number > 0 {
                if index >= BUCKETS_MAX {
                    return Err(SketchError::Damaged("a bucket beyond the largest value"));
                }
                self.add(index, number.unsigned_abs());
                index += 1;
            } else {
                let gap = usize::try_from(number.unsigned_abs().max(1)).unwrap_or(usize::MAX);
                index = index.saturating_add(gap);
            }
        }
        Ok(())
    }
}

fn read_header(bytes: &[u8]) -> Result<(Layout, &[u8]), SketchError> {
    let word = |at: usize| -> Result<u32, SketchError> {
        let four = bytes.get(at..at + 4).ok_or(SketchError::Truncated("histogram header"))?;
        Ok(u32::from_be_bytes(four.try_into().map_err(|_| SketchError::Truncated("histogram header"))?))
    };
    // The nibble tells the word size of other encodings; V2 counts are LEB128 whatever it says.
    if word(0)? & !0xf0 != COOKIE_BASE {
        return Err(SketchError::Unknown(format!("histogram cookie {:#x}", word(0)?)));
    }
    if word(8)? != 0 {
        return Err(SketchError::Unknown("histogram with a normalising offset".into()));
    }
    let digits = u8::try_from(word(12)?).unwrap_or(u8::MAX);
    if (word(16)?, word(20)?) != (0, 1) {
        return Err(SketchError::Unknown("histogram whose lowest value is not 1".into()));
    }
    let length = word(4)? as usize;
    let payload = bytes.get(HEADER_BYTES..).ok_or(SketchError::Truncated("histogram header"))?;
    let payload = payload.get(..length).ok_or(SketchError::Truncated("histogram counts"))?;
    Ok((Layout::new(digits)?, payload))
}

/// Zig-zag LEB128 as HdrHistogram defines it: at most nine bytes, the ninth carrying eight bits.
fn put_zigzag(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    for _ in 0..8 {
        if rest < 0x80 {
            out.push(rest as u8);
            return;
        }
        out.push((rest as u8) | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn take_zigzag(input: &mut &[u8]) -> Result<i64, SketchError> {
    let mut value = 0u64;
    for position in 0..9 {
        let (&byte, rest) = input.split_first().ok_or(SketchError::Truncated("histogram counts"))?;
        *input = rest;
        if position == 8 {
            value |= u64::from(byte) << 56;
            break;
        }
        value |= u64::from(byte & 0x7f) << (7 * position);
        if byte & 0x80 == 0 {
            break;
        }
    }
    Ok(((value >> 1) as i64) ^ -((value & 1) as i64))
}

//! The bytes of a set of samples. Whole bytes rather than bits: Parquet compresses them once more, and
//! repeated differences of regular series then take next to nothing.

use super::varint::{Reader, put, put_signed};
use crate::sketch::SketchError;

/// First byte.
const VERSION: u8 = 1;
/// Values as XOR with the one before.
const XOR: u8 = 0xff;
/// Most digits after the point that are looked for.
const DIGITS_MAX: u8 = 9;
/// Powers of ten, exact in a float.
const POWERS: [f64; 10] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
/// Up to here every integer is a float.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Writes samples that ascend strictly by time.
pub(super) fn write(floats: &[(i64, f64)], histograms: &[(i64, Box<[u8]>)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(16 + floats.len() * 4 + histograms.iter().map(|h| h.1.len() + 4).sum::<usize>());
    out.push(VERSION);
    put(&mut out, floats.len() as u64);
    if !floats.is_empty() {
        write_times(&mut out, floats.iter().map(|f| f.0));
        write_values(&mut out, floats);
    }
    put(&mut out, histograms.len() as u64);
    if !histograms.is_empty() {
        write_times(&mut out, histograms.iter().map(|h| h.0));
        for (_, bytes) in histograms {
            put(&mut out, bytes.len() as u64);
            out.extend_from_slice(bytes);
        }
    }
    out
}

/// Appends the samples of `bytes`, strictly ascending by time within each list.
pub(super) fn read(
    bytes: &[u8],
    floats: &mut Vec<(i64, f64)>,
    histograms: &mut Vec<(i64, Box<[u8]>)>,
) -> Result<(), SketchError> {
    let mut reader = Reader(bytes);
    match reader.byte()? {
        VERSION => {}
        other => return Err(SketchError::Unknown(format!("samples of version {other}"))),
    }
    // A time and a value take a byte each.
    let count = reader.count(2)?;
    if count > 0 {
        let first = floats.len();
        read_times(&mut reader, count, |time_ms| floats.push((time_ms, 0.0)))?;
        read_values(&mut reader, &mut floats[first..])?;
    }
    let count = reader.count(2)?;
    if count > 0 {
        let first = histograms.len();
        read_times(&mut reader, count, |time_ms| histograms.push((time_ms, Box::default())))?;
        for (_, histogram) in &mut histograms[first..] {
            let length = reader.count(1)?;
            *histogram = reader.bytes(length)?.into();
        }
    }
    if reader.0.is_empty() { Ok(()) } else { Err(SketchError::Damaged("samples go on behind their end")) }
}

fn write_times(out: &mut Vec<u8>, mut times: impl Iterator<Item = i64>) {
    let Some(first) = times.next() else { return };
    put_signed(out, first);
    let (mut before, mut step) = (first, 0i64);
    for time in times {
        // Wrapping: any two times have a difference that leads from one to the other.
        let next = time.wrapping_sub(before);
        put_signed(out, next.wrapping_sub(step));
        (before, step) = (time, next);
    }
}

fn read_times(reader: &mut Reader<'_>, count: usize, mut each: impl FnMut(i64)) -> Result<(), SketchError> {
    let mut time = reader.signed()?;
    let mut step = 0i64;
    each(time);
    for _ in 1..count {
        step = step.wrapping_add(reader.signed()?);
        let next = time.wrapping_add(step);
        if next <= time {
            return Err(SketchError::Damaged("times of samples do not ascend"));
        }
        time = next;
        each(time);
    }
    Ok(())
}

/// Values that the stream of differences leaves out: they would spoil it for their neighbours.
fn is_special(value: f64) -> bool {
    !value.is_finite() || (value == 0.0 && value.is_sign_negative())
}

fn write_values(out: &mut Vec<u8>, floats: &[(i64, f64)]) {
    let ordinary = || floats.iter().map(|f| f.1).filter(|v| !is_special(*v));
    match digits(ordinary()) {
        Some(digits) => {
            out.push(digits);
            let mut before = 0i64;
            for &(_, value) in floats {
                let mantissa = if is_special(value) { before } else { mantissa(value, digits) as i64 };
                put_signed(out, mantissa - before);
                before = mantissa;
            }
        }
        None => {
            out.push(XOR);
            let mut before = 0u64;
            for &(_, value) in floats {
                let bits = if is_special(value) { before } else { value.to_bits() };
                write_xor(out, bits ^ before);
                before = bits;
            }
        }
    }
    put(out, floats.iter().filter(|f| is_special(f.1)).count() as u64);
    let mut next = 0;
    for (at, &(_, value)) in floats.iter().enumerate().filter(|(_, f)| is_special(f.1)) {
        put(out, (at - next) as u64);
        out.extend_from_slice(&value.to_le_bytes());
        next = at + 1;
    }
}

fn read_values(reader: &mut Reader<'_>, floats: &mut [(i64, f64)]) -> Result<(), SketchError> {
    match reader.byte()? {
        XOR => {
            let mut bits = 0u64;
            for (_, value) in floats.iter_mut() {
                bits ^= read_xor(reader)?;
                *value = f64::from_bits(bits);
            }
        }
        digits if digits <= DIGITS_MAX => {
            let (mut mantissa, power) = (0i64, POWERS[usize::from(digits)]);
            for (_, value) in floats.iter_mut() {
                mantissa = mantissa.wrapping_add(reader.signed()?);
                *value = mantissa as f64 / power;
            }
        }
        other => return Err(SketchError::Unknown(format!("values of samples in form {other}"))),
    }
    let (specials, mut next) = (reader.count(9)?, 0usize);
    for _ in 0..specials {
        let gap = usize::try_from(reader.number()?).unwrap_or(usize::MAX);
        next = next.saturating_add(gap);
        let place = floats.get_mut(next).ok_or(SketchError::Damaged("a value without a time"))?;
        place.1 = reader.float()?;
        next += 1;
    }
    Ok(())
}

/// Fewest digits after the point with which all values are decimals, bit for bit.
fn digits(values: impl Iterator<Item = f64> + Clone) -> Option<u8> {
    let mut digits = 0;
    for value in values.clone() {
        while !is_decimal(value, digits) {
            digits += 1;
            if digits > DIGITS_MAX {
                return None;
            }
        }
    }
    // More digits leave less room for the whole part.
    values.clone().all(|value| is_decimal(value, digits)).then_some(digits)
}

fn is_decimal(value: f64, digits: u8) -> bool {
    let mantissa = mantissa(value, digits);
    mantissa.abs() <= EXACT_MAX && mantissa / POWERS[usize::from(digits)] == value
}

fn mantissa(value: f64, digits: u8) -> f64 {
    (value * POWERS[usize::from(digits)]).round()
}

/// Leading zero bytes and number of bytes in one byte, then these bytes; a zero is one zero byte.
fn write_xor(out: &mut Vec<u8>, xor: u64) {
    if xor == 0 {
        return out.push(0);
    }
    let (leading, trailing) = (xor.leading_zeros() / 8, xor.trailing_zeros() / 8);
    let count = 8 - leading - trailing;
    out.push((leading << 4 | count) as u8);
    out.extend_from_slice(&(xor >> (8 * trailing)).to_le_bytes()[..count as usize]);
}

fn read_xor(reader: &mut Reader<'_>) -> Result<u64, SketchError> {
    let head = reader.byte()?;
    if head == 0 {
        return Ok(0);
    }
    let (leading, count) = (usize::from(head >> 4), usize::from(head & 0xf));
    if leading + count > 8 || count == 0 {
        return Err(SketchError::Damaged("a value of a sample is wider than a float"));
    }
    let mut bytes = [0; 8];
    bytes[..count].copy_from_slice(reader.bytes(count)?);
    Ok(u64::from_le_bytes(bytes) << (8 * (8 - leading - count)))
}

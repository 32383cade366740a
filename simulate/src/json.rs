//! A JSON writer that appends to a byte buffer: no tree, no allocation but the buffer's.

#[cfg(test)]
mod tests;

use crate::ids::Named;

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// An open JSON object. Times are written through the clock of whoever tells them, which may be wrong
/// by `clock_error_us`.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    out: &'a mut Vec<u8>,
    clock_error_us: i64,
    is_empty: bool,
}

/// Appends an object whose members `members` writes.
pub(crate) fn object(out: &mut Vec<u8>, clock_error_us: i64, members: impl FnOnce(&mut Object<'_>)) {
    out.push(b'{');
    members(&mut Object { out, clock_error_us, is_empty: true });
    out.push(b'}');
}

impl Object<'_> {
    pub fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        write_text(self.out, value);
    }

    /// A text of three parts.
    pub fn joined(&mut self, name: &str, first: &str, separator: &str, last: &str) {
        self.name(name);
        self.out.push(b'"');
        for part in [first, separator, last] {
            write_characters(self.out, part);
        }
        self.out.push(b'"');
    }

    pub fn named(&mut self, name: &str, id: Named) {
        self.name(name);
        self.out.push(b'"');
        id.write(self.out);
        self.out.push(b'"');
    }

    /// A text of digits, filled up with zeros.
    pub fn padded(&mut self, name: &str, value: u32, width: u32) {
        self.name(name);
        self.out.push(b'"');
        write_padded(self.out, i64::from(value), width);
        self.out.push(b'"');
    }

    pub fn optional_text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    pub fn integer(&mut self, name: &str, value: i64) {
        self.name(name);
        write_integer(self.out, value);
    }

    /// A number with digits after the point: `decimal("x", 1234, 3)` writes 1.234.
    pub fn decimal(&mut self, name: &str, scaled: i64, digits: u32) {
        self.name(name);
        if scaled < 0 {
            self.out.push(b'-');
        }
        let one = 10u64.pow(digits);
        write_integer(self.out, (scaled.unsigned_abs() / one) as i64);
        self.out.push(b'.');
        write_padded(self.out, (scaled.unsigned_abs() % one) as i64, digits);
    }

    pub fn boolean(&mut self, name: &str, value: bool) {
        self.name(name);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// RFC 3339 in UTC with milliseconds.
    pub fn time(&mut self, name: &str, time_us: i64) {
        self.name(name);
        self.out.push(b'"');
        write_time(self.out, time_us + self.clock_error_us);
        self.out.push(b'"');
    }

    /// The day of that time in UTC, as in 2026-03-14.
    pub fn date(&mut self, name: &str, time_us: i64) {
        self.name(name);
        self.out.push(b'"');
        write_date(self.out, time_us + self.clock_error_us);
        self.out.push(b'"');
    }

    pub fn object(&mut self, name: &str, members: impl FnOnce(&mut Object<'_>)) {
        self.name(name);
        object(self.out, self.clock_error_us, members);
    }

    /// An array of objects, one for each item.
    pub fn objects<T>(&mut self, name: &str, items: &[T], members: impl Fn(&T, &mut Object<'_>)) {
        self.name(name);
        self.out.push(b'[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            object(self.out, self.clock_error_us, |o| members(item, o));
        }
        self.out.push(b']');
    }

    fn name(&mut self, name: &str) {
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
        write_text(self.out, name);
        self.out.push(b':');
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    write_characters(out, text);
    out.push(b'"');
}

fn write_characters(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..=0x1f => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
            _ => out.push(byte),
        }
    }
}

fn write_integer(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    let mut digits = [0u8; 20];
    let mut start = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

fn write_date(out: &mut Vec<u8>, time_us: i64) {
    let (year, month, day) = civil_date(time_us.div_euclid(MICROS_PER_DAY));
    write_padded(out, year, 4);
    out.push(b'-');
    write_padded(out, month, 2);
    out.push(b'-');
    write_padded(out, day, 2);
}

fn write_time(out: &mut Vec<u8>, time_us: i64) {
    let millis = time_us.rem_euclid(MICROS_PER_DAY) / 1000;
    write_date(out, time_us);
    out.push(b'T');
    write_padded(out, millis / 3_600_000, 2);
    out.push(b':');
    write_padded(out, millis / 60_000 % 60, 2);
    out.push(b':');
    write_padded(out, millis / 1000 % 60, 2);
    out.push(b'.');
    write_padded(out, millis % 1000, 3);
    out.push(b'Z');
}

fn write_padded(out: &mut Vec<u8>, value: i64, width: u32) {
    for position in (0..width).rev() {
        out.push(b'0' + (value / 10i64.pow(position) % 10) as u8);
    }
}

/// Year, month and day of a day counted from 1970-01-01, by the era method: in years that begin in
/// March the leap day comes last, and 400 of them (an era) always have 146,097 days.
fn civil_date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

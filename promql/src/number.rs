//! Numbers as Prometheus writes and reads them: Go's `%g`, Go's `%f` with the shortest digits, Go's literals.

use std::fmt::Write;

/// The shortest decimal text that reads back as `value`, never with an exponent: how Prometheus writes a
/// sample in JSON and a value of `count_values`.
pub fn plain(value: f64) -> String {
    let mut text = String::new();
    push_plain(&mut text, value);
    text
}

/// Writes the same behind a text.
pub fn push_plain(text: &mut String, value: f64) {
    // Up to here every whole number is one of its own; from here on no number lies halfway between two
    // decimal texts of one length, so the standard library's choice is Go's.
    const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
    let magnitude = value.abs();
    let written = if let Some(special) = special(value) {
        text.push_str(&special);
        Ok(())
    } else if magnitude >= WHOLE_MAX || magnitude == 0.0 {
        write!(text, "{value}")
    } else if value.fract() == 0.0 {
        write!(text, "{}", value as i64)
    } else if magnitude >= 1e-4 {
        text.push_str(ryu::Buffer::new().format_finite(value));
        Ok(())
    } else {
        let (digits, exponent) = shortest(magnitude);
        let sign = if value < 0.0 { "-" } else { "" };
        write!(text, "{sign}0.{:0>width$}", digits, width = digits.len() + exponent.unsigned_abs() as usize - 1)
    };
    // A text takes everything.
    debug_assert!(written.is_ok());
}

/// Go's `%g` with the shortest digits: an exponent is written below 1e-4 and from 1e6 on.
pub fn general(value: f64) -> String {
    if let Some(text) = special(value) {
        return text;
    }
    if value == 0.0 || (1e-4..1e6).contains(&value.abs()) {
        return plain(value);
    }
    let (digits, power) = shortest(value.abs());
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    let minus = if value < 0.0 { "-" } else { "" };
    let sign = if power < 0 { '-' } else { '+' };
    format!("{minus}{first}{point}{rest}e{sign}{:02}", power.abs())
}

/// The fewest digits that read back as a positive number, the nearest to it of as many, the even one of two
/// as near, which is Go's choice and not the standard library's (3407313496732.65625 is …6562, not …6563);
/// and the power of ten of the first digit.
fn shortest(value: f64) -> (String, i32) {
    let mut buffer = ryu::Buffer::new();
    let text = buffer.format_finite(value);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = [whole, fraction].concat();
    let zeros = all.len() - all.trim_start_matches('0').len();
    let power = exponent.parse().unwrap_or(0) + whole.len() as i32 - 1 - zeros as i32;
    (all.trim_matches('0').to_string(), power)
}

fn special(value: f64) -> Option<String> {
    if value.is_nan() {
        Some("NaN".to_string())
    } else if value == f64::INFINITY {
        Some("+Inf".to_string())
    } else if value == f64::NEG_INFINITY {
        Some("-Inf".to_string())
    } else {
        None
    }
}

/// Reads a number literal: decimal with optional exponent, `0x…`, `0b…`, `0o…`, leading-zero octal, `_`
/// between digits, `Inf` and `NaN` in any case. `None` when the text is none of these.
pub fn parse(text: &str) -> Option<f64> {
    let (negative, body) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let value = unsigned(body)?;
    Some(if negative { -value } else { value })
}

fn unsigned(body: &str) -> Option<f64> {
    if body.eq_ignore_ascii_case("inf") {
        return Some(f64::INFINITY);
    }
    if body.eq_ignore_ascii_case("nan") {
        return Some(f64::NAN);
    }
    let first = *body.as_bytes().first()?;
    if !(first.is_ascii_digit() || first == b'.') {
        return None;
    }
    if let Some(value) = integer(body) {
        return Some(value);
    }
    let digits = without_underscores(body)?;
    if digits.bytes().any(|byte| !(byte.is_ascii_digit() || b".eE+-".contains(&byte))) {
        return None;
    }
    digits.parse().ok()
}

fn integer(body: &str) -> Option<f64> {
    let lower = body.to_ascii_lowercase();
    let (radix, digits) = if let Some(rest) = lower.strip_prefix("0x") {
        (16, rest)
    } else if let Some(rest) = lower.strip_prefix("0b") {
        (2, rest)
    } else if let Some(rest) = lower.strip_prefix("0o") {
        (8, rest)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, &lower[1..])
    } else {
        (10, lower.as_str())
    };
    let digits = without_underscores(digits.strip_prefix('_').unwrap_or(digits))?;
    i64::from_str_radix(&digits, radix).ok().filter(|_| !digits.starts_with(['+', '-'])).map(|value| value as f64)
}

/// Underscores may only stand between two digits.
fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let between =
            at > 0 && bytes[at - 1].is_ascii_hexdigit() && bytes.get(at + 1).is_some_and(u8::is_ascii_hexdigit);
        if *byte == b'_' && !between {
            return None;
        }
    }
    Some(text.replace('_', ""))
}

#[cfg(test)]
mod tests;

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
    // Up to here every whole number is one of its own.
    const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
    let magnitude = value.abs();
    let written = if let Some(special) = special(value) {
        text.push_str(&special);
        Ok(())
    } else if magnitude > 0.0 && magnitude < WHOLE_MAX && value.fract() == 0.0 {
        write!(text, "{}", value as i64)
    } else if (1e-4..1e15).contains(&magnitude) {
        text.push_str(ryu::Buffer::new().format_finite(value));
        Ok(())
    } else {
        write!(text, "{value}")
    };
    // A text takes everything.
    debug_assert!(written.is_ok());
}

/// Go's `%g` with the shortest digits: an exponent is written below 1e-4 and from 1e6 on.
pub fn general(value: f64) -> String {
    if let Some(text) = special(value) {
        return text;
    }
    let scientific = format!("{value:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let power: i32 = exponent.parse().unwrap_or(0);
    if !(-4..6).contains(&power) {
        let sign = if power < 0 { '-' } else { '+' };
        format!("{mantissa}e{sign}{:02}", power.abs())
    } else {
        format!("{value}")
    }
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

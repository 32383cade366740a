//! Durations as PromQL writes them: `1h30m`, whole numbers with units from years down to milliseconds.

/// Units in the order they must appear, with their milliseconds. A year is 365 days.
const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Milliseconds of a duration such as `1d12h` or `0`; units may be left out but not repeated or reordered.
///
/// # Errors
/// A sentence for the user when the text is no duration or does not fit.
pub fn parse(text: &str) -> Result<i64, String> {
    if text == "0" {
        return Ok(0);
    }
    if text.is_empty() {
        return Err("empty duration string".to_string());
    }
    let wrong = || format!("not a valid duration string: {text:?}");
    let (mut rest, mut units, mut total) = (text, &UNITS[..], 0_i64);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest[digits..].bytes().take_while(u8::is_ascii_alphabetic).count();
        let count: i64 = rest[..digits].parse().map_err(|_| wrong())?;
        let unit = &rest[digits..digits + letters];
        let at = units.iter().position(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let added = count.checked_mul(units[at].1).and_then(|added| total.checked_add(added));
        total = added.filter(|total| *total <= i64::MAX / 1_000_000).ok_or("duration out of range")?;
        units = &units[at + 1..];
        rest = &rest[digits + letters..];
    }
    Ok(total)
}

/// The shortest exact text of a duration of `milliseconds`, as Prometheus formats it: weeks and years only
/// when nothing remains, so that `90d` stays `90d`.
pub fn format(milliseconds: i64) -> String {
    if milliseconds == 0 {
        return "0s".to_string();
    }
    let mut text = if milliseconds < 0 { "-".to_string() } else { String::new() };
    let mut rest = milliseconds.unsigned_abs();
    for (unit, width) in UNITS {
        let width = width.unsigned_abs();
        let exact_only = matches!(unit, "y" | "w");
        let count = rest / width;
        if count == 0 || exact_only && !rest.is_multiple_of(width) {
            continue;
        }
        text.push_str(&format!("{count}{unit}"));
        rest -= count * width;
    }
    text
}

#[cfg(test)]
mod tests;

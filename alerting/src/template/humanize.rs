//! Numbers for people: the `humanize…` functions of Prometheus' templates.

use super::clock_time::Time;
use super::print::significant;

const LARGE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const LARGE_1024: [&str; 8] = ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];
const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];

fn grown(mut value: f64, base: f64, prefixes: &[&'static str]) -> (f64, &'static str) {
    let mut prefix = "";
    for next in prefixes {
        if value.abs() < base {
            break;
        }
        prefix = next;
        value /= base;
    }
    (value, prefix)
}

fn shrunk(mut value: f64) -> (f64, &'static str) {
    let mut prefix = "";
    for next in SMALL {
        if value.abs() >= 1.0 {
            break;
        }
        prefix = next;
        value *= 1000.0;
    }
    (value, prefix)
}

/// `1.234M`, `12.3m`: four digits and a metric prefix.
pub fn humanize(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return significant(value, 4);
    }
    let (value, prefix) = if value.abs() >= 1.0 { grown(value, 1000.0, &LARGE) } else { shrunk(value) };
    format!("{}{prefix}", significant(value, 4))
}

/// `1.5Mi`: four digits and a binary prefix.
pub fn humanize_1024(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        return significant(value, 4);
    }
    let (value, prefix) = grown(value, 1024.0, &LARGE_1024);
    format!("{}{prefix}", significant(value, 4))
}

/// Seconds as `1d 2h 3m 4s`, `1.235s`, `12ms`.
pub fn duration(value: f64) -> String {
    if !value.is_finite() {
        return significant(value, 4);
    }
    if value == 0.0 {
        return format!("{}s", significant(value, 4));
    }
    if value.abs() < 1.0 {
        let (value, prefix) = shrunk(value);
        return format!("{}{prefix}s", significant(value, 4));
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let value = value.abs();
    let whole = value as i64;
    let (days, hours, minutes, seconds) = (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60, whole % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{sign}{}s", significant(value, 4)),
        (0, 0, _) => format!("{sign}{minutes}m {seconds}s"),
        (0, ..) => format!("{sign}{hours}h {minutes}m {seconds}s"),
        _ => format!("{sign}{days}d {hours}h {minutes}m {seconds}s"),
    }
}

/// A ratio as `12.34%`.
pub fn percentage(value: f64) -> String {
    format!("{}%", significant(value * 100.0, 4))
}

/// Seconds since the Unix epoch as a date and time.
pub fn timestamp(value: f64) -> Result<String, String> {
    if value.is_finite() { Ok(instant(value)?.to_string()) } else { Ok(significant(value, 4)) }
}

/// Seconds since the Unix epoch as an instant.
///
/// # Errors
/// A sentence when the number is no time that can be represented.
pub fn instant(value: f64) -> Result<Time, String> {
    let nanoseconds = value * 1e9;
    if !nanoseconds.is_finite() || nanoseconds.abs() >= i64::MAX as f64 {
        return Err(format!(
            "{} cannot be represented as a nanoseconds timestamp since it overflows int64",
            significant(nanoseconds, 17)
        ));
    }
    // Prometheus knows times to the millisecond.
    Ok(Time::from_milliseconds(nanoseconds as i64 / 1_000_000))
}

//! `Retry-After` (RFC 9110, section 10.2.3): seconds or a date.

use crate::clock::millis;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Earliest time of the next try, milliseconds since the epoch; `None` if the value says nothing.
///
/// A date is read against the answer's own `Date` if it has one, so that a receiver whose clock is wrong
/// still gets the wait it means. Slack and others send fractions of seconds: they are taken, rounded up.
pub fn parse_retry_after(value: &str, date: Option<&str>, now_ms: i64) -> Option<i64> {
    let value = value.trim();
    if value.bytes().next()?.is_ascii_digit() && value.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        let seconds: f64 = value.parse().ok()?;
        // Rounded up to whole milliseconds.
        let wait = Duration::try_from_secs_f64((seconds * 1_000.0).ceil() / 1_000.0).unwrap_or(Duration::MAX);
        return Some(now_ms.saturating_add(millis(wait)));
    }
    let at_ms = since_epoch_ms(httpdate::parse_http_date(value).ok()?);
    let skew_ms = date.and_then(|date| httpdate::parse_http_date(date).ok()).map_or(0, |d| now_ms - since_epoch_ms(d));
    Some(at_ms.saturating_add(skew_ms))
}

fn since_epoch_ms(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, millis)
}

#[cfg(test)]
mod tests;

//! Event time: instants and window arithmetic in microseconds since the epoch, UTC.

/// Microseconds in a second.
pub const SECOND_US: i64 = 1_000_000;

/// Microseconds in a minute.
pub const MINUTE_US: i64 = 60 * SECOND_US;
/// Microseconds in an hour.
pub const HOUR_US: i64 = 60 * MINUTE_US;
/// Microseconds in a day of UTC.
pub const DAY_US: i64 = 24 * HOUR_US;

/// Narrowest window a rollup may have.
pub const PANE_MIN_US: i64 = SECOND_US;
/// Widest window a rollup may have; wider ones are merges of panes.
pub const PANE_MAX_US: i64 = 15 * 60 * SECOND_US;

/// Inclusive start of the half-open window of width `pane_us` that holds `time_us`.
///
/// Euclidean, so that instants before the epoch fall into the right window too.
#[inline]
pub fn window_start(time_us: i64, pane_us: i64) -> i64 {
    time_us.saturating_sub(time_us.rem_euclid(pane_us))
}

/// The short name of a width: `10s`, `1m`, `1h`, `1d`, or microseconds when it is not whole seconds.
pub fn width_name(pane_us: i64) -> String {
    let units = [(DAY_US, 'd'), (HOUR_US, 'h'), (MINUTE_US, 'm'), (SECOND_US, 's')];
    match units.iter().find(|(unit, _)| pane_us % unit == 0) {
        Some((unit, letter)) => format!("{}{letter}", pane_us / unit),
        None => format!("{pane_us}us"),
    }
}

/// Reads an RFC 3339 instant; digits beyond microseconds are cut off. `None` when it is not one.
///
/// A leap second (`:60`) counts as the first instant of the next minute.
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let digits = |at: usize, len: usize| -> Option<i64> {
        bytes.get(at..at + len)?.iter().try_fold(0i64, |n, &b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
    };
    let is = |at: usize, any: &[u8]| bytes.get(at).is_some_and(|b| any.contains(b));
    if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":")) {
        return None;
    }
    let (year, month, day) = (digits(0, 4)?, digits(5, 2)?, digits(8, 2)?);
    let (hour, minute, second) = (digits(11, 2)?, digits(14, 2)?, digits(17, 2)?);
    if hour > 23
        || minute > 59
        || second > 60
        || !(1..=12).contains(&month)
        || !(1..=days_in(year, month)).contains(&day)
    {
        return None;
    }
    let mut at = 19;
    let mut micros = 0i64;
    if is(at, b".") {
        let fraction = bytes.get(at + 1..)?.iter().take_while(|b| b.is_ascii_digit()).count();
        if fraction == 0 {
            return None;
        }
        let kept = fraction.min(6);
        micros = digits(at + 1, kept)? * 10i64.pow(6 - kept as u32);
        at += 1 + fraction;
    }
    let offset_minutes = match bytes.get(at)? {
        b'Z' | b'z' if bytes.len() == at + 1 => 0,
        sign @ (b'+' | b'-') if bytes.len() == at + 6 && is(at + 3, b":") => {
            let (h, m) = (digits(at + 1, 2)?, digits(at + 4, 2)?);
            if h > 23 || m > 59 {
                return None;
            }
            (h * 60 + m) * if *sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset_minutes * 60;
    Some(seconds * SECOND_US + micros)
}

/// Writes an instant as RFC 3339 in UTC: whole seconds, or as many digits more as it has.
pub fn format_rfc3339(time_us: i64) -> String {
    let (days, of_day) = (time_us.div_euclid(DAY_US), time_us.rem_euclid(DAY_US));
    let (year, month, day) = civil_from_days(days);
    let (hour, minute, second) = (of_day / HOUR_US, of_day % HOUR_US / MINUTE_US, of_day % MINUTE_US / SECOND_US);
    let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    match of_day % SECOND_US {
        0 => format!("{text}Z"),
        micros => format!("{text}.{}Z", format!("{micros:06}").trim_end_matches('0')),
    }
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 (H. Hinnant, "chrono-compatible low-level date algorithms").
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`], from the same source.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests;

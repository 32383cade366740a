//! Declared rhythms as people write them.
//!
//! | text | is |
//! |---|---|
//! | `every 3h`, `every 1h30m` | an event at least every so long, of open time |
//! | `40 per 1h`, `0.5 per 1d` | so many events in so much open time; a day is 24 open hours |

use super::{Declared, HOURS_MAX};
use crate::zone::HOUR_MS;
use std::str::FromStr;

/// In the order in which they follow each other, with their milliseconds.
const UNITS: [(&str, i64); 4] = [("d", 24 * HOUR_MS), ("h", HOUR_MS), ("m", 60_000), ("s", 1_000)];

/// A text that is no rhythm.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a rhythm such as 'every 3h' or '40 per 1h', of less than 28d, found '{0}'")]
pub struct BadRhythm(String);

impl FromStr for Declared {
    type Err = BadRhythm;

    fn from_str(text: &str) -> Result<Self, BadRhythm> {
        read(text.trim()).ok_or_else(|| BadRhythm(text.to_owned()))
    }
}

fn read(text: &str) -> Option<Declared> {
    if let Some(gap) = text.strip_prefix("every ") {
        return duration_ms(gap).map(Declared::EveryMs);
    }
    let (count, time) = text.split_once(" per ")?;
    let count: f64 = count.trim().parse().ok().filter(|count: &f64| count.is_finite() && *count > 0.0)?;
    Some(Declared::PerHour(count * HOUR_MS as f64 / duration_ms(time)? as f64))
}

/// More than nothing, and less than silence is followed for.
fn duration_ms(text: &str) -> Option<i64> {
    let (mut rest, mut units, mut total_ms) = (text.trim(), &UNITS[..], 0_i64);
    while !rest.is_empty() {
        let (count, after) = rest.split_at(rest.find(|character: char| !character.is_ascii_digit())?);
        let (at, (unit, unit_ms)) = units.iter().enumerate().find(|(_, (unit, _))| after.starts_with(*unit))?;
        total_ms = total_ms.checked_add(count.parse::<i64>().ok()?.checked_mul(*unit_ms)?)?;
        units = units.get(at + 1..)?;
        rest = after.strip_prefix(*unit)?;
    }
    (1..HOURS_MAX * HOUR_MS).contains(&total_ms).then_some(total_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rhythms_are_read_as_they_are_written() {
        let minute_ms = 60_000;
        for (text, rhythm) in [
            ("every 3h", Declared::EveryMs(180 * minute_ms)),
            (" every 1h30m ", Declared::EveryMs(90 * minute_ms)),
            ("every 27d23h59m59s", Declared::EveryMs(28 * 24 * HOUR_MS - 1_000)),
            ("40 per 1h", Declared::PerHour(40.0)),
            ("40 per 30m", Declared::PerHour(80.0)),
            ("0.6 per 1d", Declared::PerHour(0.025)),
        ] {
            assert_eq!(text.parse(), Ok(rhythm), "{text}");
        }
    }

    #[test]
    fn what_is_no_rhythm_is_said() {
        for text in [
            "",
            "3h",
            "every",
            "every 0s",
            "every 3",
            "every h",
            "every 3h3h",
            "every 90ms",
            "every 30m 1h",
            "every 28d",
            "every -3h",
            "every 99999999999999999999h",
            "per 1h",
            "0 per 1h",
            "-1 per 1h",
            "inf per 1h",
            "NaN per 1h",
            "40 per",
            "40 per hour",
            "40/h",
        ] {
            let said = text.parse::<Declared>().unwrap_err().to_string();
            assert!(said.contains("'40 per 1h'") && said.ends_with(&format!("found '{text}'")), "{said}");
        }
    }
}

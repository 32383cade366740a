//! When something is open: hours of each weekday by the clock of its zone, less its holidays.

mod text;

pub use text::BadText;

use crate::zone::Zone;
use chrono::{DateTime, Datelike, Duration, LocalResult, NaiveDate, NaiveDateTime, TimeZone};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Longest time that is looked at once: beyond, spans end.
pub const DAYS_MAX: i64 = 400;
const MINUTES_OF_DAY: u16 = 1440;

/// Local minutes of a day, from inclusive, to exclusive; 1440 is midnight. Hours over midnight are two spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hours {
    /// Minutes since midnight at which it opens.
    pub from_minute: u16,
    /// Minutes since midnight at which it closes.
    pub to_minute: u16,
}

/// Opening hours and holidays. The default is always open, in UTC.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Calendar {
    /// Whose clock and days.
    pub zone: Zone,
    /// Hours of Monday to Sunday; without them, the whole day.
    pub week: Option<[Vec<Hours>; 7]>,
    /// Local days on which it is closed.
    #[serde(with = "dates")]
    pub holidays: BTreeSet<NaiveDate>,
}

/// Hours that are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected opening hours from before to, at most 1440 minutes after midnight, found {from_minute} to {to_minute}: \
     hours over midnight are written as two, until 1440 and from 0"
)]
pub struct BadHours {
    from_minute: u16,
    to_minute: u16,
}

impl Calendar {
    /// Always open, except for holidays, which are added.
    pub fn always(zone: Zone) -> Self {
        Self { zone, ..Self::default() }
    }

    /// Refuses hours that are none.
    ///
    /// # Errors
    /// [`BadHours`] names the first.
    pub fn check(&self) -> Result<(), BadHours> {
        let bad = |hours: &&Hours| hours.from_minute >= hours.to_minute || hours.to_minute > MINUTES_OF_DAY;
        match self.week.iter().flatten().flatten().find(bad) {
            Some(&Hours { from_minute, to_minute }) => Err(BadHours { from_minute, to_minute }),
            None => Ok(()),
        }
    }

    /// Whether it is open at this moment.
    pub fn is_open(&self, at_ms: i64) -> bool {
        !self.open_spans(at_ms, at_ms + 1).is_empty()
    }

    /// Milliseconds it is open in `[from_ms, to_ms)`.
    pub fn open_ms(&self, from_ms: i64, to_ms: i64) -> i64 {
        self.open_spans(from_ms, to_ms).iter().map(|(from, to)| to - from).sum()
    }

    /// When it opens next, if it is closed now and opens within [`DAYS_MAX`].
    pub fn opens_ms(&self, at_ms: i64) -> Option<i64> {
        // Nearly always it is within the next week.
        let first = |days: i64| self.open_spans(at_ms, at_ms + days * 86_400_000).first().copied();
        first(7).or_else(|| first(DAYS_MAX)).map(|(from, _)| from).filter(|from| *from > at_ms)
    }

    /// The open part of `[from_ms, to_ms)` as half-open spans in order. A day has the hours that its clock shows:
    /// an hour that a clock repeats is open twice, one that it skips is not there.
    pub fn open_spans(&self, from_ms: i64, to_ms: i64) -> Vec<(i64, i64)> {
        if from_ms >= to_ms {
            return Vec::new();
        }
        if self.week.is_none() && self.holidays.is_empty() {
            return vec![(from_ms, to_ms)];
        }
        let whole = [Hours { from_minute: 0, to_minute: MINUTES_OF_DAY }];
        let mut spans: Vec<(i64, i64)> = Vec::new();
        let (first, last) = (self.day(from_ms), self.day(to_ms - 1));
        for day in first.iter_days().take(DAYS_MAX as usize).take_while(|day| *day <= last) {
            if self.holidays.contains(&day) {
                continue;
            }
            let weekday = day.weekday().num_days_from_monday() as usize;
            let hours = self.week.as_ref().map_or(&whole[..], |week| week.get(weekday).map_or(&[], |hours| hours));
            for hours in hours {
                let open = self.instant(day, hours.from_minute, Side::Opening).max(from_ms);
                let close = self.instant(day, hours.to_minute, Side::Closing).min(to_ms);
                match spans.last_mut() {
                    Some(before) if before.1 == open && open < close => before.1 = close,
                    _ if open < close => spans.push((open, close)),
                    _ => {}
                }
            }
        }
        spans
    }

    fn day(&self, at_ms: i64) -> NaiveDate {
        DateTime::from_timestamp_millis(at_ms).unwrap_or_default().with_timezone(&self.zone.0).date_naive()
    }

    fn instant(&self, day: NaiveDate, minute: u16, side: Side) -> i64 {
        let local = day.and_time(chrono::NaiveTime::MIN) + Duration::minutes(i64::from(minute));
        match (self.zone.0.from_local_datetime(&local), side) {
            (LocalResult::Single(at), _)
            | (LocalResult::Ambiguous(at, _), Side::Opening)
            | (LocalResult::Ambiguous(_, at), Side::Closing) => at.timestamp_millis(),
            (LocalResult::None, _) => self.skipped(local),
        }
    }

    /// The moment at which clocks skipped this time.
    fn skipped(&self, local: NaiveDateTime) -> i64 {
        let utc_ms = local.and_utc().timestamp_millis();
        let day_ms = 86_400_000;
        // Between a day before and a day after the offset grows once: find where.
        let (mut before, mut after) = (utc_ms - day_ms, utc_ms + day_ms);
        let offset = self.zone.offset_ms(before);
        while after - before > 1 {
            let middle = before + (after - before) / 2;
            if self.zone.offset_ms(middle) == offset {
                before = middle;
            } else {
                after = middle;
            }
        }
        after
    }
}

#[derive(Debug, Clone, Copy)]
enum Side {
    Opening,
    Closing,
}

/// Dates as `2026-12-25`.
mod dates {
    use super::{BTreeSet, NaiveDate};
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(dates: &BTreeSet<NaiveDate>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(dates.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<NaiveDate>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        let date = |text: String| {
            text.parse().map_err(|_| de::Error::custom(format!("expected a date such as 2026-12-25, found '{text}'")))
        };
        texts.into_iter().map(date).collect()
    }
}

#[cfg(test)]
mod tests;

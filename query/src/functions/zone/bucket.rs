//! Where a bucket begins. Months count from January 2000, days from Monday, 3 January 2000, as
//! TimescaleDB's `time_bucket` does; shorter widths from local midnight of 1 January 1970.

use arrow::array::timezone::Tz;
use arrow::datatypes::IntervalMonthDayNano;
use chrono::{DateTime, Datelike, Days, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone};
use datafusion::common::{Result, exec_err};
use tidewatch_engine::time::DAY_US;

/// A Monday.
const DAY_ORIGIN: (i32, u32, u32) = (2000, 1, 3);
const YEAR_ORIGIN: i32 = 2000;
/// Clocks that are put forward skip at most so much, in steps that rules are made of.
const GAP_STEP: TimeDelta = TimeDelta::minutes(15);
const GAP_STEPS_MAX: usize = 4 * 24;

/// Width of a bucket: of one unit only, for a month and 3 days have no fixed length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Width {
    Months(i32),
    Days(i32),
    Micros(i64),
}

impl Width {
    pub fn of(interval: IntervalMonthDayNano) -> Result<Self> {
        match (interval.months, interval.days, interval.nanoseconds) {
            (months @ 1.., 0, 0) => Ok(Self::Months(months)),
            (0, days @ 1.., 0) => Ok(Self::Days(days)),
            (0, 0, nanos) if nanos >= 1000 && nanos % 1000 == 0 => Ok(Self::Micros(nanos / 1000)),
            _ => exec_err!(
                "the width of time_bucket is a positive number of months, of days, or of hours, minutes and seconds, not a mixture"
            ),
        }
    }

    /// The same as [`Self::start_of`] in UTC, for buckets that are all equally long: no calendar is needed.
    pub fn in_utc(self) -> Option<impl Fn(i64) -> i64> {
        let (origin, width) = match self {
            Self::Micros(width) => (0, width),
            // 3 January 2000.
            Self::Days(days) => (10_959 * DAY_US, i64::from(days).checked_mul(DAY_US)?),
            Self::Months(_) => return None,
        };
        Some(move |time_us: i64| time_us.wrapping_sub(time_us.wrapping_sub(origin).rem_euclid(width)))
    }

    /// Start of the bucket that holds an instant, both in microseconds since the epoch; the calendar is that
    /// of the zone, or UTC.
    pub fn start_of(self, time_us: i64, zone: Option<&Tz>) -> Option<i64> {
        let local = DateTime::from_timestamp_micros(local_us(time_us, zone)?)?.naive_utc();
        let date = local.date();
        match self {
            // The offset of the instant itself: the hour that clocks show twice is two buckets.
            Self::Micros(width) => {
                let local_us = local.and_utc().timestamp_micros();
                time_us.checked_sub(local_us.rem_euclid(width))
            }
            Self::Days(days) => {
                let (year, month, day) = DAY_ORIGIN;
                let since = date.signed_duration_since(NaiveDate::from_ymd_opt(year, month, day)?).num_days();
                let back = since.rem_euclid(i64::from(days));
                midnight(date.checked_sub_days(Days::new(back.unsigned_abs()))?, zone)
            }
            Self::Months(months) => {
                let since = (date.year() - YEAR_ORIGIN) * 12 + date.month0() as i32;
                let first = since - since.rem_euclid(months);
                let year = YEAR_ORIGIN + first.div_euclid(12);
                midnight(NaiveDate::from_ymd_opt(year, first.rem_euclid(12) as u32 + 1, 1)?, zone)
            }
        }
    }
}

impl Width {
    /// The starts of all buckets that hold an instant of `[from_us, to_us)`, oldest first. `None`: there are
    /// more than `count_max`.
    pub fn starts(self, from_us: i64, to_us: i64, zone: Option<&Tz>, count_max: usize) -> Option<Vec<i64>> {
        let mut starts: Vec<i64> = Vec::new();
        let mut at = from_us;
        while at < to_us {
            let Some(start) = self.start_of(at, zone) else { break };
            if starts.last() != Some(&start) {
                if starts.len() >= count_max {
                    return None;
                }
                starts.push(start);
            }
            // An instant within the next bucket, or still in this one, never beyond: days are an hour longer or
            // shorter at most, months have 28 to 31 days, and clocks change by quarters of an hour.
            let ahead = match self {
                Self::Days(days) => start.checked_add(i64::from(days).checked_mul(DAY_US)?.checked_add(DAY_US / 2)?)?,
                Self::Months(months) => {
                    start.checked_add(i64::from(months).checked_mul(31 * DAY_US)?.checked_add(DAY_US / 2)?)?
                }
                Self::Micros(width) => match zone {
                    None => start.checked_add(width)?,
                    Some(_) => at.checked_add(width.min(GAP_STEP.num_microseconds()?))?,
                },
            };
            // The last bucket may begin before the end and be jumped over.
            at = match ahead < to_us || at >= to_us - 1 {
                true => ahead,
                false => to_us - 1,
            };
        }
        Some(starts)
    }
}

/// What clocks show at an instant, in microseconds as if they showed UTC.
pub(crate) fn local_us(time_us: i64, zone: Option<&Tz>) -> Option<i64> {
    let Some(zone) = zone else { return Some(time_us) };
    let utc = DateTime::from_timestamp_micros(time_us)?.naive_utc();
    let offset = i64::from(zone.offset_from_utc_datetime(&utc).fix().local_minus_utc());
    time_us.checked_add(offset * 1_000_000)
}

/// The first instant of a day.
fn midnight(date: NaiveDate, zone: Option<&Tz>) -> Option<i64> {
    let mut local: NaiveDateTime = date.and_time(NaiveTime::MIN);
    let Some(zone) = zone else { return Some(local.and_utc().timestamp_micros()) };
    for _ in 0..GAP_STEPS_MAX {
        match zone.from_local_datetime(&local) {
            LocalResult::Single(instant) => return Some(instant.timestamp_micros()),
            LocalResult::Ambiguous(first, _) => return Some(first.timestamp_micros()),
            // Clocks were put forward at midnight: the day begins after the gap.
            LocalResult::None => local = local.checked_add_signed(GAP_STEP)?,
        }
    }
    None
}

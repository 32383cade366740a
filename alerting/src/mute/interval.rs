//! A time interval of the calendar: times of day, weekdays, days of the month, months and years in a zone.

use std::fmt;

use chrono::{DateTime, Datelike, Timelike};
use chrono_tz::Tz;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::scalar::from_text;
use crate::route::alert::Timestamp;

const WEEKDAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// An instant is inside when every part that is given contains it. A part given as an empty list contains nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimeInterval {
    /// Times of day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<Vec<TimeRange>>,
    /// Days of the week.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weekdays: Option<Vec<Range<Weekday>>>,
    /// Days of the month; negative ones count from its end, −1 being the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days_of_month: Option<Vec<Range<DayOfMonth>>>,
    /// Months.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub months: Option<Vec<Range<Month>>>,
    /// Years.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub years: Option<Vec<Range<Year>>>,
    /// Zone of all of them; UTC, when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
}

impl TimeInterval {
    /// Whether `instant` is inside.
    pub fn contains(&self, instant: Timestamp) -> bool {
        let zone = self.location.map_or(Tz::UTC, |location| location.0);
        self.contains_local(&instant.with_timezone(&zone))
    }

    fn contains_local(&self, local: &DateTime<Tz>) -> bool {
        fn within<T: Member>(ranges: Option<&Vec<Range<T>>>, value: i32) -> bool {
            ranges.is_none_or(|ranges| ranges.iter().any(|range| range.begin <= value && value <= range.end))
        }
        let number = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
        let minute = local.hour() * 60 + local.minute();
        let in_times = |times: &Vec<TimeRange>| times.iter().any(|range| range.start <= minute && minute < range.end);
        let last = number(days_in_month(local.year(), local.month()));
        let in_days = |ranges: &Vec<Range<DayOfMonth>>| {
            let from_start = |day: i32| if day < 0 { last + day + 1 } else { day };
            ranges.iter().any(|range| {
                let (begin, end) = (from_start(range.begin), from_start(range.end));
                begin <= last && (begin..=end).contains(&number(local.day()))
            })
        };
        self.times.as_ref().is_none_or(in_times)
            && self.days_of_month.as_ref().is_none_or(in_days)
            && within(self.months.as_ref(), number(local.month()))
            && within(self.weekdays.as_ref(), number(local.weekday().num_days_from_sunday()))
            && within(self.years.as_ref(), local.year())
    }
}

/// Days of a month of the Gregorian calendar. Counted by dates, not by hours, so that a change of the clocks within the
/// month does not shorten it.
fn days_in_month(year: i32, month: u32) -> u32 {
    let (next_year, next_month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    chrono::NaiveDate::from_ymd_opt(next_year, next_month, 1)
        .and_then(|next| next.pred_opt())
        .map_or(31, |day| day.day())
}

/// Minutes of a day, `[start, end)`; the end may be 24:00.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// Minutes since midnight, inclusive.
    pub start: u32,
    /// Minutes since midnight, exclusive, up to 1440.
    pub end: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTimes {
    #[serde(default)]
    start_time: String,
    #[serde(default)]
    end_time: String,
}

/// Minutes since midnight of `HH:MM`, from `00:00` to `24:00`.
///
/// # Errors
/// What is wrong with the text.
pub fn parse_minutes(text: &str) -> Result<u32, String> {
    let wrong = || format!("couldn't parse timestamp {text}, invalid format, expected HH:MM");
    let (hours, minutes) = text.split_once(':').ok_or_else(wrong)?;
    let number = |part: &str| {
        let two = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        if two { part.parse::<u32>().map_err(|_| wrong()) } else { Err(wrong()) }
    };
    match (number(hours)?, number(minutes)?) {
        (hours @ 0..=23, minutes @ 0..=59) => Ok(hours * 60 + minutes),
        (24, 0) => Ok(1440),
        _ => Err(wrong()),
    }
}

impl<'de> Deserialize<'de> for TimeRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let WrittenTimes { start_time, end_time } = WrittenTimes::deserialize(deserializer)?;
        if start_time.is_empty() || end_time.is_empty() {
            return Err(D::Error::custom("both start and end times must be provided"));
        }
        let start = parse_minutes(&start_time).map_err(D::Error::custom)?;
        let end = parse_minutes(&end_time).map_err(D::Error::custom)?;
        if start >= end {
            return Err(D::Error::custom("start time cannot be equal or greater than end time"));
        }
        Ok(Self { start, end })
    }
}

impl Serialize for TimeRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = |minutes: u32| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        WrittenTimes { start_time: written(self.start), end_time: written(self.end) }.serialize(serializer)
    }
}

/// What a range of the calendar is made of.
pub trait Member {
    /// The number of a name or of digits.
    ///
    /// # Errors
    /// What is wrong with the text, in small letters.
    fn number(text: &str) -> Result<i32, String>;

    /// Refuses ranges that make no sense.
    ///
    /// # Errors
    /// Why not.
    fn check(begin: i32, end: i32) -> Result<(), String>;

    /// As it is written.
    fn name(number: i32) -> String {
        number.to_string()
    }
}

/// From `begin` to `end`, both inclusive; written `monday:friday` or `monday`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range<T> {
    /// First.
    pub begin: i32,
    /// Last.
    pub end: i32,
    kind: std::marker::PhantomData<T>,
}

impl<'de, T: Member> Deserialize<'de> for Range<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "a range such as monday:friday or 1:5", |text| {
            let text = text.to_lowercase();
            let mut parts = text.split(':');
            let (first, second, more) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
            if more.is_some() {
                return Err(format!("couldn't parse range {text}, invalid format"));
            }
            let begin = T::number(first)?;
            let end = second.map_or(Ok(begin), T::number)?;
            T::check(begin, end)?;
            Ok(Self { begin, end, kind: std::marker::PhantomData })
        })
    }
}

impl<T: Member> Serialize for Range<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.begin == self.end {
            return serializer.serialize_str(&T::name(self.begin));
        }
        serializer.serialize_str(&format!("{}:{}", T::name(self.begin), T::name(self.end)))
    }
}

/// Days of the week, Sunday being 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weekday;

/// Days of the month, from 1 or from −1 backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayOfMonth;

/// Months, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Month;

/// Years.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Year;

fn named(names: &[&str], text: &str) -> Option<i32> {
    names.iter().position(|name| *name == text).and_then(|at| i32::try_from(at).ok())
}

fn name_of(names: &[&str], number: i32) -> String {
    usize::try_from(number).ok().and_then(|at| names.get(at)).map_or_else(|| number.to_string(), ToString::to_string)
}

fn integer(text: &str, what: &str) -> Result<i32, String> {
    text.parse().map_err(|_| format!("{text} is not a valid {what}"))
}

impl Member for Weekday {
    fn number(text: &str) -> Result<i32, String> {
        named(&WEEKDAYS, text).ok_or_else(|| format!("{text} is not a valid weekday"))
    }

    fn check(begin: i32, end: i32) -> Result<(), String> {
        if begin > end { Err("start day cannot be before end day: Sunday comes first".to_string()) } else { Ok(()) }
    }

    fn name(number: i32) -> String {
        name_of(&WEEKDAYS, number)
    }
}

impl Member for DayOfMonth {
    fn number(text: &str) -> Result<i32, String> {
        integer(text, "day of the month")
    }

    fn check(begin: i32, end: i32) -> Result<(), String> {
        for day in [begin, end] {
            if day == 0 || !(-31..=31).contains(&day) {
                return Err(format!("{day} is not a valid day of the month: out of range"));
            }
        }
        if begin < 0 && end > 0 {
            return Err("end day must be negative if start day is negative".to_string());
        }
        // With the 28 days that every month has.
        let from_start = |day: i32| if day < 0 { 28 + day } else { day };
        if from_start(begin) > from_start(end) {
            return Err(format!("end day {end} is always before start day {begin}"));
        }
        Ok(())
    }
}

impl Member for Month {
    fn number(text: &str) -> Result<i32, String> {
        named(&MONTHS, text).map_or_else(|| integer(text, "month"), |month| Ok(month + 1))
    }

    fn check(begin: i32, end: i32) -> Result<(), String> {
        if begin > end { Err("end month is before start month".to_string()) } else { Ok(()) }
    }

    fn name(number: i32) -> String {
        name_of(&MONTHS, number - 1)
    }
}

impl Member for Year {
    fn number(text: &str) -> Result<i32, String> {
        integer(text, "year")
    }

    fn check(begin: i32, end: i32) -> Result<(), String> {
        if begin > end { Err(format!("end year {end} is before start year {begin}")) } else { Ok(()) }
    }
}

/// A time zone of the IANA database.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Location(pub Tz);

impl fmt::Debug for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.name())
    }
}

impl<'de> Deserialize<'de> for Location {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "a time zone such as Europe/Berlin", |text| match text {
            "" => Ok(Self(Tz::UTC)),
            text => {
                text.parse().map(Self).map_err(|_| format!("unknown time zone {text}, expected such as Europe/Berlin"))
            }
        })
    }
}

impl Serialize for Location {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

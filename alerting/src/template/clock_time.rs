//! Instants in a zone, printed with Go's layouts.

use chrono::{DateTime, Datelike, Offset, TimeZone, Timelike, Utc};
use chrono_tz::Tz;

/// An instant in a time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(DateTime<Tz>);

impl Time {
    /// The instant `nanoseconds` after the Unix epoch, in UTC.
    pub fn from_nanoseconds(nanoseconds: i64) -> Time {
        Time(DateTime::<Utc>::from_timestamp_nanos(nanoseconds).with_timezone(&Tz::UTC))
    }

    /// The instant `milliseconds` after the Unix epoch, in UTC; the epoch itself beyond what calendars hold.
    pub fn from_milliseconds(milliseconds: i64) -> Time {
        let time = DateTime::<Utc>::from_timestamp_millis(milliseconds).unwrap_or_default();
        Time(time.with_timezone(&Tz::UTC))
    }

    /// The same instant in the zone named as in the IANA database.
    ///
    /// # Errors
    /// A sentence naming the zone that is not known.
    pub fn in_zone(self, name: &str) -> Result<Time, String> {
        let zone = if name.is_empty() { Ok(Tz::UTC) } else { name.parse::<Tz>() };
        zone.map(|zone| Time(self.0.with_timezone(&zone))).map_err(|_| format!("unknown time zone {name}"))
    }

    /// Seconds since the Unix epoch.
    pub fn unix(self) -> i64 {
        self.0.timestamp()
    }

    /// Milliseconds since the Unix epoch.
    pub fn unix_milliseconds(self) -> i64 {
        self.0.timestamp_millis()
    }

    /// The instant as Go's layout asks: an example of the reference time `Mon Jan 2 15:04:05 MST 2006`.
    pub fn format(self, layout: &str) -> String {
        let mut out = String::new();
        let mut rest = layout;
        while let Some(first) = rest.chars().next() {
            if let Some(length) = self.fraction(rest, &mut out) {
                rest = &rest[length..];
            } else if let Some((pattern, text)) = self.part(rest) {
                out.push_str(&text);
                rest = &rest[pattern.len()..];
            } else {
                out.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        out
    }

    /// `.000` and `.999` after seconds.
    fn fraction(self, rest: &str, out: &mut String) -> Option<usize> {
        let separator = rest.chars().next().filter(|first| matches!(first, '.' | ','))?;
        let digit = rest[1..].chars().next().filter(|digit| matches!(digit, '0' | '9'))?;
        let length = rest[1..].chars().take_while(|next| *next == digit).count();
        if rest[1 + length..].starts_with(|next: char| next.is_ascii_digit()) {
            return None;
        }
        let digits = format!("{:09}", self.0.nanosecond() % 1_000_000_000);
        let mut digits = &digits[..length.min(9)];
        if digit == '9' {
            digits = digits.trim_end_matches('0');
        }
        if !digits.is_empty() {
            out.push(separator);
            out.push_str(digits);
        }
        Some(1 + length)
    }

    fn part(self, rest: &str) -> Option<(&'static str, String)> {
        let time = &self.0;
        let hour = time.hour12().1;
        let offset = time.offset().fix().local_minus_utc();
        let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.abs() / 60);
        // Longer patterns first.
        const PATTERNS: [&str; 33] = [
            "January",
            "Jan",
            "Monday",
            "Mon",
            "MST",
            "2006",
            "-07:00:00",
            "-070000",
            "-07:00",
            "-0700",
            "-07",
            "Z07:00:00",
            "Z070000",
            "Z07:00",
            "Z0700",
            "Z07",
            "002",
            "01",
            "02",
            "03",
            "04",
            "05",
            "06",
            "__2",
            "_2006",
            "_2",
            "15",
            "PM",
            "pm",
            "1",
            "2",
            "3",
            "4",
        ];
        let found = PATTERNS.iter().find(|pattern| rest.starts_with(**pattern));
        let pattern: &'static str = match found {
            Some(pattern) => pattern,
            None if rest.starts_with('5') => "5",
            None => return None,
        };
        // "Month" is no month.
        if pattern == "Mon" && rest[3..].starts_with(|next: char| next.is_ascii_lowercase())
            || pattern == "Jan" && rest[3..].starts_with(|next: char| next.is_ascii_lowercase())
        {
            return None;
        }
        let zulu = |text: String| if offset == 0 { "Z".to_string() } else { text };
        let text = match pattern {
            "January" => time.format("%B").to_string(),
            "Jan" => time.format("%b").to_string(),
            "Monday" => time.format("%A").to_string(),
            "Mon" => time.format("%a").to_string(),
            "MST" => time.format("%Z").to_string(),
            "2006" => format!("{:04}", time.year()),
            "_2006" => format!("_{:04}", time.year()),
            "06" => format!("{:02}", time.year().rem_euclid(100)),
            "002" => format!("{:03}", time.ordinal()),
            "__2" => format!("{:>3}", time.ordinal()),
            "01" => format!("{:02}", time.month()),
            "1" => time.month().to_string(),
            "02" => format!("{:02}", time.day()),
            "_2" => format!("{:>2}", time.day()),
            "2" => time.day().to_string(),
            "15" => format!("{:02}", time.hour()),
            "03" => format!("{hour:02}"),
            "3" => hour.to_string(),
            "04" => format!("{:02}", time.minute()),
            "4" => time.minute().to_string(),
            "05" => format!("{:02}", time.second()),
            "5" => time.second().to_string(),
            "PM" => if time.hour() < 12 { "AM" } else { "PM" }.to_string(),
            "pm" => if time.hour() < 12 { "am" } else { "pm" }.to_string(),
            "-07:00:00" => format!("{sign}{:02}:{:02}:{:02}", minutes / 60, minutes % 60, offset.abs() % 60),
            "-070000" => format!("{sign}{:02}{:02}{:02}", minutes / 60, minutes % 60, offset.abs() % 60),
            "-07:00" => format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60),
            "-0700" => format!("{sign}{:02}{:02}", minutes / 60, minutes % 60),
            "-07" => format!("{sign}{:02}", minutes / 60),
            "Z07:00:00" | "Z07:00" => zulu(format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)),
            "Z070000" | "Z0700" => zulu(format!("{sign}{:02}{:02}", minutes / 60, minutes % 60)),
            _ => zulu(format!("{sign}{:02}", minutes / 60)),
        };
        Some((pattern, text))
    }

    /// A method of Go's `time.Time`, as templates call them.
    pub(crate) fn method(self, name: &str, args: &[super::Value]) -> Option<Result<super::Value, String>> {
        use super::Value;
        let number = |value: u32| Value::Int(i64::from(value));
        Some(Ok(match name {
            "Format" => match args {
                [Value::Text(layout)] => Value::text(self.format(layout)),
                _ => return Some(Err("wrong number of args for Format: want 1 text".to_string())),
            },
            "Unix" => Value::Int(self.unix()),
            "UnixMilli" => Value::Int(self.unix_milliseconds()),
            "UTC" => Value::Time(Time(self.0.with_timezone(&Tz::UTC))),
            "String" => Value::text(self.to_string()),
            "Year" => Value::Int(i64::from(self.0.year())),
            "Day" => number(self.0.day()),
            "Hour" => number(self.0.hour()),
            "Minute" => number(self.0.minute()),
            "Second" => number(self.0.second()),
            "YearDay" => number(self.0.ordinal()),
            "Month" => Value::text(self.0.format("%B").to_string()),
            "Weekday" => Value::text(self.0.format("%A").to_string()),
            _ => return None,
        }))
    }
}

/// As Go prints a time without a monotonic reading: `2015-12-14 20:02:35.5 +0000 UTC`.
impl std::fmt::Display for Time {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.format("2006-01-02 15:04:05.999999999 -0700 MST"))
    }
}

/// A civil time in `zone`; `None` when there is no such time there.
pub fn civil(zone: &str, date: (i32, u32, u32), time: (u32, u32, u32)) -> Option<Time> {
    let zone: Tz = zone.parse().ok()?;
    zone.with_ymd_and_hms(date.0, date.1, date.2, time.0, time.1, time.2).earliest().map(Time)
}

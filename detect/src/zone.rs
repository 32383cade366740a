//! Hours of the week as clocks show them.

use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Tz;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Milliseconds of an hour.
pub const HOUR_MS: i64 = 3_600_000;

/// An IANA zone, such as `America/New_York`; serialised by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Zone(pub Tz);

impl Zone {
    /// UTC.
    pub const UTC: Zone = Zone(Tz::UTC);

    /// The zone of this name.
    ///
    /// # Errors
    /// Names that the IANA database does not have.
    pub fn named(name: &str) -> Result<Self, UnknownZone> {
        name.parse().map(Zone).map_err(|_| UnknownZone(name.to_owned()))
    }

    /// Local time minus UTC, in milliseconds. Times that no calendar reaches have the offset of 1970.
    pub fn offset_ms(self, at_ms: i64) -> i64 {
        let at = DateTime::from_timestamp_millis(at_ms).unwrap_or_default();
        i64::from(self.0.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc()) * 1000
    }

    /// Which hour, counted from 1970 in UTC, shows the clock of `hour` so many `days` before.
    /// Where clocks change by half an hour, the nearer of two.
    pub(crate) fn hour_days_before(self, hour: i64, days: i64) -> i64 {
        let same = hour - days * 24;
        if self.0 == Tz::UTC {
            return same;
        }
        let moved_ms = self.offset_ms(hour * HOUR_MS) - self.offset_ms(same * HOUR_MS);
        same + (moved_ms + HOUR_MS / 2).div_euclid(HOUR_MS)
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self::UTC
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::named(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// A zone that the IANA database does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected the name of an IANA time zone such as 'Europe/Berlin', found '{0}'")]
pub struct UnknownZone(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_clock_a_day_before_is_23_or_25_hours_away_where_clocks_change() {
        let zone = Zone::named("America/New_York").unwrap();
        // 2026-03-08 07:00 UTC: clocks jump from 2 to 3.
        let noon = DateTime::parse_from_rfc3339("2026-03-08T12:00:00-04:00").unwrap().timestamp() / 3600;
        assert_eq!(noon - zone.hour_days_before(noon, 1), 23);
        assert_eq!(noon - zone.hour_days_before(noon, 7), 167);
        let noon = DateTime::parse_from_rfc3339("2026-11-01T12:00:00-05:00").unwrap().timestamp() / 3600;
        assert_eq!(noon - zone.hour_days_before(noon, 1), 25);
        assert_eq!(Zone::UTC.hour_days_before(noon, 1), noon - 24);
        assert!(Zone::named("Mars/Base").is_err());
    }
}

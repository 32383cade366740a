//! Days and hours of a time zone, as multiples of something in UTC.

use arrow::array::timezone::Tz;
use chrono::{DateTime, Offset, TimeZone};
use tidewatch_engine::time::{DAY_US, SECOND_US};

/// Offsets are looked at so often; no zone keeps one for a shorter time.
const STEP_US: i64 = 7 * DAY_US;
/// From 1970 to 2100: what lies outside is not asked for in hours of a zone.
const STEPS: i64 = 131 * 366 / 7;

/// The largest width of which a day and every offset of the zone is a multiple: 1 h for most, 30 min for
/// India, 15 min for Nepal. `None`: unknown zone.
pub(super) fn grain_us(zone: &str) -> Option<i64> {
    let zone: Tz = zone.parse().ok()?;
    let mut grain = DAY_US;
    for step in 0..STEPS {
        let instant = DateTime::from_timestamp_micros(step * STEP_US)?.naive_utc();
        let offset = zone.offset_from_utc_datetime(&instant).fix().local_minus_utc();
        grain = gcd(grain, i64::from(offset).abs() * SECOND_US);
    }
    Some(grain)
}

/// Greatest common divisor; with 0 the other one.
pub(super) fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidewatch_engine::time::{HOUR_US, MINUTE_US};

    #[test]
    fn grains_of_zones() {
        assert_eq!(grain_us("+02:00"), Some(2 * HOUR_US));
        // Names are known when arrow was built to know them.
        if "Europe/Berlin".parse::<Tz>().is_ok() {
            for (zone, grain) in [
                ("Europe/Berlin", HOUR_US),
                ("America/New_York", HOUR_US),
                ("Asia/Kolkata", 30 * MINUTE_US),
                ("Australia/Lord_Howe", 30 * MINUTE_US),
                ("Asia/Kathmandu", 15 * MINUTE_US),
            ] {
                assert_eq!(grain_us(zone), Some(grain), "{zone}");
            }
        }
        assert_eq!(grain_us("Europe/Atlantis"), None);
    }
}

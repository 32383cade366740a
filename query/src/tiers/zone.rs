//! Days and hours of a time zone, as multiples of something in UTC.

use arrow::array::timezone::Tz;
use chrono::{DateTime, Offset, TimeZone};
use tidewatch_engine::time::{DAY_US, MINUTE_US, SECOND_US};

/// Offsets are looked at so often; no zone keeps one for a shorter time.
const STEP_S: i64 = 7 * 86_400;
/// From 1972, when the last zone gave up its seconds, to 2100.
const FIRST_S: i64 = 2 * 365 * 86_400;
const LAST_S: i64 = 131 * 31_557_600;

/// What every zone since 1972 keeps to, whichever it is.
pub(super) const ANY_ZONE_US: i64 = MINUTE_US;

/// The largest width that a day, every offset of the zone and every change of it are multiples of: 1 h for
/// most, 30 min for India, 15 min for Nepal, a minute where clocks once changed at 00:01. `None`: unknown zone.
pub(super) fn grain_us(zone: &str) -> Option<i64> {
    let zone: Tz = zone.parse().ok()?;
    let offset = |at_s: i64| {
        let instant = DateTime::from_timestamp(at_s, 0)?.naive_utc();
        Some(i64::from(zone.offset_from_utc_datetime(&instant).fix().local_minus_utc()))
    };
    let (mut grain, mut at) = (DAY_US / SECOND_US, FIRST_S);
    let mut before = offset(at)?;
    grain = gcd(grain, before.abs());
    while at < LAST_S {
        let after = offset(at + STEP_S)?;
        if after != before {
            // The second at which clocks change.
            let (mut low, mut high) = (at, at + STEP_S);
            while high - low > 1 {
                let middle = low + (high - low) / 2;
                if offset(middle)? == before { low = middle } else { high = middle }
            }
            grain = gcd(gcd(grain, after.abs()), high);
        }
        (at, before) = (at + STEP_S, after);
    }
    Some(grain * SECOND_US)
}

/// Greatest common divisor; with 0 the other one.
pub(super) fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidewatch_engine::time::HOUR_US;

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

//! The rhythm of the day and of the week: how busy each hour (UTC) is.

const HOUR_US: i64 = 3_600_000_000;
const DAY_US: i64 = 24 * HOUR_US;

/// Business at the start of each hour in per cent of the day's mean; between two hours it changes
/// linearly. The quiet time is the American night, the peak its evening.
const HOURS: [u32; 24] =
    [150, 155, 150, 130, 105, 80, 62, 50, 44, 42, 46, 54, 66, 80, 92, 100, 106, 110, 114, 118, 124, 132, 142, 148];

/// Business at noon of each day, from Monday, in per cent of the week's mean; between two noons it
/// changes linearly. People buy at the weekend.
const DAYS: [u32; 7] = [92, 88, 90, 95, 105, 120, 110];

/// How busy that instant is, where 1 is about the mean of a week.
pub(crate) fn activity(time_us: i64) -> f64 {
    // 1970-01-01 was a Thursday.
    between(&HOURS, time_us, HOUR_US) / mean(&HOURS) * between(&DAYS, time_us - DAY_US / 2 + 3 * DAY_US, DAY_US)
        / mean(&DAYS)
}

/// The value of a table that repeats, at a time between two of its entries.
fn between(table: &[u32], time_us: i64, entry_us: i64) -> f64 {
    let length = table.len() as i64;
    let entry = time_us.div_euclid(entry_us).rem_euclid(length) as usize;
    let part = time_us.rem_euclid(entry_us) as f64 / entry_us as f64;
    let [this, next] = [table[entry], table[(entry + 1) % table.len()]].map(f64::from);
    this + (next - this) * part
}

fn mean(table: &[u32]) -> f64 {
    f64::from(table.iter().sum::<u32>()) / table.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_of_a_week_is_one() {
        let minutes = 7 * 24 * 60;
        let sum: f64 = (0..minutes).map(|minute| activity(minute * 60_000_000)).sum();
        assert!((sum / minutes as f64 - 1.0).abs() < 0.01, "{sum}");
    }

    #[test]
    fn the_evening_is_busier_than_the_night_and_saturday_than_tuesday() {
        assert!(activity(HOUR_US) > 3.0 * activity(9 * HOUR_US));
        assert_eq!(activity(-(6 * 24 + 23) * HOUR_US), activity(HOUR_US));
        // 1970-01-03 and 1970-01-06.
        assert!(activity(2 * DAY_US + DAY_US / 2) > 1.3 * activity(5 * DAY_US + DAY_US / 2));
    }
}

//! The rhythm of the day: how busy each hour of it (UTC) is.

const HOUR_US: i64 = 3_600_000_000;

/// Business at the start of each hour in per cent of the day's mean; between two hours it changes
/// linearly. The quiet time is the American night, the peak its evening.
const HOURS: [u32; 24] =
    [150, 155, 150, 130, 105, 80, 62, 50, 44, 42, 46, 54, 66, 80, 92, 100, 106, 110, 114, 118, 124, 132, 142, 148];

/// How busy that instant is, where 1 is the mean of a day.
pub(crate) fn activity(time_us: i64) -> f64 {
    let hour = time_us.div_euclid(HOUR_US).rem_euclid(24) as usize;
    let part = time_us.rem_euclid(HOUR_US) as f64 / HOUR_US as f64;
    let [this, next] = [HOURS[hour], HOURS[(hour + 1) % 24]].map(f64::from);
    (this + (next - this) * part) / MEAN
}

const MEAN: f64 = {
    let mut sum = 0;
    let mut hour = 0;
    while hour < HOURS.len() {
        sum += HOURS[hour];
        hour += 1;
    }
    sum as f64 / HOURS.len() as f64
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_of_a_day_is_one() {
        let minutes = 24 * 60;
        let sum: f64 = (0..minutes).map(|minute| activity(minute * 60_000_000)).sum();
        assert!((sum / minutes as f64 - 1.0).abs() < 1e-9, "{sum}");
    }

    #[test]
    fn the_evening_is_busier_than_the_night() {
        assert!(activity(HOUR_US) > 3.0 * activity(9 * HOUR_US));
        assert_eq!(activity(-23 * HOUR_US), activity(HOUR_US));
    }
}

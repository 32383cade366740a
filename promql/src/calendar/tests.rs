use super::{Civil, rfc3339};

#[test]
fn dates_around_leap_days_and_the_epoch() {
    for (seconds, text, day_of_year, day_of_week, days_in_month) in [
        (0, "1970-01-01T00:00:00Z", 1, 4, 31),
        (-1, "1969-12-31T23:59:59Z", 365, 3, 31),
        (1_456_790_399, "2016-02-29T23:59:59Z", 60, 1, 29),
        (1_456_790_400, "2016-03-01T00:00:00Z", 61, 2, 31),
        (1_483_191_420, "2016-12-31T13:37:00Z", 366, 6, 31),
        (951_782_400, "2000-02-29T00:00:00Z", 60, 2, 29),
        (-2_203_891_200, "1900-03-01T00:00:00Z", 60, 4, 31),
    ] {
        let civil = Civil::of(seconds);
        assert_eq!(rfc3339(seconds * 1000), text);
        assert_eq!(
            (civil.day_of_year, civil.day_of_week, civil.days_in_month()),
            (day_of_year, day_of_week, days_in_month)
        );
    }
}

use super::bucket::{Width, local_us};
use super::*;
use tidewatch_engine::time::{HOUR_US, format_rfc3339, parse_rfc3339};

fn us(text: &str) -> i64 {
    parse_rfc3339(text).unwrap()
}

fn start(width: Width, time: &str, zone: &str) -> String {
    format_rfc3339(width.start_of(us(time), Some(&zone.parse().unwrap())).unwrap())
}

#[test]
fn days_are_those_of_the_zone() {
    for (time, zone, expected) in [
        ("2026-03-14T22:59:59Z", "Europe/Berlin", "2026-03-13T23:00:00Z"),
        ("2026-03-14T23:00:00Z", "Europe/Berlin", "2026-03-14T23:00:00Z"),
        ("2026-07-14T21:59:59Z", "Europe/Berlin", "2026-07-13T22:00:00Z"),
        ("2026-03-14T04:00:00Z", "America/New_York", "2026-03-14T04:00:00Z"),
        ("2026-03-14T18:00:00Z", "Asia/Kathmandu", "2026-03-13T18:15:00Z"),
        ("2026-03-14T12:00:00Z", "+02:00", "2026-03-13T22:00:00Z"),
        // Midnight of 16 October 2016 did not exist there.
        ("2016-10-16T12:00:00Z", "America/Sao_Paulo", "2016-10-16T03:00:00Z"),
    ] {
        assert_eq!(start(Width::Days(1), time, zone), expected, "{time} {zone}");
    }
}

#[test]
fn days_have_23_and_25_hours_when_clocks_change() {
    let hours = |from: &str, to: &str| {
        let zone: Tz = "Europe/Berlin".parse().unwrap();
        let mut days: Vec<(String, usize)> = Vec::new();
        let mut time = us(from);
        while time < us(to) {
            let day = format_rfc3339(Width::Days(1).start_of(time, Some(&zone)).unwrap());
            match days.last_mut() {
                Some(last) if last.0 == day => last.1 += 1,
                _ => days.push((day, 1)),
            }
            time += HOUR_US;
        }
        days.into_iter().map(|d| d.1).collect::<Vec<_>>()
    };
    assert_eq!(hours("2026-03-27T23:00:00Z", "2026-03-30T22:00:00Z"), [24, 23, 24]);
    assert_eq!(hours("2026-10-23T22:00:00Z", "2026-10-26T23:00:00Z"), [24, 25, 24]);
}

#[test]
fn weeks_begin_on_mondays_and_months_on_the_first() {
    assert_eq!(start(Width::Days(7), "2026-03-15T12:00:00Z", "UTC"), "2026-03-09T00:00:00Z");
    assert_eq!(start(Width::Months(1), "2026-03-31T22:30:00Z", "Europe/Berlin"), "2026-03-31T22:00:00Z");
    assert_eq!(start(Width::Months(3), "1999-12-31T12:00:00Z", "UTC"), "1999-10-01T00:00:00Z");
    assert_eq!(start(Width::Micros(HOUR_US), "2026-03-14T12:20:00Z", "Asia/Kathmandu"), "2026-03-14T12:15:00Z");
}

#[test]
fn the_hour_that_clocks_show_twice_is_two_buckets() {
    let hour = Width::Micros(HOUR_US);
    assert_eq!(start(hour, "2026-10-25T00:30:00Z", "Europe/Berlin"), "2026-10-25T00:00:00Z");
    assert_eq!(start(hour, "2026-10-25T01:30:00Z", "Europe/Berlin"), "2026-10-25T01:00:00Z");
    let zone: Tz = "Europe/Berlin".parse().unwrap();
    assert_eq!(local_us(us("2026-10-25T00:30:00Z"), Some(&zone)), local_us(us("2026-10-25T01:30:00Z"), Some(&zone)));
}

#[tokio::test]
async fn the_zone_may_differ_from_row_to_row() {
    let (_folder, store) = crate::testing::store();
    let engine = crate::testing::engine(&store, Arc::new(crate::testing::FakeWorkers::default()));
    let sql = "SELECT zone, time_bucket(INTERVAL '1 day', TIMESTAMP '2026-03-14T23:30:00Z', zone) AS day,
                      date_part('hour', local_time(TIMESTAMP '2026-03-14T23:30:00Z', zone)) AS hour
               FROM (VALUES ('Europe/Berlin'), ('Nowhere/Land'), (NULL)) AS z(zone) ORDER BY zone";
    assert_eq!(
        crate::testing::csv(&engine, sql).await,
        "Europe/Berlin,2026-03-14T23:00:00.000000Z,0\nNowhere/Land,,\n,2026-03-14T00:00:00.000000Z,23\n"
    );
}

#[test]
fn without_a_calendar_buckets_of_utc_are_the_same() {
    let widths = [Width::Micros(1000), Width::Micros(7 * HOUR_US), Width::Days(1), Width::Days(7), Width::Days(10)];
    let times = ["1969-12-31T23:59:59.999999Z", "1970-01-01T00:00:00Z", "1999-12-26T12:00:00Z", "2026-03-15T12:00:00Z"];
    for width in widths {
        let fast = width.in_utc().unwrap();
        for time in times.map(us) {
            assert_eq!(Some(fast(time)), width.start_of(time, None), "{width:?} {time}");
        }
    }
}

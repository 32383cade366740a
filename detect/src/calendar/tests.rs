use super::*;

const HOUR: i64 = 3_600_000;

fn ms(text: &str) -> i64 {
    DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()
}

fn berlin(from_minute: u16, to_minute: u16) -> Calendar {
    let hours = vec![Hours { from_minute, to_minute }];
    let week = [hours.clone(), hours.clone(), hours.clone(), hours.clone(), hours, vec![], vec![]];
    Calendar { zone: Zone::named("Europe/Berlin").unwrap(), week: Some(week), ..Calendar::default() }
}

#[test]
fn hours_follow_the_clock_over_a_change_of_clocks() {
    let shop = berlin(9 * 60, 17 * 60);
    // 2026-03-27 is a Friday in winter time, 2026-03-30 a Monday in summer time.
    let spans = shop.open_spans(ms("2026-03-27T00:00:00+01:00"), ms("2026-03-31T00:00:00+02:00"));
    let expected = [
        (ms("2026-03-27T09:00:00+01:00"), ms("2026-03-27T17:00:00+01:00")),
        (ms("2026-03-30T09:00:00+02:00"), ms("2026-03-30T17:00:00+02:00")),
    ];
    assert_eq!(spans, expected);
    assert!(!shop.is_open(ms("2026-03-29T12:00:00+02:00")), "a Sunday");
    assert_eq!(shop.opens_ms(ms("2026-03-27T17:00:00+01:00")), Some(expected[1].0));
    assert_eq!(shop.opens_ms(ms("2026-03-27T16:59:59+01:00")), None, "it is open");
}

#[test]
fn days_of_23_and_25_hours_have_as_many() {
    let always = |day: &str| {
        // A holiday elsewhere makes it look at days at all.
        let holidays = ["2020-01-01".parse().unwrap()].into();
        let calendar = Calendar { zone: Zone::named("Europe/Berlin").unwrap(), holidays, ..Calendar::default() };
        let day: NaiveDate = day.parse().unwrap();
        let from = calendar.instant(day, 0, Side::Opening);
        calendar.open_ms(from, calendar.instant(day, MINUTES_OF_DAY, Side::Closing)) / HOUR
    };
    assert_eq!((always("2026-03-28"), always("2026-03-29"), always("2026-10-25")), (24, 23, 25));
}

#[test]
fn hours_that_a_clock_skips_or_repeats() {
    let sunday = |from_minute, to_minute| {
        let mut shop = berlin(0, 1);
        shop.week.as_mut().unwrap()[6] = vec![Hours { from_minute, to_minute }];
        shop
    };
    // From 02:30, which 2026-03-29 does not have, to 04:00: open from the jump at 03:00 on.
    let spring = sunday(150, 240).open_spans(ms("2026-03-29T00:00:00+01:00"), ms("2026-03-30T00:00:00+02:00"));
    assert_eq!(spring, [(ms("2026-03-29T03:00:00+02:00"), ms("2026-03-29T04:00:00+02:00"))]);
    // From 02:00 to 03:00, which 2026-10-25 has twice.
    let autumn = sunday(120, 180).open_spans(ms("2026-10-25T00:00:00+02:00"), ms("2026-10-26T00:00:00+01:00"));
    assert_eq!(autumn, [(ms("2026-10-25T02:00:00+02:00"), ms("2026-10-25T03:00:00+01:00"))]);
    assert_eq!(autumn[0].1 - autumn[0].0, 2 * HOUR);
}

#[test]
fn holidays_are_days_of_the_zone() {
    let mut shop = berlin(0, 1440);
    shop.holidays.insert("2026-12-25".parse().unwrap());
    // From 23:00 UTC on the 24th to 23:00 UTC on the 25th.
    assert!(shop.is_open(ms("2026-12-24T22:59:59Z")));
    assert!(!shop.is_open(ms("2026-12-24T23:00:00Z")));
    assert!(!shop.is_open(ms("2026-12-25T22:59:59Z")));
}

#[test]
fn a_calendar_is_read_as_written_and_bad_hours_are_refused() {
    let text = r#"{"zone": "Europe/Berlin", "week": [[{"from_minute": 540, "to_minute": 1020}],[],[],[],[],[],[]],
        "holidays": ["2026-12-25"]}"#;
    let calendar: Calendar = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::from_str::<Calendar>(&serde_json::to_string(&calendar).unwrap()).unwrap(), calendar);
    assert_eq!(calendar.check(), Ok(()));
    assert!(berlin(1320, 120).check().unwrap_err().to_string().contains("two, until 1440 and from 0"));
    let error = serde_json::from_str::<Calendar>(r#"{"holidays": ["25.12.2026"]}"#).unwrap_err().to_string();
    assert!(error.contains("2026-12-25"), "{error}");
}

fn hours(text: &str) -> Result<Vec<String>, String> {
    let mut calendar = Calendar::default();
    calendar.set_hours(text).map_err(|error| error.to_string())?;
    assert_eq!(calendar.check(), Ok(()), "{text}");
    let minute = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    let day = |hours: &Vec<Hours>| {
        let spans = hours.iter().map(|h| format!("{}-{}", minute(h.from_minute), minute(h.to_minute)));
        spans.collect::<Vec<_>>().join(",")
    };
    Ok(calendar.week.iter().flatten().map(day).collect())
}

#[test]
fn opening_hours_are_read_as_openstreetmap_writes_them() {
    let nine = "09:00-17:00";
    for (text, week) in [
        ("", vec![]),
        (" 24/7 ", vec![]),
        ("Mo-Fr 09:00-17:00", vec![nine, nine, nine, nine, nine, "", ""]),
        ("Mo-Fr 09:00-17:00; Sa 10:00-14:00", vec![nine, nine, nine, nine, nine, "10:00-14:00", ""]),
        ("09:00-17:00; We off", vec![nine, nine, "", nine, nine, nine, nine]),
        ("09:00-17:00; We,Sa-Mo closed", vec!["", nine, "", nine, nine, "", ""]),
        (
            "mo, tu 08:00-12:00, 13:00-17:00",
            vec!["08:00-12:00,13:00-17:00", "08:00-12:00,13:00-17:00", "", "", "", "", ""],
        ),
        ("Su 22:00-02:00", vec!["00:00-02:00", "", "", "", "", "", "22:00-24:00"]),
        ("22:00-24:00,00:00-01:00", vec!["00:00-01:00,22:00-24:00"; 7]),
        ("18:00-00:00", vec!["18:00-24:00"; 7]),
        ("Mo 09:00-12:00,11:00-15:00", vec!["09:00-15:00", "", "", "", "", "", ""]),
    ] {
        assert_eq!(hours(text), Ok(week.iter().map(ToString::to_string).collect()), "{text}");
    }
    for (text, hint) in [
        ("9-17", "09:00-17:00"),
        ("Mo-Fr", "hours are missing"),
        ("PH off", "holidays are dates"),
        ("Mo-Fr 09:00-25:00", "from 00:00 to 24:00"),
        ("Mo-Fr 09:00-09:00", "from 00:00 to 24:00"),
        ("Mon 09:00-17:00", "days are Mo, Tu"),
        ("Mo-Fr 09:00-17:00; Sa 10:61-12:00", "found 'Sa 10:61-12:00'"),
        ("always", "hours are missing"),
    ] {
        let error = hours(text).unwrap_err();
        assert!(error.contains(hint), "{text}: {error}");
    }
}

#[test]
fn holidays_are_read_as_dates() {
    let mut calendar = Calendar::default();
    calendar.set_holidays("2026-12-25, 2026-12-26,2027-01-01").unwrap();
    assert_eq!(calendar.holidays.len(), 3);
    assert!(calendar.set_holidays("25.12.2026").unwrap_err().to_string().contains("found '25.12.2026'"));
    calendar.set_holidays(" ").unwrap();
    assert!(calendar.holidays.is_empty());
}

use chrono::{DateTime, Utc};

use super::*;

fn interval(yaml: &str) -> TimeInterval {
    serde_yaml_ng::from_str(yaml).unwrap()
}

fn utc(text: &str) -> Timestamp {
    DateTime::parse_from_rfc3339(text).unwrap().with_timezone(&Utc)
}

#[test]
fn every_part_must_contain_the_instant() {
    for (yaml, inside, outside) in [
        (
            "times: [{start_time: '09:00', end_time: '17:00'}]",
            vec!["2026-03-04T09:00:00Z", "2026-03-04T16:59:59Z"],
            vec!["2026-03-04T17:00:00Z", "2026-03-04T08:59:59Z"],
        ),
        (
            "times: [{start_time: '22:00', end_time: '24:00'}]",
            vec!["2026-03-04T23:59:59Z"],
            vec!["2026-03-05T00:00:00Z"],
        ),
        (
            "weekdays: ['monday:friday']",
            vec!["2026-03-06T00:00:00Z"],
            vec!["2026-03-07T00:00:00Z", "2026-03-08T00:00:00Z"],
        ),
        ("weekdays: [Sunday]", vec!["2026-03-08T12:00:00Z"], vec!["2026-03-09T12:00:00Z"]),
        ("days_of_month: ['-1']", vec!["2024-02-29T00:00:00Z", "2026-02-28T00:00:00Z"], vec!["2024-02-28T00:00:00Z"]),
        (
            "days_of_month: ['-3:-1', '1:2']",
            vec!["2026-04-28T00:00:00Z", "2026-04-02T00:00:00Z"],
            vec!["2026-04-27T00:00:00Z"],
        ),
        ("days_of_month: ['29:31']", vec!["2026-03-31T00:00:00Z"], vec!["2026-02-28T00:00:00Z"]),
        (
            "months: ['december', '1:february']",
            vec!["2026-12-01T00:00:00Z", "2026-02-01T00:00:00Z"],
            vec!["2026-03-01T00:00:00Z"],
        ),
        (
            "years: ['2020:2025', '2030']",
            vec!["2025-01-01T00:00:00Z", "2030-01-01T00:00:00Z"],
            vec!["2026-01-01T00:00:00Z"],
        ),
        ("times: []", vec![], vec!["2026-01-01T00:00:00Z"]),
        ("{}", vec!["2026-01-01T00:00:00Z"], vec![]),
        (
            "{weekdays: [monday], months: [may]}",
            vec!["2026-05-04T00:00:00Z"],
            vec!["2026-05-05T00:00:00Z", "2026-06-01T00:00:00Z"],
        ),
    ] {
        let interval = interval(yaml);
        assert!(inside.into_iter().all(|instant| interval.contains(utc(instant))), "{yaml}");
        assert!(!outside.into_iter().any(|instant| interval.contains(utc(instant))), "{yaml}");
        let again: TimeInterval = serde_yaml_ng::from_str(&serde_yaml_ng::to_string(&interval).unwrap()).unwrap();
        assert_eq!(again, interval);
    }
}

#[test]
fn clocks_that_change_are_followed() {
    let nine = interval("{times: [{start_time: '09:00', end_time: '10:00'}], location: Europe/Berlin}");
    // 2026-03-29 the clocks go forward, 2026-10-25 back.
    for (instant, inside) in [
        ("2026-03-28T08:30:00Z", true),
        ("2026-03-29T07:30:00Z", true),
        ("2026-03-29T08:30:00Z", false),
        ("2026-10-24T07:30:00Z", true),
        ("2026-10-25T08:30:00Z", true),
    ] {
        assert_eq!(nine.contains(utc(instant)), inside, "{instant}");
    }
    // The hour from 2 to 3 comes twice in autumn, never in spring.
    let night = interval("{times: [{start_time: '02:00', end_time: '03:00'}], location: Europe/Berlin}");
    let minutes = |day: &str| {
        (0..24 * 60).filter(|minute| night.contains(utc(day) + chrono::TimeDelta::minutes(*minute))).count()
    };
    assert_eq!(
        (minutes("2026-03-28T23:00:00Z"), minutes("2026-10-24T22:00:00Z"), minutes("2026-06-01T22:00:00Z")),
        (0, 120, 60)
    );
    // A month that loses an hour has all its days.
    let last = interval("{days_of_month: ['-1'], location: Europe/Berlin}");
    assert!(last.contains(utc("2026-03-31T12:00:00Z")) && !last.contains(utc("2026-03-30T12:00:00Z")));
}

#[test]
fn the_calendar_of_a_route_has_two_sides() {
    let named =
        |name: &str, yaml: &str| NamedIntervals { name: name.to_string(), time_intervals: vec![interval(yaml)] };
    let intervals =
        [named("day", "times: [{start_time: '08:00', end_time: '20:00'}]"), named("march", "months: [march]")];
    let settings = |mute: &[&str], active: &[&str]| Settings {
        mute_time_intervals: mute.iter().map(ToString::to_string).collect(),
        active_time_intervals: active.iter().map(ToString::to_string).collect(),
        ..Settings::default()
    };
    let noon = utc("2026-03-04T12:00:00Z");
    assert_eq!(calendar(&intervals, &settings(&[], &[]), noon), Calendar::Open);
    assert_eq!(calendar(&intervals, &settings(&["day"], &[]), noon), Calendar::Muted(vec!["day".to_string()]));
    assert_eq!(calendar(&intervals, &settings(&[], &["day"]), noon), Calendar::Open);
    let night = utc("2026-03-04T22:00:00Z");
    assert_eq!(calendar(&intervals, &settings(&[], &["day"]), night), Calendar::Inactive(vec!["day".to_string()]));
    assert_eq!(calendar(&intervals, &settings(&["day"], &["march"]), night), Calendar::Open);
}

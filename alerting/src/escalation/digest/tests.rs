use chrono::Utc;

use super::*;
use crate::test_support::{alert, at};

fn digest(yaml: &str) -> (DigestConfig, Schedule) {
    let config: DigestConfig = serde_yaml_ng::from_str(yaml).unwrap();
    let schedule = Schedule::new(&config).unwrap();
    (config, schedule)
}

fn utc(text: &str) -> Timestamp {
    DateTime::parse_from_rfc3339(text).unwrap().with_timezone(&Utc)
}

#[test]
fn the_time_of_day_is_that_of_the_zone() {
    let (_, eight) = digest("{name: d, receiver: r, at: '08:00', location: Europe/Berlin}");
    assert_eq!(
        eight.next_after(utc("2026-03-27T07:00:00Z")),
        utc("2026-03-28T07:00:00Z"),
        "not the same instant again"
    );
    assert_eq!(eight.next_after(utc("2026-03-28T07:00:00Z")), utc("2026-03-29T06:00:00Z"));
    let (_, skipped) = digest("{name: d, receiver: r, at: '02:30', location: Europe/Berlin}");
    assert_eq!(skipped.next_after(utc("2026-03-28T12:00:00Z")), utc("2026-03-29T01:00:00Z"), "the gap's end");
    assert_eq!(skipped.next_after(utc("2026-10-24T12:00:00Z")), utc("2026-10-25T00:30:00Z"));
    assert_eq!(skipped.next_after(utc("2026-10-25T00:30:00Z")), utc("2026-10-26T01:30:00Z"), "once that night");
    let (_, mondays) = digest("{name: d, receiver: r, at: '08:00', weekdays: [monday]}");
    assert_eq!(mondays.next_after(utc("2026-03-04T12:00:00Z")), utc("2026-03-09T08:00:00Z"));
}

#[test]
fn a_mail_lists_what_happened_since_the_last() {
    let (config, schedule) = digest("{name: d, receiver: r, at: '13:00', matchers: [severity=info]}");
    let mut collection = Digest::new(at(0.0));
    let mut one = alert([("severity", "info"), ("i", "1")], 0.0);
    collection.observe(&config, &one, at(0.0));
    one.ends_at = Some(at(60.0));
    collection.observe(&config, &one, at(60.0));
    one.ends_at = Some(at(1e6));
    collection.observe(&config, &one, at(120.0));
    let mut two = alert([("severity", "info"), ("i", "2")], 0.0);
    two.ends_at = Some(at(90.0));
    collection.observe(&config, &two, at(90.0));
    collection.observe(&config, &alert([("severity", "critical")], 0.0), at(0.0));
    assert_eq!(collection.due(&config, &schedule, at(3599.0)), None);
    let mail = collection.due(&config, &schedule, at(3600.0)).unwrap();
    let listed: Vec<(&str, u32, bool)> =
        mail.entries.iter().map(|entry| (entry.alert.labels.value("i"), entry.fired, entry.resolved)).collect();
    assert_eq!(listed, [("1", 2, false), ("2", 0, true)]);
    assert_eq!((mail.from, mail.until), (at(0.0), at(3600.0)));
    assert_eq!(collection.due(&config, &schedule, at(3601.0)), None);
    let read: Digest = serde_json::from_str(&serde_json::to_string(&collection).unwrap()).unwrap();
    assert_eq!(read.next_due(&schedule), at(3600.0 + 86_400.0));
    let next = collection.due(&config, &schedule, at(3600.0 + 86_400.0)).unwrap();
    assert_eq!(next.entries.len(), 1, "what still fires is told again, what was resolved is not");
    let mut small = Digest { entries_max: 1, ..Digest::new(at(0.0)) };
    small.observe(&config, &one, at(0.0));
    small.observe(&config, &two, at(0.0));
    assert_eq!(small.due(&config, &schedule, at(3600.0)).unwrap().dropped, 1);
}

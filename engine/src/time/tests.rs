use super::*;
use proptest::prelude::*;

#[test]
fn windows_are_half_open_and_bin_negative_times() {
    assert_eq!(window_start(10_000_000, 10_000_000), 10_000_000);
    assert_eq!(window_start(19_999_999, 10_000_000), 10_000_000);
    assert_eq!(window_start(-1, 10_000_000), -10_000_000);
}

#[test]
fn reads_what_the_standard_allows() {
    for (text, expected) in [
        ("1970-01-01T00:00:00Z", Some(0)),
        ("1970-01-01T00:00:00.5Z", Some(500_000)),
        ("1970-01-01T00:00:00.1234567890Z", Some(123_456)),
        ("1970-01-01t01:00:00+01:00", Some(0)),
        ("1969-12-31T23:59:59-00:00", Some(-1_000_000)),
        ("2024-02-29T12:00:00Z", Some(1_709_208_000_000_000)),
        ("2016-12-31T23:59:60Z", Some(1_483_228_800_000_000)),
        ("2023-02-29T12:00:00Z", None),
        ("2024-13-01T00:00:00Z", None),
        ("2024-01-01T00:00:00", None),
        ("2024-01-01T00:00:00.Z", None),
        ("2024-01-01T24:00:00Z", None),
        ("2024-01-01T00:00:00Zjunk", None),
        ("2024-01-01", None),
        ("", None),
    ] {
        assert_eq!(parse_rfc3339(text), expected, "{text}");
    }
}

proptest! {
    #[test]
    fn agrees_with_chrono(us in -60_000_000_000_000_000i64..250_000_000_000_000_000, offset in -1439i32..=1439) {
        let zone = chrono::FixedOffset::east_opt(offset * 60).unwrap();
        let text = chrono::DateTime::from_timestamp_micros(us).unwrap().with_timezone(&zone).to_rfc3339();
        prop_assert_eq!(parse_rfc3339(&text), Some(us));
    }

    #[test]
    fn never_panics(text in "\\PC{0,40}") {
        let _ = parse_rfc3339(&text);
    }
}

#[test]
fn instants_are_written_as_they_are_read() {
    for text in [
        "1970-01-01T00:00:00Z",
        "2026-03-14T18:22:07.412Z",
        "2024-02-29T23:59:59.000001Z",
        "1969-12-31T23:59:59.5Z",
        "0001-01-01T00:00:00Z",
    ] {
        assert_eq!(format_rfc3339(parse_rfc3339(text).unwrap()), text);
    }
}

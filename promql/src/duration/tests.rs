use super::{format, parse};

#[test]
fn durations_are_read_and_written() {
    for (text, milliseconds, written) in [
        ("5m", 300_000, "5m"),
        ("1h30m", 5_400_000, "1h30m"),
        ("90s", 90_000, "1m30s"),
        ("14d", 1_209_600_000, "2w"),
        ("90d", 7_776_000_000, "90d"),
        ("1ms", 1, "1ms"),
        ("0", 0, "0s"),
        ("1y", 31_536_000_000, "1y"),
    ] {
        assert_eq!(parse(text), Ok(milliseconds), "{text}");
        assert_eq!(format(milliseconds), written);
    }
    assert_eq!(format(-60_000), "-1m");
}

#[test]
fn what_is_no_duration_is_refused() {
    for text in ["", "1", "m", "1m1h", "5mm", "1.5h", "300000y"] {
        assert!(parse(text).is_err(), "{text}");
    }
}

use super::*;

/// Sun, 06 Nov 1994 08:49:37 GMT, the date of RFC 9110's examples.
const RFC_MS: i64 = 784_111_777_000;

#[test]
fn seconds() {
    assert_eq!(parse_retry_after("120", None, 1_000), Some(121_000));
    assert_eq!(parse_retry_after(" 0 ", None, 1_000), Some(1_000));
    assert_eq!(parse_retry_after("0.25", None, 1_000), Some(1_250));
    assert_eq!(parse_retry_after("99999999999999999999", None, 1_000), Some(i64::MAX));
}

#[test]
fn dates_in_all_three_forms() {
    for date in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
        assert_eq!(parse_retry_after(date, None, 5), Some(RFC_MS), "{date}");
    }
}

#[test]
fn a_wrong_clock_of_the_receiver_does_not_matter() {
    // It says "in 30 s", an hour ahead of us.
    let now_ms = RFC_MS - 3_600_000;
    let at = parse_retry_after("Sun, 06 Nov 1994 08:50:07 GMT", Some("Sun, 06 Nov 1994 08:49:37 GMT"), now_ms);
    assert_eq!(at, Some(now_ms + 30_000));
}

#[test]
fn nonsense_says_nothing() {
    for value in ["", "soon", "-1", "1.2.3", "1e3", "NaN", "Sun, 06 Nov"] {
        assert_eq!(parse_retry_after(value, None, 1_000), None, "{value}");
    }
}

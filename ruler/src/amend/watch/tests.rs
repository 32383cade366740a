use super::*;

#[test]
fn stops_failures_and_long_silences_are_gaps() {
    let mut watch = Watch::default();
    assert_eq!(watch.unwatched(), [(i64::MIN, i64::MAX - 1)]);
    assert!(watch.evaluated(None, 100, 30));
    assert!(!watch.evaluated(Some(100), 110, 30), "nothing to write down");
    assert!(watch.evaluated(Some(110), 150, 30), "a silence");
    assert!(watch.broke(150), "a failure");
    assert!(!watch.broke(150), "goes on");
    assert_eq!(watch.unwatched(), [(i64::MIN, 99), (110, 150), (150, i64::MAX)]);
    assert!(watch.evaluated(Some(150), 170, 30));
    assert_eq!(watch.unwatched(), [(i64::MIN, 99), (110, 150), (150, 170)]);
}

#[test]
fn of_many_gaps_the_oldest_count_as_the_time_before() {
    let mut watch = Watch { since_ms: Some(0), ..Watch::default() };
    for at in 1..=GAPS_MAX as i64 + 1 {
        watch.evaluated(Some(at * 100), at * 100 + 50, 30);
    }
    assert_eq!((watch.since_ms, watch.gaps.len()), (Some(150), GAPS_MAX));
}

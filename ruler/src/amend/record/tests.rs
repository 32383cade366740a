use super::*;

fn row(time_ms: i64, from: &str, to: &str) -> Row {
    let (stage, labels) = (STAGE_RULE.to_owned(), [("alertname".to_owned(), "A".to_owned())].into());
    Row { time_ms, stage, labels, from: Some(from.to_owned()), to: Some(to.to_owned()), ..Row::default() }
}

fn times(rows: &[Row]) -> Vec<(i64, i64, Option<i64>)> {
    firings(rows, &[]).into_iter().map(|one| (one.active_ms, one.fired_ms, one.ended_ms)).collect()
}

#[test]
fn rows_say_when_alerts_fired() {
    let rows = [
        row(10, "inactive", "pending"),
        row(20, "pending", "inactive"),
        row(30, "inactive", "pending"),
        row(40, "pending", "firing"),
        row(50, "firing", "inactive"),
        Row { stage: "message".to_owned(), ..row(55, "inactive", "firing") },
        row(60, "inactive", "firing"),
    ];
    assert_eq!(times(&rows), [(30, 40, Some(50)), (60, 60, None)]);
}

#[test]
fn what_began_before_the_rows_has_no_beginning() {
    assert_eq!(times(&[row(50, "firing", "inactive")]), [(i64::MIN, i64::MIN, Some(50))]);
    assert_eq!(times(&[row(50, "pending", "inactive")]), []);
}

use super::*;

const S: i64 = 1_000_000;

fn part(partition: i32) -> TopicPartition {
    TopicPartition::new("orders", partition)
}

fn committed(watermarks: &[Option<i64>]) -> BTreeMap<TopicPartition, Option<i64>> {
    watermarks.iter().enumerate().map(|(p, w)| (part(p as i32), w.map(|w| w * S))).collect()
}

fn live(watermarks: &[(i32, Option<i64>)], watermark: Option<i64>) -> LiveProgress {
    LiveProgress {
        watermarks: watermarks.iter().map(|&(p, w)| (part(p), w.map(|w| w * S))).collect(),
        watermark: watermark.map(|w| w * S),
        ..LiveProgress::default()
    }
}

fn story(completeness: &Completeness) -> String {
    let judge = |end: i64| {
        let (status, reason) = completeness.judge((end - 10) * S, end * S);
        format!("{end} {}{}{reason}", status.as_str(), if reason.is_empty() { "" } else { ": " })
    };
    [10, 20, 30].map(judge).join(" | ")
}

#[test]
fn windows_are_complete_up_to_the_slowest_partition() {
    let alone = Completeness::of(&committed(&[Some(10), Some(20)]), &[live(&[(0, Some(12)), (1, Some(25))], Some(12))]);
    assert_eq!(
        story(&alone),
        "10 complete | 20 partial: orders/0 has come to 1970-01-01T00:00:12Z | 30 partial: event time has come to 1970-01-01T00:00:25Z"
    );
}

#[test]
fn an_idle_partition_holds_nobody_back() {
    let idle = Completeness::of(&committed(&[Some(1), Some(20)]), &[live(&[(0, Some(1)), (1, Some(25))], Some(25))]);
    assert_eq!(story(&idle), "10 complete | 20 complete | 30 partial: event time has come to 1970-01-01T00:00:25Z");
}

#[test]
fn an_idle_worker_holds_nobody_back() {
    let beside = [live(&[(1, Some(25))], Some(25)), LiveProgress { is_idle: true, ..live(&[(0, Some(1))], Some(1)) }];
    let idle = Completeness::of(&committed(&[Some(1), Some(20)]), &beside);
    assert_eq!(story(&idle), "10 complete | 20 complete | 30 partial: event time has come to 1970-01-01T00:00:25Z");
    // All are idle: the latest of them speaks.
    let all = beside.map(|progress| LiveProgress { is_idle: true, ..progress });
    assert_eq!(Completeness::of(&committed(&[Some(1), Some(20)]), &all), idle);
    // One that has begun and not caught up still holds the others back.
    let active = [live(&[(1, Some(25))], Some(25)), live(&[(0, Some(1))], Some(1))];
    let active = Completeness::of(&committed(&[Some(1), Some(20)]), &active);
    assert!(story(&active).starts_with("10 partial: orders/0 has come to"), "{}", story(&active));
}

#[test]
fn what_another_process_reads_is_known_as_far_as_it_is_committed() {
    let other = Completeness::of(&committed(&[Some(10), Some(20)]), &[live(&[(1, Some(25))], Some(25))]);
    assert_eq!(
        story(&other),
        "10 complete | 20 unknown: orders/0 was committed up to 1970-01-01T00:00:10Z; whether more is to come only its reader knows | 30 partial: event time has come to 1970-01-01T00:00:25Z"
    );
}

#[test]
fn without_any_event_nothing_is_known() {
    assert_eq!(Completeness::of(&committed(&[None]), &[]).judge(-S, 0), (Status::Unknown, "nothing was read yet"));
}

#[test]
fn windows_that_a_backfill_is_to_fill_are_partial_and_say_so() {
    let gap = Unfilled { until_us: 15 * S, reason: "calls began later".to_owned() };
    let completeness = Completeness::of(&committed(&[Some(20)]), &[]).with(Some(gap));
    assert_eq!(
        story(&completeness),
        "10 partial: calls began later | 20 partial: calls began later | 30 partial: event time has come to 1970-01-01T00:00:20Z"
    );
    // The window that begins where events of before end lacks nothing.
    let gap = Unfilled { until_us: 10 * S, reason: "calls began later".to_owned() };
    let completeness = Completeness::of(&committed(&[Some(20)]), &[]).with(Some(gap));
    assert_eq!(completeness.judge(10 * S, 20 * S), (Status::Complete, ""));
}

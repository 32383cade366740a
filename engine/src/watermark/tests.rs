use super::*;

const SETTINGS: WatermarkSettings = WatermarkSettings { disorder_us: 5, idle_after_us: 100 };

fn part(n: i32) -> TopicPartition {
    TopicPartition::new("t", n)
}

fn tracker(partitions: i32) -> WatermarkTracker {
    let mut tracker = WatermarkTracker::new(SETTINGS);
    (0..partitions).for_each(|p| tracker.assign(part(p), None, 0));
    tracker
}

#[test]
fn is_the_minimum_and_never_goes_back() {
    let mut t = tracker(2);
    t.observe(&part(0), 1000, 1);
    assert_eq!(t.progress(1).watermark, None, "partition 1 has shown nothing and is not idle yet");
    t.observe(&part(1), 400, 2);
    assert_eq!(t.progress(2).watermark, Some(395));
    t.observe(&part(1), 300, 3);
    assert_eq!(t.progress(3).watermark, Some(395));
}

#[test]
fn an_idle_partition_does_not_hold_it_back() {
    let mut t = tracker(2);
    t.observe(&part(1), 400, 2);
    t.observe(&part(0), 1000, 150);
    assert_eq!(t.progress(150).watermark, Some(995));
    assert_eq!(t.progress(10_000).watermark, Some(995), "all idle: the latest speaks");
    t.observe(&part(1), 500, 10_000);
    assert_eq!(t.progress(10_000).watermark, Some(495), "awake again, it holds back");
}

#[test]
fn continues_from_the_committed_watermark() {
    let mut t = WatermarkTracker::new(SETTINGS);
    t.assign(part(0), Some(700), 0);
    t.observe(&part(0), 10, 1);
    assert_eq!(t.progress(1).watermark, Some(700));
    t.revoke(&part(0));
    assert_eq!(t.progress(1).watermark, None);
}

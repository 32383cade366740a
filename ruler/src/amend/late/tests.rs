use super::super::AmendSettings;
use super::*;

fn stretch(from_s: i64, to_s: i64) -> LateStretch {
    LateStretch { source: "s".to_owned(), from_ms: from_s * 1000, to_ms: to_s * 1000 }
}

fn waiting(queue: &Queue) -> Vec<(i64, i64)> {
    let mut all: Vec<(i64, i64)> =
        queue.pending.iter().map(|one| (one.stretch.from_ms / 1000, one.stretch.to_ms / 1000)).collect();
    all.sort();
    all
}

#[test]
fn stretches_that_touch_are_one_and_wait_for_quiet_but_not_for_ever() {
    let settings = AmendSettings { delay_ms: 30_000, wait_max_ms: 100_000, ..AmendSettings::default() };
    let mut queue = Queue::default();
    let now_ms = 10_000_000;
    queue.note(stretch(1000, 1010), now_ms, &settings).unwrap();
    queue.note(stretch(5000, 5010), now_ms, &settings).unwrap();
    let noted = queue.note(stretch(1040, 1100), now_ms + 20_000, &settings).unwrap();
    assert_eq!((noted.joined.len(), waiting(&queue)), (1, vec![(1000, 1100), (5000, 5010)]));
    assert_eq!(queue.due(now_ms + 30_000, &settings).len(), 1, "the one that has been quiet");
    for after_s in [40, 60, 80] {
        queue.note(stretch(1040, 1100), now_ms + after_s * 1000, &settings).unwrap();
    }
    assert_eq!(queue.due(now_ms + 99_000, &settings).len(), 1);
    assert_eq!(queue.due(now_ms + 100_000, &settings).len(), 2, "never quiet, but long enough");
    let other = LateStretch { source: "t".to_owned(), ..stretch(1000, 1100) };
    queue.note(other, now_ms, &settings).unwrap();
    assert_eq!(queue.pending.len(), 3, "another source");
}

#[test]
fn what_is_too_old_or_too_much_is_told_apart() {
    let settings = AmendSettings { stretches_max: 2, age_max_ms: 1_000_000, ..AmendSettings::default() };
    let mut queue = Queue::default();
    assert_eq!(queue.note(stretch(0, 10), 2_000_000, &settings), None);
    queue.note(stretch(1000, 1010), 1_000_000, &settings).unwrap();
    queue.note(stretch(2000, 2010), 1_000_001, &settings).unwrap();
    let noted = queue.note(stretch(3000, 3010), 1_000_002, &settings).unwrap();
    assert_eq!(noted.dropped.unwrap().stretch, stretch(1000, 1010));
    assert_eq!(waiting(&queue), [(2000, 2010), (3000, 3010)]);
}

#[test]
fn what_came_late_during_a_look_is_not_forgotten() {
    let settings = AmendSettings::default();
    let mut queue = Queue::default();
    queue.note(stretch(1000, 1010), 1_000_000, &settings).unwrap();
    let looked_at = queue.due(1_030_000, &settings).remove(0);
    queue.note(stretch(1000, 1010), 1_031_000, &settings).unwrap();
    assert!(!queue.settle(&looked_at, None));
    let again = queue.due(1_061_000, &settings).remove(0);
    assert!(queue.settle(&again, None));
    assert!(queue.pending.is_empty());
}

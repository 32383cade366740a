use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

const DAY: DedupeSettings = DedupeSettings { horizon_us: 24 * PANE_US, ids_max: usize::MAX };

fn seen() -> SeenEvents {
    SeenEvents::new(&DAY, -1)
}

/// Uniform hashes, as ids have them.
fn hash(number: u64) -> u128 {
    xxh3_128(&number.to_le_bytes())
}

#[test]
fn an_event_is_its_source_and_its_id() {
    let mut scratch = Vec::new();
    let mut of = |source: &str, id: &str| event_hash(source, id, &mut scratch);
    assert_eq!(of("/a", "1"), of("/a", "1"));
    assert_ne!(of("/a", "1"), of("/a1", ""));
    assert_ne!(of("/a", "1"), of("/b", "1"));
    // The hash is part of the format.
    assert_eq!(of("/shop", "e1"), xxh3_128(b"/shop\0e1"));
}

#[test]
fn a_copy_within_the_horizon_is_none_and_later_it_is_an_event() {
    let mut seen = seen();
    assert!(seen.first(hash(1), 0, 0));
    assert!(!seen.first(hash(1), 0, 1));
    assert!(!seen.first(hash(1), 24 * PANE_US, 2));
    assert!(!seen.first(hash(1), 25 * PANE_US - 1, 3), "a pane that began within the horizon");
    assert!(seen.first(hash(1), 25 * PANE_US, 4));
    assert!(!seen.first(hash(1), 49 * PANE_US, 5), "remembered anew");
    assert_eq!(seen.len(), 1);
}

#[test]
fn time_goes_on_with_remembered_events_only_and_never_back() {
    let mut seen = seen();
    assert!(seen.first(hash(1), 100 * PANE_US, 0));
    // An old record that is new to us is remembered as of now: its copy comes now, too.
    assert!(seen.first(hash(2), 0, 1));
    assert!(!seen.first(hash(2), 0, 2));
    assert!(!seen.first(hash(2), 124 * PANE_US, 3));
    // The copy did not move the time on.
    assert!(!seen.first(hash(1), 100 * PANE_US, 4));
    assert_eq!(seen.panes, BTreeMap::from([(100, 2)]));
    assert!(seen.first(hash(3), 200 * PANE_US, 5));
    assert_eq!((seen.len(), &seen.panes), (1, &BTreeMap::from([(200, 1)])), "what expired is thrown out");
}

#[test]
fn new_ids_are_taken_once_by_pane_and_without_those_that_are_stored() {
    let mut seen = SeenEvents::new(&DAY, 1);
    for (number, pane) in [(0, 7), (1, 7), (2, 7), (3, 8), (2, 8)] {
        seen.first(hash(number), pane * PANE_US, number as i64);
    }
    let id = |number: u64| NewId { hash: hash(number), offset: number as i64 };
    assert_eq!(seen.take_new(), [(7 * PANE_US, vec![id(2)]), (8 * PANE_US, vec![id(3)])]);
    assert_eq!(seen.take_new(), []);
    assert!(!seen.first(hash(0), 8 * PANE_US, 9), "stored ones are remembered all the same");
}

#[test]
fn beyond_the_bound_the_oldest_pane_of_all_partitions_goes() {
    let (mut one, mut two) = (seen(), seen());
    for number in 0..30 {
        one.first(hash(number), (number as i64 / 10) * PANE_US, 0);
        two.first(hash(number), (1 + number as i64 / 10) * PANE_US, 0);
    }
    assert_eq!(evict_beyond(60, &mut [&mut one, &mut two]), 0);
    assert_eq!(evict_beyond(59, &mut [&mut one, &mut two]), 10);
    assert_eq!((one.len(), two.len()), (20, 30));
    assert_eq!(evict_beyond(35, &mut [&mut one, &mut two]), 20, "pane 1 of both");
    assert_eq!((one.len(), two.len()), (10, 20));
    assert!(one.first(hash(0), 2 * PANE_US, 0) && !one.first(hash(25), 2 * PANE_US, 0));
    assert_eq!(evict_beyond(0, &mut [&mut one, &mut two]), 31);
    assert!(one.is_empty() && two.is_empty());
}

#[test]
fn an_id_takes_less_than_forty_bytes_however_many_there_are() {
    let (mut seen, mut worst, mut best) = (seen(), 0.0f64, f64::MAX);
    for number in 0..400_000u64 {
        assert!(seen.first(hash(number), number as i64 * PANE_US / 50_000, -1));
        if number >= 20_000 && number % 1000 == 0 {
            let bytes = seen.size_bytes() as f64 / seen.len() as f64;
            (worst, best) = (worst.max(bytes), best.min(bytes));
        }
    }
    println!("bytes per id: {best:.1} to {worst:.1}");
    assert!(worst < 32.0, "{worst}");
    assert_eq!(seen.len(), 400_000);
    // Two days later everything is gone, and so is its memory.
    seen.first(hash(0), 100 * PANE_US, -1);
    assert_eq!(seen.len(), 1);
    assert!(seen.size_bytes() < 10_000, "{}", seen.size_bytes());
}

#[test]
fn hashes_that_pile_up_are_found_all_the_same() {
    let mut table = IdTable::default();
    let hashes: Vec<u128> = (0..500).chain((0..500).map(|n| u128::MAX - n)).collect();
    for (number, &hash) in hashes.iter().enumerate() {
        table.insert(hash, number as u16);
    }
    // Zero stands for one.
    assert_eq!(table.len(), hashes.len() - 1);
    assert!(hashes.iter().skip(2).enumerate().all(|(number, &hash)| table.get(hash) == Some(number as u16 + 2)));
    assert_eq!(table.get(u128::MAX - 500), None);
    table.retain(|pane| pane % 2 == 0);
    assert_eq!(table.get(u128::MAX - 3), None);
    assert_eq!(table.get(u128::MAX - 4), Some(504));
}

/// What it should do, said as simply as possible.
#[derive(Default)]
struct Model {
    panes: HashMap<u128, i64>,
    newest: Option<i64>,
}

impl Model {
    fn first(&mut self, hash: u128, arrival_us: i64) -> bool {
        let pane = arrival_us.div_euclid(PANE_US);
        let now = self.newest.map_or(pane, |n| n.max(pane));
        if self.panes.get(&hash).is_some_and(|p| now - p <= 24) {
            return false;
        }
        self.panes.insert(hash, now);
        self.newest = Some(now);
        true
    }
}

/// Few ids, arrival by hours that mostly grow.
fn events() -> impl Strategy<Value = Vec<(u128, i64)>> {
    prop::collection::vec((0u64..60, 0i64..3, -3i64..40), 1..300).prop_map(|steps| {
        let mut now = 480_000;
        let event = |(number, step, jump): (u64, i64, i64)| {
            now += step;
            let arrival = if jump > 35 { now + jump } else { now + jump.min(0) };
            (hash(number), arrival * PANE_US + 17)
        };
        steps.into_iter().map(event).collect()
    })
}

proptest! {
    #[test]
    fn it_remembers_exactly_what_the_model_does(events in events()) {
        let (mut seen, mut model) = (seen(), Model::default());
        for (offset, &(hash, arrival_us)) in events.iter().enumerate() {
            prop_assert_eq!(seen.first(hash, arrival_us, offset as i64), model.first(hash, arrival_us), "event {}", offset);
        }
    }

    /// Crash, restore what was stored up to some offset, replay: the same decisions.
    #[test]
    fn a_replay_from_any_offset_decides_as_the_first_run_did(events in events(), cut in 0usize..300, commits in prop::collection::vec(0usize..300, 0..5)) {
        let cut = cut.min(events.len());
        let mut seen = seen();
        let mut stored = Vec::new();
        let mut decisions = Vec::new();
        for (offset, &(hash, arrival_us)) in events.iter().enumerate() {
            decisions.push(seen.first(hash, arrival_us, offset as i64));
            if commits.contains(&offset) {
                stored.extend(seen.take_new());
            }
        }
        stored.extend(seen.take_new());
        let mut again = SeenEvents::new(&DAY, -1);
        for (pane_start_us, ids) in stored.iter().rev() {
            let before: Vec<u128> = ids.iter().filter(|id| id.offset < cut as i64).map(|id| id.hash).collect();
            again.restore(*pane_start_us, &before);
        }
        for (offset, &(hash, arrival_us)) in events.iter().enumerate().skip(cut) {
            prop_assert_eq!(again.first(hash, arrival_us, offset as i64), decisions[offset], "event {} after {}", offset, cut);
        }
    }
}

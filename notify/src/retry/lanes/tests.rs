use super::*;
use crate::retry::{GiveUpReason, Situation, next};
use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::{Rng, SeedableRng};
use std::time::Duration;

fn settings(_: &str) -> DeliverySettings {
    DeliverySettings {
        concurrency_max: 3,
        backoff_min: Duration::from_millis(10),
        backoff_max: Duration::from_millis(1_000),
        failures_max: 3,
        probe_min: Duration::from_millis(50),
        probe_max: Duration::from_millis(200),
        ..Default::default()
    }
}

fn entry(seq: u64, order_key: &str, integration: &str) -> Entry {
    Entry {
        seq,
        order_key: order_key.into(),
        integration: integration.into(),
        created_ms: i64::try_from(seq).unwrap(),
        give_up_ms: 1_000_000,
        due_ms: 0,
        hold: Hold::Backoff,
        attempts: 0,
        misconfigured: 0,
    }
}

fn sent(due: &[Due]) -> Vec<u64> {
    due.iter().filter_map(|d| if let Due::Send { entry, .. } = d { Some(entry.seq) } else { None }).collect()
}

fn finish(lanes: &mut Lanes, due: &Due, outcome: Outcome, next: Next, now_ms: i64) -> CircuitChange {
    let Due::Send { entry, probe } = due else { panic!("{due:?} was not sent") };
    let mut entry = entry.clone();
    entry.attempts += 1;
    let finished = Finished { entry, probe: *probe, outcome, retry_at_ms: None, next };
    lanes.finish(&finished, &settings(""), now_ms, 1)
}

fn again(at_ms: i64) -> Next {
    Next::RetryAt { at_ms, hold: Hold::Backoff }
}

#[test]
fn the_first_of_a_lane_holds_the_others_up_and_no_other_lane() {
    let mut lanes = Lanes::new(100);
    for (seq, lane) in [(1, "a"), (2, "a"), (3, "b")] {
        lanes.insert(entry(seq, lane, "x"));
    }
    let due = lanes.take_due(0, &settings);
    assert_eq!(sent(&due), [1, 3]);
    assert!(lanes.take_due(0, &settings).is_empty());
    finish(&mut lanes, &due[0], Outcome::Deferred, again(500), 0);
    assert_eq!(lanes.next_wake_ms(0, &settings), Some(500));
    assert!(lanes.take_due(499, &settings).is_empty());
    let due = lanes.take_due(500, &settings);
    assert_eq!(sent(&due), [1]);
    finish(&mut lanes, &due[0], Outcome::Refused, Next::GiveUp(GiveUpReason::Refused), 500);
    assert_eq!(sent(&lanes.take_due(500, &settings)), [2]);
}

#[test]
fn concurrency_is_bounded_by_integration_and_in_all() {
    let mut lanes = Lanes::new(5);
    for seq in 0..20 {
        lanes.insert(entry(seq, &format!("lane {seq}"), ["x", "y"][usize::try_from(seq % 2).unwrap()]));
    }
    let due = lanes.take_due(0, &settings);
    assert_eq!(due.len(), 5);
    let of_x = sent(&due).iter().filter(|seq| *seq % 2 == 0).count();
    assert!((2..=3).contains(&of_x), "{of_x}");
    assert_eq!(lanes.in_flight(), 5);
}

#[test]
fn what_is_too_old_is_not_sent() {
    let mut lanes = Lanes::new(5);
    lanes.insert(Entry { give_up_ms: 100, ..entry(1, "a", "x") });
    lanes.insert(Entry { give_up_ms: 90, ..entry(2, "a", "x") });
    lanes.insert(entry(3, "a", "x"));
    let due = lanes.take_due(100, &settings);
    assert!(matches!(&due[..2], [Due::Expired(a), Due::Expired(b)] if (a.seq, b.seq) == (1, 2)), "{due:?}");
    assert_eq!(sent(&due), [3]);
    assert_eq!(lanes.waiting(), 1);
}

#[test]
fn a_receiver_that_is_down_is_probed_with_the_least_tried_and_released_when_back() {
    let mut lanes = Lanes::new(100);
    for seq in 0..10 {
        lanes.insert(entry(seq, &format!("lane {seq}"), "x"));
    }
    let due = lanes.take_due(0, &settings);
    assert_eq!(due.len(), 3);
    let changes: Vec<_> = due.iter().map(|d| finish(&mut lanes, d, Outcome::Unavailable, again(900_000), 0)).collect();
    assert_eq!(changes[2], CircuitChange::Opened);
    assert!(lanes.take_due(0, &settings).is_empty(), "the receiver is down");
    let probe_ms = lanes.next_wake_ms(0, &settings).unwrap();
    let probe = lanes.take_due(probe_ms, &settings);
    assert_eq!(sent(&probe), [3], "not one of those that failed");
    assert_eq!(lanes.next_wake_ms(probe_ms, &settings), Some(1_000_000), "nothing but the probe");
    let change = finish(&mut lanes, &probe[0], Outcome::Delivered, Next::Delivered, probe_ms);
    assert_eq!(change, CircuitChange::Closed);
    // The three that failed need not wait their 900 s.
    let mut seen = Vec::new();
    while let due = lanes.take_due(probe_ms, &settings)
        && !due.is_empty()
    {
        seen.extend(sent(&due));
        due.iter().for_each(|d| {
            finish(&mut lanes, d, Outcome::Delivered, Next::Delivered, probe_ms);
        });
    }
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn a_wait_that_was_asked_for_pauses_the_integration_and_outlasts_its_return() {
    let mut lanes = Lanes::new(100);
    lanes.insert(entry(1, "a", "x"));
    lanes.insert(entry(2, "b", "x"));
    lanes.insert(entry(3, "c", "y"));
    lanes.insert(entry(4, "b", "x"));
    let due = lanes.take_due(0, &|_: &str| DeliverySettings { concurrency_max: 1, ..settings("") });
    let first = due.iter().find(|d| sent(std::slice::from_ref(*d)) == [1]).unwrap();
    let Due::Send { entry, .. } = first else { unreachable!() };
    let next = Next::RetryAt { at_ms: 705, hold: Hold::Receiver };
    let finished =
        Finished { entry: entry.clone(), probe: false, outcome: Outcome::Throttled, retry_at_ms: Some(700), next };
    lanes.finish(&finished, &settings(""), 0, 1);
    assert!(lanes.take_due(699, &settings).is_empty(), "2 is of the same integration");
    assert_eq!(lanes.next_wake_ms(0, &settings), Some(700));
    assert_eq!(sent(&lanes.take_due(700, &settings)), [2]);
    assert_eq!(sent(&lanes.take_due(705, &settings)), [1]);
}

/// Whatever happens: order within lanes, every message ends once, nobody waits for a time that has passed.
#[test]
fn random_histories() {
    for seed in 0..200 {
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let mut lanes = Lanes::new(4);
        let mut now_ms = 0_i64;
        let mut flying: Vec<Due> = Vec::new();
        let (mut ended, mut last_of_lane) = (Vec::new(), HashMap::new());
        let mut added = 0;
        while added < 60 || lanes.waiting() > 0 {
            if added < 60 && random.next_u64() % 3 == 0 {
                let lane = format!("lane {}", random.next_u64() % 7);
                let integration = ["x", "y", "z"][usize::try_from(random.next_u64() % 3).unwrap()];
                let give_up_ms = now_ms + i64::try_from(random.next_u64() % 3_000).unwrap() + 1;
                lanes.insert(Entry { give_up_ms, created_ms: now_ms, ..entry(added, &lane, integration) });
                added += 1;
            }
            let mut end = |entry: &Entry| {
                ended.push(entry.seq);
                let last = last_of_lane.insert(entry.order_key.clone(), entry.seq);
                assert!(last.is_none_or(|last| last < entry.seq), "seed {seed}: {last:?} before {}", entry.seq);
            };
            for due in lanes.take_due(now_ms, &settings) {
                match due {
                    Due::Expired(entry) => {
                        assert!(entry.give_up_ms <= now_ms);
                        end(&entry);
                    }
                    Due::Send { .. } => flying.push(due),
                }
            }
            assert!(lanes.take_due(now_ms, &settings).is_empty(), "seed {seed}");
            let wake = lanes.next_wake_ms(now_ms, &settings);
            assert!(wake.is_none_or(|wake| wake > now_ms), "seed {seed}: {wake:?} at {now_ms}");
            assert!(wake.is_some() || !flying.is_empty() || lanes.waiting() == 0, "seed {seed}: stuck");
            if !flying.is_empty() && (wake.is_none() || random.next_u64() % 2 == 0) {
                let index = usize::try_from(random.next_u64() % flying.len() as u64).unwrap();
                let Due::Send { mut entry, probe } = flying.swap_remove(index) else { unreachable!() };
                let outcomes = [Outcome::Delivered, Outcome::Unavailable, Outcome::Throttled, Outcome::Refused];
                let outcome = outcomes[usize::try_from(random.next_u64() % 4).unwrap()];
                entry.attempts += 1;
                let retry_at_ms = (outcome == Outcome::Throttled).then_some(now_ms + 100);
                let situation = Situation {
                    now_ms,
                    attempts: entry.attempts,
                    misconfigured: 0,
                    give_up_ms: entry.give_up_ms,
                    retry_at_ms,
                    seed: random.next_u64(),
                };
                let next = next(&settings(""), outcome, &situation);
                if !matches!(next, Next::RetryAt { .. }) {
                    end(&entry);
                }
                lanes.finish(&Finished { entry, probe, outcome, retry_at_ms, next }, &settings(""), now_ms, seed);
            } else if let Some(wake_ms) = wake {
                now_ms = wake_ms;
            } else {
                now_ms += 1;
            }
        }
        ended.sort_unstable();
        assert_eq!(ended, (0..60).collect::<Vec<_>>(), "seed {seed}");
        assert_eq!(lanes.in_flight(), 0);
    }
}

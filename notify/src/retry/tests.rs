use super::*;

fn settings() -> DeliverySettings {
    DeliverySettings { backoff_min: Duration::from_secs(1), backoff_max: Duration::from_secs(60), ..Default::default() }
}

fn situation(attempts: u32, seed: u64) -> Situation {
    Situation { now_ms: 1_000_000, attempts, misconfigured: 0, give_up_ms: 9_000_000, retry_at_ms: None, seed }
}

fn wait_ms(next: Next) -> i64 {
    match next {
        Next::RetryAt { at_ms, .. } => at_ms - 1_000_000,
        other => panic!("expected another try, found {other:?}"),
    }
}

#[test]
fn waits_grow_between_their_bounds_and_differ() {
    for (attempts, longest_ms) in [(1, 2_000), (2, 4_000), (5, 32_000), (6, 60_000), (40, 60_000), (u32::MAX, 60_000)] {
        let waits: Vec<i64> =
            (0..500).map(|seed| wait_ms(next(&settings(), Outcome::Unavailable, &situation(attempts, seed)))).collect();
        let (least, most) = (*waits.iter().min().unwrap(), *waits.iter().max().unwrap());
        assert!(least >= 1_000 && most <= longest_ms, "attempt {attempts}: {least} to {most} ms");
        // Full jitter: 500 draws come near both ends.
        let width = longest_ms - 1_000;
        assert!(least < 1_000 + width / 20 && most > longest_ms - width / 20, "attempt {attempts}: {least} to {most}");
    }
}

#[test]
fn same_seed_same_wait() {
    let wait = || next(&settings(), Outcome::Deferred, &situation(3, 42));
    assert_eq!(wait(), wait());
}

#[test]
fn the_receivers_wait_is_kept_and_not_trusted_without_bound() {
    let asked = |retry_at_ms| Situation { retry_at_ms: Some(retry_at_ms), ..situation(1, 7) };
    match next(&settings(), Outcome::Throttled, &asked(1_030_000)) {
        Next::RetryAt { at_ms, hold: Hold::Receiver } => assert!((1_030_000..1_031_000).contains(&at_ms), "{at_ms}"),
        other => panic!("{other:?}"),
    }
    let wait = wait_ms(next(&settings(), Outcome::Throttled, &asked(1_000_000 + 5_000_000)));
    assert!((3_600_000..3_601_000).contains(&wait), "{wait}");
    // A time that has passed is no wait at all: ours counts.
    assert!(wait_ms(next(&settings(), Outcome::Throttled, &asked(999_000))) >= 1_000);
}

#[test]
fn gives_up_when_it_makes_no_sense_to_go_on() {
    let at = |now_ms| Situation { now_ms, ..situation(3, 1) };
    let next = |outcome, situation: &Situation| next(&settings(), outcome, situation);
    assert_eq!(next(Outcome::Delivered, &at(9_999_999)), Next::Delivered);
    assert_eq!(next(Outcome::Refused, &at(0)), Next::GiveUp(GiveUpReason::Refused));
    assert_eq!(next(Outcome::Unavailable, &at(9_000_000)), Next::GiveUp(GiveUpReason::TooOld));
    assert_eq!(next(Outcome::Unknown, &at(9_000_000)), Next::GiveUp(GiveUpReason::TooOld));
    // One last try at the last moment, not a wait past it.
    let soon = Situation { attempts: 30, ..at(8_999_500) };
    assert_eq!(next(Outcome::Unavailable, &soon), Next::RetryAt { at_ms: 8_999_999, hold: Hold::Backoff });
    let too_late = Situation { retry_at_ms: Some(9_000_000), ..at(8_000_000) };
    assert_eq!(next(Outcome::Throttled, &too_late), Next::GiveUp(GiveUpReason::TooOld));
}

#[test]
fn misconfiguration_is_tried_a_few_times() {
    let after = |misconfigured| Situation { misconfigured, ..situation(misconfigured, 1) };
    assert!(matches!(next(&settings(), Outcome::Misconfigured, &after(4)), Next::RetryAt { .. }));
    let reason = GiveUpReason::Misconfigured;
    assert_eq!(next(&settings(), Outcome::Misconfigured, &after(5)), Next::GiveUp(reason));
}

#[test]
fn settings_are_read_with_human_durations_and_no_unknown_keys() {
    let parsed: DeliverySettings = serde_json::from_str(r#"{"backoff_max": "2m", "concurrency_max": 1}"#).unwrap();
    assert_eq!(parsed.backoff_max, Duration::from_secs(120));
    assert_eq!(parsed.backoff_min, DeliverySettings::default().backoff_min);
    assert!(serde_json::from_str::<DeliverySettings>(r#"{"retries": 3}"#).is_err());
}

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn pulse(turned_s: u64) -> Pulse {
    Pulse { turned: Duration::from_secs(turned_s), turns: 1, ..Pulse::default() }
}

#[test]
fn a_worker_is_stuck_when_it_has_work_and_does_not_turn() {
    let now = Duration::from_secs(1000);
    let stuck = |pulses: &[Pulse]| alive(pulses, now, 2 * MINUTE);
    assert_eq!(stuck(&[]), Ok(()));
    let still = pulse(879);
    assert_eq!(stuck(&[still]), Ok(()), "it has nothing to do");
    for busy in [Pulse { partitions: 1, ..still }, Pulse { lag: 1, ..still }, Pulse { is_committing: true, ..still }] {
        let reason = stuck(&[pulse(1000), busy]).unwrap_err();
        assert!(reason.contains("not turned its loop for 121 s"), "{reason}");
        assert_eq!(stuck(&[Pulse { turned: Duration::from_secs(881), ..busy }]), Ok(()), "not long enough");
        assert_eq!(stuck(&[Pulse { has_ended: true, ..busy }]), Ok(()), "it has ended");
    }
    let committing = stuck(&[Pulse { is_committing: true, ..still }]).unwrap_err();
    assert!(committing.contains("a commit that is not finished"), "{committing}");
    assert_eq!(stuck(&[Pulse { partitions: 1, ..pulse(2000) }]), Ok(()), "a pulse from after the look is no mistake");
}

#[test]
fn it_has_started_when_everything_has() {
    let early = Pulse::default();
    for (stage, expected) in [
        (Stage::OpeningStore, "the local log"),
        (Stage::OpeningTables, "opening tables"),
        (Stage::LoadingRules, "rules"),
    ] {
        let reason = started(stage, &[pulse(1)]).unwrap_err();
        assert!(reason.contains(expected), "{reason}");
    }
    assert_eq!(started(Stage::Serving, &[pulse(1), early]), Err("starting: 1 of 2 workers have not begun".to_owned()));
    assert_eq!(started(Stage::Serving, &[pulse(1), Pulse { has_ended: true, ..early }]), Ok(()));
    assert_eq!(started(Stage::Serving, &[pulse(1)]), Ok(()));
}

#[test]
fn a_process_that_stops_is_not_ready() {
    assert_eq!(staying(Stage::Serving), Ok(()));
    assert!(staying(Stage::Stopping).unwrap_err().starts_with("stopping"));
}

#[test]
fn commits_that_fail_in_a_row_are_told_with_their_number_and_error() {
    let failing = Failing { what: "api_calls".to_owned(), attempts: 3, error: "read-only".to_owned() };
    assert_eq!(committing(None, 3), Ok(()));
    assert_eq!(committing(Some(&failing), 4), Ok(()), "the next attempt may come through");
    let reason = committing(Some(&failing), 3).unwrap_err();
    assert_eq!(reason, "commits fail: api_calls, 3 times in a row; the last time: read-only");
}

#[test]
fn a_disk_with_too_little_room_is_named() {
    let disk = |free| Disk { of: "the push log", folder: "/x".into(), free };
    assert_eq!(roomy(&[disk(Ok(100))], 100), Ok(()));
    let reason = roomy(&[disk(Ok(100)), disk(Ok(99))], 100).unwrap_err();
    assert!(reason.contains("the push log") && reason.contains("99 bytes are free at /x"), "{reason}");
    let reason = roomy(&[disk(Err("gone".to_owned()))], 100).unwrap_err();
    assert!(reason.contains("/x: gone"), "{reason}");
    assert_eq!(roomy(&[disk(Ok(0)), disk(Err("gone".to_owned()))], 0), Ok(()), "0 asks nothing");
}

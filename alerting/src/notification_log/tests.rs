use super::*;
use crate::test_support::at;

fn set(numbers: &[u64]) -> BTreeSet<Fingerprint> {
    numbers.iter().copied().map(Fingerprint).collect()
}

fn told(firing: &[u64], resolved: &[u64]) -> Told {
    Told { firing: set(firing), resolved: set(resolved), flapping: BTreeSet::new() }
}

/// The cases of Alertmanager's own test of its deduplication, and those between them.
#[test]
fn whether_there_is_something_new_to_tell() {
    let repeat = TimeDelta::seconds(100);
    let entry = |firing: &[u64], resolved: &[u64], at_s: f64| {
        Some(LogEntry { at: at(at_s), told: told(firing, resolved), expires_at: at(1e9), kept: BTreeMap::new() })
    };
    let cases: [(Option<LogEntry>, Told, bool, Option<Reason>); 15] = [
        (None, told(&[2, 3, 4], &[]), true, Some(Reason::FirstNotification)),
        (None, told(&[], &[1]), true, None),
        (entry(&[1, 2, 3], &[], 0.0), told(&[2, 3, 4], &[]), true, Some(Reason::NewAlerts)),
        (entry(&[1, 2, 3], &[], 0.0), told(&[1, 2, 3], &[]), true, None),
        (entry(&[1, 2, 3], &[], 0.0), told(&[1, 2], &[]), true, None),
        (entry(&[1, 2, 3], &[], -101.0), told(&[1, 2, 3], &[]), true, Some(Reason::RepeatInterval)),
        (entry(&[1, 2, 3], &[], -100.0), told(&[1, 2, 3], &[]), true, None),
        (entry(&[1, 2], &[], 0.0), told(&[], &[1, 2]), true, Some(Reason::AllResolved)),
        (entry(&[1, 2], &[], 0.0), told(&[], &[1, 2]), false, Some(Reason::AllResolved)),
        (entry(&[], &[1, 2], 0.0), told(&[], &[1, 2, 3]), true, None),
        (entry(&[1, 2], &[], 0.0), told(&[1], &[2]), true, Some(Reason::NewResolved)),
        (entry(&[1, 2], &[], 0.0), told(&[1], &[2]), false, None),
        (entry(&[1, 2], &[3], 0.0), told(&[1], &[3]), true, None),
        (entry(&[], &[1], 0.0), told(&[1], &[]), true, Some(Reason::FirstNotification)),
        (entry(&[], &[], -500.0), told(&[], &[]), true, None),
    ];
    for (at_case, (last, told, send_resolved, expected)) in cases.into_iter().enumerate() {
        assert_eq!(needs_update(last.as_ref(), &told, send_resolved, repeat, at(0.0)), expected, "case {at_case}");
    }
    let mut flapping = told(&[1], &[]);
    flapping.flapping = set(&[1]);
    let last = entry(&[1], &[], 0.0);
    assert_eq!(needs_update(last.as_ref(), &flapping, true, repeat, at(0.0)), Some(Reason::Flapping));
}

#[test]
fn the_log_forgets_and_keeps_what_a_series_needs() {
    let key = |group: &str| LogKey { group: group.to_string(), integration: IntegrationKey::new("r", "slack", 0) };
    let mut log = NotificationLog { entries_max: 2, ..NotificationLog::default() };
    let repeat = TimeDelta::seconds(100);
    log.record(key("a"), told(&[1], &[]), Reason::FirstNotification, repeat, at(0.0));
    log.keep(&key("a"), "ts", "123.4");
    log.record(key("a"), told(&[1, 2], &[]), Reason::NewAlerts, repeat, at(10.0));
    assert_eq!(log.last(&key("a"), at(11.0)).unwrap().kept["ts"], "123.4");
    assert!(log.last(&key("a"), at(210.0)).is_none(), "forgotten after twice the repeat interval");
    let read: NotificationLog = serde_json::from_str(&serde_json::to_string(&log).unwrap()).unwrap();
    assert_eq!(read.last(&key("a"), at(11.0)), log.last(&key("a"), at(11.0)));
    log.record(key("b"), told(&[1], &[]), Reason::FirstNotification, repeat, at(20.0));
    log.record(key("c"), told(&[1], &[]), Reason::FirstNotification, repeat, at(30.0));
    assert_eq!((log.iter().count(), log.dropped), (2, 1));
    assert!(log.last(&key("a"), at(31.0)).is_none());
    log.record(key("b"), told(&[1], &[]), Reason::FirstNotification, repeat, at(40.0));
    assert!(log.last(&key("b"), at(41.0)).unwrap().kept.is_empty(), "a new series begins");
    assert_eq!(log.forget_expired(at(1e6)), 2);
}

use proptest::prelude::*;

use super::*;
use crate::route::explain;
use crate::route::labels::Labels;
use crate::silence::SilenceRequest;
use crate::test_support::{alert, at, config};

mod oracle;

const SIMPLE: &str = r#"
route: {receiver: a, group_by: [alertname], group_wait: 10s, group_interval: 60s, repeat_interval: 1h, routes: [{matchers: [night=yes], receiver: a, mute_time_intervals: [always]}]}
receivers: [{name: a, webhook_configs: [{url: 'http://x/'}]}, {name: b, webhook_configs: [{url: 'http://y/'}]}]
time_intervals: [{name: always, time_intervals: [{}]}]
inhibit_rules: [{source_matchers: [severity=critical], target_matchers: [severity=warning], equal: [service]}]
tidewatch:
  flapping: {changes: 4, within: 10m, stable_for: 5m}
  escalation: [{name: E3, matchers: [severity=critical], levels: [{after: 5m, receivers: [b]}]}]
  digests: [{name: d, receiver: a, at: "13:00"}]
"#;

fn notifier() -> Notifier {
    Notifier::new(config(SIMPLE), NotifierState::default(), at(0.0))
}

fn post(notifier: &mut Notifier, alert: Alert, now: f64) -> Fingerprint {
    notifier.receive(vec![alert], at(now)).remove(0).unwrap()
}

fn ended(mut alert: Alert, end: f64) -> Alert {
    alert.ends_at = Some(at(end));
    alert
}

#[test]
fn a_restart_at_any_moment_changes_nothing() {
    let script = |restart: bool| {
        let mut notifier = notifier();
        let mut seen = Vec::new();
        for second in 0..400 {
            let now = f64::from(second);
            let other = alert([("alertname", "A"), ("severity", "x")], 30.0);
            let said = match second {
                0 => Some(alert([("alertname", "A"), ("severity", "critical")], 0.0)),
                30 => Some(other),
                200 => Some(ended(other, 200.0)),
                _ => None,
            };
            if let Some(said) = said {
                post(&mut notifier, said, now);
            }
            if restart {
                let written = serde_json::to_string(&notifier.state).unwrap();
                notifier = Notifier::new(config(SIMPLE), serde_json::from_str(&written).unwrap(), at(now));
            }
            for notification in notifier.tick(at(now)).notifications {
                seen.push((
                    second,
                    notification.integration.to_string(),
                    notification.reason,
                    notification.alerts.len(),
                ));
            }
        }
        seen
    };
    let straight = script(false);
    assert_eq!(straight, script(true));
    let reasons: Vec<Reason> = straight.iter().map(|(_, _, reason, _)| *reason).collect();
    assert_eq!(
        reasons,
        [Reason::FirstNotification, Reason::NewAlerts, Reason::NewResolved, Reason::Escalation],
        "{straight:?}"
    );
}

#[test]
fn what_flaps_is_told_once_and_then_held() {
    let mut notifier = notifier();
    let (mut reasons, mut said) = (Vec::new(), Vec::new());
    for second in 0..1200 {
        let now = f64::from(second);
        if second % 30 == 0 && second <= 300 {
            let firing = alert([("alertname", "A")], now);
            post(&mut notifier, if second % 60 == 0 { firing } else { ended(firing, now) }, now);
        }
        let ticked = notifier.tick(at(now));
        reasons.extend(ticked.notifications.into_iter().map(|it| (second, it.reason)));
        let decisions = ticked.decisions.into_iter().map(|(_, decision)| decision);
        said.extend(decisions.filter(|it| it.stage == Stage::Flapping).map(|it| (second, it.reason)));
    }
    let kinds: Vec<Reason> = reasons.iter().map(|(_, reason)| *reason).collect();
    assert_eq!(kinds.iter().filter(|reason| **reason == Reason::Flapping).count(), 1, "{reasons:?}");
    assert!(kinds.len() <= 5, "{reasons:?}");
    assert!(said[0].1.starts_with("flapping: 4 changes within 10m"), "{said:?}");
    let ends: Vec<_> = said.iter().filter(|(_, reason)| reason.starts_with("stable again")).collect();
    assert_eq!(ends, [&(600, "stable again: no change since 2026-03-04T12:05:00+00:00".to_string())], "{said:?}");
}

#[test]
fn explain_has_a_word_from_every_stage() {
    let mut notifier = notifier();
    let source = post(&mut notifier, alert([("alertname", "S"), ("severity", "critical"), ("service", "x")], 0.0), 0.0);
    let muted = post(&mut notifier, alert([("alertname", "T"), ("severity", "warning"), ("service", "x")], 0.0), 0.0);
    let night = post(&mut notifier, alert([("alertname", "N"), ("night", "yes")], 0.0), 0.0);
    let silent = post(&mut notifier, alert([("alertname", "Q")], 0.0), 0.0);
    let matchers = vec![crate::route::Matcher::parse("alertname=Q").unwrap()];
    let request = SilenceRequest {
        id: None,
        matchers,
        starts_at: at(0.0),
        ends_at: at(1e5),
        created_by: "anna".into(),
        comment: "repair".into(),
        annotations: Labels::default(),
    };
    notifier.state.silences.set(request, at(0.0), 1).unwrap();
    let stop = |notifier: &Notifier, alert| {
        let told = explain(notifier, alert, at(20.0));
        let stages: BTreeSet<Stage> = told.decisions.iter().map(|decision| decision.stage).collect();
        for stage in [
            Stage::Received,
            Stage::Route,
            Stage::Group,
            Stage::Inhibit,
            Stage::MuteTime,
            Stage::Silence,
            Stage::Flapping,
            Stage::Wait,
            Stage::Dedup,
        ] {
            assert!(stages.contains(&stage), "{stage:?} is missing: {told}");
        }
        (
            told.heard,
            told.decisions
                .into_iter()
                .find(|decision| !decision.passed)
                .map(|decision| (decision.stage, decision.reason)),
        )
    };
    let (heard, first) = stop(&notifier, source);
    assert!(heard && first.is_none(), "{first:?}");
    let sent = notifier.tick(at(15.0)).notifications;
    assert_eq!(sent.len(), 1);
    assert!(explain(&notifier, source, at(20.0)).decisions.iter().any(|it| it.stage == Stage::Record));
    for (alert, stage, word) in
        [(muted, Stage::Inhibit, "rule"), (night, Stage::MuteTime, "always"), (silent, Stage::Silence, "anna")]
    {
        let (heard, first) = stop(&notifier, alert);
        let (stopped_at, reason) = first.unwrap();
        assert!(!heard && stopped_at == stage && reason.contains(word), "{stopped_at:?} {reason}");
    }
    let unknown = explain(&notifier, Fingerprint(1), at(0.0));
    assert!(!unknown.heard && !unknown.decisions[0].passed);
}

#[test]
fn escalation_is_held_back_by_a_silence_and_ends_with_the_alert() {
    let mut notifier = notifier();
    let critical = alert([("alertname", "S"), ("severity", "critical")], 0.0);
    post(&mut notifier, critical.clone(), 0.0);
    notifier.tick(at(10.0));
    assert_eq!(notifier.next_due(), Some(at(70.0)));
    let pages = notifier.tick(at(310.0)).pages;
    assert_eq!((pages.len(), pages[0].receivers.as_slice()), (1, &["b".to_string()][..]));
    post(&mut notifier, ended(critical, 320.0), 320.0);
    notifier.tick(at(400.0));
    assert_eq!(notifier.state.escalation.iter().count(), 0);
    let mail = notifier.tick(at(3600.0)).digests;
    assert_eq!(mail[0].entries.len(), 1);
}

/// Slower than linear would not end.
#[test]
fn many_groups_are_dealt_with_in_one_tick() {
    let mut notifier = notifier();
    let alerts = (0..20_000).map(|i| alert([("alertname", format!("A{i}").as_str()), ("severity", "warning")], 0.0));
    assert!(notifier.receive(alerts.collect(), at(0.0)).iter().all(Result::is_ok));
    assert_eq!(notifier.tick(at(10.0)).notifications.len(), 20_000);
    assert!(notifier.tick(at(70.0)).notifications.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Every firing alert that nothing holds back is told as firing within group_wait + group_interval, and for the
    /// others `explain` names the stage that holds them back.
    #[test]
    fn no_alert_is_lost(events in proptest::collection::vec((0_u32..600, 0_u8..4, 0_u8..3, 0_u8..4, any::<bool>()), 1..40), late in 0_u32..5) {
        let mut notifier = notifier();
        let mut events = events;
        events.sort();
        let mut told: BTreeMap<Fingerprint, f64> = BTreeMap::new();
        let mut fired: BTreeMap<Fingerprint, f64> = BTreeMap::new();
        let mut next = events.iter().peekable();
        for second in 0..700_u32 {
            let now = f64::from(second);
            while let Some((_, name, service, severity, firing)) = next.next_if(|event| event.0 <= second) {
                let (name, service) = (name.to_string(), service.to_string());
                let severity = ["critical", "warning", "info", "error"][usize::from(*severity)];
                let one = alert([("alertname", name.as_str()), ("service", service.as_str()), ("severity", severity)], now);
                let one = if *firing { one } else { ended(one, now) };
                let fingerprint = post(&mut notifier, one, now);
                if *firing {
                    fired.entry(fingerprint).or_insert(now);
                } else {
                    fired.remove(&fingerprint);
                    told.remove(&fingerprint);
                }
            }
            // Ticks may come late.
            if second % (late + 1) != 0 {
                continue;
            }
            for notification in notifier.tick(at(now)).notifications {
                told.extend(notification.told.firing.iter().map(|fingerprint| (*fingerprint, now)));
            }
            for (fingerprint, since) in &fired {
                if told.contains_key(fingerprint) || now - since <= 70.0 + f64::from(late) {
                    continue;
                }
                let explained = explain(&notifier, *fingerprint, at(now));
                let stopped = explained.decisions.iter().find(|decision| !decision.passed);
                let held = stopped.is_some_and(|it| matches!(it.stage, Stage::Inhibit | Stage::Silence | Stage::MuteTime));
                // Inhibition may have ended since the last flush.
                let waits = notifier.state.groups.iter().any(|(_, group)| group.alerts.contains_key(fingerprint) && group.next_flush > at(now));
                prop_assert!(held || explained.heard && waits, "second {second}: {explained}");
            }
        }
    }
}

#[test]
fn an_amendment_tells_nobody_and_is_in_what_is_told_later() {
    let mut notifier = notifier();
    let first = alert([("alertname", "A"), ("severity", "x")], 0.0);
    post(&mut notifier, first.clone(), 0.0);
    assert_eq!(notifier.tick(at(10.0)).notifications.len(), 1);
    let due = notifier.next_due();
    let mut amended = first.clone();
    amended.detail.amendment = Some("would not have fired".to_string());
    notifier.amend(&amended, at(20.0));
    assert_eq!(notifier.next_due(), due);
    assert_eq!(notifier.tick(at(21.0)).notifications, []);
    post(&mut notifier, alert([("alertname", "A"), ("severity", "y")], 30.0), 30.0);
    let told = notifier.tick(at(70.0)).notifications.remove(0);
    let texts: Vec<Option<&str>> = told.alerts.iter().map(|alert| alert.detail.amendment.as_deref()).collect();
    assert_eq!(texts, [Some("would not have fired"), None]);
    // Another firing of the same alert is none of its business.
    let mut other = amended.clone();
    other.starts_at = at(-100.0);
    other.detail.amendment = Some("long ago".to_string());
    notifier.amend(&other, at(80.0));
    let known = notifier.state.store.get(first.fingerprint()).unwrap();
    assert_eq!(known.detail.amendment.as_deref(), Some("would not have fired"));
    // One that nobody knew is in the digest, and nowhere else.
    let mut missed = ended(alert([("alertname", "B")], 0.0), 5.0);
    missed.detail.amendment = Some("should have fired".to_string());
    notifier.amend(&missed, at(90.0));
    assert_eq!(notifier.state.store.get(missed.fingerprint()), None);
    let mail = notifier.tick(at(86_400.0)).digests.remove(0);
    let (_, text) = crate::receiver::email::digest(&mail);
    assert!(text.contains("B (fired 0 times)\n         amended: should have fired"), "{text}");
}

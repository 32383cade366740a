use std::collections::BTreeSet;

use super::*;
use crate::config::IntegrationKey;
use crate::group::GroupId;
use crate::notification_log::Reason;
use crate::route::alert::Contribution;
use crate::route::pipeline::told;
use crate::test_support::{alert, at};

/// A notification about these alerts at 60 s, to the integration `team/<kind>[0]`.
pub(super) fn notification(kind: &str, alerts: Vec<Alert>) -> Notification {
    let mut alerts = alerts;
    for alert in alerts.iter_mut().filter(|alert| !alert.resolved_at(at(60.0))) {
        alert.ends_at = None;
    }
    Notification {
        group: GroupId { route: "0".to_string(), labels: Labels::from([("alertname", "Slow")]) },
        group_key: r#"{}:{alertname="Slow"}"#.to_string(),
        route_labels: Labels::default(),
        integration: IntegrationKey::new("team", kind, 0),
        reason: Reason::FirstNotification,
        told: told(&alerts, &BTreeSet::new(), at(60.0)),
        alerts,
        now: at(60.0),
        repeat_interval_ms: 3_600_000,
        escalation_level: None,
    }
}

pub(super) fn message(notification: &Notification) -> Message<'_> {
    Message { notification, external_url: "http://tidewatch" }
}

pub(super) fn slow(i: &str) -> Alert {
    let mut alert = alert([("alertname", "Slow"), ("severity", "critical"), ("i", i)], 0.0);
    alert.annotations =
        Labels::from([("summary", "p95 of <ups> & co is high"), ("runbook_url", "http://runbooks/slow")]);
    alert.generator_url = "http://tidewatch/rule".to_string();
    alert.detail.value = Some(6.25);
    alert.detail.baseline = Some(0.4);
    alert.detail.threshold = Some(5.0);
    alert.detail.contributions = vec![Contribution { label: "provider=\"ups\"".to_string(), share: 0.71 }];
    alert
}

pub(super) fn over(mut alert: Alert) -> Alert {
    alert.ends_at = Some(at(50.0));
    alert
}

#[test]
fn keys_are_the_same_for_the_same_and_differ_otherwise() {
    let first = notification("slack", vec![slow("1"), slow("2")]);
    let key = |notification: &Notification| message(notification).idempotency_key();
    let mut later = first.clone();
    later.now = at(61.0);
    assert_eq!(key(&first), key(&later));
    let mut keys = BTreeSet::from([key(&first)]);
    let mut other = |change: &dyn Fn(&mut Notification)| {
        let mut notification = first.clone();
        change(&mut notification);
        assert!(keys.insert(key(&notification)));
    };
    other(&|it| it.integration.index = 1);
    other(&|it| it.group_key.push('x'));
    other(&|it| it.reason = Reason::NewAlerts);
    other(&|it| it.reason = Reason::RepeatInterval);
    other(&|it| (it.reason, it.now) = (Reason::RepeatInterval, at(99.0)));
    other(&|it| {
        it.told.firing.pop_first();
    });
    other(&|it| it.alerts[0].starts_at = at(1.0));
    other(&|it| it.alerts[0].detail.amendment = Some("late".to_string()));
    assert_ne!(idempotency_key(&["a", "b"]), idempotency_key(&["ab", ""]));
}

#[test]
fn subjects_are_alertmanagers() {
    let two = notification("email", vec![slow("1"), slow("2")]);
    assert_eq!(message(&two).subject(), "[FIRING:2] Slow (critical)");
    let done = notification("email", vec![over(slow("1"))]);
    assert_eq!(message(&done).subject(), "[RESOLVED] Slow (1 critical)");
    assert_eq!(message(&done).listing_url(), "http://tidewatch/#/alerts?receiver=team");
}

#[test]
fn texts_are_kept_within_their_limits() {
    assert_eq!(text::cut("straße", 4), "str…");
    assert_eq!(text::cut_bytes("straße", 5), "stra");
    for (value, shown) in [
        (6.25, "6.25"),
        (0.000_123_456, "0.0001235"),
        (12345.678, "12346"),
        (0.0, "0"),
        (-1.5, "-1.5"),
        (1e9, "1000000000"),
    ] {
        assert_eq!(text::number(value), shown);
    }
    assert_eq!(text::numbers(&slow("1")), "6.25 (usually 0.4, threshold 5); +71 % provider=\"ups\"");
    let mut compared = slow("1");
    compared.detail.compared_with = Some("a week before".to_string());
    compared.detail.contributions.push(Contribution { label: "provider=\"usps\"".to_string(), share: -1.2 });
    assert_eq!(
        text::numbers(&compared),
        "6.25 (0.4 a week before, threshold 5); +71 % provider=\"ups\", -120 % provider=\"usps\""
    );
    assert_eq!(text::instant(at(0.5)), "2026-03-04T12:00:00.5Z");
    assert_eq!(text::instant(at(0.0)), "2026-03-04T12:00:00Z");
}

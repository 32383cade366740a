use super::*;
use crate::test_support::{alert, at, config};

fn inhibitor(rule: &str) -> Inhibitor {
    Inhibitor::new(&config(&format!("route: {{receiver: a}}\nreceivers: [{{name: a}}]\ninhibit_rules: [{{{rule}}}]\n")))
}

const RULE: &str = "name: r, source_matchers: [severity=critical], target_matchers: ['severity=~\"warning|critical\"'], equal: [service, zone]";

#[test]
fn equal_labels_decide_and_missing_is_empty() {
    let inhibitor = inhibitor(RULE);
    let source = alert([("severity", "critical"), ("service", "x")], 0.0);
    let alerts = [source.clone()];
    let sources = inhibitor.sources(alerts.iter(), at(1.0));
    let muted = |labels: Labels| sources.muting(&labels);
    let found = muted(Labels::from([("severity", "warning"), ("service", "x")])).unwrap();
    assert_eq!((found.rule.as_str(), found.source), ("r", source.fingerprint()));
    assert!(muted(Labels::from([("severity", "warning"), ("service", "x"), ("zone", "")])).is_some());
    assert!(muted(Labels::from([("severity", "warning"), ("service", "x"), ("zone", "z")])).is_none());
    assert!(muted(Labels::from([("severity", "warning")])).is_none());
    assert!(muted(Labels::from([("severity", "info"), ("service", "x")])).is_none());
}

#[test]
fn an_alert_on_both_sides_does_not_mute_itself() {
    let inhibitor = inhibitor(RULE);
    let both = [
        alert([("severity", "critical"), ("service", "x"), ("i", "1")], 0.0),
        alert([("severity", "critical"), ("service", "x"), ("i", "2")], 0.0),
    ];
    let sources = inhibitor.sources(both.iter(), at(1.0));
    assert!(both.iter().all(|alert| sources.muting(&alert.labels).is_none()));
    assert!(sources.muting(&Labels::from([("severity", "warning"), ("service", "x")])).is_some());
}

#[test]
fn a_resolved_source_mutes_nothing() {
    let inhibitor = inhibitor(RULE);
    let mut source = alert([("severity", "critical"), ("service", "x")], 0.0);
    source.ends_at = Some(at(5.0));
    let (alerts, target) = ([source], Labels::from([("severity", "warning"), ("service", "x")]));
    assert!(inhibitor.sources(alerts.iter(), at(4.0)).muting(&target).is_some());
    assert!(inhibitor.sources(alerts.iter(), at(5.0)).muting(&target).is_none());
}

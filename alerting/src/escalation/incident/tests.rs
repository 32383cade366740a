use super::*;
use crate::test_support::{alert, at, config};

const POLICIES: &str = r#"
route: {receiver: a}
receivers: [{name: a}, {name: owner}, {name: second}, {name: super}, {name: all}]
tidewatch:
  escalation:
    - name: E1
      matchers: [severity="warning"]
      levels: [{after: 30m, receivers: [owner]}, {after: 4h, raise_to: E2}]
    - name: E2
      matchers: [severity="error"]
      levels: [{after: 15m, receivers: [super]}, {after: 30m, raise_to: E3}]
    - name: E3
      matchers: [severity="critical"]
      manual_close: [class="security", alertname="payment_failure"]
      levels: [{after: 5m, receivers: [second]}, {after: 15m, receivers: [super]}, {after: 30m, receivers: [all], overdue: true}]
"#;

fn told(severity: &str, class: &str) -> (Policies, Escalation, Fingerprint) {
    told_as("some", severity, class)
}

fn told_as(name: &str, severity: &str, class: &str) -> (Policies, Escalation, Fingerprint) {
    let (policies, mut escalation) = (Policies::new(&config(POLICIES)), Escalation::default());
    let alert = alert([("alertname", name), ("severity", severity), ("class", class)], 0.0);
    escalation.told(&policies, &alert, at(0.0));
    (policies, escalation, alert.fingerprint())
}

fn minutes(count: f64) -> Timestamp {
    at(count * 60.0)
}

#[test]
fn levels_follow_each_other_until_somebody_acknowledges() {
    let (policies, mut escalation, fingerprint) = told("critical", "system");
    let none = BTreeSet::new();
    assert_eq!(escalation.next_due(&policies), Some(minutes(5.0)));
    assert!(escalation.due(&policies, &none, minutes(4.99)).is_empty());
    let first = escalation.due(&policies, &none, minutes(5.0));
    assert_eq!((first.len(), first[0].receivers.as_slice(), first[0].level), (1, &["second".to_string()][..], 1));
    assert!(escalation.due(&policies, &none, minutes(5.0)).is_empty(), "once only");
    let mut patient = escalation.clone();
    let act = Act { by: "anna".to_string(), at: minutes(6.0), note: "on it".to_string() };
    assert!(escalation.acknowledge(fingerprint, act));
    assert!(escalation.due(&policies, &none, minutes(500.0)).is_empty() && escalation.next_due(&policies).is_none());
    assert!(escalation.unacknowledge(fingerprint, minutes(500.0)));
    assert_eq!(escalation.next_due(&policies), Some(minutes(505.0)));
    let late = patient.due(&policies, &none, minutes(31.0));
    assert_eq!(late.iter().map(|page| page.receivers[0].as_str()).collect::<Vec<_>>(), ["super", "all"]);
    assert!(late[1].overdue && patient.get(fingerprint).unwrap().overdue);
    let keys: BTreeSet<&String> = first.iter().chain(&late).map(|page| &page.idempotency_key).collect();
    assert_eq!(keys.len(), 3);
}

#[test]
fn a_policy_raises_to_the_next() {
    let (policies, mut escalation, fingerprint) = told("warning", "system");
    let pages = escalation.due(&policies, &BTreeSet::new(), minutes(24.0 * 60.0));
    let told: Vec<(String, f64)> =
        pages.iter().map(|page| (page.receivers[0].clone(), (page.due_at - at(0.0)).num_minutes() as f64)).collect();
    let expected = [("owner", 30.0), ("super", 255.0), ("second", 275.0), ("super", 285.0), ("all", 300.0)];
    assert_eq!(told, expected.map(|(receiver, minute)| (receiver.to_string(), minute)));
    assert_eq!(escalation.get(fingerprint).unwrap().policy, "E3");
}

#[test]
fn suppressed_alerts_wait_and_closing_may_need_a_person() {
    let (policies, mut escalation, fingerprint) = told_as("payment_failure", "critical", "business");
    let suppressed = BTreeSet::from([fingerprint]);
    assert!(escalation.due(&policies, &suppressed, minutes(10.0)).is_empty());
    assert_eq!(escalation.due(&policies, &BTreeSet::new(), minutes(11.0)).len(), 1);
    assert_eq!(escalation.resolved(fingerprint, minutes(12.0)), Closing::WaitsForPerson);
    assert_eq!(escalation.due(&policies, &BTreeSet::new(), minutes(15.0)).len(), 1, "it goes on");
    let read: Escalation = serde_json::from_str(&serde_json::to_string(&escalation).unwrap()).unwrap();
    assert_eq!(read.next_due(&policies), escalation.next_due(&policies));
    assert!(escalation.close(fingerprint).is_some());
    let (_, mut other, fingerprint) = told("critical", "system");
    assert_eq!(other.resolved(fingerprint, minutes(1.0)), Closing::Closed);
    assert_eq!(other.resolved(fingerprint, minutes(1.0)), Closing::Unknown);
    let (_, none, _) = told("info", "system");
    assert_eq!(none.iter().count(), 0);
}

const OWNED: &str = r#"
route: {receiver: a}
receivers: [{name: a}, {name: TA}, {name: SA}, {name: SEC}]
tidewatch:
  owners: {label: receivers, otherwise: [a]}
  escalation:
    - name: E2
      matchers: [policy="E2"]
      levels: [{after: 15m, owners: true, receivers: [SA]}, {after: 30m, receivers: [SA], raise_to: E3}]
    - {name: E3, matchers: [policy="E3"], manual_close: [class="security"]}
"#;

#[test]
fn owners_are_those_whom_the_label_names() {
    let policies = Policies::new(&config(OWNED));
    let cases = [
        ("SEC,TA", vec!["SEC", "TA", "SA"]),
        ("SA, nobody, SA", vec!["SA"]),
        ("nobody", vec!["a", "SA"]),
        ("", vec!["a", "SA"]),
    ];
    for (named, expected) in cases {
        let mut escalation = Escalation::default();
        escalation.told(&policies, &alert([("policy", "E2"), ("receivers", named)], 0.0), at(0.0));
        let pages = escalation.due(&policies, &BTreeSet::new(), minutes(15.0));
        assert_eq!(pages[0].receivers, expected, "{named:?}");
    }
}

#[test]
fn what_was_raised_is_closed_as_its_new_policy_says() {
    let policies = Policies::new(&config(OWNED));
    for (class, expected) in [("security", Closing::WaitsForPerson), ("system", Closing::Closed)] {
        let mut escalation = Escalation::default();
        let alert = alert([("policy", "E2"), ("class", class)], 0.0);
        escalation.told(&policies, &alert, at(0.0));
        let mut early = escalation.clone();
        assert_eq!(early.resolved(alert.fingerprint(), minutes(29.0)), Closing::Closed, "{class}");
        assert_eq!(escalation.due(&policies, &BTreeSet::new(), minutes(30.0)).len(), 2, "{class}");
        assert_eq!(escalation.resolved(alert.fingerprint(), minutes(31.0)), expected, "{class}");
    }
}

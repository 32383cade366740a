use super::*;
use crate::config::Config;
use crate::notification_log::Reason;
use crate::route::explain;
use crate::route::{Notifier, NotifierState, Ticked};
use crate::test_support::{alert, at, config};

/// Quiet hours are 12:30 to 13:30 UTC.
const CONFIG: &str = r#"
global: {smtp_smarthost: 'localhost:25', smtp_from: 'x@example.org'}
route: {receiver: on-call, group_by: [alertname], group_wait: 0s, group_interval: 5m, repeat_interval: 4h}
receivers:
  - {name: on-call, webhook_configs: [{url: 'http://team/'}]}
  - {name: anna-slack, webhook_configs: [{url: 'http://anna-slack/', send_resolved: true}]}
  - {name: anna-sms, webhook_configs: [{url: 'http://anna-sms/', send_resolved: false}]}
  - {name: anna-mail, email_configs: [{to: anna@example.org, send_resolved: true}]}
  - {name: bob, webhook_configs: [{url: 'http://bob/'}]}
tidewatch:
  audiences: [{receiver: on-call, users: [anna, bob]}]
  escalation: [{name: E, matchers: [severity="error"], levels: [{after: 10m, receivers: [on-call]}]}]
  preferences:
    - user: anna
      receivers: {slack: anna-slack, sms: anna-sms, mail: anna-mail}
      channels: {critical: [slack, sms], warning: [slack], info: [mail], error: [slack]}
      severities: [critical, error, warning, info]
      quiet_hours: {times: [{start_time: '13:30', end_time: '14:30'}], location: Europe/Berlin}
      digest: {channel: mail, severities: [info], at: '15:00', location: Europe/Berlin}
    - {user: bob, receivers: {hook: bob}}
"#;

const MINUTE: f64 = 60.0;

struct Bench(Notifier);

impl Bench {
    fn new() -> Self {
        Self(Notifier::new(config(CONFIG), NotifierState::default(), at(0.0)))
    }

    fn tell(&mut self, labels: [(&str, &str); 2], since: f64, until: Option<f64>, now: f64) {
        let mut alert = alert(labels, since);
        alert.ends_at = until.map(at).or(alert.ends_at);
        alert.updated_at = at(now);
        self.0.receive(vec![alert], at(now)).remove(0).unwrap();
    }

    fn tick(&mut self, now: f64) -> Ticked {
        // What is written down is all that there is.
        let state = serde_json::from_str(&serde_json::to_string(&self.0.state).unwrap()).unwrap();
        self.0 = Notifier::new(config(CONFIG), state, at(now));
        self.0.tick(at(now))
    }
}

/// Who is told, of how many that fire and how many that are over.
fn told(ticked: &Ticked) -> Vec<(String, usize, usize)> {
    let mut told: Vec<_> = ticked
        .notifications
        .iter()
        .map(|told| {
            let over = told.alerts.iter().filter(|alert| alert.resolved_at(told.now)).count();
            (told.integration.receiver.clone(), told.alerts.len() - over, over)
        })
        .collect();
    told.sort();
    told
}

fn rows(ticked: &Ticked) -> Vec<(String, bool, String)> {
    let preference = ticked.decisions.iter().filter(|(_, decision)| decision.stage == Stage::Preference);
    preference.map(|(_, decision)| (decision.by.join(","), decision.passed, decision.reason.clone())).collect()
}

fn firing(receivers: &[&str]) -> Vec<(String, usize, usize)> {
    receivers.iter().map(|receiver| ((*receiver).to_owned(), 1, 0)).collect()
}

#[test]
fn each_user_hears_by_the_channels_of_the_severity() {
    let told_of = |severity: &str| {
        let mut bench = Bench::new();
        bench.tell([("alertname", "A"), ("severity", severity)], 0.0, None, 0.0);
        let ticked = bench.tick(0.0);
        (told(&ticked), rows(&ticked))
    };
    let (critical, said) = told_of("critical");
    assert_eq!(critical, firing(&["anna-slack", "anna-sms", "bob", "on-call"]));
    assert_eq!(said.len(), 4, "{said:?}");
    assert_eq!(said[0], ("anna/mail".into(), false, "anna does not want severity \"critical\" by mail".into()));
    assert!(said[1].1);
    assert!(said[1].2.contains("anna gets severity \"critical\" by slack"), "{said:?}");
    assert_eq!(told_of("warning").0, firing(&["anna-slack", "bob", "on-call"]));
    // Collected, not mailed.
    assert_eq!(told_of("info").0, firing(&["bob", "on-call"]));
    let (unwanted, said) = told_of("debug");
    assert_eq!(unwanted, firing(&["bob", "on-call"]));
    assert_eq!(said[0].2, "anna does not want severity \"debug\"");
}

#[test]
fn quiet_hours_hold_back_what_still_fires_afterwards_and_let_critical_pass() {
    let mut bench = Bench::new();
    bench.tell([("alertname", "W"), ("severity", "warning")], 40.0 * MINUTE, None, 40.0 * MINUTE);
    bench.tell([("alertname", "C"), ("severity", "critical")], 40.0 * MINUTE, None, 40.0 * MINUTE);
    bench.tell([("alertname", "E"), ("severity", "warning")], 40.0 * MINUTE, None, 40.0 * MINUTE);
    let ticked = bench.tick(40.0 * MINUTE);
    let quiet = "quiet hours of anna hold back severity \"warning\" by slack";
    assert_eq!(
        rows(&ticked).iter().filter(|(by, passed, reason)| by == "anna/slack" && !passed && reason == quiet).count(),
        2
    );
    let mut expected = firing(&["anna-slack", "anna-sms", "bob", "bob", "bob", "on-call", "on-call", "on-call"]);
    assert_eq!(told(&ticked), expected, "slack and SMS of the critical one");
    bench.tell([("alertname", "E"), ("severity", "warning")], 40.0 * MINUTE, Some(50.0 * MINUTE), 50.0 * MINUTE);
    let mut after = Vec::new();
    for minute in 41..=120 {
        after.extend(told(&bench.tick(f64::from(minute) * MINUTE)).into_iter().map(|told| (minute, told)));
    }
    expected = firing(&["anna-slack"]);
    let anna: Vec<_> = after.iter().filter(|(_, (receiver, ..))| receiver.starts_with("anna")).collect();
    // The first flush after 13:30; of what began and ended meanwhile nothing.
    assert_eq!(anna, [&(90, expected.remove(0))], "{after:?}");
}

#[test]
fn what_was_told_before_the_quiet_hours_is_told_to_be_over_after_them() {
    let mut bench = Bench::new();
    bench.tell([("alertname", "A"), ("severity", "warning")], 20.0 * MINUTE, None, 20.0 * MINUTE);
    assert_eq!(told(&bench.tick(20.0 * MINUTE)), firing(&["anna-slack", "bob", "on-call"]));
    let mut seen = Vec::new();
    for minute in 21..=180 {
        if minute == 41 {
            bench.tell(
                [("alertname", "A"), ("severity", "warning")],
                20.0 * MINUTE,
                Some(41.0 * MINUTE),
                41.0 * MINUTE,
            );
        }
        seen.extend(told(&bench.tick(f64::from(minute) * MINUTE)).into_iter().map(|told| (minute, told)));
    }
    let over = |minute, receiver: &str| (minute, (receiver.to_owned(), 0, 1));
    assert_eq!(seen, [over(45, "bob"), over(45, "on-call"), over(90, "anna-slack")]);
    assert_eq!(bench.0.state.groups.iter().count(), 0, "and the group is gone");
}

#[test]
fn a_digest_lists_what_was_collected_and_what_was_held_back() {
    let mut bench = Bench::new();
    bench.tell([("alertname", "I"), ("severity", "info")], 0.0, None, 0.0);
    bench.tick(0.0);
    bench.tell([("alertname", "I"), ("severity", "info")], 0.0, Some(7.0 * MINUTE), 7.0 * MINUTE);
    bench.tell([("alertname", "W"), ("severity", "warning")], 40.0 * MINUTE, None, 40.0 * MINUTE);
    bench.tick(40.0 * MINUTE);
    bench.tell([("alertname", "C"), ("severity", "critical")], 50.0 * MINUTE, None, 50.0 * MINUTE);
    bench.tick(50.0 * MINUTE);
    assert!(bench.tick(119.0 * MINUTE).digests.is_empty());
    let mail = bench.tick(120.0 * MINUTE).digests.remove(0);
    assert_eq!((&*mail.digest, &*mail.receiver), ("user:anna", "anna-mail"));
    let entries: Vec<(&str, bool)> = mail.entries.iter().map(|entry| (entry.alert.name(), entry.resolved)).collect();
    assert_eq!(entries, [("I", true), ("W", false)]);
}

#[test]
fn a_channel_of_two_users_is_told_once_and_an_escalation_asks_users_too() {
    let shared = CONFIG.replace("{hook: bob}", "{hook: bob, slack: anna-slack}");
    let mut notifier = Notifier::new(config(&shared), NotifierState::default(), at(0.0));
    let alert = alert([("alertname", "A"), ("severity", "error")], 0.0);
    notifier.receive(vec![alert], at(0.0)).remove(0).unwrap();
    assert_eq!(told(&notifier.tick(at(0.0))), firing(&["anna-slack", "bob", "on-call"]));
    let ticked = notifier.tick(at(600.0));
    assert!(ticked.notifications.iter().all(|told| told.reason == Reason::Escalation));
    assert_eq!(told(&ticked), firing(&["anna-slack", "bob", "on-call"]));
    assert!(!rows(&ticked).is_empty());
}

#[test]
fn explain_says_what_users_want_now_and_what_they_were_told() {
    let mut bench = Bench::new();
    bench.tell([("alertname", "A"), ("severity", "warning")], 0.0, None, 0.0);
    bench.tick(0.0);
    let fingerprint = alert([("alertname", "A"), ("severity", "warning")], 0.0).fingerprint();
    let text = explain(&bench.0, fingerprint, at(40.0 * MINUTE)).to_string();
    for part in [
        "Preference: stopped: quiet hours of anna hold back severity \"warning\" by slack",
        "Preference: stopped: anna does not want severity \"warning\" by mail",
        "Preference: passed: bob gets severity \"warning\" by hook, receiver \"bob\"",
        "Record: passed: told as firing at 2026-03-04T12:00:00",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}

#[test]
fn users_that_cannot_be_reached_are_refused() {
    for (right, wrong, reason) in [
        ("users: [anna, bob]", "users: [anna, carl]", "how to reach user \"carl\""),
        ("users: [anna, bob]", "users: [anna, anna]", "named twice"),
        ("{hook: bob}", "{hook: carl}", "undefined receiver \"carl\""),
        ("{hook: bob}", "{hook: on-call}", "names users"),
        ("critical: [slack, sms]", "critical: [slack, pager]", "no channel \"pager\""),
        ("channel: mail", "channel: letter", "no channel \"letter\""),
        ("at: '15:00'", "at: '24:00'", "24:00"),
        ("audiences: [{receiver: on-call", "audiences: [{receiver: off-call", "undefined receiver \"off-call\""),
        (
            "  escalation:",
            "  digests: [{name: 'user:anna', receiver: bob, at: '08:00'}]\n  escalation:",
            "those of users",
        ),
    ] {
        let text = CONFIG.replace(right, wrong);
        assert_ne!(text, CONFIG, "{right}");
        let error = Config::load(&text).unwrap_err();
        assert!(error.path.starts_with("tidewatch") && error.to_string().contains(reason), "{error}");
    }
}

use super::*;
use crate::ledger::Row;
use crate::testing::bench::{Bench, groups};

/// 2027-01-15T08:00:00Z.
const START_MS: i64 = 1_800_000_000_000;
const RULES: &str = r#"
groups:
  - name: g
    interval: 1m
    rules:
      - {alert: Late, expr: late > 5, labels: {severity: warning}}
      - {alert: Lost, expr: lost > 5, labels: {severity: critical}}
"#;
const CONFIG: &str = r#"
global: {smtp_smarthost: 'localhost:25', smtp_from: 'x@example.org'}
route: {receiver: on-call, group_by: [alertname], group_wait: 0s, group_interval: 5m, repeat_interval: 4h}
receivers:
  - {name: on-call}
  - {name: anna-hook, webhook_configs: [{url: 'http://127.0.0.1:9/', send_resolved: true}]}
  - {name: anna-mail, email_configs: [{to: anna@example.org}]}
tidewatch:
  audiences: [{receiver: on-call, users: [anna]}]
  preferences:
    - user: anna
      receivers: {hook: anna-hook, mail: anna-mail}
      channels: {warning: [hook], critical: [hook]}
      quiet_hours: {times: [{start_time: '08:00', end_time: '09:00'}]}
      digest: {channel: mail, at: '08:45'}
"#;

fn preference(rows: &[Row]) -> Vec<(Option<bool>, &str, &[String])> {
    let rows = rows.iter().filter(|row| row.stage == "preference");
    rows.map(|row| (row.passed, row.reason.as_str(), row.by.as_slice())).collect()
}

const INHIBITING: &str = r#"
route: {receiver: hook, group_by: [alertname], group_wait: 0s, group_interval: 1m, repeat_interval: 4h}
receivers: [{name: hook, webhook_configs: [{url: 'http://127.0.0.1:9/'}]}]
inhibit_rules: [{name: lost-first, source_matchers: [severity=critical], target_matchers: [severity=warning]}]
"#;

#[test]
fn what_another_alert_holds_back_is_in_the_ledger_and_explained() {
    let mut bench = Bench::new(START_MS);
    let ruler = bench.open(groups(RULES), INHIBITING, |_| {});
    let at = |minute: i64, lost: f64| {
        let now_ms = START_MS + minute * 60_000;
        bench.data.push(&[("__name__", "late")], now_ms, 9.0);
        bench.data.push(&[("__name__", "lost")], now_ms, lost);
        bench.tick(&ruler, now_ms);
    };
    at(0, 9.0);
    let of = |name: &str| {
        let notifier = ruler.shared().notifier();
        let found = notifier.state.store.iter().find(|alert| alert.name() == name);
        found.unwrap().fingerprint().to_string()
    };
    let (late, lost) = (of("Late"), of("Lost"));
    let explained = explain(ruler.shared(), &late).unwrap();
    let held: Vec<&Row> = explained.history.iter().filter(|row| row.stage == "inhibit").collect();
    let [row] = held[..] else { panic!("{:?}", explained.history) };
    assert_eq!((row.passed, row.by.as_slice()), (Some(false), &[lost.clone()][..]));
    assert_eq!(row.labels["alertname"], "Late");
    let reason = format!("inhibited by alert {lost} through rule lost-first");
    let text = explained.to_string();
    for part in [
        format!("2027-01-15T08:00:00Z inhibit (stopped): {reason} [{lost}]"),
        "messages\n  none".to_owned(),
        format!("Inhibit: stopped: {reason}"),
    ] {
        assert!(text.contains(&part), "{part} in\n{text}");
    }
    assert_eq!(explain(ruler.shared(), &lost).unwrap().messages.len(), 1);
    // It is told when nothing holds it back any more.
    at(1, 1.0);
    let explained = explain(ruler.shared(), &late).unwrap();
    assert_eq!(explained.messages.len(), 1, "{explained}");
    assert!(explained.to_string().contains("Inhibit: passed: no inhibition"), "{explained}");
}

#[test]
fn what_a_user_wants_is_in_the_ledger_and_explained() {
    let mut bench = Bench::new(START_MS);
    let ruler = bench.open(groups(RULES), CONFIG, |_| {});
    let mut waiting = Vec::new();
    for minute in 0..=70 {
        let now_ms = START_MS + minute * 60_000;
        bench.data.push(&[("__name__", "late")], now_ms, 9.0);
        bench.data.push(&[("__name__", "lost")], now_ms, 9.0);
        bench.tick(&ruler, now_ms);
        waiting.push(ruler.shared().outbox.waiting());
    }
    // The critical one at once, the digest at 8:45, the other one after the quiet hours.
    let changes: Vec<(usize, u64)> = (0..waiting.len())
        .filter(|at| *at == 0 || waiting[at - 1] != waiting[*at])
        .map(|at| (at, waiting[at] as u64))
        .collect();
    assert_eq!(changes, [(0, 1), (45, 2), (60, 3)]);
    let alerts: Vec<(String, String)> = {
        let notifier = ruler.shared().notifier();
        notifier.state.store.iter().map(|alert| (alert.name().to_owned(), alert.fingerprint().to_string())).collect()
    };
    let of = |name: &str| {
        let (_, fingerprint) = alerts.iter().find(|(known, _)| known == name).unwrap();
        explain(ruler.shared(), fingerprint).unwrap()
    };
    let late = of("Late");
    let by = ["anna/hook".to_owned()];
    let mail = ["anna/mail".to_owned()];
    assert_eq!(
        preference(&late.history),
        [
            (Some(false), "quiet hours of anna hold back severity \"warning\" by hook", &by[..]),
            (Some(false), "anna does not want severity \"warning\" by mail", &mail[..]),
            (Some(true), "anna gets severity \"warning\" by hook, receiver \"anna-hook\"", &by[..]),
        ],
        "each decision once, and again when it changes"
    );
    let text = late.to_string();
    for part in [
        "2027-01-15T08:00:00Z preference (stopped): quiet hours of anna",
        "2027-01-15T09:00:00Z preference: anna gets severity \"warning\" by hook",
        "anna-hook/webhook[0]",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    assert_eq!((late.messages.len(), of("Lost").messages.len()), (1, 1));
}

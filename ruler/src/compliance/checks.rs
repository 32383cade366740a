//! What of the specification is no story: errors, what may be missing, what a restart keeps.

use super::case::ask;
use crate::testing::bench::{Bench, NOBODY, groups};
use serde_json::Value;
use tidewatch_notify::SecretUrl;

const START_MS: i64 = 1_800_000_000_000;

fn forwards(settings: &mut crate::RulerSettings) {
    settings.forward.alertmanagers = vec![SecretUrl::parse("http://127.0.0.1:9/").unwrap()];
}

#[test]
fn what_is_not_well_says_why_and_what_was_not_evaluated_is_unknown() {
    let rules = groups("groups: [{name: g, rules: [{alert: A, expr: up}]}]");
    let mut bench = Bench::new(START_MS);
    let ruler = bench.open(rules, NOBODY, forwards);
    let answer = bench.get(&ruler, "/api/v1/rules");
    let rule = &answer["groups"][0]["rules"][0];
    assert_eq!((&rule["health"], &rule["state"]), (&"unknown".into(), &"inactive".into()));
    assert_eq!(rule["lastError"], "not evaluated yet");
    assert_eq!(rule["alerts"], Value::Array(vec![]));
}

#[test]
fn rules_are_found_by_the_labels_of_their_definitions() {
    let rules = groups(
        "groups: [{name: g, rules: [
          {alert: A, expr: up, labels: {team: shop, shown: '{{ $value }}'}}, {record: r, expr: up, labels: {team: web}},
          {alert: B, expr: up}]}]",
    );
    let mut bench = Bench::new(START_MS);
    let ruler = bench.open(rules, NOBODY, forwards);
    let names = |query: &str| -> Vec<String> {
        let answer = bench.get(&ruler, &format!("/api/v1/rules?{query}"));
        let groups = answer["groups"].as_array().unwrap();
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
        rules.map(|rule| rule["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("match[]=%7Bteam=%22shop%22%7D"), ["A"]);
    assert_eq!(names("match[]=%7Bteam=~%22.%2B%22%7D"), ["A", "r"]);
    assert_eq!(names("match[]=%7Bteam=%22shop%22%7D&match[]=%7Bteam=%22web%22%7D"), ["A", "r"]);
    assert_eq!(names("match[]=%7Bteam=%22shop%22%7D&type=record"), [""; 0]);
}

#[test]
fn labels_that_become_the_same_are_an_error_of_the_rule_which_tells_nobody_and_writes_nothing() {
    let rules = groups(
        "groups: [{name: g, interval: 30s, rules: [
          {alert: A, expr: up == 0, labels: {instance: all}}, {alert: B, expr: up == 0}]}]",
    );
    let mut bench = Bench::new(START_MS);
    let ruler = bench.open(rules, NOBODY, forwards);
    let up = |instance, now_ms| bench.data.push(&[("__name__", "up"), ("instance", instance)], now_ms, 0.0);
    up("x", START_MS);
    bench.evaluate(&ruler, START_MS);
    assert_eq!(ruler.shared().forward.taken().len(), 2);
    let mut told = 0;
    for step in 1..=10 {
        let now_ms = START_MS + step * 30_000;
        up("x", now_ms);
        up("y", now_ms);
        bench.evaluate(&ruler, now_ms);
        let answer = bench.get(&ruler, "/api/v1/rules");
        let [a, b] = [0, 1].map(|at| &answer["groups"][0]["rules"][at]);
        assert_eq!((&a["health"], &b["health"]), (&"err".into(), &"ok".into()));
        assert!(a["lastError"].as_str().unwrap().contains("same labelset"), "{a}");
        let sent = ruler.shared().forward.taken();
        assert!(sent.iter().all(|alert| alert["labels"]["alertname"] == "B"), "{sent:?}");
        told += sent.len();
        // Nothing new is written: what the last good evaluation wrote grows old.
        let newest = ask(&bench, &ruler, "max_over_time(timestamp(ALERTS{alertname='A'})[10m:30s])", now_ms);
        assert_eq!(newest[0].1, (START_MS / 1000) as f64);
    }
    assert_eq!(told, 10, "the other rule goes on");
}

#[test]
fn templates_may_use_what_need_not_be_supported() {
    let functions = [
        "{{ graphLink \"up\" }}",
        "{{ tableLink \"up\" }}",
        "{{ pathPrefix }}",
        "{{ safeHtml \"x\" }}",
        "{{ with query \"up\" }}{{ . | first | strvalue }}{{ end }}",
        "{{ externalURL }}",
        "{{ $externalURL }}",
        "{{ .ExternalURL }}",
        "{{ $externalLabels.zone }}",
        "{{ .ExternalLabels.zone }}",
        "{{ define \"t\" }}y{{ end }}{{ tmpl \"t\" . }}",
    ];
    for function in functions {
        let rules =
            format!("groups: [{{name: g, rules: [{{alert: A, expr: up, annotations: {{a: '[{function}]'}}}}]}}]");
        let mut bench = Bench::new(START_MS);
        let ruler = bench.open(groups(&rules), NOBODY, forwards);
        bench.data.push(&[("__name__", "up")], START_MS, 1.0);
        bench.evaluate(&ruler, START_MS);
        let alert = &bench.get(&ruler, "/api/v1/alerts")["alerts"][0];
        let text = alert["annotations"]["a"].as_str().unwrap_or_else(|| panic!("{function}: {alert}"));
        assert!(text.starts_with('[') && !text.contains("error"), "{function} gives {text}");
    }
}

#[test]
fn a_restart_tells_again_what_fires_and_what_was_resolved_of_late() {
    let text = "groups: [{name: g, interval: 30s, rules: [{alert: A, expr: up == 0}]}]";
    let mut bench = Bench::new(START_MS);
    let mut ruler = bench.open(groups(text), NOBODY, forwards);
    let up = |bench: &Bench, name, after_s: i64, value| {
        bench.data.push(&[("__name__", "up"), ("job", name)], START_MS + after_s * 1000, value);
    };
    for after_s in [0, 30] {
        up(&bench, "fires", after_s, 0.0);
        up(&bench, "ends", after_s, after_s as f64);
        bench.evaluate(&ruler, START_MS + after_s * 1000);
    }
    assert_eq!(ruler.shared().forward.taken().len(), 3, "two that fire, one that is over");
    drop(ruler);
    ruler = bench.open(groups(text), NOBODY, forwards);
    up(&bench, "fires", 45, 0.0);
    bench.evaluate(&ruler, START_MS + 45_000);
    let mut told: Vec<String> =
        ruler.shared().forward.taken().iter().map(|a| format!("{} {}", a["labels"]["job"], a["endsAt"])).collect();
    told.sort();
    assert_eq!(told, ["\"ends\" \"2027-01-15T08:00:30Z\"", "\"fires\" \"2027-01-15T08:04:45Z\""]);
    drop(ruler);
    // After the 15 minutes it is forgotten.
    ruler = bench.open(groups(text), NOBODY, forwards);
    up(&bench, "fires", 930, 0.0);
    bench.evaluate(&ruler, START_MS + 930_000);
    let told = ruler.shared().forward.taken();
    assert_eq!((told.len(), &told[0]["labels"]["job"]), (1, &"fires".into()));
    drop(ruler);
    // A rule that is gone: its alerts are told to be over.
    ruler =
        bench.open(groups("groups: [{name: g, interval: 30s, rules: [{alert: B, expr: up == 0}]}]"), NOBODY, forwards);
    let told = ruler.shared().forward.taken();
    assert_eq!((told.len(), &told[0]["endsAt"]), (1, &"2027-01-15T08:15:30Z".into()));
}

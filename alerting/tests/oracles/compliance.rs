//! The alert generator specification: its rules, evaluated every 30 seconds, with what it says about states, labels,
//! annotations, series and resending.

use std::collections::BTreeMap;

use tidewatch_alerting::memory::Memory;
use tidewatch_alerting::rules::group::{self, GroupState, Settings};
use tidewatch_alerting::rules::{Group, LoadOptions, Rule, load};
use tidewatch_alerting::state::send::{self, RESEND_DELAY_MS, SentAlert};
use tidewatch_promql::{Grammar, Labels, Options, Sample, Value};

use super::components::data;

const INTERVAL_MS: i64 = 30_000;

struct Bench {
    group: Group,
    state: GroupState,
    memory: Memory,
    now_ms: i64,
}

impl Bench {
    fn new(name: &str) -> Option<Bench> {
        let path = data("alert-generator/rules.yaml")?;
        let file = load("rules.yaml", &std::fs::read_to_string(path).unwrap(), LoadOptions::default()).unwrap();
        let group = file.groups.into_iter().find(|group| *group.name == *name).unwrap();
        assert_eq!(group.interval_ms, Some(INTERVAL_MS));
        Some(Bench { state: GroupState::new(&group), group, memory: Memory::new(Options::default()), now_ms: 0 })
    }

    fn push(&mut self, alert: &str, more: &[(&str, &str)], value: f64) {
        let labels =
            [("__name__", "alert_generator_test_suite"), ("alertname", alert), ("rulegroup", &*self.group.name)];
        let labels = Labels::new(labels.into_iter().chain(more.iter().copied()));
        self.memory.push(&labels, self.now_ms, &Sample::Float(value));
    }

    /// Evaluates, and gives the rules' states and the alerts that are sent.
    fn evaluate(&mut self) -> (Vec<&'static str>, Vec<SentAlert>) {
        let results =
            group::evaluate(&self.group, &mut self.state, self.now_ms, &mut self.memory, &Settings::default());
        assert!(results.iter().all(|result| result.error.is_none()), "{results:?}");
        let mut sent = Vec::new();
        for saved in &mut self.state.rules {
            sent.extend(send::due(&mut saved.state, self.now_ms, RESEND_DELAY_MS, INTERVAL_MS, "http://x"));
        }
        (self.state.rules.iter().map(|saved| saved.state.as_str()).collect(), sent)
    }

    fn alerts(&self, query: &str) -> Vec<String> {
        match self.memory.value(query, Grammar::default(), self.now_ms).unwrap() {
            Value::Vector(samples) => samples.iter().map(|sample| sample.labels.to_string()).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn annotation(&self, rule: usize, name: &str) -> String {
        let instance = self.state.rules[rule].state.instances.values().next().unwrap();
        let annotations: BTreeMap<_, _> = instance.annotations.iter().cloned().collect();
        annotations[name].clone()
    }
}

#[test]
fn an_alert_is_pending_then_firing_then_resolved_and_told_again() {
    let Some(mut bench) = Bench::new("PendingAndFiringAndResolved") else { return };
    let name = "PendingAndFiringAndResolved_SimpleAlert";
    let mut told = Vec::new();
    for at in 0..80 {
        bench.now_ms = at * INTERVAL_MS;
        // Above the threshold from minute 2 to minute 12, annotations changing with the value.
        let value = if (4..24).contains(&at) { 11.0 + at as f64 } else { 5.0 };
        bench.push(name, &[], value);
        let (states, sent) = bench.evaluate();
        let expected = match at {
            4..16 => "pending",
            16..24 => "firing",
            _ => "inactive",
        };
        assert_eq!(states, [expected], "at {at}");
        let series = bench.alerts("ALERTS");
        if expected == "inactive" {
            assert!(series.is_empty(), "{series:?}");
        } else {
            let labels = format!(
                "{{__name__=\"ALERTS\", alertname=\"{name}\", alertstate=\"{expected}\", foo=\"bar\", rulegroup=\"PendingAndFiringAndResolved\"}}"
            );
            assert_eq!(series, [labels]);
            assert_eq!(bench.annotation(0, "summary"), format!("The value is {value} {value}"));
        }
        told.extend(sent.into_iter().map(|alert| (at, alert)));
    }
    let firing: Vec<i64> = told.iter().filter(|(_, alert)| !alert.is_resolved).map(|(at, _)| *at).collect();
    // First when it fires, then whenever a minute has passed.
    assert_eq!(firing, [16, 18, 20, 22]);
    for (at, alert) in told.iter().filter(|(_, alert)| !alert.is_resolved) {
        assert_eq!(alert.starts_at_ms, 16 * INTERVAL_MS);
        assert_eq!(alert.ends_at_ms, at * INTERVAL_MS + 4 * RESEND_DELAY_MS);
    }
    let resolved: Vec<i64> = told.iter().filter(|(_, alert)| alert.is_resolved).map(|(at, _)| *at).collect();
    assert_eq!(resolved.first(), Some(&24));
    assert!(resolved.windows(2).all(|pair| pair[1] - pair[0] == 2), "{resolved:?}");
    // As long as it was resolved for less than 15 minutes.
    assert_eq!(resolved.last(), Some(&(24 + 28)));
    for (_, alert) in told.iter().filter(|(_, alert)| alert.is_resolved) {
        assert_eq!((alert.starts_at_ms, alert.ends_at_ms), (16 * INTERVAL_MS, 24 * INTERVAL_MS));
    }
}

#[test]
fn a_pending_alert_that_ends_is_never_told() {
    let Some(mut bench) = Bench::new("PendingAndResolved_AlwaysInactive") else { return };
    for at in 0..30 {
        bench.now_ms = at * INTERVAL_MS;
        bench.push(
            "PendingAndResolved_AlwaysInactive_PendingAlert",
            &[],
            if (2..7).contains(&at) { 11.0 } else { 5.0 },
        );
        bench.push("PendingAndResolved_AlwaysInactive_InactiveAlert", &[], 50.0);
        let (states, sent) = bench.evaluate();
        assert_eq!(states, [if (2..7).contains(&at) { "pending" } else { "inactive" }, "inactive"], "at {at}");
        assert!(sent.is_empty());
    }
}

#[test]
fn without_a_for_an_alert_fires_at_once_and_with_a_small_one_at_the_next_evaluation() {
    let Some(mut bench) = Bench::new("ZeroFor_SmallFor") else { return };
    for at in 0..8 {
        bench.now_ms = at * INTERVAL_MS;
        for id in ["1", "2", "3"] {
            let labels = Labels::new([
                ("__name__", "alert_generator_test_suite"),
                ("rulegroup", "ZeroFor_SmallFor"),
                ("for", "template"),
                ("id", id),
            ]);
            bench.memory.push(&labels, bench.now_ms, &Sample::Float(id.parse::<f64>().unwrap() * 100.0));
        }
        let value = if at >= 3 { 15.0 } else { 5.0 };
        bench.push("ZeroFor_SmallFor_ZeroFor", &[], value);
        bench.push("ZeroFor_SmallFor_SmallFor", &[], value);
        let (states, _) = bench.evaluate();
        let expected = match at {
            0..3 => ["inactive", "inactive"],
            3 => ["firing", "pending"],
            _ => ["firing", "firing"],
        };
        assert_eq!(states, expected, "at {at}");
    }
    assert_eq!(bench.annotation(0, "template_test"), "1.049M 1Mi 2m 15s 95.9% 2022-01-25 12:36:43 +0000 UTC");
    assert_eq!(bench.annotation(0, "template_query_test"), "Args are: foo bar 99. first_id:1,1:100,2:200,3:300,");
    assert_eq!(
        bench.annotation(1, "template_test"),
        "This Part IS TESTING the strings. ::1 127.0.0.1. 7815. replaced text. ."
    );
}

#[test]
fn later_rules_see_the_alerts_of_earlier_ones_and_alertname_is_overridden() {
    let Some(mut bench) = Bench::new("NewAlerts_OrderCheck") else { return };
    for at in 0..12 {
        bench.now_ms = at * INTERVAL_MS;
        bench.push("NewAlerts_OrderCheck_Rule1", &[("variant", "one")], 15.0);
        if at >= 2 {
            bench.push("NewAlerts_OrderCheck_Rule1", &[("variant", "two")], 15.0);
        }
        let (states, _) = bench.evaluate();
        // The first fires at 6, the second, begun later, at 8; the second rule sees both at that same evaluation.
        assert_eq!(
            states,
            [if at < 6 { "pending" } else { "firing" }, if at < 8 { "inactive" } else { "firing" }],
            "at {at}"
        );
    }
    let instance = bench.state.rules[1].state.instances.values().next().unwrap();
    assert_eq!(instance.labels.get("alertname"), "NewAlerts_OrderCheck_Rule2");
    assert_eq!((instance.labels.get("ba_dum"), instance.labels.get("foo")), ("tss", "baz"));
    assert_eq!(
        bench.annotation(1, "description"),
        "Based on ALERTS. Old alertname was NewAlerts_OrderCheck_Rule1. foo was bar."
    );
}

#[test]
fn labels_that_become_the_same_are_an_error_and_tell_nobody() {
    let text = "groups: [{name: g, rules: [{alert: A, expr: up == 0, labels: {instance: all}}]}]";
    let file = load("r.yaml", text, LoadOptions::default()).unwrap();
    let group = &file.groups[0];
    assert!(matches!(group.rules[0], Rule::Alerting(_)));
    let mut memory = Memory::new(Options::default());
    for instance in ["x", "y"] {
        memory.push(&Labels::new([("__name__", "up"), ("instance", instance)]), 0, &Sample::Float(0.0));
    }
    let mut state = GroupState::new(group);
    let results = group::evaluate(group, &mut state, 0, &mut memory, &Settings::default());
    assert!(results[0].error.as_ref().is_some_and(|error| error.contains("same labelset")), "{results:?}");
    assert!(state.rules[0].state.instances.is_empty() && results[0].samples.is_empty());
}

use super::restore::{RestoreOptions, resume};
use super::*;
use crate::rules::group::{self, Answered, GroupState, Settings, Source};
use crate::rules::{Group, LoadOptions, load};
use tidewatch_promql::{Query, Sample, VectorSample};

/// Answers every query with the same samples.
struct Fixed(Answered);

impl Source for Fixed {
    fn ask(&self, _: &Query, _: i64) -> Result<Answered, String> {
        Ok(self.0.clone())
    }

    fn write(&mut self, _: &[VectorSample]) {}
}

fn group(rule: &str) -> Group {
    let text = format!("groups:\n  - name: g\n    rules:\n{rule}");
    load("r.yaml", &text, LoadOptions::default()).unwrap_or_else(|error| panic!("{error}")).groups.remove(0)
}

fn source(samples: &[(&str, f64)], completeness: Completeness) -> Fixed {
    let sample = |(seller, value): &(&str, f64)| VectorSample {
        labels: Labels::new([("seller", *seller)]),
        time_ms: 0,
        value: Sample::Float(*value),
    };
    Fixed(Answered { samples: samples.iter().map(sample).collect(), completeness })
}

fn evaluate(group: &Group, state: &mut GroupState, minute: i64, source: &mut Fixed) -> Vec<Entry> {
    let mut results = group::evaluate(group, state, minute * 60_000, source, &Settings::default());
    assert_eq!(results[0].error, None);
    results.remove(0).entries
}

/// The phase of each minute's evaluation of one alert.
fn phases(rule: &str, minutes: &[(&[(&str, f64)], Completeness)]) -> Vec<&'static str> {
    let group = group(rule);
    let mut state = GroupState::new(&group);
    let mut found = Vec::new();
    for (minute, (samples, completeness)) in minutes.iter().enumerate() {
        evaluate(&group, &mut state, minute as i64, &mut source(samples, *completeness));
        found.push(state.rules[0].state.as_str());
    }
    found
}

use Completeness::{Complete, Partial};

#[test]
fn between_the_thresholds_a_firing_alert_fires_on_and_a_pending_one_ends() {
    let rule = "      - alert: A\n        expr: m > 5\n        for: 1m\n        tidewatch: {resolve_below: 3}\n";
    let at = |value: f64| -> [(&'static str, f64); 1] { [("s", value)] };
    let values = [6.0, 4.0, 6.0, 7.0, 4.0, 3.5, 5.0, 3.0, 4.0];
    let samples: Vec<_> = values.iter().map(|value| at(*value)).collect();
    let minutes: Vec<(&[(&str, f64)], Completeness)> = samples.iter().map(|one| (one.as_slice(), Complete)).collect();
    let expected = ["pending", "inactive", "pending", "firing", "firing", "firing", "firing", "inactive", "inactive"];
    assert_eq!(phases(rule, &minutes), expected);
}

#[test]
fn a_window_that_is_not_complete_resolves_nothing() {
    let rule =
        |mode: &str| format!("      - alert: A\n        expr: m > 5\n        tidewatch: {{on_incomplete: {mode}}}\n");
    let up: &[(&str, f64)] = &[("s", 6.0)];
    let gone: &[(&str, f64)] = &[];
    let minutes = [(up, Partial), (up, Complete), (gone, Partial), (gone, Completeness::Unknown), (gone, Complete)];
    assert_eq!(phases(&rule("hold"), &minutes), ["firing", "firing", "firing", "firing", "inactive"]);
    assert_eq!(phases(&rule("unknown"), &minutes), ["firing", "firing", "firing", "firing", "inactive"]);
    assert_eq!(phases(&rule("wait"), &minutes), ["inactive", "firing", "firing", "firing", "inactive"]);
    let group = group(&rule("unknown"));
    let mut state = GroupState::new(&group);
    evaluate(&group, &mut state, 0, &mut source(up, Complete));
    let entries = evaluate(&group, &mut state, 1, &mut source(gone, Partial));
    assert_eq!(entries[0].reason, Reason::Incomplete);
    assert!(state.rules[0].state.instances.values().all(|instance| instance.life.is_unknown));
    evaluate(&group, &mut state, 2, &mut source(up, Complete));
    assert!(state.rules[0].state.instances.values().all(|instance| !instance.life.is_unknown));
}

const TABLE: &str = "      - alert: Late\n        expr: late_share\n        for: 2m\n        annotations: {text: '{{ $value }} over {{ $threshold }}'}\n        tidewatch:\n          thresholds:\n            default: 0.04\n            table:\n              - {match: '{seller=\"big\"}', value: 0.1}\n              - {match: '{seller=~\"b.*\"}', value: 0.2}\n";

#[test]
fn each_seller_has_its_threshold_and_the_unknown_one_the_default() {
    let group = group(TABLE);
    let mut state = GroupState::new(&group);
    let samples = [("big", 0.15), ("bold", 0.15), ("other", 0.05), ("small", 0.03)];
    let entries = evaluate(&group, &mut state, 0, &mut source(&samples, Complete));
    let mut found: Vec<(String, Option<f64>)> =
        entries.iter().map(|entry| (entry.labels.get("seller").to_string(), entry.threshold)).collect();
    found.sort_by(|left, right| left.0.cmp(&right.0));
    assert_eq!(found, [("big".to_string(), Some(0.1)), ("other".to_string(), Some(0.04))]);
    let texts = state.rules[0].state.instances.values().map(|instance| instance.annotations[0].1.clone());
    assert_eq!(
        texts.collect::<std::collections::BTreeSet<_>>(),
        ["0.15 over 0.1".into(), "0.05 over 0.04".into()].into()
    );
}

#[test]
fn an_edit_resets_only_what_means_something_else() {
    let samples = [("big", 0.15), ("other", 0.15)];
    let before = group(TABLE);
    let mut state = GroupState::new(&before);
    for minute in 0..3 {
        evaluate(&before, &mut state, minute, &mut source(&samples, Complete));
    }
    assert_eq!(state.rules[0].state.as_str(), "firing");
    let saved = serde_json::to_string(&state).unwrap();
    let edited = |text: &str| -> Vec<(String, Phase, i64)> {
        let group = group(text);
        let saved: GroupState = serde_json::from_str(&saved).unwrap();
        let (mut state, gone) = saved.adopt(&group).unwrap();
        assert!(gone.is_empty());
        evaluate(&group, &mut state, 3, &mut source(&samples, Complete));
        let active = state.rules[0].state.active();
        let mut found: Vec<_> = active
            .map(|(_, one)| (one.labels.get("seller").to_string(), one.life.phase, one.life.active_at_ms / 60_000))
            .collect();
        found.sort_by(|left, right| left.0.cmp(&right.0));
        found
    };
    let both = |big, other| {
        vec![
            ("big".to_string(), big, if big == Phase::Firing { 0 } else { 3 }),
            ("other".to_string(), other, if other == Phase::Firing { 0 } else { 3 }),
        ]
    };
    // Blanks, annotations, a longer `for`, hysteresis: nothing is forgotten.
    assert_eq!(edited(&TABLE.replace("expr: late_share", "expr: ' late_share '")), both(Phase::Firing, Phase::Firing));
    assert_eq!(edited(&TABLE.replace("over", "beyond")), both(Phase::Firing, Phase::Firing));
    assert_eq!(edited(&TABLE.replace("for: 2m", "for: 20m")), both(Phase::Firing, Phase::Firing));
    assert_eq!(
        edited(&TABLE.replace("default: 0.04", "default: 0.04\n            resolve: 0.01")),
        both(Phase::Firing, Phase::Firing)
    );
    // Another threshold for one seller, or for all others.
    assert_eq!(edited(&TABLE.replace("value: 0.1}", "value: 0.12}")), both(Phase::Pending, Phase::Firing));
    assert_eq!(edited(&TABLE.replace("default: 0.04", "default: 0.05")), both(Phase::Firing, Phase::Pending));
    // Another expression.
    assert_eq!(edited(&TABLE.replace("late_share", "late_share * 1")), both(Phase::Pending, Phase::Pending));
}

#[test]
fn a_firing_alert_whose_rule_changed_is_resolved_before_it_begins_anew() {
    let before = group("      - alert: A\n        expr: m > 5\n");
    let mut state = GroupState::new(&before);
    evaluate(&before, &mut state, 0, &mut source(&[("s", 6.0)], Complete));
    let (mut state, _) = state.adopt(&group("      - alert: A\n        expr: m > 4\n        for: 5m\n")).unwrap();
    let after = group("      - alert: A\n        expr: m > 4\n        for: 5m\n");
    let entries = evaluate(&after, &mut state, 1, &mut source(&[("s", 6.0)], Complete));
    let steps: Vec<_> = entries.iter().map(|entry| (entry.from, entry.to, entry.reason)).collect();
    assert_eq!(steps, [(Some(Phase::Firing), None, Reason::RuleChanged), (None, Some(Phase::Pending), Reason::Began)]);
}

#[test]
fn a_written_state_reads_back_the_same_and_a_newer_one_is_refused() {
    let group = group(TABLE);
    let mut state = GroupState::new(&group);
    evaluate(&group, &mut state, 0, &mut source(&[("big", f64::INFINITY), ("other", 0.1)], Complete));
    let text = serde_json::to_string(&state).unwrap();
    let read: GroupState = serde_json::from_str(&text).unwrap();
    assert_eq!(read, state);
    let newer = GroupState { version: group::STATE_VERSION + 1, ..read };
    assert!(newer.adopt(&group).is_err());
}

#[test]
fn over_the_limit_the_rule_has_no_alerts_and_says_so() {
    let text = "groups:\n  - name: g\n    limit: 1\n    rules:\n      - {alert: A, expr: m > 5}\n";
    let group = load("r.yaml", text, LoadOptions::default()).unwrap().groups.remove(0);
    let mut state = GroupState::new(&group);
    evaluate(&group, &mut state, 0, &mut source(&[("a", 6.0)], Complete));
    let results = group::evaluate(
        &group,
        &mut state,
        60_000,
        &mut source(&[("a", 6.0), ("b", 6.0)], Complete),
        &Settings::default(),
    );
    assert_eq!(results[0].error.as_deref(), Some("exceeded limit of 1 with 2 alerts"));
    assert_eq!(results[0].entries[0].reason, Reason::LimitExceeded);
    assert!(state.rules[0].state.instances.is_empty());
}

/// The three cases of Prometheus' restoration: nearly due, far from due, gone for too long.
#[test]
fn a_pending_alert_goes_on_after_a_stop_as_in_prometheus() {
    let group = group("      - alert: A\n        expr: m > 5\n        for: 30m\n");
    let mut state = GroupState::new(&group);
    evaluate(&group, &mut state, 0, &mut source(&[("s", 6.0)], Complete));
    let minutes = |stopped: i64, now: i64| -> Option<i64> {
        let state = &state.rules[0].state;
        let after = resume(state, 30 * 60_000, stopped * 60_000, now * 60_000, 60_000, RestoreOptions::default());
        after.instances.values().next().map(|instance| instance.life.active_at_ms / 60_000)
    };
    assert_eq!(minutes(5, 6), Some(0));
    // 25 of 30 minutes to go: the stop does not count.
    assert_eq!(minutes(5, 20), Some(15));
    // 2 to go, less than the grace of 10: due 10 minutes after the stop.
    assert_eq!(minutes(28, 40), Some(20));
    assert_eq!(minutes(5, 90), None);
}

#[test]
fn the_ledger_explains_itself() {
    let group = group(TABLE);
    let mut state = GroupState::new(&group);
    for minute in 0..2 {
        evaluate(&group, &mut state, minute, &mut source(&[("big", 0.15)], Complete));
    }
    let entries = evaluate(&group, &mut state, 2, &mut source(&[("big", 0.15)], Partial));
    assert_eq!(
        entries[0].explain(),
        "1970-01-01T00:02:00Z Late {alertname=\"Late\", seller=\"big\"}: pending → firing, because the condition has held for 2m (for: 2m); value 0.15, threshold 0.1, window not complete"
    );
}

#[test]
fn late_data_amends_what_was_decided_and_pages_nobody() {
    let group = group("      - alert: A\n        expr: m > 5\n        for: 1m\n");
    let before = GroupState::new(&group);
    let labels = Labels::new([("__name__", "m"), ("seller", "s")]);
    let decided = |values: &[f64]| -> Vec<Entry> {
        let mut memory = crate::memory::Memory::default();
        for (value, minute) in values.iter().zip(0..) {
            memory.push(&labels, minute * 60_000, &Sample::Float(*value));
        }
        let instants: Vec<i64> = (0..values.len() as i64).map(|minute| minute * 60_000).collect();
        group::replay(&group, &before, &instants, &mut memory, &Settings::default())
    };
    let taken = decided(&[6.0, 6.0, 4.0, 4.0]);
    assert_eq!(crate::ledger::amend(&taken, &decided(&[6.0, 6.0, 4.0, 4.0])), []);
    let amendments = crate::ledger::amend(&taken, &decided(&[6.0, 4.0, 6.0, 6.0]));
    let changes: Vec<_> = amendments.iter().map(|amendment| amendment.change).collect();
    assert_eq!(
        changes,
        [
            crate::ledger::Change::WouldNotHaveFired { fired_at_ms: 60_000, ended_at_ms: Some(120_000) },
            crate::ledger::Change::ShouldHaveFired { fired_at_ms: 180_000, ended_at_ms: None },
        ]
    );
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    fn verdicts() -> impl Strategy<Value = Vec<(Verdict, Completeness)>> {
        let verdict = prop_oneof![3 => Just(Verdict::Holds), 1 => Just(Verdict::Between), 2 => Just(Verdict::Clear)];
        let completeness = prop_oneof![4 => Just(Complete), 1 => Just(Partial), 1 => Just(Completeness::Unknown)];
        proptest::collection::vec((verdict, completeness), 1..60)
    }

    fn policies() -> impl Strategy<Value = Policy> {
        let modes = prop_oneof![Just(Incomplete::Wait), Just(Incomplete::Hold), Just(Incomplete::Unknown)];
        (0_i64..4, 0_i64..4, modes).prop_map(|(hold, keep, on_incomplete)| Policy {
            for_ms: hold * 60_000,
            keep_firing_for_ms: keep * 60_000,
            on_incomplete,
        })
    }

    proptest! {
        #[test]
        fn nothing_fires_early_and_nothing_is_resolved_on_a_guess(seen in verdicts(), policy in policies()) {
            let mut life: Option<Life> = None;
            for (minute, (verdict, completeness)) in seen.iter().enumerate() {
                let at = Instant { now_ms: minute as i64 * 60_000, completeness: *completeness };
                let before = life;
                life = step(life, *verdict, &policy, at).life;
                let phase = |life: Option<Life>| life.map(|life| life.phase);
                let was_active = before.is_some_and(|life| life.phase.is_active());
                if phase(life) == Some(Phase::Firing) && phase(before) != Some(Phase::Firing) {
                    // Fires only when the condition holds, and has at every complete window for as long as `for` asks.
                    let since = minute - (policy.for_ms / 60_000) as usize;
                    prop_assert_eq!(*verdict, Verdict::Holds);
                    for (verdict, completeness) in &seen[since..=minute] {
                        prop_assert!(*verdict == Verdict::Holds || *completeness != Complete);
                    }
                }
                if was_active && !life.is_some_and(|life| life.phase.is_active()) {
                    prop_assert_eq!(*completeness, Complete);
                    prop_assert!(*verdict != Verdict::Holds);
                }
                if phase(before) == Some(Phase::Firing) && phase(life) == Some(Phase::Resolved) {
                    prop_assert_eq!(*verdict, Verdict::Clear);
                    let kept = (policy.keep_firing_for_ms / 60_000) as usize;
                    for (verdict, completeness) in &seen[(minute - kept.min(minute))..minute] {
                        prop_assert!(*verdict != Verdict::Holds || kept == 0 || *completeness != Complete);
                    }
                }
            }
        }
    }
}

use super::*;
use crate::memory::Memory;
use crate::rules::group::GroupState;
use crate::rules::{LoadOptions, load};
use crate::state::Phase;
use tidewatch_promql::Grammar;

const RULES: &str = r#"
groups:
  - name: a
    limit: 12
    rules:
      - record: m:avg
        expr: avg_over_time(m[5m])
        labels: {kind: recorded}
      - alert: High
        expr: m:avg > 5
        for: 3m
        annotations: {text: "{{ $labels.i }} at {{ $value }}"}
      - alert: Kept
        expr: m > 8
        keep_firing_for: 4m
        labels: {severity: '{{ if gt $value 9.0 }}page{{ else }}ticket{{ end }}'}
      - alert: Banded
        expr: m > 7
        for: 1m
        tidewatch: {resolve_below: 4}
      - alert: Meta
        expr: count(ALERTS{alertname="High", alertstate="firing"}) > 2
        for: 2m
      - alert: Since
        expr: (time() - ALERTS_FOR_STATE{alertname="High"}) > 600
      - alert: Gone
        expr: absent(m{i="3"})
      - alert: Aligned
        expr: m - (m @ end()) > 0
"#;

const STEP_MS: i64 = 60_000;

/// Ten series that wander between 0 and 10, with gaps.
fn storage(steps: i64) -> Memory {
    let mut memory = Memory::new(Options::default());
    let mut seed = 42_u64;
    let mut random = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as f64 / f64::from(1_u32 << 31)
    };
    let mut values = [5.0_f64; 10];
    for at in 0..steps {
        for (i, value) in values.iter_mut().enumerate() {
            *value = (*value + random() * 4.0 - 2.0).clamp(0.0, 10.0);
            let in_gap = i == 3 && (at / 40) % 3 == 1;
            if !in_gap {
                let labels = Labels::new([("__name__", "m".to_string()), ("i", i.to_string())]);
                memory.push(&labels, at * STEP_MS, &Sample::Float(*value));
            }
        }
    }
    memory
}

type Firing = (String, Labels, i64, Option<i64>);

/// The intervals of firing by evaluating the groups instant by instant, each at its own interval.
fn truth(groups: &[Group], steps: i64) -> Vec<Firing> {
    let mut memory = storage(steps);
    let mut found: Vec<Firing> = Vec::new();
    let mut states: Vec<GroupState> = groups.iter().map(GroupState::new).collect();
    for now_ms in (0..=(steps - 1) * STEP_MS).step_by(30_000) {
        let is_due = |group: &Group| now_ms % group.interval_ms.unwrap_or(STEP_MS) == 0;
        for (group, state) in groups.iter().zip(&mut states).filter(|(group, _)| is_due(group)) {
            for result in group::evaluate(group, state, now_ms, &mut memory, &Settings::default()) {
                for entry in result.entries.iter().filter(|entry| entry.is_transition()) {
                    if entry.to == Some(Phase::Firing) {
                        found.push((result.name.to_string(), entry.labels.clone(), entry.time_ms, None));
                    } else if entry.from == Some(Phase::Firing) {
                        let open = found.iter_mut().rev().find(|one| one.1 == entry.labels && one.3.is_none());
                        open.unwrap().3 = Some(entry.time_ms);
                    }
                }
            }
        }
    }
    found.sort();
    found
}

fn firings(backtest: &Backtest) -> Vec<Firing> {
    let mut found = Vec::new();
    for report in &backtest.rules {
        assert_eq!(report.error, None, "{}", report.rule);
        found.extend(
            report
                .intervals
                .iter()
                .filter_map(|one| Some((report.rule.clone(), one.labels.clone(), one.fired_at_ms?, one.ended_at_ms))),
        );
    }
    found.sort();
    found
}

fn groups(text: &str) -> Vec<Group> {
    load("r.yaml", text, LoadOptions::default()).unwrap_or_else(|error| panic!("{error}")).groups
}

#[test]
fn blocks_come_to_the_same_as_evaluating_instant_by_instant() {
    let steps = 600;
    let groups = groups(RULES);
    let expected = truth(&groups, steps);
    assert!(expected.len() > 50, "{} firings", expected.len());
    for rule in ["High", "Kept", "Banded", "Meta", "Since", "Gone"] {
        assert!(expected.iter().any(|one| one.0 == rule), "{rule} never fires");
    }
    let storage = storage(steps);
    for block_len in [1, 7, 100, 1440] {
        let options = BacktestOptions { block_len, ..BacktestOptions::new(0, (steps - 1) * STEP_MS, STEP_MS) };
        let backtest = run(&groups, &storage, &options);
        assert!(backtest.rules.iter().all(|rule| (rule.instants, rule.step_ms) == (steps as usize, STEP_MS)));
        assert!(firings(&backtest) == expected, "blocks of {block_len} differ");
    }
}

#[test]
fn a_rule_that_reads_a_later_one_is_evaluated_instant_by_instant() {
    let text = "groups: [{name: g, rules: [{alert: Early, expr: 'late_avg > 6'}, {record: late_avg, expr: avg(m)}]}]";
    let groups = groups(text);
    let steps = 300;
    let options = BacktestOptions::new(0, (steps - 1) * STEP_MS, STEP_MS);
    let expected = truth(&groups, steps);
    assert!(!expected.is_empty());
    assert_eq!(firings(&run(&groups, &storage(steps), &options)), expected);
}

const INTERVALS: &str = r#"
groups:
  - name: fast
    rules:
      - {record: m:avg, expr: 'avg_over_time(m[5m])'}
      - {alert: Fast, expr: 'm > 8', for: 2m}
  - name: slow
    interval: 5m
    rules:
      - {record: slow:max, expr: 'max(m:avg)'}
      - {alert: Slow, expr: 'm:avg > 6', for: 10m}
  - name: odd
    interval: 90s
    rules:
      - {alert: Odd, expr: 'slow:max > 9', keep_firing_for: 3m}
      - {alert: Alone, expr: 'm < 2'}
"#;

#[test]
fn each_group_has_instants_at_its_own_interval() {
    let steps = 600;
    // Where a group reads what a later one writes, all are run instant by instant.
    let early = "  - name: early\n    interval: 2m\n    rules: [{alert: Early, expr: 'slow:max > 9.3'}]\n";
    let backwards = INTERVALS.replace("  - name: fast\n", &format!("{early}  - name: fast\n"));
    for text in [INTERVALS, &backwards] {
        let groups = groups(text);
        let expected = truth(&groups, steps);
        for rule in ["Fast", "Slow", "Odd", "Alone"] {
            assert!(expected.iter().any(|one| one.0 == rule), "{rule} never fires");
        }
        for block_len in [1, 7, 1440] {
            let options = BacktestOptions {
                block_len,
                step: Step::AtLeast(1),
                ..BacktestOptions::new(0, (steps - 1) * STEP_MS, STEP_MS)
            };
            let backtest = run(&groups, &storage(steps), &options);
            assert!(firings(&backtest) == expected, "blocks of {block_len} differ");
            let slow = backtest.rules.iter().find(|rule| rule.rule == "Slow").unwrap();
            assert_eq!((slow.step_ms, slow.instants), (300_000, 120));
        }
    }
}

#[test]
fn a_least_step_leaves_longer_intervals_alone() {
    let groups = groups(&INTERVALS.replace("interval: 90s", "interval: 10s"));
    let options = BacktestOptions { step: Step::AtLeast(120_000), ..BacktestOptions::new(0, 299 * STEP_MS, STEP_MS) };
    let backtest = run(&groups, &storage(300), &options);
    let steps: Vec<(&str, i64, usize)> =
        backtest.rules.iter().map(|rule| (rule.rule.as_str(), rule.step_ms, rule.instants)).collect();
    let expected = [("Fast", 120_000, 150), ("Slow", 300_000, 60), ("Odd", 120_000, 150), ("Alone", 120_000, 150)];
    assert_eq!(steps, expected);
}

#[test]
fn only_rules_that_read_each_other_are_run_side_by_side() {
    let groups = groups(INTERVALS);
    let rules: Vec<(&Group, &Rule)> =
        groups.iter().flat_map(|group| group.rules.iter().map(move |rule| (group, rule))).collect();
    let reads = Reads::of(&rules, Grammar::default());
    let apart = reads.together(&[1, 1, 5, 5, 90, 9]);
    let places: Vec<&[usize]> = apart.iter().map(|together| together.places.as_slice()).collect();
    assert_eq!(places, [&[0, 1, 2, 3, 4][..], &[5][..]]);
    assert!(apart.iter().all(|together| !together.needs_instants));
    assert_eq!(reads.together(&[1; 6]).len(), 1);
}

#[test]
fn a_sample_message_is_the_one_that_would_have_been_sent() {
    let text = r#"
groups:
  - name: g
    query_offset: 2m
    rules:
      - {record: 'm:now', expr: m}
      - alert: A
        expr: n > 5
        labels: {zone: 'of {{ $externalLabels.region }}'}
        annotations:
          text: '{{ with query "m:now" }}{{ . | first | value }}{{ end }} at {{ externalURL }}: {{ $value }}'
"#;
    let groups = groups(text);
    let mut memory = Memory::new(Options::default());
    for at in 0..100_i64 {
        let value = if [37, 38, 39, 61].contains(&at) { 10.0 } else { 0.0 };
        memory.push(&Labels::new([("__name__", "m")]), at * STEP_MS, &Sample::Float(at as f64));
        memory.push(&Labels::new([("__name__", "n")]), at * STEP_MS, &Sample::Float(value));
    }
    let settings = Settings {
        external_labels: vec![("region".to_string(), "eu".to_string()), ("zone".to_string(), "none".to_string())],
        external_url: "http://tw".to_string(),
        ..Settings::default()
    };
    let options = BacktestOptions { settings: settings.clone(), ..BacktestOptions::new(0, 99 * STEP_MS, STEP_MS) };
    let backtest = run(&groups, &memory, &options);

    let mut state = GroupState::new(&groups[0]);
    let mut live = Vec::new();
    for at in 0..100 {
        let results = group::evaluate(&groups[0], &mut state, at * STEP_MS, &mut memory, &settings);
        if results
            .iter()
            .flat_map(|result| &result.entries)
            .any(|entry| entry.from != entry.to && entry.to == Some(Phase::Firing))
        {
            let mut told = state.rules[1].state.instances.values().map(|instance| instance.annotations.clone());
            live.push((at * STEP_MS, told.next_back().unwrap()));
        }
    }
    // What was found at minute 37 is told two minutes later.
    assert_eq!(live[0], (39 * STEP_MS, vec![("text".to_string(), "37 at http://tw: 10".to_string())]));
    let messages = &backtest.rules[0].messages;
    let told: Vec<_> = messages.iter().map(|one| (one.time_ms, one.annotations.clone())).collect();
    assert_eq!(told, live);
    assert_eq!(messages[0].labels, Labels::new([("alertname", "A"), ("region", "eu"), ("zone", "of eu")]));
}

#[test]
fn noise_counts_flaps_and_shares() {
    let mut meter = report::NoiseMeter::default();
    for (fired, ended) in [(Some(0), Some(10)), (Some(15), Some(45)), (None, Some(60)), (Some(200), None)] {
        meter.alert(0, fired, ended, 300, 10);
    }
    let noise = meter.noise(140, 300);
    let expected = Noise {
        fired: 3,
        pending_only: 1,
        flaps: 1,
        shortest_ms: Some(10),
        longest_ms: Some(100),
        firing_share: 140.0 / 300.0,
    };
    assert_eq!(noise, expected);
}

#[test]
fn alerts_beyond_the_list_are_counted_all_the_same() {
    let groups = groups("groups: [{name: g, rules: [{alert: A, expr: m > 6}]}]");
    let all = BacktestOptions::new(0, 299 * STEP_MS, STEP_MS);
    let few = BacktestOptions { intervals_max: 1, ..all.clone() };
    let (all, few) = (run(&groups, &storage(300), &all), run(&groups, &storage(300), &few));
    assert!(few.rules[0].intervals_dropped > 0, "{few:?}");
    assert_eq!(few.rules[0].noise, all.rules[0].noise);
}

#[test]
fn a_lower_threshold_is_a_difference() {
    let storage = storage(300);
    let options = BacktestOptions::new(0, 299 * STEP_MS, STEP_MS);
    let at = |threshold: &str| {
        run(
            &groups(&format!("groups: [{{name: g, rules: [{{alert: A, expr: m > {threshold}}}]}}]")),
            &storage,
            &options,
        )
    };
    assert_eq!(diff(&at("8"), &at("8")), []);
    let differences = diff(&at("8"), &at("7"));
    assert!(differences.iter().any(|one| matches!(one.change, crate::ledger::Change::ShouldHaveFired { .. })));
    assert!(!differences.iter().any(|one| matches!(one.change, crate::ledger::Change::WouldNotHaveFired { .. })));
}

#[test]
fn the_sweep_finds_the_threshold_between_noise_and_incidents() {
    let mut memory = Memory::new(Options::default());
    let labels = Labels::new([("__name__", "m")]);
    for at in 0..600 {
        // Noise up to 4, incidents of 10 at minutes 100 and 400; what is between is never seen.
        let value = if (102..120).contains(&at) || (404..420).contains(&at) { 10.0 } else { (at * 7 % 5) as f64 };
        memory.push(&labels, at * STEP_MS, &Sample::Float(value));
    }
    let incident =
        |from: i64, to: i64| Incident { start_ms: from * STEP_MS, end_ms: to * STEP_MS, matchers: Vec::new() };
    let incidents = [incident(100, 120), incident(400, 420)];
    let groups = groups("groups: [{name: g, rules: [{alert: A, expr: m > 1}]}]");
    let Rule::Alerting(rule) = &groups[0].rules[0] else { panic!() };
    let options = BacktestOptions { block_len: 50, ..BacktestOptions::new(0, 599 * STEP_MS, STEP_MS) };
    let found = suggest(&groups[0], rule, &[2.0, 5.0, 20.0], &incidents, &memory, &options).unwrap();
    assert!(found[0].precision.unwrap() < 0.2 && found[0].recall == Some(1.0), "{found:?}");
    let middle =
        Candidate { threshold: 5.0, alerts: 2, precision: Some(1.0), recall: Some(1.0), delay_ms: Some(4 * STEP_MS) };
    assert_eq!(found[1], middle);
    assert_eq!((found[2].alerts, found[2].precision, found[2].recall), (0, None, Some(0.0)));
    // At the group's interval less is seen, and later.
    let wide = BacktestOptions { step: Step::AtLeast(1), ..options.clone() };
    let slow = Group { interval_ms: Some(30 * STEP_MS), ..groups[0].clone() };
    let found = suggest(&slow, rule, &[5.0], &incidents, &memory, &wide).unwrap();
    assert_eq!((found[0].alerts, found[0].recall), (0, Some(0.0)));
    let seen = thresholds_seen(&groups[0], rule, 5, 1, &memory, &options).unwrap();
    assert!(seen.first() == Some(&0.0) && seen.last() == Some(&10.0), "{seen:?}");
}

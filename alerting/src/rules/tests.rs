use super::schedule::{Due, due, instant_at};
use super::*;

fn errors(rule: &str) -> String {
    let text = format!("groups:\n  - name: g\n    rules:\n{rule}");
    match load("r.yaml", &text, LoadOptions::default()) {
        Ok(_) => "loads".to_string(),
        Err(errors) => errors.to_string(),
    }
}

#[test]
fn refusals_of_our_own_keys_name_the_place_and_the_way_out() {
    let rule = |expr: &str, extension: &str| {
        format!("      - alert: A\n        expr: {expr}\n        tidewatch: {{{extension}}}\n")
    };
    let cases = [
        (rule("m > 5", "resolve_below: 3"), "loads"),
        (rule("m < 5", "resolve_above: 8"), "loads"),
        (rule("(m > 5 * 60)", "resolve_below: 3"), "loads"),
        (rule("m", "thresholds: {default: 5}"), "loads"),
        (rule("m > 5", "resolve_above: 8"), "'resolve_above' does not fit"),
        (rule("m > 5", "resolve_below: 6"), "must resolve at or below 5, found 6"),
        (rule("m > n", "resolve_below: 3"), "needs an expression that compares a vector with a constant"),
        (rule("m > 5 or n > 2", "resolve_below: 3"), "needs an expression that compares"),
        (rule("m > 5", "thresholds: {default: 5}"), "leave the comparison out of 'expr'"),
        (rule("m", "thresholds: {fire: above}"), "'thresholds' needs a 'default'"),
        (rule("m", "thresholds: {default: 1, fire: over}"), "expected above, at_least, below or at_most"),
        (rule("m", "thresholds: {default: 1, table: [{match: 'x{', value: 2}]}"), "cannot read the match"),
        (rule("m", "resolve: 1"), "unknown field `resolve`"),
        (rule("m", "on_incomplete: maybe"), "unknown variant `maybe`"),
        (
            "      - {record: r, expr: m, tidewatch: {runbook: x}}\n".to_string(),
            "invalid field 'tidewatch' in recording rule",
        ),
        ("      - {alert: A, expr: 'm[5m]'}\n".to_string(), "found a range vector"),
        ("      - {alert: A, expr: m, for: 5}\n".to_string(), "not a valid duration"),
        ("      - {alert: A, expr: m, labels: {a: 1, a: 2}}\n".to_string(), "stands here twice"),
    ];
    for (rule, words) in cases {
        let found = errors(&rule);
        assert!(found.contains(words), "{rule}: expected {words:?}, found {found:?}");
        assert!(words == "loads" || found.starts_with("r.yaml:"), "{found}");
    }
}

#[test]
fn all_mistakes_of_a_file_are_reported_at_once() {
    let found = errors("      - {alert: A, expr: 'm >'}\n      - {alert: B, expr: m, annotations: {t: '{{ .x'}}\n");
    assert_eq!(found.lines().count(), 2, "{found}");
    assert!(found.contains("r.yaml:4:26: group \"g\", rule 1, \"A\"") && found.contains("r.yaml:5:"), "{found}");
}

#[test]
fn labels_of_the_group_are_overridden_by_the_rules_own() {
    let text = "groups: [{name: g, labels: {team: a, zone: z}, rules: [{record: r, expr: m, labels: {team: b}}]}]";
    let file = load("r.yaml", text, LoadOptions::default()).unwrap();
    let Rule::Recording(rule) = &file.groups[0].rules[0] else { panic!() };
    assert_eq!(rule.labels, [("team".to_string(), "b".to_string()), ("zone".to_string(), "z".to_string())]);
}

#[test]
fn a_large_table_finds_its_entry_without_looking_at_all_of_them() {
    let entry = |at: usize| {
        let matcher = tidewatch_promql::Matcher::equal("seller", format!("s{at}"));
        (vec![matcher], Threshold { fire: at as f64, resolve: None })
    };
    let table = Thresholds::new(Threshold { fire: -1.0, resolve: None }, (0..50_000).map(entry).collect());
    for at in (0..50_000).step_by(7) {
        let labels = tidewatch_promql::Labels::new([("seller", format!("s{at}"))]);
        assert_eq!(table.of(&labels).fire, at as f64);
    }
    assert_eq!(table.of(&tidewatch_promql::Labels::empty()).fire, -1.0);
}

#[test]
fn an_instant_is_evaluated_once_and_missed_ones_are_counted() {
    let text = "groups: [{name: g, interval: 1m, rules: []}]";
    let group = load("r.yaml", text, LoadOptions::default()).unwrap().groups.remove(0);
    let at = |now_ms| instant_at(&group, 60_000, now_ms);
    let first = at(1_000_000_000);
    assert!(first <= 1_000_000_000 && first > 1_000_000_000 - 60_000);
    assert_eq!(at(first), first);
    assert_eq!(at(first - 1), first - 60_000);
    assert_eq!(due(&group, 60_000, None, first + 5), Due::Now { at_ms: first, missed: 0 });
    assert_eq!(due(&group, 60_000, Some(first), first + 5), Due::Later { at_ms: first + 60_000 });
    assert_eq!(due(&group, 60_000, Some(first), first + 60_000), Due::Now { at_ms: first + 60_000, missed: 0 });
    assert_eq!(due(&group, 60_000, Some(first), first + 200_000), Due::Now { at_ms: first + 180_000, missed: 2 });
    // The clock was set back: by less than an interval the next instant is waited for, by more nothing is.
    assert_eq!(due(&group, 60_000, Some(first), first - 60_000), Due::Later { at_ms: first });
    assert_eq!(due(&group, 60_000, Some(first), first - 120_000), Due::Now { at_ms: first - 120_000, missed: 0 });
    // Another group is evaluated at another time.
    let other = Group { name: "h".into(), ..group.clone() };
    assert_ne!(schedule::offset_ms(&other, 60_000), schedule::offset_ms(&group, 60_000));
}

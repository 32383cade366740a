//! The alerts of the pack CreatorFlow: its tests pass here and with promtool, and leave no alert out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_yaml_ng::Value;
use tidewatch_alerting::rules::load::without_extensions;
use tidewatch_alerting::rules::{LoadOptions, Rule, load};
use tidewatch_alerting::unit_tests::{RuleFiles, run};

use super::components::{promtool, run_promtool};

/// The second holds what older versions of promtool cannot read.
const TESTS: [&str; 2] = ["rules_test.yaml", "rules_histograms_test.yaml"];

fn pack() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packs/creatorflow")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(pack().join(name)).unwrap()
}

struct Pack;

impl RuleFiles for Pack {
    fn read(&self, pattern: &str) -> Result<Vec<(String, String)>, String> {
        Ok(vec![(pattern.to_string(), read(pattern))])
    }
}

#[test]
fn the_rules_do_what_their_tests_say() {
    for file in TESTS {
        let report = run(&read(file), &Pack, LoadOptions::default());
        assert!(report.is_success(), "{file}:\n{report}");
        assert!(!report.tests.is_empty(), "{file}");
    }
}

/// Functions of our own, which promtool does not know.
#[test]
fn the_detectors_do_what_their_tests_say() {
    let report = run(&read("rules_detectors_test.yaml"), &Pack, LoadOptions::default());
    assert!(report.is_success(), "{report}");
    let (rules, tests) = (read("detectors.yaml"), read("rules_detectors_test.yaml"));
    let alerts = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    for alert in alerts {
        assert!(tests.contains(&format!("alertname: {alert}\n")), "{alert} never fires in a test");
    }
}

#[test]
fn promtool_agrees() {
    let Some(promtool) = promtool() else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rules.yaml"), without_extensions(&read("rules.yaml")).unwrap()).unwrap();
    std::fs::write(folder.path().join(TESTS[0]), read(TESTS[0])).unwrap();
    let (check, test) = (["check", "rules", "--lint-fatal", "rules.yaml"], ["test", "rules", TESTS[0]]);
    for arguments in [&check[..], &test[..]] {
        let (succeeds, said) = run_promtool(&promtool, folder.path(), arguments);
        assert!(succeeds, "{arguments:?}: {said}");
    }
}

/// Every alert, known by name and severity, is seen firing; every name but that of the heartbeat is seen silent.
#[test]
fn no_alert_is_without_a_test() {
    let file = load("rules.yaml", &read("rules.yaml"), LoadOptions::default()).unwrap();
    let wanted = |labels: &Value| ["severity", "class", "policy", "receivers"].map(|key| labels.get(key).is_some());
    let text: Value = serde_yaml_ng::from_str(&read("rules.yaml")).unwrap();
    let rules = text["groups"].as_sequence().unwrap().iter().flat_map(|g| g["rules"].as_sequence().unwrap());
    let mut alerts: BTreeSet<(String, String)> = BTreeSet::new();
    for rule in rules.filter(|rule| rule.get("alert").is_some()) {
        let name = rule["alert"].as_str().unwrap().to_string();
        assert_eq!(wanted(&rule["labels"]), [true; 4], "{name}");
        for annotation in ["summary", "description", "runbook_url", "dashboard"] {
            assert!(rule["annotations"].get(annotation).is_some(), "{name} has no {annotation}");
        }
        alerts.insert((name, rule["labels"]["severity"].as_str().unwrap().to_string()));
    }
    let count = file.groups.iter().flat_map(|g| &g.rules).filter(|r| matches!(r, Rule::Alerting(_))).count();
    assert!(count >= alerts.len() && alerts.len() > 40, "{count} {}", alerts.len());

    let (mut firing, mut silent): (BTreeSet<(String, String)>, BTreeMap<String, usize>) = Default::default();
    for tests in TESTS.map(|file| serde_yaml_ng::from_str::<Value>(&read(file)).unwrap()) {
        for test in tests["tests"].as_sequence().unwrap() {
            for case in test["alert_rule_test"].as_sequence().unwrap() {
                let name = case["alertname"].as_str().unwrap();
                let expected = case["exp_alerts"].as_sequence().unwrap();
                for alert in expected {
                    firing.insert((name.to_string(), alert["exp_labels"]["severity"].as_str().unwrap().to_string()));
                }
                *silent.entry(name.to_string()).or_default() += usize::from(expected.is_empty());
            }
        }
    }
    assert_eq!(firing, alerts);
    for (name, _) in alerts.iter().filter(|(name, _)| name != "heartbeat") {
        assert!(silent[name] > 0, "{name} is never silent");
    }
}

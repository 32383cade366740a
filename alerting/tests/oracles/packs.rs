//! The alerts of the packs that come with Tidewatch: their tests pass here and with promtool, and leave no alert out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_yaml_ng::Value;
use tidewatch_alerting::rules::load::without_extensions;
use tidewatch_alerting::rules::{LoadOptions, Rule, load};
use tidewatch_alerting::unit_tests::{RuleFiles, run};

use super::components::{promtool, promtool_3, run_promtool};

/// A folder with `rules.yaml` and its tests.
struct Pack {
    name: &'static str,
    /// What promtool reads as well.
    tests: &'static [&'static str],
    /// What older versions of promtool cannot read.
    histograms: &'static [&'static str],
}

const CREATORFLOW: Pack = Pack {
    name: "creatorflow",
    tests: &["rules_test.yaml", "rules_weeks_test.yaml"],
    histograms: &["rules_histograms_test.yaml", "rules_histograms_weeks_test.yaml"],
};
const PLATFORM: Pack = Pack {
    name: "platform",
    tests: &["rules_test.yaml", "rules_weeks_test.yaml"],
    histograms: &["rules_histograms_test.yaml"],
};
const ENGINE: Pack = Pack { name: "engine", tests: &["rules_test.yaml"], histograms: &[] };

impl Pack {
    fn path(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../packs").join(self.name)
    }

    fn text(&self, file: &str) -> String {
        std::fs::read_to_string(self.path().join(file)).unwrap()
    }

    fn all_tests(&self) -> Vec<&'static str> {
        self.tests.iter().chain(self.histograms).copied().collect()
    }
}

impl RuleFiles for Pack {
    fn read(&self, pattern: &str) -> Result<Vec<(String, String)>, String> {
        Ok(vec![(pattern.to_string(), self.text(pattern))])
    }
}

fn the_rules_do_what_their_tests_say(pack: &Pack) {
    for file in pack.all_tests() {
        let report = run(&pack.text(file), pack, LoadOptions::default());
        assert!(report.is_success(), "{file}:\n{report}");
        assert!(!report.tests.is_empty(), "{file}");
    }
}

#[test]
fn the_rules_of_creatorflow_do_what_their_tests_say() {
    the_rules_do_what_their_tests_say(&CREATORFLOW);
}

#[test]
fn the_rules_of_platform_do_what_their_tests_say() {
    the_rules_do_what_their_tests_say(&PLATFORM);
}

#[test]
fn the_rules_of_engine_do_what_their_tests_say() {
    the_rules_do_what_their_tests_say(&ENGINE);
}

/// Functions of our own, which promtool does not know.
#[test]
fn the_detectors_do_what_their_tests_say() {
    let tests = ["rules_detectors_test.yaml", "rules_silence_test.yaml"].map(|file| CREATORFLOW.text(file));
    for text in &tests {
        let report = run(text, &CREATORFLOW, LoadOptions::default());
        assert!(report.is_success(), "{report}");
    }
    let (rules, tests) = (CREATORFLOW.text("detectors.yaml"), tests.concat());
    let alerts = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    for alert in alerts {
        assert!(tests.contains(&format!("alertname: {alert}\n")), "{alert} never fires in a test");
    }
}

#[test]
fn promtool_agrees() {
    let Some(promtool) = promtool() else { return };
    for pack in [CREATORFLOW, PLATFORM, ENGINE] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("rules.yaml"), without_extensions(&pack.text("rules.yaml")).unwrap())
            .unwrap();
        for file in pack.tests {
            std::fs::write(folder.path().join(file), pack.text(file)).unwrap();
        }
        let check = ["check", "rules", "--lint-fatal", "rules.yaml"];
        let test = [&["test", "rules"][..], pack.tests].concat();
        for arguments in [&check[..], &test[..]] {
            let (succeeds, said) = run_promtool(&promtool, folder.path(), arguments);
            assert!(succeeds, "{}: {arguments:?}: {said}", pack.name);
        }
    }
}

/// The tests of a file but for those of alerts with thresholds by series, which are ours alone; how many are left.
fn without_thresholds_by_series(pack: &Pack, file: &str) -> (String, usize) {
    let rules: Value = serde_yaml_ng::from_str(&pack.text("rules.yaml")).unwrap();
    let rules = rules["groups"].as_sequence().unwrap().iter().flat_map(|g| g["rules"].as_sequence().unwrap());
    let has_table = |rule: &&Value| {
        let thresholds = rule.get("tidewatch").and_then(|extension| extension.get("thresholds"));
        thresholds.is_some_and(|thresholds| thresholds.get("table").is_some())
    };
    let ours: BTreeSet<String> = rules.filter(has_table).map(|rule| of(rule, "alert")).collect();
    let mut tests: Value = serde_yaml_ng::from_str(&pack.text(file)).unwrap();
    let all = tests.get_mut("tests").and_then(Value::as_sequence_mut).unwrap();
    all.retain(|test| {
        let cases = test["alert_rule_test"].as_sequence().unwrap();
        cases.iter().all(|case| !ours.contains(&of(case, "alertname")))
    });
    let left = all.len();
    (serde_yaml_ng::to_string(&tests).unwrap(), left)
}

#[test]
fn promtool_3_agrees_about_histograms() {
    let Some(promtool) = promtool_3() else { return };
    for pack in [CREATORFLOW, PLATFORM] {
        let folder = tempfile::tempdir().unwrap();
        let rules = without_extensions(&pack.text("rules.yaml")).unwrap();
        std::fs::write(folder.path().join("rules.yaml"), rules).unwrap();
        let mut all = 0;
        for &file in pack.histograms {
            let (tests, left) = without_thresholds_by_series(&pack, file);
            all += left;
            std::fs::write(folder.path().join(file), tests).unwrap();
            let (succeeds, said) = run_promtool(&promtool, folder.path(), &["test", "rules", file]);
            assert!(succeeds, "{}/{file}: {said}", pack.name);
        }
        assert!(all >= 3, "{}: {all} tests", pack.name);
    }
}

/// Every alert, known by name, severity and signal, is seen firing; every name but that of the heartbeat is seen
/// silent.
fn no_alert_is_without_a_test(pack: &Pack, at_least: usize) {
    let file = load("rules.yaml", &pack.text("rules.yaml"), LoadOptions::default()).unwrap();
    let wanted = |labels: &Value| ["severity", "class", "policy", "receivers"].map(|key| labels.get(key).is_some());
    let text: Value = serde_yaml_ng::from_str(&pack.text("rules.yaml")).unwrap();
    let rules = text["groups"].as_sequence().unwrap().iter().flat_map(|g| g["rules"].as_sequence().unwrap());
    let mut alerts: BTreeSet<(String, String, String)> = BTreeSet::new();
    for rule in rules.filter(|rule| rule.get("alert").is_some()) {
        let name = rule["alert"].as_str().unwrap().to_string();
        assert_eq!(wanted(&rule["labels"]), [true; 4], "{name}");
        for annotation in ["summary", "description", "runbook_url", "dashboard"] {
            assert!(rule["annotations"].get(annotation).is_some(), "{name} has no {annotation}");
        }
        alerts.insert((name, of(&rule["labels"], "severity"), of(&rule["labels"], "signal")));
    }
    let count = file.groups.iter().flat_map(|g| &g.rules).filter(|r| matches!(r, Rule::Alerting(_))).count();
    assert!(count >= alerts.len() && alerts.len() > at_least, "{count} {}", alerts.len());

    let mut firing: BTreeSet<(String, String, String)> = BTreeSet::new();
    let mut silent: BTreeMap<String, usize> = BTreeMap::new();
    for tests in pack.all_tests().into_iter().map(|file| serde_yaml_ng::from_str::<Value>(&pack.text(file)).unwrap()) {
        for test in tests["tests"].as_sequence().unwrap() {
            for case in test["alert_rule_test"].as_sequence().unwrap() {
                let name = case["alertname"].as_str().unwrap();
                let expected = case["exp_alerts"].as_sequence().unwrap();
                for alert in expected {
                    let labels = &alert["exp_labels"];
                    firing.insert((name.to_string(), of(labels, "severity"), of(labels, "signal")));
                }
                *silent.entry(name.to_string()).or_default() += usize::from(expected.is_empty());
            }
        }
    }
    assert_eq!(firing, alerts);
    for (name, ..) in alerts.iter().filter(|(name, ..)| name != "heartbeat") {
        assert!(silent.get(name).is_some_and(|&times| times > 0), "{name} is never silent");
    }
}

/// A label's value, or nothing.
fn of(labels: &Value, name: &str) -> String {
    labels.get(name).and_then(Value::as_str).unwrap_or_default().to_string()
}

#[test]
fn no_alert_of_creatorflow_is_without_a_test() {
    no_alert_is_without_a_test(&CREATORFLOW, 40);
}

#[test]
fn no_alert_of_platform_is_without_a_test() {
    no_alert_is_without_a_test(&PLATFORM, 40);
}

#[test]
fn no_alert_of_engine_is_without_a_test() {
    no_alert_is_without_a_test(&ENGINE, 5);
}

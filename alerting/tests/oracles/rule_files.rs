//! Which rule files load and which are refused: promtool's own test data.

use tidewatch_alerting::rules::load::{LoadOptions, Names, load, without_extensions};

use super::components::{data, files, promtool, run_promtool};

/// What each file of the folder must lead to: `None` for one that loads, or words of the refusal. Files that are
/// no rule files are not listed.
const EXPECTED: &[(&str, Option<(&str, usize)>)] = &[
    ("model/rulefmt/testdata/bad_expr.bad.yaml", Some(("could not parse expression", 5))),
    ("model/rulefmt/testdata/bad_field.bad.yaml", Some(("annotation", 8))),
    ("model/rulefmt/testdata/duplicate_grp.bad.yaml", Some(("is repeated in the same file", 3))),
    ("model/rulefmt/testdata/invalid_label_name.bad.yaml", Some(("invalid label name: __name__", 7))),
    ("model/rulefmt/testdata/invalid_record_name.bad.yaml", Some(("strawberry{flavor=\"sweet\"}", 4))),
    ("model/rulefmt/testdata/legacy_validation_annotation.bad.yaml", Some(("invalid annotation name: ins-tance", 7))),
    ("model/rulefmt/testdata/legacy_validation_annotation.good.yaml", None),
    ("model/rulefmt/testdata/no_rec_alert.bad.yaml", Some(("one of 'record' or 'alert' must be set", 4))),
    ("model/rulefmt/testdata/noexpr.bad.yaml", Some(("field 'expr' must be set in rule", 4))),
    ("model/rulefmt/testdata/record_and_alert.bad.yaml", Some(("only one of 'record' and 'alert'", 4))),
    ("model/rulefmt/testdata/record_and_for.bad.yaml", Some(("invalid field 'for' in recording rule", 4))),
    ("model/rulefmt/testdata/record_and_keep_firing_for.bad.yaml", Some(("invalid field 'keep_firing_for'", 4))),
    ("model/rulefmt/testdata/test.yaml", None),
    ("model/rulefmt/testdata/test_aliases.yaml", None),
    ("model/rulefmt/testdata/utf-8_annotation.good.yaml", None),
    ("model/rulefmt/testdata/utf-8_lname.good.yaml", None),
    ("rules/fixtures/alert_rule.yaml", None),
    ("rules/fixtures/alert_rule1.yaml", None),
    ("rules/fixtures/invalid_rules.yaml", Some(("unexpected_field", 6))),
    ("rules/fixtures/rules.yaml", None),
    ("rules/fixtures/rules1.yaml", None),
    ("rules/fixtures/rules2.yaml", None),
    ("rules/fixtures/rules2_copy.yaml", None),
    ("rules/fixtures/rules_chain.yaml", None),
    ("rules/fixtures/rules_dependencies.yaml", None),
    ("rules/fixtures/rules_indeterminates.yaml", None),
    ("rules/fixtures/rules_multi_doc.yaml", None),
    ("rules/fixtures/rules_multiple.yaml", None),
    ("rules/fixtures/rules_multiple_dependents_on_base.yaml", None),
    ("rules/fixtures/rules_multiple_groups.yaml", None),
    ("rules/fixtures/rules_multiple_independent.yaml", None),
    ("cmd/promtool/testdata/at-modifier.yml", None),
    ("cmd/promtool/testdata/bad-rules-error.yml", None),
    ("cmd/promtool/testdata/bad-rules-syntax.yml", Some(("could not parse expression", 7))),
    // Only with Prometheus' experimental features, as there.
    ("cmd/promtool/testdata/features.yml", Some(("could not parse expression", 6))),
    ("cmd/promtool/testdata/negative-offset.yml", None),
    ("cmd/promtool/testdata/prometheus-config.rules.good.yml", None),
    ("cmd/promtool/testdata/prometheus-rules.lint.yml", None),
    ("cmd/promtool/testdata/rules-bad.yml", Some(("undefined variable \"$label\"", 12))),
    ("cmd/promtool/testdata/rules.yml", None),
    ("cmd/promtool/testdata/rules_duplicates.yml", None),
    ("cmd/promtool/testdata/rules_extrafields.yml", Some(("namespace", 7))),
];

#[test]
fn every_good_file_loads_and_every_bad_one_is_refused_with_its_place() {
    let Some(folder) = data("promtool-testdata") else { return };
    for (name, expected) in EXPECTED {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        let names = if name.contains("legacy") { Names::Classic } else { Names::Utf8 };
        let outcome = load(name, &text, LoadOptions { names, ..LoadOptions::default() });
        match (outcome, expected) {
            (Ok(_), None) => {}
            (Ok(_), Some((words, _))) => panic!("{name} must be refused: {words}"),
            (Err(errors), None) => panic!("{name} must load: {errors}"),
            (Err(errors), Some((words, line))) => {
                let error = &errors.0[0];
                assert!(error.to_string().contains(words), "{name}: expected {words:?} in {error}");
                assert_eq!(error.line, *line, "{name}: {error}");
                assert!(error.column > 0 && error.file == *name, "{error}");
            }
        }
    }
}

#[test]
fn no_rule_file_of_the_folder_is_left_out() {
    let Some(folder) = data("promtool-testdata") else { return };
    let listed = |name: &str| EXPECTED.iter().any(|(known, _)| *known == name);
    for path in files(&folder) {
        let name = path.strip_prefix(&folder).unwrap().to_str().unwrap().to_string();
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let is_rule_file = name.ends_with("ml") && text.lines().any(|line| line.starts_with("groups:"));
        assert!(!is_rule_file || listed(&name), "{name} is a rule file and in no list");
    }
}

/// The Debian promtool is of version 2.42, which knows no UTF-8 names; all else must be the same.
#[test]
fn promtool_comes_to_the_same_verdict() {
    let (Some(folder), Some(promtool)) = (data("promtool-testdata"), promtool()) else { return };
    for (name, expected) in EXPECTED.iter().filter(|(name, _)| !name.contains("utf-8")) {
        let (accepts, said) = run_promtool(&promtool, &folder, &["check", "rules", "--lint=none", name]);
        assert_eq!(accepts, expected.is_none(), "{name}: promtool says {said}");
    }
}

const EXTENDED: &str = r#"
groups:
  - name: sellers
    rules:
      - alert: LateShipments
        expr: late_share
        for: 10m
        annotations:
          summary: "{{ $labels.seller }} is late"
        tidewatch:
          runbook: https://runbooks.example/late
          on_incomplete: unknown
          thresholds:
            default: 0.04
            resolve: 0.03
            table:
              - match: '{seller="s-17"}'
                value: 0.1
      - alert: Slow
        expr: latency_seconds > 5
        tidewatch:
          resolve_below: 4
"#;

#[test]
fn our_own_keys_load_here_and_can_be_taken_out_for_promtool() {
    let file = load("sellers.yaml", EXTENDED, LoadOptions::default()).unwrap();
    assert_eq!(file.groups[0].rules.len(), 2);
    let Some(promtool) = promtool() else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("with.yaml"), EXTENDED).unwrap();
    let plain = without_extensions(EXTENDED).unwrap();
    assert!(plain.contains("(late_share) > 0.04"), "{plain}");
    std::fs::write(folder.path().join("without.yaml"), plain).unwrap();
    assert!(!run_promtool(&promtool, folder.path(), &["check", "rules", "with.yaml"]).0);
    let (accepts, said) = run_promtool(&promtool, folder.path(), &["check", "rules", "without.yaml"]);
    assert!(accepts, "{said}");
}

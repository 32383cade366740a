//! Tests of rules: the same verdict as promtool's on its own files and on ours.

use std::path::{Path, PathBuf};

use tidewatch_alerting::memory::Memory;
use tidewatch_alerting::rules::group::{self, GroupState, Settings};
use tidewatch_alerting::rules::{LoadOptions, load};
use tidewatch_alerting::unit_tests::{RuleFiles, run};
use tidewatch_promql::{Labels, Options, Sample};

use super::components::{data, promtool, promtool_3, run_promtool};

struct Folder(PathBuf);

impl RuleFiles for Folder {
    fn read(&self, pattern: &str) -> Result<Vec<(String, String)>, String> {
        let path = self.0.join(pattern);
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(vec![(pattern.to_string(), text)])
    }
}

fn ours(folder: &Path, file: &str) -> (bool, String) {
    let text = std::fs::read_to_string(folder.join(file)).unwrap();
    let report = run(&text, &Folder(folder.to_path_buf()), LoadOptions::default());
    (report.is_success(), report.to_string())
}

/// File, whether it succeeds with Prometheus 3, and why the promtool of Debian (2.42) says otherwise.
const FILES: [(&str, bool, &str); 15] = [
    ("at-modifier-test.yml", true, ""),
    ("bad-input-series.yml", false, ""),
    ("bad-promql.yml", false, ""),
    ("bad-rules-error-test.yml", false, ""),
    ("bad-rules-syntax-test.yml", false, ""),
    ("failing.yml", false, ""),
    ("long-period.yml", true, ""),
    ("negative-offset-test.yml", true, ""),
    ("no-test-group-interval.yml", true, "takes no interval of the file for one"),
    ("rules_run.yml", false, ""),
    ("rules_run_extrafields.yml", false, ""),
    ("rules_run_fuzzy.yml", false, ""),
    ("rules_run_no_fuzzy.yml", false, ""),
    ("start-time-test.yml", true, "does not know start_timestamp"),
    ("unittest.yml", true, "does not know histograms in expectations"),
];

#[test]
fn promtools_own_files_get_their_verdicts() {
    let Some(folder) = data("promtool-testdata/cmd/promtool/testdata") else { return };
    let (promtool, promtool_3) = (promtool(), promtool_3());
    for (file, expected, differs) in FILES {
        let (succeeds, said) = ours(&folder, file);
        assert_eq!(succeeds, expected, "{file}: {said}");
        if let Some(promtool) = &promtool {
            let (theirs, said) = run_promtool(promtool, &folder, &["test", "rules", file]);
            assert_eq!(theirs == succeeds, differs.is_empty(), "{file}: promtool says {said}");
        }
        // Prometheus 3.5 does not know `start_timestamp` either.
        if let Some(promtool) = promtool_3.as_ref().filter(|_| file != "start-time-test.yml") {
            let (theirs, said) = run_promtool(promtool, &folder, &["test", "rules", file]);
            assert_eq!(theirs, succeeds, "{file}: promtool 3 says {said}");
        }
    }
}

#[test]
fn our_files_get_promtools_verdicts() {
    let Some(promtool) = promtool() else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/rule_tests");
    let (files, failing) = same_verdicts(&promtool, &folder);
    assert!(files >= 10 && failing >= 3, "{failing} of {files} files fail");
    let Some(promtool) = promtool_3() else { return };
    assert_eq!(same_verdicts(&promtool, &folder), (files, failing));
}

/// The functions of native histograms, by Prometheus' own numbers.
#[test]
fn our_files_of_native_histograms_get_the_verdicts_of_promtool_3() {
    let Some(promtool) = promtool_3() else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/rule_tests/native_histograms");
    assert_eq!(same_verdicts(&promtool, &folder), (2, 1));
}

/// Compares the verdicts about the tests in a folder; how many files there are, and how many fail.
fn same_verdicts(promtool: &Path, folder: &Path) -> (usize, usize) {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with("-test.yml"))
        .collect();
    names.sort();
    let mut failing = 0;
    for name in &names {
        let (theirs, promtool_said) = run_promtool(promtool, folder, &["test", "rules", name]);
        let (succeeds, said) = ours(folder, name);
        assert_eq!(succeeds, theirs, "{name}\nours: {said}\npromtool: {promtool_said}");
        assert_eq!(succeeds, !name.starts_with("bad-"), "{name}: {said}");
        failing += usize::from(!succeeds);
    }
    (names.len(), failing)
}

/// Templates whose text promtool is asked to confirm.
const TEMPLATES: [&str; 58] = [
    "{{ $value }} {{ .Value }} {{ $value | humanize }}",
    "{{ humanize 0.0 }} {{ humanize 1.0 }} {{ humanize 1234567.0 }} {{ humanize 0.00012345 }} {{ humanize -1234.5 }}",
    "{{ humanize 999.95 }} {{ humanize 1e30 }} {{ humanize 1e-30 }} {{ humanize 123456789.0 }}",
    "{{ humanize \"12345\" }} {{ humanize 12345 }}",
    "{{ humanize1024 0.0 }} {{ humanize1024 1048576.0 }} {{ humanize1024 1500.0 }} {{ humanize1024 -4096.0 }}",
    "{{ humanize1024 1e30 }} {{ humanize1024 1023.0 }} {{ humanize1024 0.5 }}",
    "{{ humanizeDuration 0.0 }} {{ humanizeDuration 1.0 }} {{ humanizeDuration 59.99 }} {{ humanizeDuration 60.0 }}",
    "{{ humanizeDuration 3661.0 }} {{ humanizeDuration 90061.5 }} {{ humanizeDuration -3661.0 }}",
    "{{ humanizeDuration 0.0123 }} {{ humanizeDuration 0.000001 }} {{ humanizeDuration 135.3563 }} {{ humanizeDuration 899.99 }}",
    "{{ humanizePercentage 0.959 }} {{ humanizePercentage 0.123456 }} {{ humanizePercentage 12.0 }} {{ humanizePercentage -0.0005 }}",
    "{{ humanizeTimestamp 1643114203.0 }} {{ humanizeTimestamp 1435065584.128 }} {{ humanizeTimestamp 0.0 }}",
    "{{ toTime 1643114203.0 }}",
    "{{ (toTime 1643114203.0).Year }} {{ (toTime 1643114203.5).Format \"2006-01-02T15:04:05.000Z07:00 Mon Jan _2 3PM\" }}",
    "{{ title \"this part of it\" }} {{ title \"aBC d\" }}",
    "{{ toUpper \"is testing\" }} {{ toLower \"THE STRINGS\" }}",
    "{{ stripPort \"[::1]:6006\" }} {{ stripPort \"127.0.0.1:4004\" }} {{ stripPort \"host\" }} {{ stripPort \"::1\" }}",
    "{{ stripPort \"a.b.c:80\" }} {{ stripPort \"\" }}",
    "{{ stripDomain \"a.b.c:80\" }} {{ stripDomain \"a.b.c\" }} {{ stripDomain \"127.0.0.1:80\" }} {{ stripDomain \"[::1]:80\" }} {{ stripDomain \"host\" }}",
    "{{ parseDuration \"2h10m15s\" }} {{ parseDuration \"1ms\" }} {{ parseDuration \"1w\" }}",
    "{{ match \"[0-9]+\" \"1234\" }} {{ match \"[0-9]+$\" \"1234a\" }}",
    "{{ reReplaceAll \"r.*d\" \"replaced\" \"rpld text\" }} {{ reReplaceAll \"(\\\\w)b\" \"$1-\" \"ab cb\" }}",
    "{{ $labels.instance }} {{ $labels.missing }}| {{ .Labels.job }} {{ $.Labels.job }}",
    "{{ $externalLabels.region }} {{ .ExternalLabels.region }} {{ $externalLabels.none }}|",
    // The order of a vector is nobody's promise: promtool's changes from run to run.
    "{{ range query \"up\" | sortByLabel \"instance\" }}{{ .Labels.instance }}={{ .Value }} {{ end }}",
    "{{ range query \"up\" | sortByLabel \"instance\" }}{{ . | label \"instance\" }}:{{ . | value }},{{ end }}",
    "{{ with query \"up\" }}{{ . | sortByLabel \"instance\" | first | label \"instance\" }}{{ end }}",
    "{{ with query \"nothing\" }}some{{ else }}none{{ end }}",
    "{{ query \"count(up)\" | first | value }} {{ query \"vector(1)\" | len }}",
    "{{ query \"count(up)\" | first | strvalue }}|",
    "{{ define \"t\" }}{{ .arg0 }} {{ .arg1 }} {{ .arg2 }}{{ end }}{{ template \"t\" (args \"foo\" \"bar\" 99) }}",
    "{{ tableLink \"up > 1\" }} {{ graphLink \"rate(x[5m])\" }}",
    "{{ safeHtml \"<b>\" }} {{ \"<b>\" }}",
    "{{ if gt $value 2.0 }}large{{ else }}small{{ end }}",
    "{{ if eq $labels.job \"web\" }}web{{ end }}",
    "{{ if gt $value 2 }}x{{ end }}",
    "{{ printf \"%.2f %5.1f %s %q\" $value $value $labels.job $labels.job }}",
    "{{ printf \"%d\" 5 }} {{ printf \"%v\" $labels }} {{ len $labels }}",
    "{{ $x := $value }}{{ $x }} {{ $y := printf \"%.0f\" $x }}{{ $y }}",
    "{{- $labels.job -}}   x",
    "{{/* nothing */}}plain",
    "a {{ `raw` }} \\n",
    "{{ first (query \"nothing\") }}",
    "{{ humanize \"abc\" }}",
    "{{ $labels.job.x }}",
    "{{ .Nothing }}",
    "|{{ $externalURL }}|{{ .ExternalURL }}|",
    "{{ html \"<a>\" }} {{ urlquery \"a b\" }} {{ js \"it's\" }}",
    "{{ index $labels \"job\" }} {{ index $labels \"none\" }}|",
    "{{ 1234567.0 }} {{ 0.00001 }} {{ 100000.0 }} {{ 1e21 }}",
    "{{ not true }} {{ and true false }} {{ or false \"x\" }} {{ le 1 2 }} {{ ne \"a\" \"b\" }}",
    "{{ print 1 2 \"x\" }} {{ println \"y\" }}",
    "{{ range $k, $v := $labels }}{{ $k }}={{ $v }};{{ end }}",
    "{{ range $i, $s := query \"sort(up)\" }}{{ $i }} {{ end }}",
    "{{ $value | humanizeDuration }} {{ $value | humanizePercentage }} {{ $value | humanize1024 }}",
    "{{ humanizeTimestamp $value }}",
    "{{ printf \"%.3g\" $value }} {{ printf \"%e\" $value }}",
    "{{ slice \"abcdef\" 1 3 }} {{ len \"abc\" }}",
    "{{ with $labels.none }}x{{ else }}no{{ end }}",
];

/// What we print is written into a test as what is expected, and promtool has to find nothing wrong with it.
/// Templates that fail must fail there, too, but may say so in other words.
#[test]
fn promtool_prints_the_same_annotations() {
    let Some(promtool) = promtool() else { return };
    let quote = |text: &str| serde_json::to_string(text).unwrap();
    let mut rules = "groups:\n  - name: g\n    rules:\n".to_string();
    for (at, template) in TEMPLATES.iter().enumerate() {
        let (expr, note) = (r#"m{instance="a:1"}"#, quote(template));
        rules +=
            &format!("      - alert: A{at}\n        expr: '{expr}'\n        annotations:\n          note: {note}\n");
    }
    let file = load("rules.yml", &rules, LoadOptions::default()).unwrap();
    let mut memory = Memory::new(Options::default());
    let series = [("m", "a:1", 1234.5678), ("up", "a:1", 1.0), ("up", "b:2", 0.0)];
    for (name, instance, value) in series {
        let labels = Labels::new([("__name__", name), ("instance", instance), ("job", "web")]);
        memory.push(&labels, 0, &Sample::Float(value));
    }
    let settings = Settings { external_labels: vec![("region".to_string(), "eu".to_string())], ..Settings::default() };
    let mut state = GroupState::new(&file.groups[0]);
    group::evaluate(&file.groups[0], &mut state, 0, &mut memory, &settings);
    let mut tests = String::new();
    let mut failing = Vec::new();
    for (at, rule) in state.rules.iter().enumerate() {
        let instance = rule.state.instances.values().next().unwrap();
        let note = instance.annotations.first().map_or("", |(_, note)| note);
        if note.starts_with("<error expanding template") {
            failing.push(at);
            continue;
        }
        tests += &format!(
            "      - alertname: A{at}\n        eval_time: 0m\n        exp_alerts:\n          - exp_labels: {{instance: \"a:1\", job: web}}\n            exp_annotations: {{note: {}}}\n",
            quote(note)
        );
    }
    let header = "rule_files: [rules.yml]\ntests:\n  - interval: 1m\n    external_labels: {region: eu}\n    input_series:\n      - {series: 'm{instance=\"a:1\",job=\"web\"}', values: '1234.5678'}\n      - {series: 'up{instance=\"a:1\",job=\"web\"}', values: '1'}\n      - {series: 'up{instance=\"b:2\",job=\"web\"}', values: '0'}\n    alert_rule_test:\n";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rules.yml"), &rules).unwrap();
    std::fs::write(folder.path().join("test.yml"), format!("{header}{tests}")).unwrap();
    let (succeeds, said) = run_promtool(&promtool, folder.path(), &["test", "rules", "test.yml"]);
    assert!(succeeds, "{said}");
    // Each template that fails here fails there: its text begins with the same words.
    for at in failing {
        let test = format!("{header}      - {{alertname: A{at}, eval_time: 0m, exp_alerts: []}}\n");
        std::fs::write(folder.path().join("one.yml"), test).unwrap();
        let (_, said) = run_promtool(&promtool, folder.path(), &["test", "rules", "one.yml"]);
        assert!(
            said.contains("<error expanding template: error executing template __alert_A"),
            "{}: {said}",
            TEMPLATES[at]
        );
    }
}

//! Rules over the past, from the command line: each group at its own interval, messages as they would have been sent, and
//! the threshold that finds an incident.

use super::SOON;
use crate::support::{Tidewatch, tidewatch, wait_until, write_settings};
use chrono::{DateTime, TimeDelta, Utc};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const MINUTES: i64 = 60;
/// Minutes with ten errors; the others have one to three.
const INCIDENT: std::ops::Range<i64> = 15..25;

const RULES: &str = r#"
groups:
  - name: calls
    rules:
      - record: provider:errors:1m
        expr: sum by (provider) (increase(api_calls_errors_total[1m]))
      - alert: Errors
        expr: sum by (provider) (increase(api_calls_errors_total[1m])) > 5
        annotations:
          summary: '{{ $value }} errors of {{ $labels.provider }} in {{ $externalLabels.region }}'
          recorded: '{{ with query "provider:errors:1m" }}{{ . | first | value }}{{ end }}'
          link: '{{ externalURL }}/errors'
  - name: seldom
    interval: 10m
    rules:
      - alert: Seldom
        expr: sum by (provider) (increase(api_calls_errors_total[1m])) > 5
"#;

/// Counts an hour of errors that began two hours ago; the settings, and the first minute.
fn counted(folder: &Path) -> (PathBuf, DateTime<Utc>) {
    let hours_ago = Utc::now() - TimeDelta::hours(2);
    let begin = hours_ago - TimeDelta::milliseconds(hours_ago.timestamp_millis().rem_euclid(60_000));
    let begin = DateTime::from_timestamp_millis(begin.timestamp_millis()).unwrap();
    let (mut lines, mut count) = (String::new(), 0);
    for minute in 0..MINUTES {
        let errors = if INCIDENT.contains(&minute) { 10 } else { 1 + minute % 3 };
        for error in 0..errors {
            // In the midst of the minute, so that no window touches two of them.
            let time = (begin + TimeDelta::seconds(minute * 60 + 20 + error)).to_rfc3339();
            let _ = writeln!(
                lines,
                r#"{{"specversion":"1.0","id":"{count}","source":"/calls","type":"apihealth.api_call.completed.v1","time":"{time}","tenantkind":"creator","tenantid":"c1","data":{{"provider":"ups","api":"rates","outcome":"server_error","duration_ms":12,"status_code":500}}}}"#
            );
            count += 1;
        }
    }
    std::fs::write(folder.join("calls.ndjson"), lines).unwrap();
    let settings = write_settings(
        folder,
        "[storage]\nlocation = \"data\"\n[http]\nlisten = \"127.0.0.1:0\"\n[files]\npaths = [\"calls.ndjson\"]\n\
         [alerting]\nexternal_url = \"http://tide.example/\"\nexternal_labels = { region = \"eu\" }\n",
    );
    let mut process = Tidewatch::run(&settings);
    let total = "SELECT coalesce(sum(errors), 0) AS n FROM api_calls";
    wait_until("all errors", SOON, || process.sql(total) == format!("n\n{count}\n"));
    process.stop();
    (settings, begin)
}

#[test]
fn a_backtest_says_what_would_have_been_said_and_which_threshold_finds_an_incident() {
    let folder = tempfile::tempdir().unwrap();
    let (settings, begin) = counted(folder.path());
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (rules, incidents) = (path("rules.yml"), path("incidents.yml"));
    std::fs::write(&rules, RULES).unwrap();
    let at = |minute: i64| begin + TimeDelta::minutes(minute);
    let (since, until) = (at(0).to_rfc3339(), at(MINUTES).to_rfc3339());
    let config = settings.display().to_string();
    let past = ["-c", config.as_str(), "--since", since.as_str(), "--until", until.as_str()];
    let run = |more: &[&str]| tidewatch(&[&["rules", "backtest", rules.as_str()][..], &past[..], more].concat());
    let json = |more: &[&str]| -> serde_json::Value { serde_json::from_str(&run(more)).unwrap() };

    let found = json(&["--format", "json"]);
    let (errors, seldom) = (&found["rules"][0], &found["rules"][1]);
    let instants = |rule: &serde_json::Value| (rule["step_ms"].as_i64(), rule["instants"].as_i64());
    assert_eq!((instants(errors), instants(seldom)), ((Some(60_000), Some(61)), (Some(600_000), Some(7))), "{found}");
    let fired = |rule: &serde_json::Value| {
        let intervals = rule["intervals"].as_array().unwrap().iter();
        let minute = |ms: &serde_json::Value| (ms.as_i64().unwrap() - begin.timestamp_millis()) / 60_000;
        intervals.map(|one| (minute(&one["fired_at_ms"]), minute(&one["ended_at_ms"]))).collect::<Vec<_>>()
    };
    assert_eq!((fired(errors), fired(seldom)), (vec![(16, 26)], vec![(20, 30)]), "{found}");
    let message = &errors["messages"][0];
    let labels = serde_json::json!({ "alertname": "Errors", "provider": "ups", "region": "eu" });
    assert_eq!(message["labels"], labels, "{message}");
    let annotations = serde_json::json!([
        ["link", "http://tide.example/errors"],
        ["recorded", "10"],
        ["summary", "10 errors of ups in eu"],
    ]);
    let mut said = message["annotations"].as_array().unwrap().clone();
    said.sort_by_key(|one| one[0].as_str().map(str::to_owned));
    assert_eq!(serde_json::Value::from(said), annotations, "{message}");

    let wider = json(&["--step", "5m", "--format", "json"]);
    let steps = [&wider["rules"][0], &wider["rules"][1]].map(|rule| rule["step_ms"].as_i64());
    assert_eq!(steps, [Some(300_000), Some(600_000)], "the longer interval stays");
    let table = run(&[]);
    for part in ["calls/Errors", "every", "10m", "provider=\"ups\"", "summary: 10 errors of ups in eu"] {
        assert!(table.contains(part), "{part} in\n{table}");
    }

    let (start, end) = (at(INCIDENT.start).to_rfc3339(), at(INCIDENT.end).to_rfc3339());
    let known = format!("- {{start: '{start}', end: '{end}', matchers: ['provider=\"ups\"']}}\n");
    std::fs::write(&incidents, known).unwrap();
    let suggest = ["rules", "suggest", rules.as_str(), "--rule", "Errors", "--incidents", incidents.as_str()];
    let suggest = [&suggest[..], &past[..]].concat();
    let candidates: serde_json::Value =
        serde_json::from_str(&tidewatch(&[&suggest[..], &["--format", "json"][..]].concat())).unwrap();
    let candidates = candidates.as_array().unwrap();
    let (lowest, highest) = (&candidates[0], &candidates[candidates.len() - 1]);
    assert!(lowest["alerts"].as_u64() > Some(5) && lowest["precision"].as_f64() < Some(0.5), "{candidates:?}");
    assert!(highest["recall"] == 0.0 && highest["precision"].is_null(), "{candidates:?}");
    let best = candidates.iter().find(|one| one["precision"] == 1.0 && one["recall"] == 1.0);
    let best = best.unwrap_or_else(|| panic!("{candidates:?}"));
    assert!((3.0..10.0).contains(&best["threshold"].as_f64().unwrap()), "{best}");
    assert_eq!((best["alerts"].as_u64(), best["delay_ms"].as_i64()), (Some(1), Some(60_000)), "{best}");
    let table = tidewatch(&suggest);
    assert!(table.contains("threshold") && table.contains("100%"), "{table}");
}

//! Maintenance changes the files, never an answer.

use crate::support::{Tidewatch, sql, tidewatch, write_settings};
use std::path::Path;
use std::time::Duration;

const QUESTIONS: [&str; 4] = [
    "SELECT window_start, tenant, provider, status_class, sum(requests) AS n, sum(errors) AS e, \
     quantile(duration_ms, 0.5) AS p FROM api_calls GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
    "SELECT date_trunc('minute', window_start) AS m, provider, sum(requests) AS n, quantile(duration_ms, 0.95) AS p, \
     approx_distinct(shops) AS s FROM api_calls GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT date_trunc('hour', window_start) AS h, sum(errors) AS n FROM api_calls \
     WHERE window_start >= '2026-03-14T18:07:10Z' AND window_start < '2026-03-14T20:03:00Z' GROUP BY 1 ORDER BY 1",
    "SELECT provider, sum(requests) AS n FROM api_calls GROUP BY 1 ORDER BY 1",
];

#[test]
fn answers_stay_and_files_become_few() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.ndjson");
    let arguments = ["--to", "file", "--path", file.to_str().unwrap(), "--duration", "150m", "--rate", "5"];
    let start = ["--start", "2026-03-14T18:00:00Z"];
    tidewatch(&[&["simulate"], &arguments[..], &start[..]].concat());
    let settings = write_settings(
        folder.path(),
        "[storage]\nlocation = \"data\"\n[files]\npaths = [\"events.ndjson\"]\n[http]\nlisten = \"127.0.0.1:0\"\n\
         [ingest]\nflush_rows = 200\n[maintenance]\nenabled = false\n",
    );
    Tidewatch::start(&["run", "-c", settings.to_str().unwrap(), "--until-caught-up"]).wait(Duration::from_secs(300));
    let data = folder.path().join("data");
    let before: Vec<String> = QUESTIONS.iter().map(|q| sql(&data, q)).collect();
    assert!(before[0].lines().count() > 1000, "{} rows", before[0].lines().count());

    let location = data.to_str().unwrap();
    tidewatch(&["maintain", "--data", location]);
    let after: Vec<String> = QUESTIONS.iter().map(|q| sql(&data, q)).collect();
    for ((question, before), after) in QUESTIONS.iter().zip(&before).zip(&after) {
        assert_eq!(before, after, "{question}");
    }
    assert!(tiers(&data.join("api_calls")).contains(&"tier=1h".to_owned()), "rolled up");
    // Nothing is left to do.
    let log = || std::fs::read_dir(data.join("api_calls/_delta_log")).unwrap().count();
    let entries = log();
    tidewatch(&["maintain", "--data", location]);
    assert_eq!(log(), entries);
}

fn tiers(table: &Path) -> Vec<String> {
    let folders = std::fs::read_dir(table).unwrap();
    folders.map(|f| f.unwrap().file_name().into_string().unwrap()).filter(|n| n.starts_with("tier=")).collect()
}

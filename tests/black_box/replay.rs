//! Generated events through a file: what was written is what is counted, once, in every format.

use crate::support::{Csv, Tidewatch, sql, tidewatch, write_settings};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

const RUN: Duration = Duration::from_secs(120);

fn simulate(path: &Path, scenario: &str, duration: &str) {
    let path = path.to_str().unwrap();
    let start = ["--start", "2026-03-14T18:00:00Z"];
    tidewatch(&[
        "simulate",
        "--scenario",
        scenario,
        "--to",
        "file",
        "--path",
        path,
        "--duration",
        duration,
        "--rate",
        "100",
        start[0],
        start[1],
    ]);
}

fn settings(folder: &Path, file: &str) -> PathBuf {
    write_settings(
        folder,
        &format!("[storage]\nlocation = \"data\"\n[files]\npaths = [\"{file}\"]\n[http]\nlisten = \"127.0.0.1:0\"\n"),
    )
}

fn run_to_the_end(settings: &Path) {
    Tidewatch::start(&["run", "-c", settings.to_str().unwrap(), "--until-caught-up"]).wait(RUN);
}

#[test]
fn counts_sums_and_distinct_values_are_those_of_the_file_and_a_second_run_adds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.ndjson");
    simulate(&file, "viral_spike", "10m");
    let settings = settings(folder.path(), "events.ndjson");
    run_to_the_end(&settings);

    // By plain reading: provider → calls, sum of durations, shops; orders and their money.
    let mut calls: BTreeMap<String, (i64, BTreeSet<String>)> = BTreeMap::new();
    let (mut orders, mut gross) = (0i64, 0i64);
    for line in std::fs::read_to_string(&file).unwrap().lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let data = &event["data"];
        match event["type"].as_str().unwrap() {
            "apihealth.api_call.completed.v1" => {
                let entry = calls.entry(data["provider"].as_str().unwrap().to_owned()).or_default();
                entry.0 += 1;
                entry.1.extend(data["shop_id"].as_str().map(str::to_owned));
            }
            "orders.order.created.v1" => {
                orders += 1;
                gross += data["total_minor"].as_i64().unwrap();
            }
            _ => {}
        }
    }
    let data = folder.path().join("data");
    let expected: Vec<String> = calls.iter().map(|(p, (n, shops))| format!("{p},{n},{n},{}", shops.len())).collect();
    let query = "SELECT provider, sum(requests) AS n, hdr_count(hdr_merge(duration_ms)) AS h, approx_distinct(shops) AS shops \
                 FROM api_calls GROUP BY provider ORDER BY provider";
    let found = sql(&data, query);
    assert_eq!(found.lines().skip(1).collect::<Vec<_>>(), expected);
    let money = "SELECT sum(orders) AS orders, sum(gross_minor) AS gross FROM orders_received";
    assert_eq!(sql(&data, money), format!("orders,gross\n{orders},{gross}\n"));
    assert_eq!(sql(&data, "SELECT count(*) AS n FROM dead_letters"), "n\n0\n");

    run_to_the_end(&settings);
    assert_eq!(sql(&data, query), found, "a second run of the same file must add nothing");
}

#[test]
fn a_file_that_has_grown_is_read_on_from_where_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    simulate(&folder.path().join("all.ndjson"), "steady", "2m");
    let all = std::fs::read_to_string(folder.path().join("all.ndjson")).unwrap();
    let half = all[..all.len() / 2].rfind('\n').unwrap() + 1;
    let settings = settings(folder.path(), "grown.ndjson");
    std::fs::write(folder.path().join("grown.ndjson"), &all[..half]).unwrap();
    run_to_the_end(&settings);
    std::fs::write(folder.path().join("grown.ndjson"), &all).unwrap();
    run_to_the_end(&settings);
    let expected = all.matches("\"type\":\"apihealth.api_call.completed.v1\"").count();
    assert_eq!(
        sql(&folder.path().join("data"), "SELECT sum(requests) AS n FROM api_calls"),
        format!("n\n{expected}\n")
    );
}

#[test]
fn a_gzip_file_gives_the_same_table_and_every_format_the_same_numbers() {
    let folder = tempfile::tempdir().unwrap();
    simulate(&folder.path().join("events.ndjson.gz"), "demo", "3m");
    run_to_the_end(&settings(folder.path(), "events.ndjson.gz"));
    let data = folder.path().join("data");
    let query = "SELECT provider, sum(requests) AS requests, quantile(duration_ms, 0.95) AS p95 FROM api_calls GROUP BY provider ORDER BY provider";
    let csv = sql(&data, query);
    assert!(Csv::parse(&csv).len() > 3, "{csv}");
    let with = |format: &str| tidewatch(&["sql", "--data", data.to_str().unwrap(), "--format", format, query]);
    let json: Value = serde_json::from_str(&with("json")).unwrap();
    let from_json: Vec<String> = json["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| format!("{},{},{}", r[0].as_str().unwrap(), r[1], r[2]))
        .collect();
    assert_eq!(csv.lines().skip(1).collect::<Vec<_>>(), from_json);
    let table = with("table");
    assert!(table.contains("provider") && table.trim_end().ends_with("rows)"), "{table}");
    let parquet = folder.path().join("answer.parquet");
    tidewatch(&[
        "sql",
        "--data",
        data.to_str().unwrap(),
        "--format",
        "parquet",
        "--output",
        parquet.to_str().unwrap(),
        query,
    ]);
    assert_eq!(&std::fs::read(parquet).unwrap()[..4], b"PAR1");
    // Bad input of the scenario is kept, with its reason.
    let reasons = sql(&data, "SELECT count(DISTINCT reason) AS n FROM dead_letters");
    assert_ne!(reasons, "n\n0\n");
}

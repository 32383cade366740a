//! Commands as typed, mistakes as made.

use crate::support::{pack, sql, tidewatch, tidewatch_fails, write_settings};
use std::path::Path;

#[test]
fn the_printed_defaults_are_a_valid_settings_file() {
    let folder = tempfile::tempdir().unwrap();
    let settings = write_settings(folder.path(), &tidewatch(&["check", "--defaults"]));
    let report = tidewatch(&["check", "-c", settings.to_str().unwrap()]);
    assert!(report.contains("api_calls ← api_call_completed"), "{report}");
    assert!(report.contains("topics: apihealth.events.v1, automation.events.v1, billing.events.v1"), "{report}");
}

#[test]
fn mistakes_in_settings_and_packs_name_file_line_and_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("tidewatch.toml");
    std::fs::write(&settings, "packs = [\"mine\"]\n\n[ingest]\nflush_rows = \"many\"\n").unwrap();
    let said = tidewatch_fails(&["check", "-c", settings.to_str().unwrap()]);
    assert!(said.contains("tidewatch.toml:4:14: "), "{said}");

    let settings = write_settings(folder.path(), "packs = [\"mine\"]\n");
    let said = tidewatch_fails(&["check", "-c", settings.to_str().unwrap()]);
    assert!(said.contains("mine: ") && said.contains("a pack is a folder with sources.yaml"), "{said}");

    std::fs::create_dir(folder.path().join("mine")).unwrap();
    std::fs::copy(Path::new(&pack("nezha")).join("sources.yaml"), folder.path().join("mine/sources.yaml")).unwrap();
    std::fs::write(
        folder.path().join("mine/rollups.sql"),
        "CREATE ROLLUP a AS\nSELECT service, median(duration_us) AS m\nFROM span_finished\nGROUP BY tumble(INTERVAL '1 minute'), service;\n\
         CREATE ROLLUP b AS SELECT count(*) AS n FROM nowhere GROUP BY tumble(INTERVAL '1 minute');\n",
    )
    .unwrap();
    let said = tidewatch_fails(&["check", "-c", settings.to_str().unwrap()]);
    assert!(said.contains("mine/rollups.sql:2:17: ") && said.contains("hint: "), "{said}");
    assert!(
        said.contains("mine/rollups.sql:5:") && said.contains("nowhere"),
        "every mistake, not only the first: {said}"
    );
}

#[test]
fn run_without_a_source_says_what_to_set() {
    let folder = tempfile::tempdir().unwrap();
    // Pushed events are a source; without a disk for them there is none.
    for (rest, expected) in [
        ("[push]\nenabled = false\n", "enabled = true"),
        ("[storage]\nlocation = \"s3://bucket/t\"\n", "set path in [push]"),
    ] {
        let settings = write_settings(folder.path(), &format!("[http]\nlisten = \"127.0.0.1:0\"\n{rest}"));
        let said = tidewatch_fails(&["run", "-c", settings.to_str().unwrap()]);
        assert!(said.contains("bootstrap.servers") && said.contains(expected), "{said}");
    }
}

#[test]
fn sql_says_which_tables_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let said = tidewatch_fails(&["sql", "--data", "/nowhere/at/all", "SELECT 1"]);
    assert!(said.contains("there is no such folder"), "{said}");
    let said = tidewatch_fails(&["sql", "--data", folder.path().to_str().unwrap(), "SELECT * FROM orders"]);
    assert!(said.contains("there are no tables"), "{said}");
    assert_eq!(sql(folder.path(), "SELECT 1 + 1 AS two"), "two\n2\n");
    let said = tidewatch_fails(&["sql", "--data", folder.path().to_str().unwrap(), "CREATE TABLE t (a INT)"]);
    assert!(said.contains("DDL not supported"), "{said}");
}

#[test]
fn scenarios_are_listed_and_unknown_ones_refused() {
    let list = tidewatch(&["simulate", "--list"]);
    for name in ["steady", "demo", "viral_spike", "carrier_outage", "bad_input"] {
        assert!(list.contains(name), "{name} is missing in\n{list}");
    }
    let said =
        tidewatch_fails(&["simulate", "--scenario", "flood", "--to", "file", "--path", "x.ndjson", "--duration", "1s"]);
    assert!(said.contains("flood") && said.contains("steady"), "{said}");
}

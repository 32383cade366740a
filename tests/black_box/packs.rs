//! Packs: their own tests, and their views to every reader.

use crate::support::{Tidewatch, pack, repository, sql, tidewatch, tidewatch_fails, write_settings};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const ORDER: &str = r#"{"specversion":"1.0","id":"1","source":"/t","type":"shop.order.created.v1","time":"2026-03-14T12:00:01Z","tenantkind":"creator","tenantid":"c1","data":{"order_id":"o1","total_minor":250}}"#;

/// The tests of every pack that comes with Tidewatch.
#[test]
fn the_tests_of_our_packs_pass() {
    let folders = std::fs::read_dir(repository().join("packs")).unwrap().map(|e| e.unwrap().path());
    for folder in folders.filter(|f| f.join("tests").is_dir()) {
        let report = tidewatch(&["test", folder.to_str().unwrap()]);
        assert!(report.contains(" 0 failed"), "{report}");
    }
}

#[test]
fn tests_of_a_pack_are_run_filtered_and_fail_with_a_difference() {
    let report = tidewatch(&["test", &pack("shop")]);
    assert!(
        report.contains("pass | an order waits until it is shipped") && report.contains("3 passed, 0 failed"),
        "{report}"
    );
    let report = tidewatch(&["test", &pack("shop"), "--filter", "waits"]);
    assert!(report.contains("1 passed, 0 failed"), "{report}");
    let said = tidewatch_fails(&["test", &pack("shop"), "--filter", "nothing"]);
    assert!(said.contains("none of the 3 tests"), "{said}");
    let said = tidewatch_fails(&["test", &pack("nezha")]);
    assert!(said.contains("no tests in") && said.contains("hint"), "{said}");

    let folder = tempfile::tempdir().unwrap();
    let mine = folder.path().join("mine");
    std::fs::create_dir_all(mine.join("tests")).unwrap();
    std::fs::write(mine.join("views.sql"), "CREATE VIEW total AS SELECT sum(orders) AS orders FROM orders;").unwrap();
    let event = "order_created: { at: \"2026-03-14T12:00:01Z\", tenant: \"creator:c1\", order_id: o1, total_minor: 1 }";
    let test = format!(
        "name: wrong\nevents:\n  - {event}\n  - {event}\nqueries:\n  - sql: SELECT * FROM total\n    rows: 3\n"
    );
    std::fs::write(mine.join("tests/wrong.yaml"), test).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_tidewatch"))
        .args(["test", &pack("shop"), mine.to_str().unwrap()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() && said.contains("3 passed, 1 failed"), "{said}");
    let difference = "wrong.yaml:6: SELECT * FROM total\n    - 3\n    + 2\n";
    assert!(said.contains("FAIL | wrong (") && said.contains(difference), "{said}");
}

#[test]
fn views_are_there_for_the_command_line_and_over_http() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("orders.ndjson"), format!("{ORDER}\n")).unwrap();
    let text = format!(
        "packs = [\"{}\"]\n[storage]\nlocation = \"data\"\n[http]\nlisten = \"127.0.0.1:0\"\n[files]\npaths = [\"orders.ndjson\"]\n[ingest]\nflush_interval = \"1h\"\n",
        pack("shop")
    );
    let settings = write_settings(folder.path(), &text);
    let settings_path = settings.to_str().unwrap();
    let report = tidewatch(&["check", "-c", settings_path]);
    assert!(report.contains("order_value ← orders, view: window_start, tenant, mean_value"), "{report}");
    let csv = |sql: &str| tidewatch(&["sql", "-c", settings_path, "--format", "csv", sql]);
    assert_eq!(csv("SELECT count(*) AS n FROM order_value"), "n\n0\n", "nothing is committed, and that is an answer");

    let mut process = Tidewatch::run(&settings);
    let value = "SELECT tenant, mean_value FROM order_value";
    crate::support::wait_until("the order in an answer", Duration::from_secs(30), || {
        process.sql(value) == "tenant,mean_value\ncreator:c1,2.5\n"
    });
    let tables: Value = serde_json::from_str(&process.get("/api/v1/tables").text()).unwrap();
    let kind =
        |name: &str| tables["tables"].as_array().unwrap().iter().find(|t| t["name"] == name).unwrap()["kind"].clone();
    assert_eq!([kind("order_value"), kind("orders"), kind("dead_letters")], ["view", "rollup", "table"]);
    assert!(process.get("/").text().contains("<code>order_value</code>"));
    process.stop();
    assert_eq!(csv(value), "tenant,mean_value\ncreator:c1,2.5\n");
    // Without settings only what exists is known.
    assert_eq!(sql(&folder.path().join("data"), "SELECT sum(orders) AS n FROM orders"), "n\n1\n");
}

#[test]
fn mistakes_in_views_name_file_line_and_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let mine = folder.path().join("mine");
    std::fs::create_dir(&mine).unwrap();
    for file in ["sources.yaml", "rollups.sql"] {
        std::fs::copy(Path::new(&pack("shop")).join(file), mine.join(file)).unwrap();
    }
    std::fs::write(
        mine.join("views.sql"),
        "CREATE VIEW a AS\nSELECT currensy FROM orders;\nCREATE VIEW b AS SELECT * FROM c;\n",
    )
    .unwrap();
    let settings = write_settings(folder.path(), "packs = [\"mine\"]\n");
    let said = tidewatch_fails(&["check", "-c", settings.to_str().unwrap()]);
    assert!(
        said.contains("mine/views.sql:2:8: view a: no column named currensy") && said.contains("currency"),
        "{said}"
    );
    assert!(
        said.contains("mine/views.sql:3:32: view b: no rollup or view named c") && said.contains("2 mistakes"),
        "{said}"
    );
}

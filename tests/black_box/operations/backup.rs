//! Backups beside a live process, and the way back: after it, every row is as in a straight run.

use super::shop::{ORDERS, counted, number, pushed, send};
use crate::support::{
    PROGRAM, Tidewatch, pack, post, python, repository, run_tool, sql, tidewatch, tidewatch_fails, wait_until,
    write_settings,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tidewatch_simulate::DemoBroker;

const SOON: Duration = Duration::from_secs(120);

fn settings(folder: &Path, broker: &DemoBroker, group: &str) -> PathBuf {
    let text = format!(
        "packs = [\"{}\"]\n[storage]\nlocation = \"data\"\n[http]\nlisten = \"127.0.0.1:0\"\n[ingest]\nflush_interval = \"100ms\"\n\
         [maintenance]\ninterval = \"1s\"\nfile_grace = \"0s\"\nlog_retention = \"0s\"\ncheckpoint_commits = 5\n\
         [sql]\nrows_max = 1_000_000\n[kafka.properties]\n\"bootstrap.servers\" = \"{}\"\n\"group.id\" = \"{group}\"\n",
        pack("shop"),
        broker.bootstrap_servers()
    );
    write_settings(folder, &text)
}

/// Orders in the tables; none while they cannot be read, for files may be deleted under a query here.
fn committed(config: &Path) -> u64 {
    let arguments = ["sql", "-c", config.to_str().unwrap(), "--format", "csv", ORDERS];
    let output = Command::new(PROGRAM).args(arguments).output().unwrap();
    if !output.status.success() {
        return 0;
    }
    number(&String::from_utf8(output.stdout).unwrap())
}

/// Every merged row of every table that counts, without what tells how far event time has come.
fn rows(config: &Path) -> BTreeMap<&'static str, Vec<String>> {
    let of = |table: &'static str| {
        let query = match table {
            "dead_letters" => "SELECT topic, partition, \"offset\", reason, payload FROM dead_letters".to_owned(),
            _ => format!("SELECT * FROM {table}"),
        };
        let csv = tidewatch(&["sql", "-c", config.to_str().unwrap(), "--format", "csv", &query]);
        let header: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
        let is_kept = |at: usize| !header[at].starts_with("completeness");
        let line = |line: &str| {
            let cells = line.split(',').enumerate().filter(|(at, _)| *at >= header.len() || is_kept(*at));
            cells.map(|(_, cell)| cell).collect::<Vec<_>>().join(",")
        };
        let mut lines: Vec<String> = csv.lines().map(line).collect();
        lines.sort();
        (table, lines)
    };
    ["orders", "order_way", "dead_letters"].map(of).into()
}

/// What a backup says, on both outputs.
fn backup(config: &Path, to: &Path) -> String {
    let arguments = ["backup", "-c", config.to_str().unwrap(), "--to", to.to_str().unwrap()];
    let output = Command::new(PROGRAM).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{text}");
    text
}

fn restore(from: &Path, to: &Path) -> String {
    tidewatch(&["restore", "--from", from.to_str().unwrap(), "--to", to.to_str().unwrap()])
}

#[test]
fn a_restored_backup_goes_on_as_if_nothing_had_been() {
    let folder = tempfile::tempdir().unwrap();
    let broker = DemoBroker::start(&[("shop", 4)]).unwrap();
    let live = folder.path().join("live");
    std::fs::create_dir(&live).unwrap();
    let config = settings(&live, &broker, "live");
    let saved = folder.path().join("saved");

    let mut process = Tidewatch::run(&config);
    process.address();
    send(folder.path(), &broker, 0..2000);
    wait_until("the first part is committed", SOON, || committed(&config) > 500);
    let said = backup(&config, &saved);
    assert!(said.contains("orders: version ") && said.contains("skipped push: "), "{said}");
    // Again while it counts, merges and deletes: only what is new is copied.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for part in 0..10 {
                send(folder.path(), &broker, 2000 + 200 * part..2200 + 200 * part);
                std::thread::sleep(Duration::from_millis(150));
            }
        });
        for _ in 0..3 {
            eprintln!("{}", backup(&config, &saved));
        }
    });
    let in_backup = {
        let tables = saved.join("tables");
        let count = number(&sql(&tables, ORDERS));
        if let Some(python) = python() {
            let script = repository().join("tests/truth/read_delta.py").display().to_string();
            let query = "SELECT CAST(sum(orders) AS BIGINT) AS n FROM t WHERE NOT rolled_up";
            for engine in ["duckdb", "polars", "deltalake"] {
                let table = tables.join("orders").display().to_string();
                let theirs = run_tool(&python, &[&script, &table, query, "--engine", engine]);
                assert_eq!(number(&theirs), count, "{engine}");
            }
        }
        count
    };
    let all = 6000;
    send(folder.path(), &broker, 4000..all);
    wait_until("it has gone on", SOON, || committed(&config) > in_backup);
    process.kill();
    for beside in ["data", "data-push", "data-alerts"] {
        std::fs::remove_dir_all(live.join(beside)).unwrap();
    }

    let said = restore(&saved, &live.join("data"));
    assert!(said.contains("`tidewatch run` goes on where these tables stand"), "{said}");
    assert_eq!(committed(&config), in_backup);
    let expected = counted(0..all);
    assert!(in_backup < expected, "there is something to go on with: {in_backup} of {expected}");
    let process = Tidewatch::run(&config);
    wait_until("everything is counted", SOON, || committed(&config) >= expected);
    process.stop();

    let straight = folder.path().join("straight");
    std::fs::create_dir(&straight).unwrap();
    let straight = settings(&straight, &broker, "straight");
    let process = Tidewatch::run(&straight);
    wait_until("the straight run is through", SOON, || committed(&straight) >= expected);
    process.stop();
    let (expected, found) = (rows(&straight), rows(&config));
    assert!(expected["dead_letters"].len() > 100 && expected["order_way"].len() > 1000);
    for (table, rows) in &expected {
        assert!(*rows == found[table], "{table} differs: {} rows, {}", rows.len(), found[table].len());
    }
}

#[test]
fn what_was_pushed_and_not_counted_comes_back_too() {
    const BATCH: &str = "Content-Type: application/cloudevents-batch+json";
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "packs = [\"{}\"]\n[storage]\nlocation = \"data\"\n[http]\nlisten = \"127.0.0.1:0\"\n[ingest]\nflush_interval = ",
        pack("shop")
    );
    let config = write_settings(folder.path(), &format!("{text}\"200ms\"\n"));
    let (data, saved) = (folder.path().join("data"), folder.path().join("saved"));
    let push = |process: &mut Tidewatch, numbers: std::ops::Range<u64>| {
        let answer = post(&process.address(), "/api/v1/events", &[BATCH], pushed(numbers).as_bytes()).unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text());
    };
    let mut process = Tidewatch::run(&config);
    push(&mut process, 0..100);
    wait_until("they are committed", SOON, || data.join("orders").exists() && number(&sql(&data, ORDERS)) == 100);
    process.stop();
    write_settings(folder.path(), &format!("{text}\"1h\"\n"));
    let mut process = Tidewatch::run(&config);
    push(&mut process, 100..250);
    process.kill();
    let said = backup(&config, &saved);
    assert!(said.contains("push: ") && said.contains("alerts: ") && !said.contains("skipped"), "{said}");
    for beside in ["data", "data-push", "data-alerts"] {
        std::fs::remove_dir_all(folder.path().join(beside)).unwrap();
    }
    restore(&saved, &data);
    let mut process = Tidewatch::run(&config);
    wait_until("all are in an answer", SOON, || number(&process.sql(ORDERS)) == 250);
    // Copies of both kinds are known.
    push(&mut process, 50..150);
    push(&mut process, 250..260);
    wait_until("new ones count", SOON, || number(&process.sql(ORDERS)) == 260);
    process.stop();
    assert_eq!(number(&sql(&data, ORDERS)), 260);
}

#[test]
fn what_is_not_empty_or_damaged_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let broker = DemoBroker::start(&[("shop", 4)]).unwrap();
    let config = settings(folder.path(), &broker, "g");
    let process = Tidewatch::run(&config);
    send(folder.path(), &broker, 0..100);
    wait_until("they are committed", SOON, || committed(&config) == counted(0..100));
    process.stop();
    let (saved, to) = (folder.path().join("saved"), folder.path().join("restored"));
    let refused = |arguments: &[&str], words: &str| {
        let said = tidewatch_fails(arguments);
        assert!(said.contains(words), "{said}");
    };
    let backup_to =
        |to: &Path| ["backup", "-c", config.to_str().unwrap(), "--to", to.to_str().unwrap()].map(str::to_owned);
    let inside = backup_to(&folder.path().join("data/saved"));
    refused(&inside.each_ref().map(String::as_str), "outside of the tables");
    std::fs::create_dir(&saved).unwrap();
    std::fs::write(saved.join("mine"), "not yours").unwrap();
    let over = backup_to(&saved);
    refused(&over.each_ref().map(String::as_str), "neither empty nor a backup");
    std::fs::remove_file(saved.join("mine")).unwrap();

    backup(&config, &saved);
    let again = backup(&config, &saved);
    assert!(
        again.contains(" 0 copied") && !again.lines().any(|l| l.contains(" copied") && !l.contains(" 0 copied")),
        "{again}"
    );

    let arguments = ["restore", "--from", saved.to_str().unwrap(), "--to", to.to_str().unwrap()];
    std::fs::create_dir(&to).unwrap();
    std::fs::write(to.join("mine"), "not yours").unwrap();
    refused(&arguments, "is not empty");
    std::fs::remove_file(to.join("mine")).unwrap();
    refused(&["restore", "--from", to.to_str().unwrap(), "--to", to.to_str().unwrap()], "no backup");

    let manifest: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(saved.join("manifest.json")).unwrap()).unwrap();
    let file = manifest["tables"]["orders"]["files"][0]["path"].as_str().unwrap();
    let path = saved.join("tables").join(file);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    refused(&arguments, "is damaged in the backup");
    assert_eq!(std::fs::read_dir(to.join("orders")).map_or(0, Iterator::count), 0, "nothing is left of it");
    bytes[middle] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    restore(&saved, &to);
    assert_eq!(number(&sql(&to, ORDERS)), counted(0..100));
}

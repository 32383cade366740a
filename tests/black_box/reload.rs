//! SIGHUP: other packs without a restart, and not one event lost or counted twice.

use crate::support::{Tidewatch, pack, produce_lines, sql, tidewatch, wait_until, write_settings};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tidewatch_simulate::DemoBroker;

const SOON: Duration = Duration::from_secs(90);
const TOTAL: &str = "SELECT coalesce(sum(orders), 0) AS n FROM orders";

/// Sends so many orders, numbered on from `first`.
fn send(broker: &DemoBroker, folder: &Path, first: usize, count: usize) {
    let mut lines = String::new();
    for n in first..first + count {
        let currency = ["USD", "EUR"][n % 2];
        let _ = writeln!(
            lines,
            r#"{{"specversion":"1.0","id":"{n}","source":"/t","type":"shop.order.created.v1","time":"2026-03-14T12:00:01Z","tenantkind":"creator","tenantid":"c1","data":{{"order_id":"o{n}","total_minor":250,"currency":"{currency}"}}}}"#
        );
    }
    let path = folder.join(format!("orders-{first}.ndjson"));
    std::fs::write(&path, lines).unwrap();
    produce_lines(broker.bootstrap_servers(), "shop", 2, &path);
}

/// A pack of our own with the definitions of the shop, and settings that name it.
fn prepared(folder: &Path, broker: &DemoBroker) -> (PathBuf, PathBuf) {
    let mine = folder.join("mine");
    std::fs::create_dir(&mine).unwrap();
    for file in ["sources.yaml", "rollups.sql", "views.sql"] {
        std::fs::copy(Path::new(&pack("shop")).join(file), mine.join(file)).unwrap();
    }
    let text = format!(
        "packs = [\"mine\"]\n[storage]\nlocation = \"data\"\n[http]\nlisten = \"127.0.0.1:0\"\n[ingest]\nflush_interval = \"300ms\"\n[kafka.properties]\n\"bootstrap.servers\" = \"{}\"\n\"session.timeout.ms\" = \"6000\"\n",
        broker.bootstrap_servers()
    );
    (mine, write_settings(folder, &text))
}

fn number(process: &mut Tidewatch, sql: &str) -> usize {
    process.sql(sql).lines().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_rollup_that_is_added_counts_and_the_others_lose_nothing() {
    let (broker, folder) = (DemoBroker::start(&[("shop", 2)]).unwrap(), tempfile::tempdir().unwrap());
    let (mine, settings) = prepared(folder.path(), &broker);
    let mut process = Tidewatch::run(&settings);
    send(&broker, folder.path(), 0, 40);
    wait_until("the first orders", SOON, || number(&mut process, TOTAL) == 40);
    assert_eq!(process.metric("tidewatch_pack_last_reload_succeeded"), 1.0);

    let good = std::fs::read_to_string(mine.join("rollups.sql")).unwrap();
    let refused = |process: &mut Tidewatch, rollups: &str, expected: &[&str]| {
        std::fs::write(mine.join("rollups.sql"), rollups).unwrap();
        let before = process.metric("tidewatch_pack_reloads_total");
        process.signal("HUP");
        wait_until("the reload", SOON, || process.metric("tidewatch_pack_reloads_total") == before + 1.0);
        assert_eq!(process.metric("tidewatch_pack_last_reload_succeeded"), 0.0);
        for line in expected {
            assert!(process.log().contains(line), "{line} is missing in\n{}", process.log());
        }
    };
    let wrong = good.replace("count(*)", "median(total_minor)")
        + "CREATE ROLLUP b AS SELECT count(*) AS n FROM nowhere GROUP BY tumble(INTERVAL '1 minute');";
    refused(&mut process, &wrong, &["rollups.sql:2:", "no source named nowhere", "packs not reloaded"]);
    // What was counted by one definition cannot be gone on with by another; nothing is made meanwhile.
    let added = "CREATE ROLLUP by_currency AS SELECT currency, count(*) AS orders FROM order_created GROUP BY tumble(INTERVAL '1 minute'), currency;\n";
    refused(&mut process, &(added.to_owned() + &good.replace("hdr(total_minor)", "hdr(total_minor, 3)")), &["orders"]);
    assert!(!folder.path().join("data/by_currency").exists());
    send(&broker, folder.path(), 40, 10);
    wait_until("orders after refused reloads", SOON, || number(&mut process, TOTAL) == 50);

    std::fs::write(mine.join("rollups.sql"), good + added).unwrap();
    std::fs::write(mine.join("views.sql"), "CREATE VIEW usd AS SELECT orders FROM by_currency WHERE currency = 'USD';")
        .unwrap();
    let before = process.metric("tidewatch_pack_reloads_total");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for part in 0..10 {
                send(&broker, folder.path(), 50 + 10 * part, 10);
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        process.signal("HUP");
        let mut last = 50;
        wait_until("all orders in an answer", SOON, || {
            let now = number(&mut process, TOTAL);
            assert!((last..=150).contains(&now), "{last} was answered, then {now}");
            last = now;
            now == 150 && process.metric("tidewatch_pack_reloads_total") == before + 1.0
        });
    });
    assert_eq!(process.metric("tidewatch_pack_last_reload_succeeded"), 1.0);
    // It begins where the others stood, and a backfill beside the process brings what was before.
    tidewatch(&["backfill", "-c", settings.to_str().unwrap(), "--rollup", "by_currency"]);
    wait_until("the new rollup and its view", SOON, || {
        number(&mut process, "SELECT coalesce(sum(orders), 0) FROM usd") == 75
    });
    assert!(process.get("/metrics").text().contains("tidewatch_ingest_partitions 3\n"), "gauges go with their workers");
    process.stop();
    let committed = |table: &str| sql(&folder.path().join("data"), &format!("SELECT sum(orders) AS n FROM {table}"));
    assert_eq!([committed("orders"), committed("by_currency")], ["n\n150\n", "n\n150\n"]);
}

#[test]
fn packs_may_change_when_the_files_are_read_to_their_end() {
    let folder = tempfile::tempdir().unwrap();
    let (broker, orders) = (DemoBroker::start(&[("shop", 1)]).unwrap(), folder.path().join("orders-0.ndjson"));
    let (mine, settings) = prepared(folder.path(), &broker);
    send(&broker, folder.path(), 0, 6);
    let text = format!(
        "packs = [\"mine\"]\n[storage]\nlocation = \"data\"\n[http]\nlisten = \"127.0.0.1:0\"\n[files]\npaths = [\"{}\"]\n",
        orders.display()
    );
    std::fs::write(&settings, text).unwrap();
    let mut process = Tidewatch::run(&settings);
    wait_until("the orders", SOON, || number(&mut process, TOTAL) == 6);
    let rollups = mine.join("rollups.sql");
    let added = "CREATE ROLLUP all_orders AS SELECT count(*) AS orders FROM order_created GROUP BY tumble(INTERVAL '1 minute');";
    std::fs::write(&rollups, std::fs::read_to_string(&rollups).unwrap() + added).unwrap();
    process.signal("HUP");
    wait_until("the reload", SOON, || process.metric("tidewatch_pack_reloads_total") == 1.0);
    assert_eq!(number(&mut process, "SELECT coalesce(sum(orders), 0) FROM all_orders"), 0);
    tidewatch(&["backfill", "-c", settings.to_str().unwrap(), "--rollup", "all_orders"]);
    assert_eq!(number(&mut process, "SELECT coalesce(sum(orders), 0) FROM all_orders"), 6);
    assert_eq!(number(&mut process, TOTAL), 6);
    process.stop();
}

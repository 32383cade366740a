//! `kill -9` at random moments of a replay through real Apache Kafka: the final tables are those of a
//! straight run, row for row, sketches byte for byte.
//!
//! `TIDEWATCH_KILLS=500 cargo test --test black_box crash` kills more often, `TIDEWATCH_SEED` at other moments.

use crate::nezha::{nezha, nezha_settings};
use crate::support::{RealKafka, Tidewatch, kafka, produce_lines, sql};
use std::path::{Path, PathBuf};
use std::time::Duration;

const KILLS: u64 = 30;
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
/// Records after the spans that go to the dead letters.
const BAD: usize = 1000;
const RUN: Duration = Duration::from_secs(600);
const TABLES: [&str; 3] = ["spans_by_service", "spans_by_operation", "dead_letters"];

#[test]
fn thirty_kills_change_no_row() {
    let (Some(nezha), Some(_)) = (nezha(), kafka()) else { return };
    let kafka = RealKafka::start();
    let sent = produce_lines(&kafka.bootstrap_servers, "spans", 4, &nezha.events());
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad.ndjson");
    std::fs::write(&bad, "no JSON\n".repeat(BAD)).unwrap();
    produce_lines(&kafka.bootstrap_servers, "spans", 4, &bad);

    let straight = tempfile::tempdir().unwrap();
    let settings = settings(straight.path(), &kafka, "straight");
    Tidewatch::start(&["run", "-c", settings.to_str().unwrap(), "--until-caught-up"]).wait(RUN);
    let expected = tables(straight.path());
    assert_eq!(expected[2].lines().count(), BAD + 1);
    assert_eq!(
        sql(&straight.path().join("data"), "SELECT sum(spans) AS n FROM spans_by_service"),
        format!("n\n{sent}\n")
    );

    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let (mut kills, mut random) =
        (number("TIDEWATCH_KILLS").unwrap_or(KILLS), number("TIDEWATCH_SEED").unwrap_or(SEED));
    // The same sequence every time; what it meets differs by nature.
    eprintln!("{kills} kills, TIDEWATCH_SEED={random}");
    let mut hits = 0;
    for round in 0.. {
        let crashed = tempfile::tempdir().unwrap();
        let settings = self::settings(crashed.path(), &kafka, &format!("crashed-{round}"));
        let mut progress = Vec::new();
        while kills > 0 && progress.last().is_none_or(|&counted| counted < sent) {
            kills -= 1;
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mut process = Tidewatch::run(&settings);
            process.address();
            std::thread::sleep(Duration::from_millis(100 + (random >> 33) % 1400));
            process.kill();
            progress.push(counted(crashed.path()));
        }
        eprintln!("spans committed after each kill, of {sent}: {progress:?}");
        hits += progress.iter().filter(|&&n| n > 0 && n < sent).count();
        Tidewatch::start(&["run", "-c", settings.to_str().unwrap(), "--until-caught-up"]).wait(RUN);
        for (table, (expected, found)) in TABLES.iter().zip(expected.iter().zip(tables(crashed.path()))) {
            assert!(*expected == found, "{table} differs after {} kills", progress.len());
        }
        if kills == 0 {
            break;
        }
    }
    assert!(hits >= 5, "kills must hit the replay, not its ends");
}

fn settings(folder: &Path, kafka: &RealKafka, group: &str) -> PathBuf {
    // A static member comes back into its place at once; small fetches with pauses stretch the replay.
    let source = format!(
        "[ingest]\nflush_interval = \"150ms\"\n[kafka.properties]\n\"bootstrap.servers\" = \"{}\"\n\"group.id\" = \"{group}\"\n\
         \"group.instance.id\" = \"{group}-1\"\n\"session.timeout.ms\" = \"6000\"\n\"queued.max.messages.kbytes\" = \"1024\"\n\
         \"fetch.message.max.bytes\" = \"100000\"\n\"fetch.queue.backoff.ms\" = \"100\"\n",
        kafka.bootstrap_servers
    );
    nezha_settings(folder, &source)
}

fn counted(folder: &Path) -> u64 {
    let text = sql(&folder.join("data"), "SELECT coalesce(sum(spans), 0) AS n FROM spans_by_service");
    text.lines().nth(1).unwrap().parse().unwrap()
}

/// Every merged row of every table, sketches as hex.
fn tables(folder: &Path) -> Vec<String> {
    let data = folder.join("data").display().to_string();
    let config = folder.join("tidewatch.toml").display().to_string();
    let all = |table: &str| {
        let query = match table {
            // The time of arrival is that of the run.
            "dead_letters" => {
                "SELECT topic, partition, \"offset\", reason, payload FROM dead_letters ORDER BY 1, 2, 3".to_owned()
            }
            _ => format!("SELECT * FROM {table} ORDER BY 1, 2, 3"),
        };
        counted_columns(&crate::support::tidewatch(&["sql", "-c", &config, "--data", &data, "--format", "csv", &query]))
    };
    TABLES.iter().map(|table| all(table)).collect()
}

/// Without the columns that tell how far event time has come: the newest commits say it, and they differ by
/// nature.
fn counted_columns(csv: &str) -> String {
    let header: Vec<&str> = csv.lines().next().unwrap_or_default().split(',').collect();
    let keep = |(at, _): &(usize, &str)| !header.get(*at).is_some_and(|name| name.starts_with("completeness"));
    let line =
        |line: &str| line.split(',').enumerate().filter(keep).map(|(_, cell)| cell).collect::<Vec<_>>().join(",");
    csv.lines().map(line).collect::<Vec<_>>().join("\n")
}

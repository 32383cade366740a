//! Rollups and measures that are defined later, filled in with what came before: every row is that of a
//! run with the new definitions from the start, and the live path never goes back.

use crate::live::{broker, events, send};
use crate::support::{Csv, Tidewatch, repository, sql, tidewatch, tidewatch_fails, wait_until, write_settings};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tidewatch_simulate::DemoBroker;

const SOON: Duration = Duration::from_secs(90);
const CALLS: &str = "apihealth.api_call.completed.v1";

const BEFORE: &str = "
CREATE ROLLUP calls AS SELECT tenant, provider, count(*) AS requests, sum(duration_ms) AS total_ms
FROM api_call_completed GROUP BY tumble(INTERVAL '10 seconds'), tenant, provider;";

/// The first rollup with more measures, and a second one.
const AFTER: &str = "
CREATE ROLLUP calls AS SELECT tenant, provider, max(duration_ms) AS slowest_ms, count(*) AS requests,
  count(*) FILTER (WHERE duration_ms > 100) AS slow, sum(duration_ms) AS total_ms, avg(duration_ms) AS mean_ms,
  hdr(duration_ms) AS duration_ms, approx_distinct(shop_id) AS shops
FROM api_call_completed GROUP BY tumble(INTERVAL '10 seconds'), tenant, provider;
CREATE ROLLUP outcomes AS SELECT tenant, outcome, count(*) AS calls, hdr(duration_ms) AS duration_ms
FROM api_call_completed GROUP BY tumble(INTERVAL '10 seconds'), tenant, outcome;";

const ROWS: [&str; 2] = [
    "SELECT window_start, tenant, provider, requests, slow, slowest_ms, total_ms, mean_ms_sum, mean_ms_count, duration_ms, shops, other_series \
     FROM calls ORDER BY 1, 2, 3",
    "SELECT window_start, tenant, outcome, calls, duration_ms, other_series FROM outcomes ORDER BY 1, 2, 3",
];

/// A pack over the sources of `creatorflow`.
fn pack(folder: &Path, rollups: &str) {
    let pack = folder.join("pack");
    std::fs::create_dir_all(&pack).unwrap();
    std::fs::copy(repository().join("packs/creatorflow/sources.yaml"), pack.join("sources.yaml")).unwrap();
    std::fs::write(pack.join("rollups.sql"), rollups).unwrap();
}

fn settings(folder: &Path, origin: &str) -> PathBuf {
    let rest =
        "[storage]\nlocation = \"data\"\n[http]\nlisten = \"127.0.0.1:0\"\n[ingest]\nflush_interval = \"100ms\"\n";
    write_settings(folder, &format!("packs = [\"pack\"]\n{rest}{origin}\n"))
}

fn kafka(broker: &DemoBroker, group: &str) -> String {
    let servers = broker.bootstrap_servers();
    format!(
        "[kafka.properties]\n\"bootstrap.servers\" = \"{servers}\"\n\"group.id\" = \"{group}\"\n\"session.timeout.ms\" = \"6000\"\n\"heartbeat.interval.ms\" = \"500\""
    )
}

fn run_to_the_end(settings: &Path) {
    Tidewatch::start(&["run", "-c", settings.to_str().unwrap(), "--until-caught-up"]).wait(SOON);
}

fn backfill(settings: &Path, arguments: &[&str]) -> String {
    tidewatch(&[&["backfill", "-c", settings.to_str().unwrap()], arguments].concat())
}

fn rows(folder: &Path) -> [String; 2] {
    ROWS.map(|query| sql(&folder.join("data"), query))
}

fn count(folder: &Path, query: &str) -> i64 {
    sql(&folder.join("data"), query).lines().nth(1).unwrap().parse().unwrap()
}

/// What a run with the new definitions from the start gives.
fn straight(origin: &str) -> [String; 2] {
    let folder = tempfile::tempdir().unwrap();
    pack(folder.path(), AFTER);
    run_to_the_end(&settings(folder.path(), origin));
    let rows = rows(folder.path());
    assert!(Csv::parse(&rows[0]).len() > 20 && Csv::parse(&rows[1]).len() > 20, "{rows:?}");
    rows
}

/// Starts a slow backfill and kills it once it has committed something, which `query` sees.
fn kill_in_the_middle(folder: &Path, arguments: &[&str], query: &str, whole: i64) {
    let settings = folder.join("tidewatch.toml");
    let before = count(folder, query);
    let job = Tidewatch::start(&[&["backfill", "-c", settings.to_str().unwrap()], arguments].concat());
    wait_until("a part is filled", SOON, || count(folder, query) > before);
    job.kill();
    let now = count(folder, query);
    assert!(now > before && now < whole, "the kill must hit the middle: {before}, {now}, {whole}");
}

fn write_lines(path: &Path, events: &[tidewatch_simulate::SimulatedEvent]) {
    let lines: Vec<u8> = events.iter().flat_map(|e| [e.body.as_slice(), b"\n"].concat()).collect();
    std::fs::write(path, lines).unwrap();
}

#[test]
fn files_fill_a_new_rollup_and_new_measures_and_kills_change_no_row() {
    let folder = tempfile::tempdir().unwrap();
    let (path, all) = (folder.path().join("events.ndjson"), events(7, 20));
    let half = all.len() / 2;
    let origin = format!("[files]\npaths = [\"{}\"]", path.display());
    let settings = settings(folder.path(), &origin);
    pack(folder.path(), BEFORE);
    write_lines(&path, &all[..half]);
    run_to_the_end(&settings);
    let calls =
        |part: &[tidewatch_simulate::SimulatedEvent]| part.iter().filter(|e| e.event_type == CALLS).count() as i64;
    assert_eq!(count(folder.path(), "SELECT sum(requests) AS n FROM calls"), calls(&all[..half]));

    pack(folder.path(), AFTER);
    let no_table = ["backfill", "-c", settings.to_str().unwrap(), "--rollup", "outcomes"];
    assert!(tidewatch_fails(&no_table).contains("outcomes has no table yet"));
    let not_widened = ["backfill", "-c", settings.to_str().unwrap(), "--rollup", "calls"];
    assert!(tidewatch_fails(&not_widened).contains("has not added the new measures yet"));
    write_lines(&path, &all);
    run_to_the_end(&settings);
    // What comes later counts everywhere, and what came before only where it was defined.
    let later = calls(&all[half..]);
    assert_eq!(count(folder.path(), "SELECT sum(calls) AS n FROM outcomes"), later);
    assert_eq!(count(folder.path(), "SELECT sum(requests) AS n FROM calls"), calls(&all));
    assert_eq!(count(folder.path(), "SELECT sum(mean_ms_count) AS n FROM calls"), later);
    assert_eq!(count(folder.path(), "SELECT count(*) AS n FROM calls WHERE slow IS NULL"), 0, "nothing is 0, not null");

    let rate = (half / 4).to_string();
    let slow = |rollup| ["--rollup", rollup, "--rate", rate.as_str()];
    kill_in_the_middle(folder.path(), &slow("outcomes"), "SELECT sum(calls) AS n FROM outcomes", calls(&all));
    kill_in_the_middle(folder.path(), &slow("calls"), "SELECT sum(mean_ms_count) AS n FROM calls", calls(&all));
    assert!(backfill(&settings, &["--rollup", "outcomes"]).contains("outcomes: filled with"));
    let one = backfill(&settings, &["--rollup", "calls", "--measure", "slow"]);
    assert!(
        one.contains("filling slow of calls")
            && one.contains("not filled: duration_ms, mean_ms, shops, slowest_ms of calls"),
        "{one}"
    );
    backfill(&settings, &["--rollup", "calls"]);
    let expected = straight(&origin);
    assert!(rows(folder.path()) == expected, "rows differ from those of a straight run");
    let scratch = folder.path().to_str().unwrap();
    let verified = tidewatch(&["verify", "-c", settings.to_str().unwrap(), "--scratch", scratch]);
    assert!(verified.contains("is as replayed") && verified.contains("equal     digests"), "{verified}");

    assert!(backfill(&settings, &["--rollup", "calls"]).contains("nothing to fill"));
    run_to_the_end(&settings);
    assert!(rows(folder.path()) == expected, "another run adds nothing");
    pack(folder.path(), BEFORE);
    let refused = tidewatch_fails(&["run", "-c", settings.to_str().unwrap(), "--until-caught-up"]);
    assert!(
        refused.contains("measure slowest_ms is gone") && refused.contains("hint: measures may be added"),
        "{refused}"
    );
}

#[test]
fn files_that_were_never_counted_fill_what_kafka_has_lost() {
    let folder = tempfile::tempdir().unwrap();
    let all = events(8, 10);
    let half = all.len() / 2;
    write_lines(&folder.path().join("old.ndjson"), &all[..half]);
    write_lines(&folder.path().join("new.ndjson"), &all[half..]);
    pack(folder.path(), AFTER);
    let settings = settings(folder.path(), "[files]\npaths = [\"new.ndjson\"]");
    run_to_the_end(&settings);
    let old = folder.path().join("old.ndjson").display().to_string();
    for rollup in ["calls", "outcomes"] {
        backfill(&settings, &["--rollup", rollup, "--from", &old]);
        assert!(backfill(&settings, &["--rollup", rollup, "--from", &old]).contains("nothing to fill"));
    }
    let both = format!("[files]\npaths = [\"{old}\", \"{}\"]", folder.path().join("new.ndjson").display());
    assert!(rows(folder.path()) == straight(&both), "rows differ from those of a straight run");
}

#[test]
fn kafka_fills_them_beside_a_live_path_that_goes_on() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let all = events(9, 12);
    let parts: Vec<_> = all.chunks(all.len().div_ceil(4)).collect();
    let settings = settings(folder.path(), &kafka(&broker, "live"));
    pack(folder.path(), BEFORE);
    send(&broker, parts[0]);
    send(&broker, parts[1]);
    run_to_the_end(&settings);
    pack(folder.path(), AFTER);
    let mut live = Tidewatch::run(&settings);
    live.address();
    send(&broker, parts[2]);
    let calls = |n: usize| parts[..n].iter().flat_map(|p| p.iter()).filter(|e| e.event_type == CALLS).count() as i64;
    let whole = calls(parts.len());
    wait_until("the live path has counted", SOON, || {
        count(folder.path(), "SELECT sum(requests) AS n FROM calls") == calls(3)
    });
    let rate = (parts[0].len() / 8).to_string();
    let slow = |rollup| ["--rollup", rollup, "--rate", rate.as_str()];
    kill_in_the_middle(folder.path(), &slow("outcomes"), "SELECT coalesce(sum(calls), 0) AS n FROM outcomes", whole);
    let (first, mut second) = (
        Tidewatch::start(&[&["backfill", "-c", settings.to_str().unwrap()], &slow("outcomes")[..]].concat()),
        Tidewatch::start(&[&["backfill", "-c", settings.to_str().unwrap()], &slow("outcomes")[..]].concat()),
    );
    send(&broker, parts[3]);
    // Two at once: one of them goes on, whichever it is.
    let mut first = first;
    wait_until("one of two has stopped", SOON, || first.has_ended() || second.has_ended());
    let (loser, winner) = if first.has_ended() { (&mut first, second) } else { (&mut second, first) };
    assert!(loser.log().contains("another backfill is at work"), "{}", loser.log());
    winner.wait(SOON);
    backfill(&settings, &["--rollup", "outcomes"]);
    backfill(&settings, &["--rollup", "calls"]);

    let later = (parts[2].len() + parts[3].len()) as f64;
    wait_until("the live path has read what came", SOON, || live.metric("tidewatch_ingest_records_total") >= later);
    assert_eq!(live.metric("tidewatch_ingest_records_total"), later, "it never went back");
    assert_eq!(live.metric("tidewatch_ingest_replays_total"), 0.0);
    live.stop();
    assert!(rows(folder.path()) == straight(&kafka(&broker, "straight")), "rows differ from those of a straight run");
}

#[test]
fn a_process_with_the_old_definition_goes_on_beside_one_with_the_new() {
    let (broker, folder, old) = (broker(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let all = events(10, 8);
    let parts: Vec<_> = all.chunks(all.len().div_ceil(4)).collect();
    let data = format!("location = \"{}\"", folder.path().join("data").display());
    for (folder, rollups) in [(folder.path(), AFTER), (old.path(), BEFORE)] {
        pack(folder, rollups);
        let path = settings(folder, &kafka(&broker, "both"));
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, text.replace("location = \"data\"", &data)).unwrap();
    }
    let mut before = Tidewatch::run(&old.path().join("tidewatch.toml"));
    before.address();
    send(&broker, parts[0]);
    let requests = |n: usize| {
        let sent = parts[..n].iter().flat_map(|p| p.iter()).filter(|e| e.event_type == CALLS).count() as i64;
        count(folder.path(), "SELECT coalesce(sum(requests), 0) AS n FROM calls") == sent
    };
    wait_until("the old process has counted", SOON, || requests(1));
    let mut after = Tidewatch::run(&folder.path().join("tidewatch.toml"));
    after.address();
    wait_until("both have partitions", SOON, || {
        [&mut before, &mut after].into_iter().all(|p| p.metric("tidewatch_ingest_partitions") > 0.0)
    });
    send(&broker, parts[1]);
    wait_until("both have counted", SOON, || requests(2));
    assert!(before.sql("SELECT sum(requests) AS n, sum(slow) AS slow FROM calls").contains(','));
    before.stop();
    send(&broker, parts[2]);
    wait_until("the new one has taken over", SOON, || requests(3));
    send(&broker, parts[3]);
    wait_until("everything is counted", SOON, || requests(4));
    let settings = folder.path().join("tidewatch.toml");
    for rollup in ["calls", "outcomes"] {
        backfill(&settings, &["--rollup", rollup]);
    }
    after.stop();
    assert!(rows(folder.path()) == straight(&kafka(&broker, "straight")), "rows differ from those of a straight run");
}

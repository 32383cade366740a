//! Rollups and measures that are defined later, filled in with what came before: every row is that of a
//! run with the new definitions from the start, and the live path never goes back.

use crate::live::{broker, events, send};
use crate::rebalance::partitions;
use crate::support::{
    Csv, RealKafka, Tidewatch, repository, sql, tidewatch, tidewatch_fails, wait_until, write_settings,
};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tidewatch_simulate::{KafkaTarget, Run, SimulatedEvent, to_kafka};

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

fn kafka(servers: &str, group: &str) -> String {
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

/// Events, and among them copies of earlier ones, of earlier parts as well.
fn with_copies(all: &[SimulatedEvent], part: Range<usize>) -> Vec<SimulatedEvent> {
    let copy = |n: usize| (n % 4 == 3).then(|| all[n.saturating_sub(60)].clone());
    part.flat_map(|n| [Some(all[n].clone()), copy(n)]).flatten().collect()
}

fn calls(events: &[SimulatedEvent]) -> i64 {
    events.iter().filter(|e| e.event_type == CALLS).count() as i64
}

fn write_lines(path: &Path, events: &[SimulatedEvent]) {
    let lines: Vec<u8> = events.iter().flat_map(|e| [e.body.as_slice(), b"\n"].concat()).collect();
    std::fs::write(path, lines).unwrap();
}

/// Windows that wait for this backfill.
fn unfilled(folder: &Path, table: &str) -> i64 {
    let query = format!(
        "SELECT count(*) AS n FROM {table} WHERE completeness = 'partial' \
         AND completeness_reason LIKE '%`tidewatch backfill --rollup {table}`%'"
    );
    count(folder, &query)
}

/// Merges files of before and after, and rolls windows up: it must not change a row.
fn maintain(settings: &Path) {
    tidewatch(&["maintain", "-c", settings.to_str().unwrap()]);
}

#[test]
fn files_fill_a_new_rollup_and_new_measures_and_kills_change_no_row() {
    let folder = tempfile::tempdir().unwrap();
    let (path, all) = (folder.path().join("events.ndjson"), events(7, 20));
    let half = all.len() / 2;
    let origin = format!("[files]\npaths = [\"{}\"]", path.display());
    let settings = settings(folder.path(), &origin);
    pack(folder.path(), BEFORE);
    write_lines(&path, &with_copies(&all, 0..half));
    run_to_the_end(&settings);
    assert_eq!(count(folder.path(), "SELECT sum(requests) AS n FROM calls"), calls(&all[..half]));
    assert_eq!(unfilled(folder.path(), "calls"), 0);
    maintain(&settings);

    pack(folder.path(), AFTER);
    let no_table = ["backfill", "-c", settings.to_str().unwrap(), "--rollup", "outcomes"];
    assert!(tidewatch_fails(&no_table).contains("outcomes has no table yet"));
    let not_widened = ["backfill", "-c", settings.to_str().unwrap(), "--rollup", "calls"];
    assert!(tidewatch_fails(&not_widened).contains("has not added the new measures yet"));
    write_lines(&path, &with_copies(&all, 0..all.len()));
    run_to_the_end(&settings);
    // What comes later counts everywhere, and what came before only where it was defined.
    let later = calls(&all[half..]);
    assert_eq!(count(folder.path(), "SELECT sum(calls) AS n FROM outcomes"), later);
    assert_eq!(count(folder.path(), "SELECT sum(requests) AS n FROM calls"), calls(&all));
    assert_eq!(count(folder.path(), "SELECT sum(mean_ms_count) AS n FROM calls"), later);
    assert_eq!(count(folder.path(), "SELECT count(*) AS n FROM calls WHERE slow IS NULL"), 0, "nothing is 0, not null");
    assert!(unfilled(folder.path(), "calls") > 0 && unfilled(folder.path(), "outcomes") > 0);
    let verify = ["verify", "-c", settings.to_str().unwrap(), "--scratch", folder.path().to_str().unwrap()];
    assert!(tidewatch_fails(&verify).contains("`tidewatch backfill --rollup outcomes` fills"));
    maintain(&settings);
    assert_eq!(count(folder.path(), "SELECT sum(requests) AS n FROM calls"), calls(&all));
    assert_eq!(count(folder.path(), "SELECT sum(mean_ms_count) AS n FROM calls"), later);

    // Slow enough that one who looks, on a busy machine, does not come when all is done.
    let rate = (half / 16).to_string();
    let slow = |rollup| ["--rollup", rollup, "--rate", rate.as_str()];
    kill_in_the_middle(folder.path(), &slow("outcomes"), "SELECT sum(calls) AS n FROM outcomes", calls(&all));
    kill_in_the_middle(folder.path(), &slow("calls"), "SELECT sum(mean_ms_count) AS n FROM calls", calls(&all));
    maintain(&settings);
    assert!(backfill(&settings, &["--rollup", "outcomes"]).contains("outcomes: filled with"));
    assert_eq!(unfilled(folder.path(), "outcomes"), 0);
    let one = backfill(&settings, &["--rollup", "calls", "--measure", "slow"]);
    assert!(
        one.contains("filling slow of calls")
            && one.contains("not filled: duration_ms, mean_ms, shops, slowest_ms of calls"),
        "{one}"
    );
    assert!(unfilled(folder.path(), "calls") > 0, "one measure is not all of them");
    backfill(&settings, &["--rollup", "calls"]);
    assert_eq!(unfilled(folder.path(), "calls"), 0);
    let expected = straight(&origin);
    assert!(rows(folder.path()) == expected, "rows differ from those of a straight run");
    maintain(&settings);
    assert!(rows(folder.path()) == expected, "maintenance of files of both schemas changes no row");
    let verified = tidewatch(&verify);
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
    fill_beside_a_live_path(broker().bootstrap_servers());
}

#[test]
fn apache_kafka_fills_them_beside_a_live_path_that_goes_on() {
    if crate::support::kafka().is_some() {
        fill_beside_a_live_path(&RealKafka::start().bootstrap_servers);
    }
}

fn fill_beside_a_live_path(servers: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut all = events(9, 20);
    // Other topics are not read.
    let topic = all.iter().find(|e| e.event_type == CALLS).unwrap().topic;
    all.retain(|e| e.topic == topic);
    let quarter = all.len() / 4;
    let parts = [0, 1, 2, 3].map(|n| with_copies(&all, n * quarter..(n + 1) * quarter));
    let send = |events: &[SimulatedEvent]| {
        let stop = AtomicBool::new(false);
        to_kafka(events.iter().cloned(), &KafkaTarget::new(servers), Run::new(&stop)).unwrap();
    };
    let settings = settings(folder.path(), &kafka(servers, "live"));
    pack(folder.path(), BEFORE);
    send(&parts[0]);
    send(&parts[1]);
    run_to_the_end(&settings);
    pack(folder.path(), AFTER);
    let mut live = Tidewatch::run(&settings);
    live.address();
    send(&parts[2]);
    let whole = calls(&all[..4 * quarter]);
    wait_until("the live path has counted", SOON, || {
        count(folder.path(), "SELECT sum(requests) AS n FROM calls") == calls(&all[..3 * quarter])
    });
    let rate = (parts[0].len() / 8).to_string();
    let slow = |rollup| ["--rollup", rollup, "--rate", rate.as_str()];
    kill_in_the_middle(folder.path(), &slow("outcomes"), "SELECT coalesce(sum(calls), 0) AS n FROM outcomes", whole);
    let (first, mut second) = (
        Tidewatch::start(&[&["backfill", "-c", settings.to_str().unwrap()], &slow("outcomes")[..]].concat()),
        Tidewatch::start(&[&["backfill", "-c", settings.to_str().unwrap()], &slow("outcomes")[..]].concat()),
    );
    send(&parts[3]);
    // Two at once: one of them goes on, whichever it is. When each is first at one table, both stop.
    let mut first = first;
    wait_until("one of two has stopped", SOON, || first.has_ended() || second.has_ended());
    let (loser, winner) = if first.has_ended() { (&mut first, second) } else { (&mut second, first) };
    assert!(loser.log().contains("another backfill is at work"), "{}", loser.log());
    let mut winner = winner;
    wait_until("the other has ended", SOON, || winner.has_ended());
    let log = winner.log();
    assert!(log.contains("another backfill is at work") || !log.contains("error:"), "{log}");
    backfill(&settings, &["--rollup", "outcomes"]);
    assert!(live.sql("SELECT count(*) AS n FROM calls WHERE completeness = 'partial'").lines().nth(1) != Some("0"));
    kill_in_the_middle(folder.path(), &slow("calls"), "SELECT sum(mean_ms_count) AS n FROM calls", whole);
    backfill(&settings, &["--rollup", "calls"]);
    assert_eq!(unfilled(folder.path(), "calls"), 0, "a process that runs is not asked");

    let later = (parts[2].len() + parts[3].len()) as f64;
    wait_until("the live path has read what came", SOON, || live.metric("tidewatch_ingest_records_total") >= later);
    assert_eq!(live.metric("tidewatch_ingest_records_total"), later, "it never went back");
    assert_eq!(live.metric("tidewatch_ingest_replays_total"), 0.0);
    live.stop();
    assert!(rows(folder.path()) == straight(&kafka(servers, "straight")), "rows differ from those of a straight run");
}

#[test]
fn letters_that_were_put_back_fill_a_new_rollup_as_well() {
    let call = |id: usize, duration: &str| {
        format!(
            r#"{{"specversion":"1.0","id":"e{id}","source":"/t","type":"com.example.apihealth.api_call.completed.v1","time":"2026-03-14T12:0{id}:07Z","tenantkind":"creator","tenantid":"c1","data":{{"provider":"usps","api":"rates","outcome":"success","duration_ms":{duration},"status_code":200}}}}"#
        )
    };
    let folder = tempfile::tempdir().unwrap();
    let lines = [call(0, "12"), call(1, "\"soon\""), call(2, "300"), call(0, "12")];
    std::fs::write(folder.path().join("calls.ndjson"), lines.join("\n") + "\n").unwrap();
    let settings = settings(folder.path(), "[files]\npaths = [\"calls.ndjson\"]");
    pack(folder.path(), BEFORE);
    run_to_the_end(&settings);
    let letters = folder.path().join("letters.ndjson");
    let redrive = |arguments: &[&str]| {
        let command = ["dead-letters", "redrive", "-c", settings.to_str().unwrap()];
        tidewatch(&[&command[..], arguments, &[letters.to_str().unwrap()]].concat())
    };
    redrive(&["--all", "--export"]);
    let text = std::fs::read_to_string(&letters).unwrap();
    assert!(text.contains("soon"), "{text}");
    std::fs::write(&letters, text.replace("\\\"soon\\\"", "250").replace("\"soon\"", "250")).unwrap();
    redrive(&["--repaired"]);
    assert_eq!(count(folder.path(), "SELECT sum(requests) AS n FROM calls"), 3);
    pack(folder.path(), AFTER);
    run_to_the_end(&settings);
    assert_eq!(count(folder.path(), "SELECT coalesce(sum(slow), 0) AS n FROM calls"), 0);
    for rollup in ["calls", "outcomes"] {
        backfill(&settings, &["--rollup", rollup]);
        assert!(backfill(&settings, &["--rollup", rollup]).contains("nothing to fill"));
    }
    assert_eq!(count(folder.path(), "SELECT sum(slow) AS n FROM calls"), 2);
    assert_eq!(count(folder.path(), "SELECT sum(calls) AS n FROM outcomes"), 3);
    let scratch = folder.path().to_str().unwrap();
    let verified = tidewatch(&["verify", "-c", settings.to_str().unwrap(), "--scratch", scratch]);
    assert!(verified.contains("is as replayed"), "{verified}");
}

#[test]
fn a_process_with_the_old_definition_goes_on_beside_one_with_the_new() {
    let (broker, folder, old) = (broker(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let all = events(10, 8);
    let parts: Vec<_> = all.chunks(all.len().div_ceil(4)).collect();
    let data = format!("location = \"{}\"", folder.path().join("data").display());
    for (folder, rollups) in [(folder.path(), AFTER), (old.path(), BEFORE)] {
        pack(folder, rollups);
        let path = settings(folder, &kafka(broker.bootstrap_servers(), "both"));
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
    wait_until("both have partitions", SOON, || [&mut before, &mut after].into_iter().all(|p| partitions(p) > 0.0));
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
    assert!(
        rows(folder.path()) == straight(&kafka(broker.bootstrap_servers(), "straight")),
        "rows differ from those of a straight run"
    );
}

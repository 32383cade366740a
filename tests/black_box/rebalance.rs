//! Several members of one group, over the in-process broker: partitions change hands, numbers stay.

use crate::live::{broker, calls, events, send, settings};
use crate::support::{Tidewatch, sql, wait_until};
use std::path::{Path, PathBuf};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(90);
const GROUP: &str = "\"session.timeout.ms\" = \"6000\"\n\"heartbeat.interval.ms\" = \"500\"";

fn with_group(settings: PathBuf) -> PathBuf {
    let text = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(&settings, text + GROUP).unwrap();
    settings
}

/// Settings of a member of the same group that leaves fetching to librdkafka.
fn by_librdkafka(settings: &Path) -> PathBuf {
    let text = std::fs::read_to_string(settings).unwrap();
    let other = settings.with_file_name("librdkafka.toml");
    std::fs::write(&other, text.replace("[kafka.properties]", "[kafka]\nfetch = \"librdkafka\"\n[kafka.properties]"))
        .unwrap();
    other
}

/// Partitions of Kafka that a member has; of a topic each, two members get one half. The first process over a local
/// store has two of what is pushed as well: events and samples.
pub fn partitions(member: &mut Tidewatch) -> f64 {
    kafka_partitions(member, 2.0)
}

/// Partitions of Kafka that a member has, beside so many of its log when it takes what is pushed.
pub fn kafka_partitions(member: &mut Tidewatch, of_log: f64) -> f64 {
    let has_log = !member.log().contains("another process takes what is pushed");
    member.metric("tidewatch_ingest_partitions") - if has_log { of_log } else { 0.0 }
}

#[test]
fn members_come_and_go_and_every_event_counts_once() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let all = events(3, 8);
    let settings = with_group(settings(folder.path(), &broker, "[ingest]\nflush_interval = \"200ms\""));
    let parts: Vec<_> = all.chunks(all.len().div_ceil(4)).collect();

    let mut first = Tidewatch::run(&settings);
    first.address();
    send(&broker, parts[0]);
    wait_until("the first member has partitions", SOON, || partitions(&mut first) > 0.0);
    let everything = partitions(&mut first);
    let mut second = Tidewatch::run(&by_librdkafka(&settings));
    second.address();
    wait_until("both members have partitions", SOON, || {
        partitions(&mut first) == everything / 2.0 && partitions(&mut second) == everything / 2.0
    });
    send(&broker, parts[1]);
    first.stop();
    send(&broker, parts[2]);
    wait_until("the second member has all partitions", SOON, || partitions(&mut second) == everything);
    let mut third = Tidewatch::run(&settings);
    third.address();
    send(&broker, parts[3]);
    let data = folder.path().join("data");
    let expected = format!("n\n{}\n", calls(&all));
    wait_until("everything is committed", SOON, || sql(&data, "SELECT sum(requests) AS n FROM api_calls") == expected);
    second.stop();
    third.stop();
    assert_eq!(sql(&data, "SELECT sum(requests) AS n FROM api_calls"), expected);
}

#[test]
fn a_member_that_slept_through_its_session_is_fenced() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let all = events(4, 6);
    let settings = with_group(settings(folder.path(), &broker, "[ingest]\nflush_interval = \"2s\""));
    let parts: Vec<_> = all.chunks(all.len().div_ceil(3)).collect();

    let mut sleeper = Tidewatch::run(&settings);
    sleeper.address();
    send(&broker, parts[0]);
    wait_until("the first part was read", SOON, || {
        sleeper.metric("tidewatch_ingest_records_total") as usize == parts[0].len()
    });
    let everything = partitions(&mut sleeper);
    // Stopped with events counted and not committed; it holds no partition when it wakes up.
    send(&broker, parts[1]);
    std::thread::sleep(Duration::from_millis(300));
    sleeper.signal("STOP");
    let mut successor = Tidewatch::run(&settings);
    successor.address();
    wait_until("the successor has all partitions", SOON, || partitions(&mut successor) == everything);
    let data = folder.path().join("data");
    let committed = |parts: &[&[tidewatch_simulate::SimulatedEvent]]| {
        format!("n\n{}\n", parts.iter().map(|p| calls(p)).sum::<usize>())
    };
    wait_until("the successor has committed both parts", SOON, || {
        sql(&data, "SELECT sum(requests) AS n FROM api_calls") == committed(&parts[..2])
    });
    sleeper.signal("CONT");
    send(&broker, parts[2]);
    let expected = committed(&parts);
    wait_until("everything is committed", SOON, || sql(&data, "SELECT sum(requests) AS n FROM api_calls") == expected);
    std::thread::sleep(Duration::from_secs(3));
    successor.stop();
    assert!(!sleeper.has_ended(), "a fenced member goes on:\n{}", sleeper.log());
    sleeper.stop();
    assert_eq!(sql(&data, "SELECT sum(requests) AS n FROM api_calls"), expected);
}

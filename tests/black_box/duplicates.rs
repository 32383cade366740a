//! Copies of events, over the in-process broker: at once, after `kill -9`, and after a restart. Each
//! event counts once.

use crate::support::{Tidewatch, sql, wait_until, write_settings};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tidewatch_simulate::DemoBroker;

const TOPIC: &str = "apihealth.events.v1";
const PARTITIONS: u64 = 3;
const SOON: Duration = Duration::from_secs(90);

fn call(number: u64) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"call-{number}","source":"/calls","type":"apihealth.api_call.completed.v1","time":"2026-03-14T18:{:02}:{:02}Z","tenantkind":"creator","tenantid":"c1","data":{{"provider":"usps","api":"rates","outcome":"success","duration_ms":{number},"status_code":200}}}}"#,
        number / 60 % 60,
        number % 60
    )
}

/// Sends events by number; all copies of an event go to one partition, as a record key would see to.
fn send(broker: &DemoBroker, numbers: impl Iterator<Item = u64>) {
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", broker.bootstrap_servers()).create().unwrap();
    for number in numbers {
        let payload = call(number);
        let record = BaseRecord::<(), str>::to(TOPIC).partition((number % PARTITIONS) as i32).payload(&payload);
        producer.send(record).unwrap();
    }
    producer.flush(Duration::from_secs(30)).unwrap();
}

/// Each life has a group of its own: positions come from the tables, and nobody waits for the dead.
fn settings(folder: &Path, broker: &DemoBroker, life: usize) -> PathBuf {
    write_settings(
        folder,
        &format!(
            "[storage]\nlocation = \"data\"\n[ingest]\nflush_interval = \"150ms\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
             [kafka.properties]\n\"bootstrap.servers\" = \"{}\"\n\"group.id\" = \"life-{life}\"\n",
            broker.bootstrap_servers()
        ),
    )
}

#[test]
fn copies_count_once_across_kills_and_restarts() {
    let broker = DemoBroker::start(&[(TOPIC, PARTITIONS as i32), ("orders.events.v1", 1)]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let requests = |process: &mut Tidewatch| process.sql("SELECT coalesce(sum(requests), 0) AS n FROM api_calls");
    let mut sent = 0;
    for life in 0..4 {
        let mut process = Tidewatch::run(&settings(folder.path(), &broker, life));
        process.address();
        // New events with copies among them, then copies of everything there was before.
        let new = sent..sent + 600;
        send(&broker, new.clone().flat_map(|n| [n, u64::saturating_sub(n, 7)]).chain(0..sent).chain(new));
        sent += 600;
        let expected = format!("n\n{sent}\n");
        // What is not committed yet counts as well; killed in the middle of commits.
        wait_until("all events are seen", SOON, || requests(&mut process) == expected);
        std::thread::sleep(Duration::from_millis(40 * life as u64));
        assert!(process.metric("tidewatch_ingest_duplicates_total") > 0.0);
        assert!(process.metric("tidewatch_ingest_remembered_ids") <= sent as f64);
        process.kill();
    }
    // Killed right after start, while it replays.
    for life in 4..7 {
        let mut process = Tidewatch::run(&settings(folder.path(), &broker, life));
        process.address();
        send(&broker, 0..sent);
        std::thread::sleep(Duration::from_millis(70 * (life as u64 - 3)));
        process.kill();
    }
    let settings = settings(folder.path(), &broker, 7);
    Tidewatch::start(&["run", "-c", settings.to_str().unwrap(), "--until-caught-up"]).wait(SOON);
    assert_eq!(sql(&data, "SELECT sum(requests) AS n FROM api_calls"), format!("n\n{sent}\n"));
    assert_eq!(sql(&data, "SELECT hdr_count(hdr_merge(duration_ms)) AS n FROM api_calls"), format!("n\n{sent}\n"));
    assert_eq!(sql(&data, "SELECT count(*) > 0 AS n FROM event_ids"), "n\ntrue\n", "their ids are remembered");
}

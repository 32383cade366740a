//! A topic written in transactions: their markers take offsets and are no records.

use crate::support::{RealKafka, Tidewatch, kafka, sql, wait_until, write_settings};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

fn send(producer: &BaseProducer, ids: std::ops::Range<u32>, commit: bool) {
    producer.begin_transaction().unwrap();
    for id in ids {
        let event = format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"/t","type":"test.span_finished","time":"2026-03-14T18:00:00Z","tenantkind":"creator","tenantid":"c","data":{{"service":"a","duration_us":{id}}}}}"#
        );
        producer.send(BaseRecord::<(), str>::to("spans").partition(0).payload(&event)).unwrap();
    }
    // Delivery reports have to be served before an abort.
    producer.flush(SOON).unwrap();
    match commit {
        true => producer.commit_transaction(SOON).unwrap(),
        false => producer.abort_transaction(SOON).unwrap(),
    }
}

#[test]
fn markers_leave_no_lag_and_aborted_events_do_not_count() {
    markers_and_aborted("auto");
}

#[test]
fn markers_leave_no_lag_and_aborted_events_do_not_count_by_librdkafka() {
    markers_and_aborted("librdkafka");
}

fn markers_and_aborted(fetch: &str) {
    if kafka().is_none() {
        return;
    }
    let (kafka, folder) = (RealKafka::start(), tempfile::tempdir().unwrap());
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &kafka.bootstrap_servers)
        .set("transactional.id", "t")
        .create()
        .unwrap();
    producer.init_transactions(SOON).unwrap();
    send(&producer, 0..3, true);
    let settings = write_settings(
        folder.path(),
        &format!(
            "packs = [\"{}\"]\n[storage]\nlocation = \"data\"\n[http]\nlisten = \"127.0.0.1:0\"\n[ingest]\nflush_interval = \"200ms\"\n\
             [kafka]\nfetch = \"{fetch}\"\n[kafka.properties]\n\"bootstrap.servers\" = \"{}\"\n\"isolation.level\" = \"read_committed\"\n",
            crate::support::pack("nezha"),
            kafka.bootstrap_servers
        ),
    );
    let mut process = Tidewatch::run(&settings);
    let data = folder.path().join("data");
    process.address();
    wait_until("the first transaction", SOON, || process.metric("tidewatch_ingest_records_total") == 3.0);
    send(&producer, 3..5, false);
    send(&producer, 5..9, true);
    // Offsets 0 to 2, marker 3, aborted 4 and 5, marker 6, 7 to 10, marker 11.
    wait_until("the last marker is covered", SOON, || process.metric("tidewatch_ingest_committed_offset") == 11.0);
    process.stop();
    assert_eq!(sql(&data, "SELECT sum(spans) AS n, max(duration_max_us) AS m FROM spans_by_service"), "n,m\n7,8\n");
}

//! Every kind of bad input through a broker: kept, counted, and nothing stops.

use crate::support::{Csv, RealKafka, Tidewatch, kafka, sql, write_settings};
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::collections::BTreeMap;
use std::time::Duration;
use tidewatch_simulate::DemoBroker;

const TOPIC: &str = "apihealth.events.v1";

fn call(id: &str, time: &str, tenant: &str, data: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/t","type":"apihealth.api_call.completed.v1","time":"{time}",{tenant}"data":{{{data}}}}}"#
    )
}

#[test]
fn bad_input_goes_to_the_dead_letters_and_the_rest_counts() {
    let broker = DemoBroker::start(&[(TOPIC, 1), ("orders.events.v1", 1)]).unwrap();
    // The broker in memory forgets everything before a record that is larger than 5 MB.
    check(broker.bootstrap_servers(), 2);
}

#[test]
fn a_record_of_10_mb_through_kafka_does_not_stop_the_others() {
    if kafka().is_none() {
        return;
    }
    check(&RealKafka::start().bootstrap_servers, 10);
}

fn check(bootstrap_servers: &str, large_mb: usize) {
    let tenant = r#""tenantkind":"creator","tenantid":"c1","#;
    let good = r#""provider":"usps","api":"rates","outcome":"success","duration_ms":12,"status_code":200"#;
    let now = "2026-03-14T18:00:00Z";
    let large = format!("{good},\"error_code\":\"{}\"", "x".repeat(large_mb * 1024 * 1024));
    let records: Vec<(Vec<u8>, Option<&str>)> = vec![
        (call("1", now, tenant, good).into_bytes(), None),
        (b"{\"specversion\":\"1.0\",".to_vec(), Some("broken_json")),
        (vec![0xff, 0xfe, 0x00], Some("broken_json")),
        (call("4", now, "", good).into_bytes(), Some("missing_tenant")),
        (call("5", now, tenant, &good.replace("12", "\"soon\"")).into_bytes(), Some("wrong_type")),
        (call("6", now, tenant, &large).into_bytes(), Some("record_too_large")),
        (call("7", "2099-01-01T00:00:00Z", tenant, good).into_bytes(), Some("future_timestamp")),
        (call("8", now, tenant, &good.replace("success", "teapot")).into_bytes(), Some("unknown_enum")),
        (call("9", "yesterday", tenant, good).into_bytes(), Some("bad_timestamp")),
        (call("10", now, tenant, &good.replace("usps", &"u".repeat(5000))).into_bytes(), Some("string_too_long")),
        (call("", now, tenant, good).into_bytes(), Some("missing_attribute")),
        (b"".to_vec(), Some("broken_json")),
        (call("13", now, tenant, good).into_bytes(), None),
    ];
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap_servers)
        .set("message.max.bytes", "20000000")
        .create()
        .unwrap();
    for (payload, _) in &records {
        producer.send(BaseRecord::<(), [u8]>::to(TOPIC).partition(0).payload(payload)).unwrap();
        // Each alone: of several, one that is sent again comes behind those after it, and the
        // offsets below would be others.
        producer.flush(Duration::from_secs(30)).unwrap();
    }
    // Binary mode: attributes in headers, the body is the data.
    let attributes = [
        ("ce_specversion", "1.0"),
        ("ce_id", "14"),
        ("ce_source", "/t"),
        ("ce_type", "apihealth.api_call.completed.v1"),
        ("ce_time", now),
        ("ce_tenantkind", "creator"),
        ("ce_tenantid", "c1"),
        ("content-type", "application/json"),
    ];
    let headers =
        attributes.iter().fold(OwnedHeaders::new(), |h, &(key, value)| h.insert(Header { key, value: Some(value) }));
    let body = format!("{{{good}}}");
    producer.send(BaseRecord::<(), [u8]>::to(TOPIC).partition(0).payload(body.as_bytes()).headers(headers)).unwrap();
    producer.flush(Duration::from_secs(30)).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let settings = write_settings(
        folder.path(),
        &format!(
            "[storage]\nlocation = \"data\"\n[http]\nlisten = \"127.0.0.1:0\"\n[kafka.properties]\n\"bootstrap.servers\" = \"{bootstrap_servers}\"\n"
        ),
    );
    Tidewatch::start(&["run", "-c", settings.to_str().unwrap(), "--until-caught-up"]).wait(Duration::from_secs(60));

    let data = folder.path().join("data");
    let letters = Csv::parse(&sql(
        &data,
        "SELECT topic, partition, \"offset\", reason, disposition, payload_bytes FROM dead_letters ORDER BY \"offset\"",
    ));
    let found: BTreeMap<usize, (String, usize)> = letters
        .rows(["offset", "reason", "payload_bytes", "topic"])
        .iter()
        .map(|[offset, reason, bytes, topic]| {
            assert_eq!(*topic, TOPIC);
            (offset.parse().unwrap(), ((*reason).to_owned(), bytes.parse().unwrap()))
        })
        .collect();
    let expected: BTreeMap<usize, (String, usize)> = records
        .iter()
        .enumerate()
        .filter_map(|(offset, (payload, reason))| Some((offset, ((*reason)?.to_owned(), payload.len()))))
        .collect();
    assert_eq!(found, expected);
    let kept = sql(&data, "SELECT disposition FROM dead_letters WHERE reason = 'unknown_enum'");
    assert_eq!(kept, "disposition\nkept_as_other\n");
    let outcomes =
        sql(&data, "SELECT outcome, sum(requests) AS n FROM api_operations GROUP BY outcome ORDER BY outcome");
    assert_eq!(outcomes, "outcome,n\nother,1\nsuccess,3\n");
}

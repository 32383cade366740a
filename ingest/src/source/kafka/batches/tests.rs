use super::{KNOWN, fetch_settings};
use crate::source::KafkaSource;
use std::collections::BTreeMap;
use std::time::Duration;

fn properties(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn known_properties_exist() {
    for key in KNOWN {
        let value = match key {
            "security.protocol" => "plaintext",
            "isolation.level" => "read_committed",
            "partition.assignment.strategy" => "range",
            "check.crcs" => "true",
            "receive.message.max.bytes" => "100000000",
            "session.timeout.ms" | "max.poll.interval.ms" => "300000",
            "group.id" | "client.id" | "group.instance.id" | "bootstrap.servers" | "metadata.broker.list" => "a",
            _ => "1000",
        };
        let text = KafkaSource::check_properties(&properties(&[(key, value)]));
        assert!(!text.clone().is_err_and(|error| error.contains("No such configuration property")), "{key}: {text:?}");
    }
}

#[test]
fn what_only_librdkafka_does_is_left_to_it() {
    assert!(fetch_settings(&properties(&[("security.protocol", "PLAINTEXT")])).is_some());
    for (key, value) in [("security.protocol", "ssl"), ("client.rack", "a"), ("sasl.username", "me")] {
        assert_eq!(fetch_settings(&properties(&[(key, value)])).map(|_| key), None);
    }
}

#[test]
fn a_response_is_a_share_of_the_queue_and_fits_the_cache() {
    let settings = fetch_settings(&properties(&[])).unwrap();
    assert_eq!(
        (settings.bytes_max, settings.wait, settings.read_committed),
        (1 << 20, Duration::from_millis(50), true)
    );
    let settings = fetch_settings(&properties(&[
        ("queued.max.messages.kbytes", "1024"),
        ("fetch.message.max.bytes", "4000"),
        ("isolation.level", "read_uncommitted"),
    ]));
    let settings = settings.unwrap();
    assert_eq!((settings.bytes_max, settings.partition_bytes_max, settings.read_committed), (256 << 10, 4000, false));
}

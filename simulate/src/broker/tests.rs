use super::*;
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::time::Duration;

#[test]
fn topics_have_the_partitions_asked_for() {
    let broker = DemoBroker::start(&[("a", 3), ("b", 1)]).unwrap();
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", broker.bootstrap_servers()).create().unwrap();
    let partitions = |topic| {
        let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(10)).unwrap();
        metadata.topics()[0].partitions().len()
    };
    assert_eq!((partitions("a"), partitions("b")), (3, 1));
}

#[test]
fn a_topic_that_cannot_be_made_is_named() {
    let error = DemoBroker::start(&[("a", 1), ("a", 2)]).unwrap_err().to_string();
    assert!(error.starts_with("topic a with 2 partitions: the in-process broker refused it"), "{error}");
}

#[test]
fn it_can_be_sent_to_another_thread() {
    let broker = DemoBroker::start(&[("a", 1)]).unwrap();
    let address = std::thread::spawn(move || broker.bootstrap_servers().to_owned()).join().unwrap();
    assert!(address.contains(':'), "{address}");
}

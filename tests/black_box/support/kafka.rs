//! A real broker, and a producer of lines.

use super::components::{repository, run_tool};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// Apache Kafka in a folder of its own; stopped when dropped.
pub struct RealKafka {
    folder: TempDir,
    pub bootstrap_servers: String,
}

impl RealKafka {
    /// Starts `tests/kafka/start.sh`.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let output = run_tool(&repository().join("tests/kafka/start.sh"), &[folder.path().to_str().unwrap()]);
        let bootstrap_servers = output.lines().last().unwrap().trim().to_owned();
        Self { folder, bootstrap_servers }
    }
}

impl Drop for RealKafka {
    fn drop(&mut self) {
        run_tool(&repository().join("tests/kafka/stop.sh"), &[self.folder.path().to_str().unwrap()]);
    }
}

/// Sends every line of a file as a record, spread over the partitions of the topic by line number.
pub fn produce_lines(bootstrap_servers: &str, topic: &str, partitions: i32, file: &Path) -> u64 {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap_servers)
        .set("acks", "all")
        .set("linger.ms", "20")
        .set("compression.type", "lz4")
        .create()
        .unwrap();
    let mut count = 0;
    for line in BufReader::new(std::fs::File::open(file).unwrap()).lines() {
        let line = line.unwrap();
        let mut record = BaseRecord::<(), str>::to(topic).partition((count % partitions as u64) as i32).payload(&line);
        while let Err((error, unsent)) = producer.send(record) {
            assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
            producer.poll(Duration::from_millis(50));
            record = unsent;
        }
        count += 1;
    }
    producer.flush(Duration::from_secs(60)).unwrap();
    count
}

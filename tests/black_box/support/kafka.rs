//! Real brokers, and a producer of lines.

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

impl RealKafka {
    /// A broker that tells those who come by a second port, the one returned, to come to `proxy` from then on.
    pub fn start_via(proxy: u16) -> (Self, u16) {
        let folder = tempfile::tempdir().unwrap();
        let script = repository().join("tests/kafka/start.sh");
        let proxy = format!("TIDEWATCH_KAFKA_VIA={proxy}");
        let arguments = [&proxy, script.to_str().unwrap(), folder.path().to_str().unwrap()];
        let output = run_tool(Path::new("/usr/bin/env"), &arguments);
        let bootstrap_servers = output.lines().last().unwrap().trim().to_owned();
        let via = std::fs::read_to_string(folder.path().join("via")).unwrap().trim().parse().unwrap();
        (Self { folder, bootstrap_servers }, via)
    }

    /// `kill -9`.
    pub fn kill(&self) {
        kill(self.folder.path());
    }

    /// Again, after [`Self::kill`], with what it had.
    pub fn start_again(&self) {
        run_tool(&repository().join("tests/kafka/start.sh"), &[self.folder.path().to_str().unwrap()]);
    }
}

fn kill(folder: &Path) {
    let process = std::fs::read_to_string(folder.join("pid")).unwrap();
    run_tool(Path::new("/bin/kill"), &["-9", process.trim()]);
}

/// Three brokers that are one cluster; stopped when dropped.
pub struct KafkaCluster {
    folder: TempDir,
    pub bootstrap_servers: String,
}

impl KafkaCluster {
    pub const BROKERS: [&str; 3] = ["1", "2", "3"];

    /// Starts `tests/kafka/cluster.sh`.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let output = run_tool(&repository().join("tests/kafka/cluster.sh"), &[folder.path().to_str().unwrap()]);
        let bootstrap_servers = output.lines().last().unwrap().trim().to_owned();
        Self { folder, bootstrap_servers }
    }

    /// `kill -9` of one broker.
    pub fn kill(&self, broker: &str) {
        kill(&self.folder.path().join(broker));
    }

    /// One broker again, with what it had.
    pub fn start_again(&self, broker: &str) {
        run_tool(&repository().join("tests/kafka/cluster.sh"), &[self.folder.path().to_str().unwrap(), broker]);
    }
}

impl Drop for KafkaCluster {
    fn drop(&mut self) {
        for broker in Self::BROKERS {
            let folder = self.folder.path().join(broker);
            if folder.exists() {
                run_tool(&repository().join("tests/kafka/stop.sh"), &[folder.to_str().unwrap()]);
            }
        }
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

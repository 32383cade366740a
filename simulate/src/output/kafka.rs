//! Events into Kafka: acknowledged by all replicas, in order per key, none lost silently.

use super::{OutputError, Run, Sink, Summary, drain};
use crate::event::SimulatedEvent;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What a property is unless the caller sets it. The queue is bounded; the partition of a key is the
/// one that Java producers choose.
const DEFAULTS: [(&str, &str); 6] = [
    ("enable.idempotence", "true"),
    ("compression.type", "lz4"),
    ("linger.ms", "5"),
    ("partitioner", "murmur2_random"),
    ("queue.buffering.max.kbytes", "65536"),
    ("message.timeout.ms", "60000"),
];

/// Events between two looks at the delivery reports.
const EVENTS_PER_POLL: u64 = 64;

/// How long to wait for room in the queue before trying again.
const QUEUE_FULL_WAIT: Duration = Duration::from_millis(10);

/// How long a flush goes on before its progress is looked at.
const FLUSH_STEP: Duration = Duration::from_millis(500);

/// Flush steps after which a stopped run gives up what the broker has not acknowledged: 10 seconds.
const FLUSH_STEPS_MAX_STOPPED: u32 = 20;

/// Which cluster, and how.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaTarget {
    properties: BTreeMap<String, String>,
}

impl KafkaTarget {
    /// The cluster with these brokers (`host:port`, separated by commas).
    pub fn new(bootstrap_servers: &str) -> Self {
        Self { properties: BTreeMap::new() }.with("bootstrap.servers", bootstrap_servers)
    }

    /// Sets a librdkafka property.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.properties.insert(name.to_owned(), value.to_owned());
        self
    }

    fn config(&self) -> Result<ClientConfig, OutputError> {
        let mut config = ClientConfig::new();
        for (name, value) in DEFAULTS {
            config.set(name, value);
        }
        for (name, value) in &self.properties {
            let is_acks = matches!(name.as_str(), "acks" | "request.required.acks");
            if is_acks && !matches!(value.as_str(), "all" | "-1") {
                return Err(OutputError::Acks { name: name.clone(), found: value.clone() });
            }
            config.set(name, value);
        }
        config.set("acks", "all");
        Ok(config)
    }
}

// Values may be passwords.
impl fmt::Debug for KafkaTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.properties.keys().collect();
        f.debug_struct("KafkaTarget").field("properties", &names).finish()
    }
}

/// Sends each event to its topic under its key and waits for all acknowledgements. The first event that
/// the broker does not acknowledge ends the run with an error that counts the losses. The records carry
/// the time of sending as their Kafka timestamp, like those of any producer.
pub fn to_kafka(
    events: impl Iterator<Item = SimulatedEvent>,
    target: &KafkaTarget,
    mut run: Run<'_>,
) -> Result<Summary, OutputError> {
    let config = target.config()?;
    let producer = BaseProducer::from_config_and_context(&config, Deliveries::default());
    let mut sink = KafkaSink { producer: producer.map_err(OutputError::Producer)?, accepted: 0 };
    let drained = drain(events, &mut sink, &mut run);
    // Whatever ended it: what the producer has accepted is sent out.
    let flushed = sink.flush(&run);
    let summary = drained?;
    flushed?;
    Ok(summary)
}

struct KafkaSink {
    producer: BaseProducer<Deliveries>,
    accepted: u64,
}

impl KafkaSink {
    fn flush(&self, run: &Run<'_>) -> Result<(), OutputError> {
        let mut steps_stopped = 0;
        // Every message is acknowledged or timed out in the end, so this ends.
        while let Err(error) = self.producer.flush(FLUSH_STEP) {
            if !matches!(error, KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut)) {
                return Err(self.losses(&error.to_string()));
            }
            steps_stopped += u32::from(run.is_stopped());
            if steps_stopped > FLUSH_STEPS_MAX_STOPPED {
                return Err(self.losses("stopped before the broker acknowledged"));
            }
        }
        let delivered = self.deliveries().delivered.load(Ordering::Relaxed);
        if delivered == self.accepted { Ok(()) } else { Err(self.losses("no delivery report came")) }
    }

    fn deliveries(&self) -> &Deliveries {
        self.producer.client().context()
    }

    /// What was accepted and is not known to have arrived.
    fn losses(&self, otherwise: &str) -> OutputError {
        let delivered = self.deliveries().delivered.load(Ordering::Relaxed);
        let first = self.deliveries().first_failure().unwrap_or_else(|| otherwise.to_owned());
        OutputError::Delivery { lost: self.accepted - delivered, delivered, first }
    }
}

impl Sink for KafkaSink {
    fn write(&mut self, event: &SimulatedEvent, run: &Run<'_>) -> Result<bool, OutputError> {
        let mut record = BaseRecord::to(event.topic).key(&event.key).payload(&event.body);
        loop {
            match self.producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                    if run.is_stopped() {
                        return Ok(false);
                    }
                    record = refused;
                    self.producer.poll(QUEUE_FULL_WAIT);
                }
                Err((source, _)) => {
                    return Err(OutputError::Send { topic: event.topic, event: self.accepted + 1, source });
                }
            }
        }
        self.accepted += 1;
        if self.accepted.is_multiple_of(EVENTS_PER_POLL) {
            self.producer.poll(Duration::ZERO);
        }
        if self.deliveries().failed.load(Ordering::Relaxed) > 0 {
            self.flush(run)?;
        }
        Ok(true)
    }

    fn wait(&mut self, time: Duration) {
        // A poll with a time counts in whole milliseconds, and spins for what is left of the last one.
        std::thread::sleep(time);
        self.producer.poll(Duration::ZERO);
    }
}

/// Counts what became of the events.
#[derive(Debug, Default)]
struct Deliveries {
    delivered: AtomicU64,
    failed: AtomicU64,
    first_failure: Mutex<Option<String>>,
}

impl Deliveries {
    fn first_failure(&self) -> Option<String> {
        self.first_failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let Err((error, _)) = result else {
            self.delivered.fetch_add(1, Ordering::Relaxed);
            return;
        };
        self.failed.fetch_add(1, Ordering::Relaxed);
        let mut first = self.first_failure.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| error.to_string());
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Debug | RDKafkaLogLevel::Info | RDKafkaLogLevel::Notice => {
                tracing::debug!(facility, "{message}");
            }
            _ => tracing::warn!(facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "Kafka producer");
    }
}

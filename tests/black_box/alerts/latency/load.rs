//! Events to Kafka: many that nobody waits for, and single ones whose acknowledgement is waited for.

use chrono::{DateTime, Utc};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Load is sent in so many portions a second.
const PORTIONS: u32 = 100;

pub fn call(id: u64, provider: &str, time: DateTime<Utc>) -> String {
    let (outcome, ms, time) = (if id.is_multiple_of(50) { "error" } else { "success" }, id % 400, time.to_rfc3339());
    format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/calls","type":"test.api_call","time":"{time}","tenantkind":"creator","tenantid":"c1","data":{{"provider":"{provider}","outcome":"{outcome}","duration_ms":{ms}}}}}"#
    )
}

pub fn payment(shop: &str, time: DateTime<Utc>) -> String {
    let time = time.to_rfc3339();
    format!(
        r#"{{"specversion":"1.0","id":"{shop}","source":"/payments","type":"test.payment_failed","time":"{time}","tenantkind":"creator","tenantid":"c1","data":{{"shop":"{shop}"}}}}"#
    )
}

/// Takes down when the broker acknowledged.
#[derive(Clone, Default)]
struct Acknowledged(Arc<Mutex<Option<Instant>>>);

impl rdkafka::ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let at = Instant::now();
        assert!(result.is_ok(), "{result:?}");
        *self.0.lock().unwrap() = Some(at);
    }
}

/// Sends single records.
pub struct Producer {
    producer: BaseProducer<Acknowledged>,
    acknowledged: Acknowledged,
}

impl Producer {
    pub fn new(servers: &str) -> Self {
        let acknowledged = Acknowledged::default();
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", servers).set("acks", "all").set("linger.ms", "0");
        Self { producer: config.create_with_context(acknowledged.clone()).unwrap(), acknowledged }
    }

    /// Sends a record and returns when the broker acknowledged it.
    pub fn acknowledged(&mut self, topic: &str, payload: &str) -> Instant {
        *self.acknowledged.0.lock().unwrap() = None;
        self.producer.send(BaseRecord::<(), str>::to(topic).payload(payload)).map_err(|(error, _)| error).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            self.producer.poll(Duration::from_millis(100));
            if let Some(at) = self.acknowledged.0.lock().unwrap().take() {
                return at;
            }
            assert!(Instant::now() < deadline, "the broker does not acknowledge");
        }
    }
}

/// Events at a steady rate until it is stopped.
pub struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Load {
    pub fn start(servers: &str, per_second: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, servers) = (Arc::clone(&stop), servers.to_owned());
        Self { stop, thread: std::thread::spawn(move || produce(&servers, per_second, &stopped)) }
    }

    /// Returns how many were sent.
    pub fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

fn produce(servers: &str, per_second: u32, stop: &AtomicBool) -> u64 {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers).set("linger.ms", "20").set("compression.type", "lz4");
    let producer: BaseProducer = config.create().unwrap();
    // Ids differ from run to run: copies would not be counted.
    let first = u64::try_from(Utc::now().timestamp_micros()).unwrap();
    let (started, mut sent) = (Instant::now(), 0);
    while !stop.load(Ordering::Relaxed) {
        let due = (started.elapsed().as_secs_f64() * f64::from(per_second)) as u64;
        let now = Utc::now();
        while sent < due {
            let payload = call(first + sent, ["ups", "dhl", "usps", "fedex"][(sent % 4) as usize], now);
            let mut record = BaseRecord::<(), str>::to("calls").payload(&payload);
            while let Err((error, unsent)) = producer.send(record) {
                assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
                producer.poll(Duration::from_millis(10));
                record = unsent;
            }
            sent += 1;
        }
        producer.poll(Duration::ZERO);
        std::thread::sleep(Duration::from_secs(1) / PORTIONS);
    }
    producer.flush(Duration::from_secs(60)).unwrap();
    sent
}

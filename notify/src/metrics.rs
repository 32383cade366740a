//! Counters and gauges of delivery.

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

/// Handles of every metric of this crate.
#[derive(Debug, Clone)]
pub struct NotifyMetrics {
    /// Messages taken into the outbox.
    pub enqueued: IntCounter,
    /// Messages that were enqueued again with a known key.
    pub duplicates: IntCounter,
    /// Messages of refused batches, by reason: `full`, `too_big`, `invalid`, `store`.
    pub refused: IntCounterVec,
    /// Messages that wait or are on their way.
    pub outbox_messages: IntGauge,
    /// Their bytes.
    pub outbox_bytes: IntGauge,
    /// Delivered and given-up messages that are still known.
    pub outbox_finished: IntGauge,
    /// Finished messages that were forgotten after their retention or at a bound.
    pub forgotten: IntCounter,
    /// Attempts by integration and outcome.
    pub attempts: IntCounterVec,
    /// Messages given up by integration and reason.
    pub given_up: IntCounterVec,
    /// Seconds of an attempt, by integration.
    pub attempt_seconds: HistogramVec,
    /// Seconds from the making of a message to its delivery.
    pub delivery_seconds: HistogramVec,
    /// Seconds of a durable write of results.
    pub record_seconds: Histogram,
    /// Messages that wait or are on their way, by integration.
    pub waiting: IntGaugeVec,
    /// 1 while the receiver of an integration is taken to be down.
    pub circuit_open: IntGaugeVec,
    /// Messages on their way.
    pub in_flight: IntGauge,
    /// When the oldest waiting message was made, seconds since the epoch; 0 when none waits.
    pub oldest: IntGauge,
}

impl NotifyMetrics {
    /// Makes all metrics and registers them.
    ///
    /// Errors: a name is registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        fn add<C: Collector + Clone + 'static>(
            registry: &Registry,
            metric: prometheus::Result<C>,
        ) -> prometheus::Result<C> {
            let metric = metric?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        }
        let name = |name: &str| format!("tidewatch_notify_{name}");
        let counter = |n: &str, help: &str| add(registry, IntCounter::new(name(n), help));
        let counters =
            |n: &str, help: &str, labels: &[&str]| add(registry, IntCounterVec::new(Opts::new(name(n), help), labels));
        let gauge = |n: &str, help: &str| add(registry, IntGauge::new(name(n), help));
        let gauges = |n: &str, help: &str| add(registry, IntGaugeVec::new(Opts::new(name(n), help), &["integration"]));
        let seconds =
            |n: &str, help: &str, buckets: &[f64]| HistogramOpts::new(name(n), help).buckets(buckets.to_vec());
        let attempt = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
        let delivery = [0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0];
        let record = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0];
        Ok(Self {
            enqueued: counter("enqueued_total", "Messages taken into the outbox.")?,
            duplicates: counter("duplicates_total", "Messages enqueued again with a key that was known.")?,
            refused: counters("refused_total", "Messages of batches the outbox did not take.", &["reason"])?,
            outbox_messages: gauge("outbox_messages", "Messages that wait or are on their way.")?,
            outbox_bytes: gauge("outbox_bytes", "Bytes of the messages that wait or are on their way.")?,
            outbox_finished: gauge("outbox_finished_messages", "Delivered and given-up messages still known.")?,
            forgotten: counter("forgotten_total", "Finished messages forgotten after retention or at a bound.")?,
            attempts: counters("attempts_total", "Attempts to deliver.", &["integration", "outcome"])?,
            given_up: counters("given_up_total", "Messages given up.", &["integration", "reason"])?,
            attempt_seconds: add(
                registry,
                HistogramVec::new(seconds("attempt_seconds", "Time of an attempt.", &attempt), &["integration"]),
            )?,
            delivery_seconds: add(
                registry,
                HistogramVec::new(
                    seconds("delivery_seconds", "Time from making a message to its delivery.", &delivery),
                    &["integration"],
                ),
            )?,
            record_seconds: add(
                registry,
                Histogram::with_opts(seconds("record_seconds", "Time of a durable write of results.", &record)),
            )?,
            waiting: gauges("waiting_messages", "Messages that wait or are on their way, by integration.")?,
            circuit_open: gauges("circuit_open", "1 while the receiver is taken to be down.")?,
            in_flight: gauge("in_flight_messages", "Messages on their way.")?,
            oldest: gauge(
                "oldest_waiting_timestamp_seconds",
                "When the oldest waiting message was made; 0 when none waits.",
            )?,
        })
    }
}

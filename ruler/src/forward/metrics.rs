//! Counters of forwarding, by address; those of Prometheus' notifier under our name.

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

/// Of all addresses.
#[derive(Debug)]
pub(super) struct ForwardMetrics {
    sent: IntCounterVec,
    errors: IntCounterVec,
    dropped: IntCounterVec,
    queue_length: IntGaugeVec,
    latency: HistogramVec,
}

/// Of one address.
#[derive(Debug)]
pub(super) struct LaneMetrics {
    /// Alerts that it has taken.
    pub sent: IntCounter,
    /// Alerts of requests that failed. The queue does not send them again: rules do.
    pub errors: IntCounter,
    /// Alerts that were never sent: the queue was full, or the process stopped before it was empty.
    pub dropped: IntCounter,
    /// Alerts that wait.
    pub queue_length: IntGauge,
    /// Seconds of a request.
    pub latency: Histogram,
}

impl ForwardMetrics {
    pub fn register(registry: &Registry, capacity: usize) -> Result<Self, prometheus::Error> {
        const LABELS: [&str; 1] = ["alertmanager"];
        let counters = |name: &str, help: &str| -> Result<IntCounterVec, prometheus::Error> {
            let counters = IntCounterVec::new(Opts::new(format!("tidewatch_forward_{name}"), help), &LABELS)?;
            registry.register(Box::new(counters.clone()))?;
            Ok(counters)
        };
        let length = Opts::new("tidewatch_forward_queue_length", "Alerts that wait for an Alertmanager.");
        let queue_length = IntGaugeVec::new(length, &LABELS)?;
        registry.register(Box::new(queue_length.clone()))?;
        let bound = IntGauge::new("tidewatch_forward_queue_capacity", "Alerts that may wait for an Alertmanager.")?;
        bound.set(i64::try_from(capacity).unwrap_or(i64::MAX));
        registry.register(Box::new(bound))?;
        let seconds = HistogramOpts::new("tidewatch_forward_latency_seconds", "Time of a request to an Alertmanager.");
        let seconds = seconds.buckets(vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]);
        let latency = HistogramVec::new(seconds, &LABELS)?;
        registry.register(Box::new(latency.clone()))?;
        Ok(Self {
            sent: counters("sent_total", "Alerts that an Alertmanager has taken.")?,
            errors: counters("errors_total", "Alerts of requests that an Alertmanager did not take.")?,
            dropped: counters(
                "dropped_total",
                "Alerts that were never sent: the queue was full, or the process ended.",
            )?,
            queue_length,
            latency,
        })
    }

    pub fn lane(&self, address: &str) -> LaneMetrics {
        let labels = [address];
        LaneMetrics {
            sent: self.sent.with_label_values(&labels),
            errors: self.errors.with_label_values(&labels),
            dropped: self.dropped.with_label_values(&labels),
            queue_length: self.queue_length.with_label_values(&labels),
            latency: self.latency.with_label_values(&labels),
        }
    }
}

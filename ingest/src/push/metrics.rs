//! Our own metrics of the endpoint, built from the catalogue in `engine::metrics`.

use prometheus::{Histogram, HistogramOpts, IntCounterVec, Opts, Registry};
use tidewatch_engine::metrics::{self as catalogue, MetricDef};

/// Handles of every metric that the endpoint writes.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each field is documented by its entry in the catalogue")]
pub struct PushMetrics {
    pub requests: IntCounterVec,
    pub events: IntCounterVec,
    pub seconds: Histogram,
}

impl PushMetrics {
    /// Makes all metrics and registers them.
    ///
    /// Errors: a name is registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = |def: &MetricDef| Opts::new(def.name, def.help);
        let counters = |def: &MetricDef| IntCounterVec::new(opts(def), def.labels);
        let seconds = HistogramOpts::from(opts(&catalogue::PUSH_SECONDS))
            .buckets(vec![0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0]);
        let metrics = Self {
            requests: counters(&catalogue::PUSH_REQUESTS)?,
            events: counters(&catalogue::PUSH_EVENTS)?,
            seconds: Histogram::with_opts(seconds)?,
        };
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.events.clone()))?;
        registry.register(Box::new(metrics.seconds.clone()))?;
        metrics.requests.with_label_values(&["accepted"]);
        Ok(metrics)
    }
}

//! Our own metrics of the wires.

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};
use tidewatch_engine::metrics as catalogue;

/// Handles of every metric that the wires write.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each field is documented by its entry in the catalogue")]
pub struct WireMetrics {
    pub connections: IntGaugeVec,
    pub refused: IntCounterVec,
    pub queries: IntCounterVec,
    pub query_seconds: HistogramVec,
}

impl WireMetrics {
    /// Makes all metrics and registers them.
    ///
    /// Errors: a name is registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = |def: &catalogue::MetricDef| Opts::new(def.name, def.help);
        let seconds = HistogramOpts::from(opts(&catalogue::WIRE_SECONDS))
            .buckets(vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]);
        let metrics = Self {
            connections: IntGaugeVec::new(opts(&catalogue::WIRE_CONNECTIONS), catalogue::WIRE_CONNECTIONS.labels)?,
            refused: IntCounterVec::new(opts(&catalogue::WIRE_REFUSED), catalogue::WIRE_REFUSED.labels)?,
            queries: IntCounterVec::new(opts(&catalogue::WIRE_QUERIES), catalogue::WIRE_QUERIES.labels)?,
            query_seconds: HistogramVec::new(seconds, catalogue::WIRE_SECONDS.labels)?,
        };
        registry.register(Box::new(metrics.connections.clone()))?;
        registry.register(Box::new(metrics.refused.clone()))?;
        registry.register(Box::new(metrics.queries.clone()))?;
        registry.register(Box::new(metrics.query_seconds.clone()))?;
        Ok(metrics)
    }
}

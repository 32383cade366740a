//! Our own metrics of the query path.

use prometheus::{Histogram, HistogramOpts, IntCounterVec, Opts, Registry};
use tidewatch_engine::metrics as catalogue;

/// Handles of every metric that readers write.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each field is documented by its entry in the catalogue")]
pub struct QueryMetrics {
    pub queries: IntCounterVec,
    pub query_seconds: Histogram,
    pub truncated: IntCounterVec,
}

impl QueryMetrics {
    /// Makes all metrics and registers them.
    ///
    /// Errors: a name is registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = |def: &catalogue::MetricDef| Opts::new(def.name, def.help);
        let seconds = HistogramOpts::from(opts(&catalogue::SQL_SECONDS))
            .buckets(vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]);
        let metrics = Self {
            queries: IntCounterVec::new(opts(&catalogue::SQL_QUERIES), catalogue::SQL_QUERIES.labels)?,
            query_seconds: Histogram::with_opts(seconds)?,
            truncated: IntCounterVec::new(opts(&catalogue::SCRAPES_TRUNCATED), catalogue::SCRAPES_TRUNCATED.labels)?,
        };
        registry.register(Box::new(metrics.queries.clone()))?;
        registry.register(Box::new(metrics.query_seconds.clone()))?;
        registry.register(Box::new(metrics.truncated.clone()))?;
        Ok(metrics)
    }
}

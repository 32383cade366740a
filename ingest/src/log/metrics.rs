//! Our own metrics of the log, built from the catalogue in `engine::metrics`.

use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts, Registry};
use tidewatch_engine::metrics::{self as catalogue, MetricDef};

/// Handles of every metric that a log writes.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each field is documented by its entry in the catalogue")]
pub struct LogMetrics {
    pub records: IntCounterVec,
    pub bytes: IntGauge,
    pub sync_seconds: Histogram,
    pub refused: IntCounterVec,
    pub dropped: IntCounterVec,
    pub failed: IntGauge,
}

impl LogMetrics {
    /// Makes all metrics and registers them.
    ///
    /// Errors: a name is registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = |def: &MetricDef| Opts::new(def.name, def.help);
        let counters = |def: &MetricDef| IntCounterVec::new(opts(def), def.labels);
        let gauge = |def: &MetricDef| IntGauge::with_opts(opts(def));
        let seconds = HistogramOpts::from(opts(&catalogue::LOG_SYNC_SECONDS))
            .buckets(vec![0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0]);
        let metrics = Self {
            records: counters(&catalogue::LOG_RECORDS)?,
            bytes: gauge(&catalogue::LOG_BYTES)?,
            sync_seconds: Histogram::with_opts(seconds)?,
            refused: counters(&catalogue::LOG_REFUSED)?,
            dropped: counters(&catalogue::LOG_DROPPED)?,
            failed: gauge(&catalogue::LOG_FAILED)?,
        };
        registry.register(Box::new(metrics.records.clone()))?;
        registry.register(Box::new(metrics.bytes.clone()))?;
        registry.register(Box::new(metrics.sync_seconds.clone()))?;
        registry.register(Box::new(metrics.refused.clone()))?;
        registry.register(Box::new(metrics.dropped.clone()))?;
        registry.register(Box::new(metrics.failed.clone()))?;
        ["full", "busy"].iter().for_each(|reason| _ = metrics.refused.with_label_values(&[reason]));
        Ok(metrics)
    }

    pub(super) fn refused(&self, reason: &str) {
        self.refused.with_label_values(&[reason]).inc();
    }
}

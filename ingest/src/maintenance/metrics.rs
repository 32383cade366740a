//! Our own metrics of maintenance, built from the catalogue in `engine::metrics`.

use prometheus::core::Collector;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};
use tidewatch_engine::metrics::{self as catalogue, MetricDef};

/// Handles of every metric that maintenance writes.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each field is documented by its entry in the catalogue")]
pub struct MaintenanceMetrics {
    pub files: IntGaugeVec,
    pub bytes: IntGaugeVec,
    pub tasks: IntCounterVec,
    pub seconds: HistogramVec,
    pub vacuumed: IntCounterVec,
}

impl MaintenanceMetrics {
    /// Makes all metrics and registers them.
    ///
    /// Errors: a name is registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        fn opts(def: &MetricDef) -> Opts {
            Opts::new(def.name, def.help)
        }
        fn add<C: Collector + Clone + 'static>(
            registry: &Registry,
            metric: prometheus::Result<C>,
        ) -> prometheus::Result<C> {
            let metric = metric?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        }
        let counters = |def: &MetricDef| add(registry, IntCounterVec::new(opts(def), def.labels));
        let gauges = |def: &MetricDef| add(registry, IntGaugeVec::new(opts(def), def.labels));
        let seconds = HistogramOpts::from(opts(&catalogue::MAINTENANCE_SECONDS))
            .buckets(vec![0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0]);
        Ok(Self {
            files: gauges(&catalogue::TABLE_FILES)?,
            bytes: gauges(&catalogue::TABLE_BYTES)?,
            tasks: counters(&catalogue::MAINTENANCE_TASKS)?,
            seconds: add(registry, HistogramVec::new(seconds, catalogue::MAINTENANCE_SECONDS.labels))?,
            vacuumed: counters(&catalogue::VACUUMED_FILES)?,
        })
    }
}

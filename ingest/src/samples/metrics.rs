//! Our own metrics of pushed samples, built from the catalogue in `engine::metrics`.

use super::batch::Refusal;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use tidewatch_engine::metrics::{self as catalogue, MetricDef};

/// Handles of every metric that receiving samples writes.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each field is documented by its entry in the catalogue")]
pub struct SampleMetrics {
    pub accepted: IntCounterVec,
    pub refused: IntCounterVec,
    pub exemplars_dropped: IntCounter,
    pub metadata_dropped: IntCounter,
    pub series: IntGauge,
}

impl SampleMetrics {
    /// Makes all metrics and registers them.
    ///
    /// Errors: a name is registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = |def: &MetricDef| Opts::new(def.name, def.help);
        let counters = |def: &MetricDef| IntCounterVec::new(opts(def), def.labels);
        let metrics = Self {
            accepted: counters(&catalogue::SAMPLES_ACCEPTED)?,
            refused: counters(&catalogue::SAMPLES_REFUSED)?,
            exemplars_dropped: IntCounter::with_opts(opts(&catalogue::SAMPLES_EXEMPLARS_DROPPED))?,
            metadata_dropped: IntCounter::with_opts(opts(&catalogue::SAMPLES_METADATA_DROPPED))?,
            series: IntGauge::with_opts(opts(&catalogue::SAMPLES_SERIES))?,
        };
        registry.register(Box::new(metrics.accepted.clone()))?;
        registry.register(Box::new(metrics.refused.clone()))?;
        registry.register(Box::new(metrics.exemplars_dropped.clone()))?;
        registry.register(Box::new(metrics.metadata_dropped.clone()))?;
        registry.register(Box::new(metrics.series.clone()))?;
        Refusal::ALL.iter().for_each(|reason| _ = metrics.refused.with_label_values(&[reason.as_str()]));
        Ok(metrics)
    }
}

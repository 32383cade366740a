//! Our own metrics of the query path.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry};
use tidewatch_engine::metrics as catalogue;

/// Handles of every metric that readers write.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each field is documented by its entry in the catalogue")]
pub struct QueryMetrics {
    pub queries: IntCounterVec,
    pub query_seconds: Histogram,
    pub truncated: IntCounterVec,
    pub cache: CacheCounters,
    pub promql_cache: CacheCounters,
}

/// What became of a query at the cache of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheOutcome {
    /// It was there.
    Hit,
    /// It was not there, and is now unless it is too large.
    Miss,
    /// It depends on something that changes all the time.
    NotKept,
}

/// Counts what the cache of answers does, if anybody listens.
#[derive(Debug, Clone, Default)]
pub struct CacheCounters(Option<(IntCounterVec, IntCounter)>);

impl CacheCounters {
    pub(crate) fn count(&self, outcome: CacheOutcome) {
        let name = match outcome {
            CacheOutcome::Hit => "hit",
            CacheOutcome::Miss => "miss",
            CacheOutcome::NotKept => "not_kept",
        };
        if let Some((outcomes, _)) = &self.0 {
            outcomes.with_label_values(&[name]).inc();
        }
    }

    pub(crate) fn evicted(&self) {
        if let Some((_, evicted)) = &self.0 {
            evicted.inc();
        }
    }
}

impl QueryMetrics {
    /// Makes all metrics and registers them.
    ///
    /// Errors: a name is registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = |def: &catalogue::MetricDef| Opts::new(def.name, def.help);
        let seconds = HistogramOpts::from(opts(&catalogue::SQL_SECONDS))
            .buckets(vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]);
        let cache = |outcomes: &catalogue::MetricDef, evicted: &catalogue::MetricDef| {
            let outcomes = IntCounterVec::new(opts(outcomes), outcomes.labels)?;
            let evicted = IntCounter::with_opts(opts(evicted))?;
            registry.register(Box::new(outcomes.clone()))?;
            registry.register(Box::new(evicted.clone()))?;
            Ok::<_, prometheus::Error>(CacheCounters(Some((outcomes, evicted))))
        };
        let metrics = Self {
            cache: cache(&catalogue::SQL_CACHE, &catalogue::SQL_CACHE_EVICTED)?,
            promql_cache: cache(&catalogue::PROMQL_CACHE, &catalogue::PROMQL_CACHE_EVICTED)?,
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

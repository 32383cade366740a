//! Our own metrics of the ingest path, built from the catalogue in `engine::metrics`.

use crate::commit_health::CommitHealth;
use crate::personal::PersonalCounts;
use crate::staleness::Staleness;
use prometheus::core::Collector;
use prometheus::{
    GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};
use tidewatch_engine::metrics::{self as catalogue, MetricDef};
use tidewatch_engine::source::PersonalAction;

/// Handles of every metric the worker and the committer write, and beside them the words for a metric that tells of
/// trouble: what fails to be committed.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each field is documented by its entry in the catalogue")]
pub struct IngestMetrics {
    pub records: IntCounterVec,
    pub record_bytes: IntCounterVec,
    pub events: IntCounterVec,
    pub events_ignored: IntCounterVec,
    pub dead_letters: IntCounterVec,
    pub enum_unknown: IntCounterVec,
    pub time_fallback: IntCounterVec,
    pub late_events: IntCounterVec,
    pub duplicates: IntCounterVec,
    pub personal_values: IntCounterVec,
    pub remembered: IntGauge,
    pub remembered_bytes: IntGauge,
    pub remembered_evicted: IntCounter,
    pub histogram_refused: IntCounterVec,
    pub without_value: IntCounterVec,
    pub folded: IntCounterVec,
    pub series: IntGauge,
    pub commits: IntCounterVec,
    pub commit_rows: IntCounterVec,
    pub commit_seconds: Histogram,
    pub replays: IntCounter,
    pub open_rows: IntGauge,
    pub open_bytes: IntGauge,
    pub paused: IntGauge,
    pub partitions: IntGauge,
    pub lag: IntGaugeVec,
    pub position: IntGaugeVec,
    pub watermark: GaugeVec,
    pub last_commit: prometheus::Gauge,
    pub staleness: Staleness,
    pub commit_health: CommitHealth,
}

impl IngestMetrics {
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
        let counter = |def: &MetricDef| add(registry, IntCounter::with_opts(opts(def)));
        let gauge = |def: &MetricDef| add(registry, IntGauge::with_opts(opts(def)));
        let seconds = HistogramOpts::from(opts(&catalogue::COMMIT_SECONDS))
            .buckets(vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]);
        Ok(Self {
            records: counters(&catalogue::RECORDS)?,
            record_bytes: counters(&catalogue::RECORD_BYTES)?,
            events: counters(&catalogue::EVENTS)?,
            events_ignored: counters(&catalogue::EVENTS_IGNORED)?,
            dead_letters: counters(&catalogue::DEAD_LETTERS)?,
            enum_unknown: counters(&catalogue::ENUM_UNKNOWN)?,
            time_fallback: counters(&catalogue::TIME_FALLBACK)?,
            late_events: counters(&catalogue::LATE_EVENTS)?,
            duplicates: counters(&catalogue::DUPLICATES)?,
            remembered: gauge(&catalogue::REMEMBERED)?,
            remembered_bytes: gauge(&catalogue::REMEMBERED_BYTES)?,
            remembered_evicted: counter(&catalogue::REMEMBERED_EVICTED)?,
            personal_values: counters(&catalogue::PERSONAL_VALUES)?,
            histogram_refused: counters(&catalogue::HISTOGRAM_REFUSED)?,
            without_value: counters(&catalogue::WITHOUT_VALUE)?,
            folded: counters(&catalogue::FOLDED)?,
            series: gauge(&catalogue::SERIES)?,
            commits: counters(&catalogue::COMMITS)?,
            commit_rows: counters(&catalogue::COMMIT_ROWS)?,
            commit_seconds: add(registry, Histogram::with_opts(seconds))?,
            replays: counter(&catalogue::REPLAYS)?,
            open_rows: gauge(&catalogue::OPEN_ROWS)?,
            open_bytes: gauge(&catalogue::OPEN_BYTES)?,
            paused: gauge(&catalogue::PAUSED)?,
            partitions: gauge(&catalogue::PARTITIONS)?,
            lag: gauges(&catalogue::LAG)?,
            position: gauges(&catalogue::POSITION)?,
            watermark: add(registry, GaugeVec::new(opts(&catalogue::WATERMARK), catalogue::WATERMARK.labels))?,
            last_commit: add(registry, prometheus::Gauge::with_opts(opts(&catalogue::LAST_COMMIT)))?,
            staleness: Staleness::new(add(registry, prometheus::Gauge::with_opts(opts(&catalogue::STALENESS)))?),
            commit_health: CommitHealth::default(),
        })
    }

    /// Counts personal values that were found in the events of a source.
    pub fn count_personal(&self, source: &str, counts: PersonalCounts) {
        for (action, count) in [(PersonalAction::Drop, counts.dropped), (PersonalAction::Hash, counts.hashed)] {
            if count > 0 {
                self.personal_values.with_label_values(&[source, action.as_str()]).inc_by(count);
            }
        }
    }
}

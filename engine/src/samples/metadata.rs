//! What senders say about their metrics: kind, help, unit. Kept in memory only, for senders repeat it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Metrics of which something is remembered; what more senders say is counted and forgotten.
pub const METRICS_MAX: usize = 20_000;
/// Longer texts are cut off.
pub const HELP_BYTES_MAX: usize = 1024;

/// What is known of one metric.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MetricMetadata {
    /// `counter`, `gauge`, `histogram`, `gaugehistogram`, `summary`, `info`, `stateset` or `unknown`.
    pub kind: &'static str,
    /// One sentence.
    pub help: String,
    /// Base unit, or nothing.
    pub unit: String,
}

/// The metadata of all metrics, shared by those who receive and those who answer.
#[derive(Debug, Default)]
pub struct MetadataBook {
    metrics: Mutex<BTreeMap<String, MetricMetadata>>,
}

impl MetadataBook {
    /// Notes what a sender says; false when there is no room for another metric.
    pub fn note(&self, metric: &str, mut metadata: MetricMetadata) -> bool {
        for text in [&mut metadata.help, &mut metadata.unit] {
            let end = (0..=HELP_BYTES_MAX.min(text.len())).rev().find(|&at| text.is_char_boundary(at));
            text.truncate(end.unwrap_or_default());
        }
        let mut metrics = self.lock();
        let has_room = metrics.len() < METRICS_MAX;
        match metrics.get_mut(metric) {
            Some(known) => *known = metadata,
            None if has_room => _ = metrics.insert(metric.to_owned(), metadata),
            None => return false,
        }
        true
    }

    /// What is known of a metric.
    pub fn get(&self, metric: &str) -> Option<MetricMetadata> {
        self.lock().get(metric).cloned()
    }

    /// Everything, by name.
    pub fn all(&self) -> BTreeMap<String, MetricMetadata> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, MetricMetadata>> {
        // Nothing can fail half way while it is held.
        self.metrics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

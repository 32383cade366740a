//! Data and a clock that tests set.

use crate::amend::{Late, LateStretch};
pub mod bench;

use crate::data::{Changes, Data, NoChanges};
use futures::future::BoxFuture;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tidewatch_alerting::memory::Memory;
use tidewatch_alerting::state::Completeness;
use tidewatch_notify::Clock;
use tidewatch_promql::{
    Answer, Labels, Limits, Options, Plan, Sample, Selection, Series, Storage, StorageError, VectorSample,
};
use tokio::runtime::Handle;

/// A clock that stands still until it is set.
#[derive(Debug)]
pub struct SetClock(pub AtomicI64);

impl Clock for SetClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.now_ms()).unwrap_or(0))
    }
}

/// Samples that tests push.
#[derive(Debug, Default)]
pub struct Pushed {
    pub memory: Arc<Mutex<Memory>>,
    pub kept: Mutex<Vec<VectorSample>>,
    pub late: LateList,
    /// Metrics of which something is still to come.
    pub partial: Mutex<BTreeSet<String>>,
    /// What tells that there is something new; nothing, unless a test puts something there.
    pub changes: Mutex<Option<Arc<dyn Changes>>>,
}

/// Stretches that tests call late, all of one source that has every metric.
#[derive(Debug, Clone, Default)]
pub struct LateList {
    pub stretches: Arc<Mutex<Vec<LateStretch>>>,
    /// Metrics that tell of the present only.
    pub present: Arc<Mutex<BTreeSet<String>>>,
}

impl Late for LateList {
    fn take(&self) -> Vec<LateStretch> {
        std::mem::take(&mut self.stretches.lock().unwrap())
    }

    fn has_past(&self, metrics: Option<&BTreeSet<String>>) -> bool {
        metrics.is_none_or(|metrics| self.present.lock().unwrap().is_disjoint(metrics))
    }

    fn concerns(&self, _: &str, _: Option<&BTreeSet<String>>) -> bool {
        true
    }
}

struct Past(Arc<Mutex<Memory>>);

impl Storage for Past {
    fn select(&self, selection: &Selection) -> Result<Vec<Series>, StorageError> {
        self.0.lock().unwrap().select(selection)
    }
}

impl Pushed {
    pub fn push(&self, labels: &[(&str, &str)], time_ms: i64, value: f64) {
        let labels = Labels::new(labels.iter().map(|(name, value)| (*name, *value)));
        self.memory.lock().unwrap().push(&labels, time_ms, &Sample::Float(value));
    }
}

struct Both<'a>(&'a Memory, &'a (dyn Storage + Send + Sync));

impl Storage for Both<'_> {
    fn select(&self, selection: &Selection) -> Result<Vec<Series>, StorageError> {
        let mut all = self.0.select(selection)?;
        all.extend(self.1.select(selection)?);
        Ok(all)
    }
}

impl Data for Pushed {
    fn answer(
        &self,
        plan: Plan,
        own: Arc<dyn Storage + Send + Sync>,
    ) -> BoxFuture<'_, Result<(Answer, Completeness), String>> {
        let memory = self.memory.lock().unwrap();
        let partial = self.partial.lock().unwrap();
        let names = plan.selections().iter().flat_map(|s| &s.matchers).filter(|m| m.name == "__name__");
        let is_partial = names.map(|m| &m.value).any(|name| partial.contains(name));
        let completeness = if is_partial { Completeness::Partial } else { Completeness::Complete };
        let answer = plan.run(&Both(&memory, &*own), &Limits::none()).map_err(|error| error.to_string());
        Box::pin(async move { answer.map(|answer| (answer, completeness)) })
    }

    fn window_ms(&self, _: Option<&BTreeSet<String>>) -> i64 {
        10_000
    }

    fn keep(&self, samples: Vec<VectorSample>) -> BoxFuture<'_, Result<(), String>> {
        self.kept.lock().unwrap().extend(samples);
        Box::pin(async { Ok(()) })
    }

    fn options(&self) -> Options {
        Options::default()
    }

    fn changes(&self) -> Arc<dyn Changes> {
        self.changes.lock().unwrap().clone().unwrap_or_else(|| Arc::new(NoChanges))
    }

    fn late(&self) -> Arc<dyn Late> {
        Arc::new(self.late.clone())
    }

    fn past(&self, _: &Handle) -> Option<Arc<dyn Storage + Send + Sync>> {
        Some(Arc::new(Past(Arc::clone(&self.memory))))
    }
}

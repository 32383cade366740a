//! PromQL over the rollups and the views.
//!
//! ```text
//! query ─▶ plan ─▶ selections ─▶ metrics of one snapshot ──▶ series ─▶ answer
//!          (tidewatch_promql)    metrics      read, width       columns   (tidewatch_promql)
//!                                gauges       view (one SQL query per view and stretch of time)
//! ```

mod ahead;
mod cache;
mod cardinality;
mod columns;
mod discover;
mod edge;
mod error;
pub(crate) mod gauges;
mod histogram;
pub(crate) mod metrics;
mod parallel;
mod pushed;
mod read;
mod sources;
mod view;
mod views;
mod width;

pub use cardinality::Cardinality;
pub use error::PromError;
pub use gauges::Shadowed;
pub use metrics::{Kind, Metric, metrics};
pub(crate) use pushed::is_pushed;
pub use views::{Described, known_names, shadowed};

use crate::metrics::{CacheCounters, QueryMetrics};
use crate::results::ResultCache;
use crate::snapshot::Snapshot;
use crate::sql::SqlEngine;
use ahead::Ahead;
use pushed::Naming;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tidewatch_engine::samples::SAMPLES;
use tidewatch_engine::samples::metadata::MetadataBook;
pub use tidewatch_promql::Options;
use tidewatch_promql::{Answer, Interrupt, Labels, Limits, Matcher, Plan, Selection, Series, Storage};
use width::Width;

/// What one query may cost.
#[derive(Debug, Clone, PartialEq)]
pub struct PromLimits {
    /// Samples that are read for one selector, and samples of an evaluation at any one time.
    pub samples_max: usize,
    /// From the text of the query to the answer.
    pub timeout: Duration,
    /// Steps of a range query.
    pub points_max: i64,
    /// How queries are evaluated.
    pub options: Options,
    /// Bytes of answers that are kept, see [`crate::results`]; 0: none.
    pub cache_bytes_max: u64,
}

/// Answers queries.
#[derive(Clone)]
pub struct PromEngine {
    engine: Arc<SqlEngine>,
    limits: PromLimits,
    metadata: Arc<MetadataBook>,
    own: Option<Arc<dyn Storage + Send + Sync>>,
    ahead: Option<Arc<Ahead>>,
    kept: Arc<ResultCache<Answer>>,
}

impl std::fmt::Debug for PromEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PromEngine").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// How far the data that a query read had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Windows that end at or before it are closed, microseconds since the epoch; `None` while no worker of this
    /// process knows.
    pub watermark_us: Option<i64>,
    /// Whether it read any rollup; what is pushed is there as soon as it is pushed.
    pub reads_rollups: bool,
}

/// Tells an evaluation to stop when nobody waits for it any more.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl PromEngine {
    /// Answers from the snapshots of `engine`.
    pub fn new(engine: Arc<SqlEngine>, limits: PromLimits) -> Self {
        let kept = Arc::new(ResultCache::new(limits.cache_bytes_max, CacheCounters::default()));
        Self { engine, limits, metadata: Arc::default(), own: None, ahead: None, kept }
    }

    /// Counts what the cache of answers does.
    #[must_use]
    pub fn with_metrics(self, metrics: &QueryMetrics) -> Self {
        let kept = ResultCache::new(self.limits.cache_bytes_max, metrics.promql_cache.clone());
        Self { kept: Arc::new(kept), ..self }
    }

    /// Tells of pushed metrics what their senders say.
    pub fn with_metadata(self, metadata: Arc<MetadataBook>) -> Self {
        Self { metadata, ..self }
    }

    /// The same for rules: the window that is open at the time of an instant query counts as it is, not only once it
    /// has ended, and samples of `own` are seen beside those that are stored.
    #[must_use]
    pub fn for_rules(&self, own: Arc<dyn Storage + Send + Sync>) -> Self {
        Self { own: Some(own), ..self.clone() }
    }

    /// What senders say about pushed metrics.
    pub fn metadata(&self) -> &MetadataBook {
        &self.metadata
    }

    /// The limits of every query.
    pub fn limits(&self) -> &PromLimits {
        &self.limits
    }

    /// What `time()` is when a query does not say, milliseconds since the epoch.
    pub fn now_ms(&self) -> i64 {
        self.engine.now_us().div_euclid(1000)
    }

    /// All metrics of rollups, by name. Those of views are in [`Self::described`]; which ones are pushed depends on
    /// the time, see [`Self::label_values`].
    pub fn metrics(&self) -> BTreeMap<String, Metric> {
        metrics(self.engine.snapshots().definitions().rollups())
    }

    /// Answers a plan.
    ///
    /// # Errors
    /// See [`PromError`].
    pub async fn answer(&self, plan: Plan, timeout: Option<Duration>) -> Result<Answer, PromError> {
        let timeout = timeout.unwrap_or(self.limits.timeout).min(self.limits.timeout);
        Ok(tokio::time::timeout(timeout, self.evaluate(plan)).await.map_err(|_| PromError::Timeout)??.0)
    }

    /// Answers a plan and says how far the data that it read had come.
    ///
    /// # Errors
    /// See [`PromError`].
    pub async fn answer_with_progress(&self, plan: Plan) -> Result<(Answer, Progress), PromError> {
        tokio::time::timeout(self.limits.timeout, self.evaluate(plan)).await.map_err(|_| PromError::Timeout)?
    }

    async fn evaluate(&self, plan: Plan) -> Result<(Answer, Progress), PromError> {
        let (_, generation) = self.engine.snapshots().generation();
        let all = self.metrics();
        let wanted: Vec<Vec<&Metric>> = plan.selections().iter().map(|s| named(&all, &s.matchers)).collect();
        let has_pushed = self.has_pushed();
        let known: Vec<Option<&Vec<Series>>> =
            plan.selections().iter().map(|s| self.ahead.as_ref().and_then(|ahead| ahead.of(s))).collect();
        let unknown: Vec<Selection> =
            plan.selections().iter().zip(&known).filter(|(_, k)| k.is_none()).map(|(s, _)| s.clone()).collect();
        let matchers: Vec<&[Matcher]> = unknown.iter().map(|s| s.matchers.as_slice()).collect();
        let views = self.views(&all, &matchers).await?;
        let is_of_views = known.iter().any(|series| series.is_some_and(|series| !series.is_empty()));
        let reads_rollups = wanted.iter().any(|m| !m.is_empty()) || is_of_views || !views.tables().is_empty();
        let snapshot = self.snapshot(wanted.iter().flatten().copied(), views.tables(), self.own.is_some()).await?;
        let progress = Progress { watermark_us: snapshot.watermark, reads_rollups };
        let identity = match self.own.is_none() && self.ahead.is_none() && self.kept.is_on() {
            true if !views.is_any() => cache::identity(&plan, &wanted, &snapshot, generation)?,
            _ => None,
        };
        match &identity {
            Some(identity) => {
                if let Some(answer) = self.kept.get(identity) {
                    return Ok((answer.as_ref().clone(), progress));
                }
            }
            None if self.own.is_none() => self.kept.not_kept(),
            None => {}
        }
        let reader = self.view_reader(&views, &snapshot, plan.lookback_ms());
        let mut read = views.read(&reader, &unknown).await.into_iter();
        let mut of_views = Vec::with_capacity(known.len());
        for series in known {
            of_views.push(match series {
                Some(series) => series.clone(),
                None => read.next().transpose()?.unwrap_or_default(),
            });
        }
        let mut lists = Vec::with_capacity(wanted.len());
        for ((selection, metrics), mut series) in plan.selections().iter().zip(wanted).zip(of_views) {
            for metric in metrics {
                series.extend(self.read(&snapshot, metric, selection).await?);
            }
            if has_pushed {
                let limit = self.limits.samples_max;
                let pushed = pushed::read(&self.engine, &snapshot, Naming::Pushed, selection, limit).await?;
                let known: HashSet<Labels> = series.iter().map(|s| s.labels.clone()).collect();
                series.extend(pushed.into_iter().filter(|s| !known.contains(&s.labels)));
            }
            if let Some(own) = &self.own {
                series = edge::with_own(series, &**own, selection).map_err(|e| PromError::Internal(e.to_string()))?;
            }
            lists.push(series);
        }
        let stopped = Arc::new(AtomicBool::new(false));
        let guard = StopOnDrop(Arc::clone(&stopped));
        let samples_max = self.limits.samples_max;
        // Evaluating is work for the processor: it must not hold up those who share the runtime.
        let answer = tokio::task::spawn_blocking(move || {
            let interrupt = || stopped.load(Ordering::Relaxed).then_some(Interrupt::Canceled);
            plan.evaluate(&lists, &Limits { samples_max, interrupt: &interrupt })
        });
        let answer = answer.await.map_err(|error| PromError::Internal(error.to_string()))??;
        drop(guard);
        if let Some(identity) = identity {
            self.kept.keep(identity, &answer);
        }
        Ok((answer, progress))
    }

    /// The series of a rollup's metric; for rules, the window that is open now is among them.
    async fn read(
        &self,
        snapshot: &Snapshot,
        metric: &Metric,
        selection: &Selection,
    ) -> Result<Vec<Series>, PromError> {
        let rollup = snapshot.tables.get(&metric.rollup).and_then(|table| table.rollup.as_ref());
        let width_us = self.own.as_ref().and(rollup).map(|rollup| Width::finest(rollup).us());
        let wide = width_us.and_then(|width_us| edge::widened(selection, width_us, self.now_ms()));
        let asked = wide.as_ref().unwrap_or(selection);
        let series = read::read(&self.engine, snapshot, metric, asked, self.limits.samples_max).await?;
        Ok(match wide {
            Some(_) => series.into_iter().map(|series| edge::clamped(series, selection.end_ms)).collect(),
            None => series,
        })
    }

    /// All series that a selection asks for, for those that evaluate by themselves.
    ///
    /// # Errors
    /// See [`PromError`].
    pub async fn select(&self, selection: &Selection) -> Result<Vec<Series>, PromError> {
        let selected = self.select_all(selection);
        tokio::time::timeout(self.limits.timeout, selected).await.map_err(|_| PromError::Timeout)?
    }

    async fn select_all(&self, selection: &Selection) -> Result<Vec<Series>, PromError> {
        let all = self.metrics();
        let wanted = named(&all, &selection.matchers);
        let views = self.views(&all, &[&selection.matchers]).await?;
        let snapshot = self.snapshot(wanted.iter().copied(), views.tables(), self.own.is_some()).await?;
        let reader = self.view_reader(&views, &snapshot, self.limits.options.lookback_ms);
        let mut series = Vec::new();
        for view in views.of(0) {
            series.extend(reader.read(view, selection).await?);
        }
        for metric in wanted {
            series.extend(self.read(&snapshot, metric, selection).await?);
        }
        if self.has_pushed() {
            let limit = self.limits.samples_max;
            let pushed = pushed::read(&self.engine, &snapshot, Naming::Pushed, selection, limit).await?;
            let known: HashSet<Labels> = series.iter().map(|s| s.labels.clone()).collect();
            series.extend(pushed.into_iter().filter(|s| !known.contains(&s.labels)));
        }
        Ok(series)
    }

    /// Are there samples that others push?
    fn has_pushed(&self) -> bool {
        self.engine.snapshots().definitions().rollups().any(pushed::is_pushed)
    }

    /// Of the tables of the metrics, and these; `is_now` when what was counted a moment ago matters, as it does to rules.
    async fn snapshot(
        &self,
        metrics: impl Iterator<Item = &Metric>,
        of_views: impl IntoIterator<Item = String>,
        is_now: bool,
    ) -> Result<Snapshot, PromError> {
        let pushed = self.has_pushed().then(|| SAMPLES.to_owned());
        let tables: BTreeSet<String> = metrics.map(|m| m.rollup.clone()).chain(pushed).chain(of_views).collect();
        let tables: Vec<String> = tables.into_iter().collect();
        let snapshots = self.engine.snapshots();
        let snapshot = match is_now {
            true => snapshots.take_now(&tables).await,
            false => snapshots.take(&tables).await,
        };
        snapshot.map_err(|error| PromError::Unavailable(error.to_string()))
    }
}

/// The metrics whose name fits the matchers.
fn named<'m>(all: &'m BTreeMap<String, Metric>, matchers: &[Matcher]) -> Vec<&'m Metric> {
    let of_name = || matchers.iter().filter(|m| m.name == "__name__");
    all.values().filter(|metric| of_name().all(|m| m.matches(&metric.name))).collect()
}

#[cfg(test)]
mod tests;

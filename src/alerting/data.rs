//! What rules read and write: PromQL over everything that is counted, and the log of pushed samples.

use super::LateInbox;
use futures::future::BoxFuture;
use prometheus::{IntCounter, IntCounterVec};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tidewatch_alerting::state::Completeness;
use tidewatch_ingest::News;
use tidewatch_ingest::clock::Clock;
use tidewatch_ingest::late::LateEvents;
use tidewatch_ingest::samples::{OwnSeries, SampleReceiver};
use tidewatch_promql::{Answer, Options, Plan, Sample, Selection, Series, Storage, StorageError, VectorSample};
use tidewatch_query::promql::PromEngine;
use tidewatch_ruler::{Changes, Data, Late, LateStretch};
use tokio::runtime::Handle;

/// Under this tenant lies what rules record.
const TENANT: &str = "";

/// Data of this process.
#[derive(Debug, Clone)]
pub struct EngineData {
    pub promql: PromEngine,
    pub samples: SampleReceiver,
    pub news: News,
    pub late: LateInbox,
    /// Events by source.
    pub events: IntCounterVec,
    pub clock: Arc<dyn Clock>,
    /// A watermark that is not further behind than this is as far as it can be.
    pub lag: Duration,
}

impl EngineData {
    /// What is behind by more than is usual is not complete.
    fn completeness(&self, watermark_us: Option<i64>) -> Completeness {
        let lag_us = i64::try_from(self.lag.as_micros()).unwrap_or(i64::MAX);
        match watermark_us {
            None => Completeness::Unknown,
            Some(watermark_us) if watermark_us.saturating_add(lag_us) < self.clock.now_us() => Completeness::Partial,
            Some(_) => Completeness::Complete,
        }
    }
}

impl Data for EngineData {
    fn answer(
        &self,
        plan: Plan,
        own: Arc<dyn Storage + Send + Sync>,
    ) -> BoxFuture<'_, Result<(Answer, Completeness), String>> {
        Box::pin(async move {
            let engine = self.promql.for_rules(own);
            let (answer, progress) = engine.answer_with_progress(plan).await.map_err(|error| error.to_string())?;
            let completeness = match progress.reads_rollups {
                true => self.completeness(progress.watermark_us),
                false => Completeness::Complete,
            };
            Ok((answer, completeness))
        })
    }

    fn ahead_of(&self, plans: Vec<Plan>) -> BoxFuture<'_, Option<Arc<dyn Data>>> {
        Box::pin(async move {
            match self.promql.ahead_of(&plans).await {
                Ok(promql) => Some(Arc::new(Self { promql, ..self.clone() }) as Arc<dyn Data>),
                Err(error) => {
                    tracing::debug!(%error, "each rule reads for itself");
                    None
                }
            }
        })
    }

    fn keep(&self, samples: Vec<VectorSample>) -> BoxFuture<'_, Result<(), String>> {
        let mut series: BTreeMap<_, Vec<(i64, f64)>> = BTreeMap::new();
        for sample in samples {
            // Histograms that rules record are not kept: the log takes floats.
            if let Sample::Float(value) = sample.value {
                series.entry(sample.labels).or_default().push((sample.time_ms, value));
            }
        }
        let own = series.into_iter().map(|(labels, floats)| OwnSeries {
            labels: labels.iter().map(|label| (label.name.to_string(), label.value.to_string())).collect(),
            floats,
        });
        let own: Vec<OwnSeries> = own.collect();
        Box::pin(async move { self.samples.append(TENANT, own).await })
    }

    fn options(&self) -> Options {
        self.promql.limits().options.clone()
    }

    fn changes(&self) -> Arc<dyn Changes> {
        Arc::new(Counted {
            promql: self.promql.clone(),
            news: self.news.clone(),
            events: self.events.clone(),
            counters: OnceLock::new(),
        })
    }

    fn late(&self) -> Arc<dyn Late> {
        Arc::new(CountedLate { promql: self.promql.clone(), inbox: self.late.clone() })
    }

    fn window_ms(&self, metrics: Option<&BTreeSet<String>>) -> i64 {
        self.promql.window_of(metrics).unwrap_or(0).div_euclid(1000)
    }

    fn past(&self, runtime: &Handle) -> Option<Arc<dyn Storage + Send + Sync>> {
        Some(Arc::new(Past { promql: self.promql.clone(), runtime: runtime.clone() }))
    }
}

/// Events that workers counted when their windows were over.
#[derive(Debug)]
struct CountedLate {
    promql: PromEngine,
    inbox: LateInbox,
}

impl Late for CountedLate {
    fn take(&self) -> Vec<LateStretch> {
        let stretch = |late: LateEvents| LateStretch {
            source: late.source,
            from_ms: late.from_us.div_euclid(1000),
            to_ms: late.to_us.div_euclid(1000),
        };
        self.inbox.take().into_iter().map(stretch).collect()
    }

    fn concerns(&self, source: &str, metrics: Option<&BTreeSet<String>>) -> bool {
        self.promql.sources_of(metrics).contains(source)
    }

    fn has_past(&self, metrics: Option<&BTreeSet<String>>) -> bool {
        let (Some(metrics), Ok(runtime)) = (metrics, Handle::try_current()) else { return true };
        // What cannot be planned fails when it is read, with its reason.
        runtime.block_on(self.promql.of_the_present(metrics)).map_or(true, |views| views.is_empty())
    }
}

/// Closed windows and pushed samples, as they are now.
#[derive(Debug)]
struct Past {
    promql: PromEngine,
    runtime: Handle,
}

impl Storage for Past {
    fn select(&self, selection: &Selection) -> Result<Vec<Series>, StorageError> {
        self.runtime.block_on(self.promql.select(selection)).map_err(|error| StorageError(error.to_string()))
    }
}

/// News of what workers count: the number of events of the sources that the metrics of one group come from.
#[derive(Debug)]
struct Counted {
    promql: PromEngine,
    news: News,
    events: IntCounterVec,
    /// Found at the first question: asked often, and always for the same group.
    counters: OnceLock<Vec<IntCounter>>,
}

impl Changes for Counted {
    fn stamp(&self, metrics: Option<&BTreeSet<String>>) -> u64 {
        let counters = self.counters.get_or_init(|| {
            let sources = self.promql.sources_of(metrics).into_iter();
            sources.map(|source| self.events.with_label_values(&[&source])).collect()
        });
        counters.iter().map(IntCounter::get).fold(0, u64::wrapping_add)
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        // Subscribed before anyone waits, so that nothing falls in between.
        let mut news = self.news.subscribe();
        Box::pin(async move {
            if news.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }
}

/// The clock of the workers, as rules and messages take it.
#[derive(Debug)]
pub struct RulerClock(pub Arc<dyn Clock>);

impl tidewatch_notify::Clock for RulerClock {
    fn now_ms(&self) -> i64 {
        self.0.now_us().div_euclid(1000)
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }
}

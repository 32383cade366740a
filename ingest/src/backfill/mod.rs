//! Fills a table with the events from before it began, beside the live path and unheard by it.
//!
//! ```text
//! gaps of a table ─▶ job ─▶ spans that still exist ─▶ source with an end ─▶ worker ─▶ commit
//! engine::backfill          range                     range                the live path's, on one table
//! ```
//!
//! A backfill is a worker like any other: it decodes, counts, freezes and commits as the live path does,
//! so it is as exact and resumes as well. Only its source has an end, its catalogue one table, and its
//! positions names of their own. Records that cannot be used were noted when they were first read. Copies of
//! events count once, as ever: a job that goes on first reads the ids of the records within the horizon
//! before its position.

mod pace;
mod progress;
mod range;

pub use progress::Progress;

use crate::clock::Clock;
use crate::committer::Committer;
use crate::metrics::IngestMetrics;
use crate::pipeline::{Pipeline, PipelineError, WorkerThread};
use crate::source::Source;
use crate::worker::WorkerSettings;
use range::RangeSource;
use std::sync::Arc;
use tidewatch_engine::backfill::{Job, Records, Scope, Span};
use tidewatch_engine::rollup::{Catalog, DIGESTS, RollupSchema, digests_schema};
use tidewatch_storage::{Store, Table};

/// What every job of a backfill shares.
#[derive(Debug)]
pub struct Backfill<'a> {
    /// Everything that is defined.
    pub catalog: &'a Catalog,
    /// The rollup whose table is filled.
    pub rollup: &'a RollupSchema,
    /// Where it is.
    pub store: Store,
    /// How events are read and counted.
    pub settings: WorkerSettings,
    /// Records per second; `None`: as fast as they come.
    pub rate: Option<f64>,
    /// Our own metrics.
    pub metrics: IngestMetrics,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where commits run.
    pub runtime: tokio::runtime::Handle,
}

impl Backfill<'_> {
    /// Starts a job. `source` announces the partitions of `spans`; `records` are those that the job came from.
    ///
    /// The worker ends by itself when all spans are read and committed. It ends with an error when another
    /// backfill works on the same gap: one of the two goes on.
    pub async fn start(
        &self,
        table: Table,
        records: &Records,
        job: &Job,
        spans: &[Span],
        source: Box<dyn Source>,
    ) -> Result<(WorkerThread, Arc<Progress>), PipelineError> {
        let name = &self.rollup.name;
        let mut tables = Vec::new();
        // New measures are counted from events that the digests have already.
        if job.scopes.contains(&Scope::Rollup)
            && let Some(digests) = self.store.table(DIGESTS).await?
        {
            tables.push(digests.filling(&digests_schema(), vec![Scope::Digest(name.clone())])?);
        }
        let late = records.late_measures();
        let catalog = self.catalog.part(name, !tables.is_empty(), &|measure| job.fills(measure, &late));
        tables.push(table.filling(self.rollup, job.scopes.clone())?);
        let ids_from = spans.iter().map(|span| (span.partition.clone(), span.ids_from)).collect();
        let committer = Committer::filling(tables, &catalog, ids_from, self.metrics.clone(), Arc::clone(&self.clock));
        // Which series have rows of their own was decided when the live path met them.
        let committer = committer.with_series(&self.store, self.settings.series_max).await?;
        let progress = Arc::new(Progress::new(spans));
        let source = RangeSource::new(source, spans, self.rate, Arc::clone(&progress), Arc::clone(&self.clock));
        let pipeline = Pipeline {
            catalog: Arc::new(catalog),
            store: self.store.clone(),
            settings: self.settings,
            metrics: self.metrics.clone(),
            news: crate::news::News::default(),
            clock: Arc::clone(&self.clock),
            runtime: self.runtime.clone(),
        };
        Ok((pipeline.start_with(Box::new(source), committer)?, progress))
    }
}

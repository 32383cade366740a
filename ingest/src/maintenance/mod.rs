//! Maintenance of the tables of a store: what `engine::life_cycle` decides is carried out here.
//!
//! ```text
//! listing ─▶ next task ─▶ read its files ─▶ merge ─▶ one commit ─▶ … ─▶ checkpoint ─▶ vacuum
//! ```
//!
//! One table after the other, one task at a time, and in rounds: a table that gets files faster than they are merged
//! leaves the others their turn, and has its log and its folder looked after. Any number of processes may do it for one store: a task
//! whose files somebody else has replaced meanwhile is dropped and decided anew. Workers are not disturbed,
//! and no offset is touched.

mod event_ids;
mod metrics;
mod table;

pub use metrics::MaintenanceMetrics;

use crate::admitted::{DAY, SERIES};
use crate::clock::Clock;
use crate::dead_letter::DEAD_LETTERS;
use crate::late::{LATE_EVENTS, NOTED_AT};
use event_ids::{EVENT_IDS, PANE_START};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use table::TableKeeper;
use thiserror::Error;
use tidewatch_engine::aggregate::AggregateError;
use tidewatch_engine::life_cycle::LifeLimits;
use tidewatch_engine::rollup::{Catalog, RollupSchema};
use tidewatch_storage::{StorageError, Store};
use tokio::sync::watch;

/// When and how tables are maintained.
#[derive(Debug, Clone)]
pub struct MaintenanceSettings {
    /// From the end of one pass over all tables to the start of the next.
    pub interval: Duration,
    /// When a task is worth its work, and how large it may be.
    pub limits: LifeLimits,
    /// A checkpoint of the log is written after so many commits.
    pub checkpoint_commits: u64,
    /// Log entries behind a checkpoint are deleted when they are so old.
    pub log_retention: Duration,
    /// Data files that no version needs any more are deleted after this time.
    pub file_grace: Duration,
    /// How long dead letters are kept; `None`: for ever.
    pub dead_letters_retention: Option<Duration>,
    /// How long event ids are kept, counted from the newest of their partition; at least the time within
    /// which copies of an event are known.
    pub event_ids_retention: Duration,
}

impl Default for MaintenanceSettings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(30),
            limits: LifeLimits::default(),
            checkpoint_commits: 100,
            log_retention: Duration::from_secs(3600),
            file_grace: Duration::from_secs(3600),
            dead_letters_retention: Some(Duration::from_secs(90 * 86_400)),
            event_ids_retention: Duration::from_secs(2 * 86_400),
        }
    }
}

/// How long admitted series are kept, by their day: as long as somebody may want to replay it.
const SERIES_RETENTION: Duration = Duration::from_secs(90 * 86_400);
/// How long is known what was counted late: an analyst may ask why a number has changed.
const LATE_EVENTS_RETENTION: Duration = Duration::from_secs(90 * 86_400);

/// Why a task could not be done.
#[derive(Debug, Error)]
pub enum MaintenanceError {
    /// The table cannot be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Its rows cannot be merged.
    #[error("table {table}: {source}")]
    Merge {
        /// The table.
        table: String,
        /// What is wrong with them.
        source: AggregateError,
    },
}

/// One thing that was done, for whoever shows progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The table.
    pub table: String,
    /// `roll`, `merge`, `expire`, `checkpoint` or `vacuum`.
    pub kind: &'static str,
    /// The tier it was about; empty for what is about the table.
    pub tier: String,
    /// Files read, replaced or deleted.
    pub files: usize,
}

/// Maintains every table of a store.
#[derive(Debug)]
pub struct Maintenance {
    store: Store,
    /// The definitions of today: how long tiers are kept is theirs to say.
    schemas: BTreeMap<String, RollupSchema>,
    settings: MaintenanceSettings,
    metrics: MaintenanceMetrics,
    clock: Arc<dyn Clock>,
    keepers: BTreeMap<String, TableKeeper>,
}

/// How a pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PassEnd {
    /// Nothing is left to do.
    Finished,
    /// This many tables could not be maintained; the log says why.
    Failed(usize),
}

/// How a turn for every table ended.
#[derive(Debug, Clone, Copy, Default)]
struct Round {
    /// Tables that could not be maintained.
    failed: usize,
    /// Some table has more to do.
    is_left: bool,
}

impl Maintenance {
    /// Tables that are in no catalogue keep the retention they were created with.
    pub fn new(
        store: Store,
        catalog: Option<&Catalog>,
        settings: MaintenanceSettings,
        metrics: MaintenanceMetrics,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let tables = catalog.map(Catalog::tables).unwrap_or_default();
        let schemas = tables.into_iter().map(|t| (t.schema.name.clone(), t.schema.clone())).collect();
        Self { store, schemas, settings, metrics, clock, keepers: BTreeMap::new() }
    }

    /// Passes over all tables until `stop` turns true or its sender is gone.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            let mut unheard = |_: &Done| ();
            // Dropping a round at any point leaves at most files that no commit refers to.
            let round = tokio::select! {
                round = self.round(&mut unheard) => round,
                _ = stopped(&mut stop) => return,
            };
            if round.is_left && round.failed == 0 {
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep(self.settings.interval) => {}
                _ = stopped(&mut stop) => return,
            }
        }
    }

    /// Does all there is to do, table by table.
    pub async fn pass(&mut self, mut progress: impl FnMut(&Done)) -> PassEnd {
        loop {
            match self.round(&mut progress).await {
                Round { is_left: true, .. } => {}
                Round { failed: 0, .. } => return PassEnd::Finished,
                Round { failed, .. } => return PassEnd::Failed(failed),
            }
        }
    }

    /// A turn for every table.
    async fn round(&mut self, progress: &mut impl FnMut(&Done)) -> Round {
        let names = match self.store.table_names().await {
            Ok(names) => names,
            Err(error) => {
                tracing::error!(%error, "listing the tables failed; maintenance is tried again");
                return Round { failed: 1, is_left: false };
            }
        };
        let mut round = Round::default();
        for name in names {
            match self.turn(&name, progress).await {
                Ok(is_left) => round.is_left |= is_left,
                Err(error) => {
                    tracing::error!(table = name, %error, "maintenance failed; it is tried again");
                    // What is remembered of the table may be the reason.
                    self.keepers.remove(&name);
                    round.failed += 1;
                }
            }
        }
        round
    }

    /// Does all there is to do for one table.
    pub async fn maintain(&mut self, name: &str, progress: &mut impl FnMut(&Done)) -> Result<(), MaintenanceError> {
        while self.turn(name, progress).await? {}
        Ok(())
    }

    /// Does something for one table; true when more is left to do.
    async fn turn(&mut self, name: &str, progress: &mut impl FnMut(&Done)) -> Result<bool, MaintenanceError> {
        let mut keeper = match self.keepers.remove(name) {
            Some(keeper) => keeper,
            None => match self.store.table(name).await? {
                Some(table) => TableKeeper::new(table, self.schemas.get(name), self.log_retention(name)),
                None => return Ok(false),
            },
        };
        let result = keeper.maintain(&self.settings, &self.metrics, self.clock.as_ref(), progress).await;
        self.keepers.insert(name.to_owned(), keeper);
        result
    }

    /// How long the rows of a table that is no rollup are kept, and the column that tells.
    fn log_retention(&self, name: &str) -> (Option<&'static str>, Option<Duration>) {
        match name {
            DEAD_LETTERS => (Some("arrival_time"), self.settings.dead_letters_retention),
            // Forgotten partition by partition, not by time alone.
            EVENT_IDS => (Some(PANE_START), None),
            SERIES => (Some(DAY), Some(SERIES_RETENTION)),
            LATE_EVENTS => (Some(NOTED_AT), Some(LATE_EVENTS_RETENTION)),
            _ => (None, None),
        }
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error is a sender that is gone: nobody will ask any more.
    let _ = stop.wait_for(|stop| *stop).await;
}

#[cfg(test)]
mod tests;

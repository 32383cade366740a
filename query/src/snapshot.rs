//! One consistent view for one reader: committed files plus the live pieces that they do not have yet.
//!
//! The order matters. Live pieces are taken first, the tables are refreshed after: a piece that is
//! committed in between is found in the table and left out; nothing can be missed by both. A commit
//! takes pieces whole, so a piece is either in the table or not. A table that shows commits of states newer
//! than the pieces would be ahead of the other tables: then the pieces are taken anew.

mod seen;
mod shapes;

use crate::definitions::{DeclaredTable, Definitions};
use crate::live::{LiveError, LiveStates, LiveView};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::datasource::empty::EmptyTable;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
pub(crate) use seen::Seen;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use thiserror::Error;
use tidewatch_engine::commit::TopicPartition;
use tidewatch_engine::completeness::Completeness;
use tidewatch_engine::life_cycle::tiers_of;
use tidewatch_engine::rollup::{RollupSchema, WINDOW_START};
use tidewatch_storage::{DataFile, ROLLED_UP, StorageError, Store, TIER, Table};
use tokio::sync::Mutex;

/// How old a view may be for those who look: panels of one dashboard share one, and wait for no worker.
const VIEW_AGE_MAX: Duration = Duration::from_millis(100);
/// Tables that are loaded or refreshed at the same time.
const PARALLEL_TABLES: usize = 16;
/// Views taken for one snapshot before a table that was overtaken by commits is accepted.
const ATTEMPTS_MAX: u32 = 5;

/// Makes snapshots; remembers loaded tables, so that a refresh reads only new commits.
#[derive(Debug)]
pub struct Snapshots {
    store: Store,
    live: Arc<dyn LiveStates>,
    definitions: RwLock<(Arc<Definitions>, u64)>,
    tables: Mutex<BTreeMap<String, Known>>,
}

/// A table as it was seen last.
#[derive(Debug)]
struct Known {
    table: Table,
    seen: Seen,
}

/// What a reader sees. Dropping it frees the live pieces.
#[derive(Debug)]
pub struct Snapshot {
    /// The tables that were asked for and exist or are declared, by name.
    pub tables: BTreeMap<String, SnapshotTable>,
    /// Windows that end at or before it are closed; `None` while no worker of this process knows.
    pub watermark: Option<i64>,
}

/// One table of a snapshot.
#[derive(Debug)]
pub struct SnapshotTable {
    /// Its rollup; `None` for tables whose rows do not merge.
    pub rollup: Option<RollupSchema>,
    /// Its columns, without those that only divide its files.
    pub schema: SchemaRef,
    /// Per tier of the rollup where it is cut: older rows of it do not count. Empty without windows.
    pub boundaries: Vec<Option<i64>>,
    /// Version of the committed part; `None` while nothing was ever committed.
    pub version: Option<u64>,
    /// The committed part as the store has it; `None` while nothing was ever committed.
    pub stored: Option<Table>,
    /// Which windows are all there.
    pub completeness: Completeness,
    /// Scan of the committed part.
    pub committed: Arc<dyn TableProvider>,
    /// Rows that are not committed yet.
    pub live: Vec<RecordBatch>,
    /// Its columns as queries see them, once somebody has asked.
    pub(crate) seen: Seen,
}

/// Why there is no snapshot.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The tables cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The workers do not answer.
    #[error(transparent)]
    Live(#[from] LiveError),
}

impl Snapshots {
    /// Reads tables of `store` and states of `live`.
    pub fn new(store: Store, live: Arc<dyn LiveStates>) -> Self {
        Self { store, live, definitions: RwLock::default(), tables: Mutex::new(BTreeMap::new()) }
    }

    /// Declares tables and views, instead of those that were declared before.
    pub fn define(&self, definitions: impl Into<Arc<Definitions>>) {
        let mut known = self.definitions.write().unwrap_or_else(PoisonError::into_inner);
        *known = (definitions.into(), known.1 + 1);
    }

    /// What is declared now.
    pub fn definitions(&self) -> Arc<Definitions> {
        self.generation().0
    }

    /// What is declared now, and how many times something else was before.
    pub(crate) fn generation(&self) -> (Arc<Definitions>, u64) {
        let known = self.definitions.read().unwrap_or_else(PoisonError::into_inner);
        (Arc::clone(&known.0), known.1)
    }

    /// The store that the tables are in.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// What the workers of this process say.
    pub(crate) async fn live(&self) -> Result<LiveView, SnapshotError> {
        Ok(self.live.view(VIEW_AGE_MAX).await?)
    }

    /// Names of all tables that exist or are declared, sorted.
    pub async fn table_names(&self) -> Result<Vec<String>, SnapshotError> {
        let mut names: BTreeSet<String> = self.store.table_names().await?.into_iter().collect();
        names.extend(self.definitions().tables().keys().cloned());
        Ok(names.into_iter().collect())
    }

    /// A snapshot of the named tables; names of no table are left out. States in memory may be a tenth of a second
    /// old.
    ///
    /// All tables answer for the same offsets, unless commits overtake every one of several attempts.
    pub async fn take(&self, names: &[String]) -> Result<Snapshot, SnapshotError> {
        self.take_within(names, VIEW_AGE_MAX).await
    }

    /// A snapshot of everything that was counted by now, for those who act on it.
    pub async fn take_now(&self, names: &[String]) -> Result<Snapshot, SnapshotError> {
        self.take_within(names, Duration::ZERO).await
    }

    async fn take_within(&self, names: &[String], mut age_max: Duration) -> Result<Snapshot, SnapshotError> {
        let mut attempts_left = ATTEMPTS_MAX;
        loop {
            let view = self.live.view(age_max).await?;
            // What was overtaken once is not good enough again.
            age_max = Duration::ZERO;
            attempts_left -= 1;
            if let Some(snapshot) = self.take_with(names, &view, attempts_left == 0).await? {
                return Ok(snapshot);
            }
        }
    }

    /// `None` when a table has moved on past the view, unless that is accepted.
    async fn take_with(
        &self,
        names: &[String],
        view: &LiveView,
        accept: bool,
    ) -> Result<Option<Snapshot>, SnapshotError> {
        let definitions = self.definitions();
        let mut asked: Vec<BoxFuture<'_, _>> = Vec::with_capacity(names.len());
        for name in names {
            asked.push(self.table(name, view, &definitions).boxed());
        }
        // Of a remote store, each waits for an answer about its own log.
        let seen: Vec<_> = stream::iter(asked).buffered(PARALLEL_TABLES).try_collect().await?;
        if !accept && seen.iter().any(|(_, is_behind)| *is_behind) {
            return Ok(None);
        }
        let tables = names.iter().zip(seen).filter_map(|(name, (table, _))| Some((name.clone(), table?))).collect();
        Ok(Some(Snapshot { tables, watermark: view.watermark() }))
    }

    /// One table, `None` if there is none of that name, and whether it has moved on past the view.
    async fn table(
        &self,
        name: &str,
        view: &LiveView,
        definitions: &Definitions,
    ) -> Result<(Option<SnapshotTable>, bool), SnapshotError> {
        let Some((mut table, seen, is_fresh)) = self.known(name).await? else {
            let declared = definitions.table(name).map(|declared| {
                let live = view.pieces.iter().filter_map(|p| p.batch(name)).collect();
                SnapshotTable::not_created(declared, live, completeness_of_live(name, view))
            });
            return Ok((declared, false));
        };
        if !is_fresh {
            table.refresh().await?;
        }
        let partitions: BTreeSet<TopicPartition> =
            view.pieces.iter().flat_map(|p| p.ranges(name).keys().cloned()).collect();
        let positions = table.positions(&partitions.into_iter().collect::<Vec<_>>()).await?;
        let is_behind = view.is_behind(table.known_positions());
        let missing = view.pieces.iter().filter(|p| p.is_missing_from(name, &positions));
        let live = missing.filter_map(|p| p.batch(name)).collect();
        let committed = table.provider()?;
        let rollup = table.rollup().cloned();
        let mut boundaries = Vec::new();
        for tier in rollup.as_ref().filter(|r| r.pane_us.is_some()).map(tiers_of).unwrap_or_default() {
            boundaries.push(table.retained(&tier.name()).await?);
        }
        let schema = rollup.as_ref().map_or_else(|| table.schema(), RollupSchema::arrow_schema);
        let version = Some(table.version());
        let completeness = completeness(&table, name, view).with(table.unfilled().await?);
        let stored = Some(table.clone());
        let seen = seen.or_other(&committed.schema(), rollup.as_ref());
        self.remember(table, seen.clone()).await;
        let table = SnapshotTable { rollup, schema, boundaries, version, stored, completeness, committed, live, seen };
        Ok((Some(table), is_behind))
    }

    /// A copy of the remembered table, or the newest one from the store, which needs no refresh.
    async fn known(&self, name: &str) -> Result<Option<(Table, Seen, bool)>, SnapshotError> {
        if let Some(known) = self.tables.lock().await.get(name) {
            return Ok(Some((known.table.clone(), known.seen.clone(), false)));
        }
        Ok(self.store.table(name).await?.map(|table| (table, Seen::default(), true)))
    }

    /// Readers run side by side; the one that saw most teaches the others.
    async fn remember(&self, table: Table, seen: Seen) {
        let mut tables = self.tables.lock().await;
        if tables.get(table.name()).is_none_or(|known| known.table.version() <= table.version()) {
            tables.insert(table.name().to_owned(), Known { table, seen });
        }
    }
}

impl SnapshotTable {
    /// A declared table before its first commit: live rows are all there is.
    pub fn not_created(declared: &DeclaredTable, live: Vec<RecordBatch>, completeness: Completeness) -> Self {
        let schema = Arc::clone(&declared.schema);
        let windowed = declared.rollup.as_ref().filter(|r| r.pane_us.is_some());
        let stored = windowed.map_or_else(|| Arc::clone(&schema), stored_schema);
        let committed = Arc::new(EmptyTable::new(stored));
        let boundaries = vec![None; windowed.map_or(0, |r| tiers_of(r).len())];
        let rollup = declared.rollup.clone();
        let seen = Seen::default();
        Self { rollup, schema, boundaries, version: None, stored: None, completeness, committed, live, seen }
    }

    /// Were there never any rows?
    pub(crate) fn is_empty(&self) -> bool {
        self.stored.is_none() && self.live.iter().all(|batch| batch.num_rows() == 0)
    }

    /// The live files of the committed part.
    pub(crate) fn files(&self) -> Result<Vec<DataFile>, StorageError> {
        match &self.stored {
            Some(table) => table.files(self.rollup.as_ref().and_then(|r| r.pane_us).map(|_| WINDOW_START)),
            None => Ok(Vec::new()),
        }
    }
}

/// What a table records of its partitions, and what the workers here know better.
fn completeness(table: &Table, name: &str, view: &LiveView) -> Completeness {
    let mut partitions = table.known_watermarks().clone();
    partitions
        .extend(live_partitions(name, view).filter(|p| !table.known_watermarks().contains_key(p)).map(|p| (p, None)));
    Completeness::of(&partitions, &view.progress)
}

fn completeness_of_live(name: &str, view: &LiveView) -> Completeness {
    Completeness::of(&live_partitions(name, view).map(|p| (p, None)).collect(), &view.progress)
}

/// Partitions that bring rows which are not committed yet.
fn live_partitions<'a>(name: &'a str, view: &'a LiveView) -> impl Iterator<Item = TopicPartition> + 'a {
    view.pieces.iter().flat_map(move |p| p.ranges(name).keys().cloned())
}

/// The columns of the table that will be made: those that divide its files as well.
fn stored_schema(rollup: &RollupSchema) -> SchemaRef {
    let mut fields: Vec<Field> = rollup.arrow_schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    fields.push(Field::new(TIER, DataType::Utf8, false));
    fields.push(Field::new(ROLLED_UP, DataType::Boolean, false));
    Arc::new(Schema::new(fields))
}

#[cfg(test)]
mod tests;

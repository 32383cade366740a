//! Carries out commits: pieces become one sorted batch per table, appended with their offsets.
//!
//! One committer belongs to one worker and runs beside it, so that consuming goes on meanwhile. A
//! failing store is retried for as long as the worker waits; the worker pauses reading when its open
//! states reach their bound.

mod target;

use crate::admitted::{self, SERIES};
use crate::clock::Clock;
use crate::commit_health::Attempts;
use crate::dead_letter::DEAD_LETTERS;
use crate::event_ids::{self, EVENT_IDS, RememberedIds, event_ids_schema};
use crate::late::{LATE_EVENTS, LateEvents, LateTable};
use crate::metrics::IngestMetrics;
use crate::piece::WorkerPiece;
use crate::tables::open_all;
use futures::{FutureExt, StreamExt};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;
use target::{Others, Outcome, Target};
use tidewatch_engine::cardinality::FreshSeries;
use tidewatch_engine::commit::TopicPartition;
use tidewatch_engine::dedupe::DedupeSettings;
use tidewatch_engine::rollup::Catalog;
use tidewatch_storage::{Rows, StorageError, Store, Table};
use tokio::sync::mpsc;
use tracing::Instrument;

/// Tables written at the same time.
const PARALLEL_TABLES: usize = 4;
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LONGEST: Duration = Duration::from_secs(10);
/// Longer than the time between the commits of one flush to two tables.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// What failing attempts to read positions are called.
const POSITIONS: &str = "committed positions";

/// What the worker asks for.
#[derive(Debug)]
pub enum Request {
    /// Commit these pieces, oldest first.
    Commit {
        /// The pieces.
        pieces: Vec<Arc<WorkerPiece>>,
        /// Watermark of every partition that they cover.
        watermarks: BTreeMap<TopicPartition, i64>,
    },
    /// Look the committed positions up, from the store.
    Positions(Vec<TopicPartition>),
}

/// What the committer answers, one answer per request, in order.
#[derive(Debug)]
pub enum Answer {
    /// Every table has the pieces.
    Committed,
    /// Some table stands elsewhere: everything not committed must be thrown away and replayed.
    MustReplay,
    /// This worker must not write any more; the reason.
    Refused(String),
    /// Where the tables stand.
    Positions(Positions),
}

/// Where the tables stand.
#[derive(Debug, Default)]
pub struct Positions {
    /// Position per table and partition.
    pub tables: BTreeMap<String, BTreeMap<TopicPartition, i64>>,
    /// Newest watermark that any table records, per partition.
    pub watermarks: BTreeMap<TopicPartition, i64>,
    /// Ids of the events up to the offset where each partition starts: the least of its positions.
    pub remembered: BTreeMap<TopicPartition, Vec<RememberedIds>>,
    /// Series that have rows of their own, of all workers.
    pub admitted: Vec<FreshSeries>,
}

impl Positions {
    /// Where each partition starts: what some table lacks is counted again.
    pub fn starts(&self) -> BTreeMap<TopicPartition, i64> {
        let mut starts = BTreeMap::new();
        for (partition, &position) in self.tables.values().flatten() {
            let start = starts.entry(partition.clone()).or_insert(position);
            *start = position.min(*start);
        }
        starts
    }

    /// Do all tables that count events stand at one place?
    fn are_even(&self) -> bool {
        let mut found = BTreeMap::new();
        let counting = self.tables.iter().filter(|(table, _)| ![EVENT_IDS, DEAD_LETTERS].contains(&table.as_str()));
        let mut positions = counting.flat_map(|(_, positions)| positions);
        positions.all(|(partition, position)| *found.entry(partition).or_insert(position) == position)
    }
}

/// Writes the tables of one worker.
#[derive(Debug)]
pub struct Committer {
    tables: Vec<Target>,
    /// `None` when no ids are remembered.
    dedupe: Option<DedupeSettings>,
    /// Where admitted series are written down; `None` when there is no limit to them.
    series: Option<Table>,
    /// Where is written down what was counted late; `None` in a backfill, of which nobody had heard anything before.
    late: Option<LateTable>,
    /// `Some`: positions are those of a backfill, and nobody else may move them. Per partition the offset after
    /// which ids of events are remembered; those of the live path are its own.
    backfill: Option<BTreeMap<TopicPartition, i64>>,
    attempts: Attempts,
    metrics: IngestMetrics,
    clock: Arc<dyn Clock>,
}

impl Committer {
    /// Opens or creates every table of the catalogue, and the dead letters. `disorder_us`: how far events may
    /// lie beyond a watermark, microseconds.
    pub async fn open(
        store: &Store,
        catalog: &Catalog,
        disorder_us: i64,
        metrics: IngestMetrics,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StorageError> {
        let (rollups, letters) = open_all(store, catalog, disorder_us).await?;
        let mut tables: Vec<Target> = rollups.into_iter().map(|(plan, table)| Target::of(&plan, table)).collect();
        tables.push(Target::of_rows(letters));
        let (late, attempts) = (Some(LateTable::new(store)), metrics.commit_health.attempts());
        Ok(Self { tables, dedupe: None, series: None, late, backfill: None, attempts, metrics, clock })
    }

    /// Writes tables that were opened for a backfill, one after the other in this order; `catalog` counts
    /// nothing else. The last one tells what is filled: a crash in between leaves the others ahead of it.
    /// What cannot be used is not noted: the live path has done so when it read it. `ids_from`: per partition
    /// the offset after which ids of events are remembered.
    pub(crate) fn filling(
        tables: Vec<Table>,
        catalog: &Catalog,
        ids_from: BTreeMap<TopicPartition, i64>,
        metrics: IngestMetrics,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let plans = catalog.tables();
        let target = |table: Table| {
            let plan = plans.iter().find(|plan| plan.schema.name == table.name())?;
            Some(Target::of(plan, table))
        };
        let tables = tables.into_iter().filter_map(target).collect();
        let attempts = metrics.commit_health.attempts();
        Self { tables, dedupe: None, series: None, late: None, backfill: Some(ids_from), attempts, metrics, clock }
    }

    /// Keeps the ids of events as well, if the settings say so.
    pub async fn with_event_ids(mut self, store: &Store, settings: DedupeSettings) -> Result<Self, StorageError> {
        if settings.is_on() {
            let properties = [("delta.dataSkippingNumIndexedCols", "5".to_owned())];
            let table = Table::open_or_create(store, EVENT_IDS, &event_ids_schema(), &properties).await?;
            self.tables.push(Target::of_rows(table));
            self.dedupe = Some(settings);
        }
        Ok(self)
    }

    /// Writes down which series have rows of their own, if there is a limit to them (`series_max` above 0).
    pub async fn with_series(mut self, store: &Store, series_max: usize) -> Result<Self, StorageError> {
        if series_max > 0 {
            self.series = Some(admitted::open(store).await?);
        }
        Ok(self)
    }

    /// Serves the worker until it hangs up.
    pub async fn run(mut self, mut requests: mpsc::Receiver<Request>, answers: SyncSender<Answer>) {
        while let Some(request) = requests.recv().await {
            let answer = match request {
                Request::Commit { pieces, watermarks } => {
                    let span = tracing::info_span!(target: "otel", "commit", pieces = pieces.len());
                    self.commit(&pieces, &watermarks).instrument(span).await
                }
                Request::Positions(partitions) => Answer::Positions(self.positions(&partitions).await),
            };
            // A worker that does not listen any more has stopped; so do we.
            if answers.send(answer).is_err() {
                return;
            }
        }
    }

    async fn positions(&mut self, partitions: &[TopicPartition]) -> Positions {
        let mut delay = RETRY_FIRST;
        let mut uneven = None;
        loop {
            match self.try_positions(partitions).await {
                // Either a crash has left the tables of a backfill so, or another one is between two commits: it
                // is, unless they stay as they are.
                Ok(positions) if self.backfill.is_some() && !positions.are_even() => {
                    if uneven.as_ref() == Some(&positions.tables) {
                        return positions;
                    }
                    uneven = Some(positions.tables);
                    tokio::time::sleep(LOOK_AGAIN).await;
                    continue;
                }
                Ok(positions) => {
                    self.attempts.succeeded(POSITIONS);
                    return positions;
                }
                Err(error) => {
                    tracing::error!(%error, "reading committed positions failed; trying again");
                    self.attempts.failed(POSITIONS, error.to_string());
                }
            }
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(RETRY_LONGEST);
        }
    }

    pub(crate) async fn try_positions(&mut self, partitions: &[TopicPartition]) -> Result<Positions, StorageError> {
        let mut positions = Positions::default();
        for target in &mut self.tables {
            target.table.refresh().await?;
            let read: Vec<TopicPartition> = partitions.iter().filter(|p| target.reads.covers(p)).cloned().collect();
            let standing = target.table.positions(&read).await?;
            if self.backfill.is_some() {
                target.standing = standing.clone();
            }
            positions.tables.insert(target.table.name().to_owned(), standing);
            for partition in read {
                if let Some(watermark) = target.table.watermark(&partition).await? {
                    let newest = positions.watermarks.entry(partition).or_insert(watermark);
                    *newest = watermark.max(*newest);
                }
            }
        }
        if let Some(ids_from) = &self.backfill {
            // Tables that a backfill leaves alone stand where it does.
            let filled = self.tables.last().and_then(|t| positions.tables.get(t.table.name())).cloned();
            let filled = filled.unwrap_or_default();
            let ids = filled.iter().map(|(p, &at)| (p.clone(), ids_from.get(p).map_or(at, |&from| from.min(at))));
            positions.tables.insert(EVENT_IDS.to_owned(), ids.collect());
            positions.tables.insert(DEAD_LETTERS.to_owned(), filled);
        }
        positions.remembered = self.remembered(&positions).await?;
        if let Some(series) = &mut self.series {
            series.refresh().await?;
            positions.admitted = admitted::read(series).await?;
        }
        Ok(positions)
    }

    /// The ids of the events up to where each partition will start.
    async fn remembered(
        &self,
        positions: &Positions,
    ) -> Result<BTreeMap<TopicPartition, Vec<RememberedIds>>, StorageError> {
        let Some((settings, target)) = self.dedupe.zip(self.tables.iter().find(|t| t.table.name() == EVENT_IDS)) else {
            return Ok(BTreeMap::new());
        };
        event_ids::read(&target.table, &positions.starts(), &settings).await
    }

    async fn commit(&mut self, pieces: &[Arc<WorkerPiece>], watermarks: &BTreeMap<TopicPartition, i64>) -> Answer {
        let started = self.clock.monotonic();
        if !self.commit_series(pieces).await {
            return Answer::MustReplay;
        }
        self.commit_late(pieces).await;
        let (metrics, attempts) = (&self.metrics, &self.attempts);
        let mut outcomes = Vec::new();
        if self.backfill.is_some() {
            // Whoever is the first at the first table goes on, and all others stop there.
            for target in &mut self.tables {
                outcomes.push(target.commit(pieces, watermarks, (metrics, attempts), Others::Never).await);
                if outcomes.last() != Some(&Outcome::Done) {
                    break;
                }
            }
        } else {
            let commit = |t| Target::commit(t, pieces, watermarks, (metrics, attempts), Others::Maybe).boxed();
            let commits: Vec<_> = self.tables.iter_mut().map(commit).collect();
            outcomes = futures::stream::iter(commits).buffer_unordered(PARALLEL_TABLES).collect().await;
        }
        if let Some(Outcome::Refused(reason)) = outcomes.iter().find(|o| matches!(o, Outcome::Refused(_))) {
            return Answer::Refused(reason.clone());
        }
        if outcomes.contains(&Outcome::MustReplay) {
            return match self.backfill {
                None => Answer::MustReplay,
                Some(_) => {
                    Answer::Refused("another backfill is at work on the same gap; this one has stopped".to_owned())
                }
            };
        }
        metrics.commit_seconds.observe((self.clock.monotonic() - started).as_secs_f64());
        metrics.last_commit.set(self.clock.now_us() as f64 / 1e6);
        Answer::Committed
    }
}

impl Committer {
    /// Writes the admitted series down before any row that follows from them: if only these are committed,
    /// the same events are counted again and decided alike. False when they cannot be written.
    pub(crate) async fn commit_series(&mut self, pieces: &[Arc<WorkerPiece>]) -> bool {
        let Some(table) = &mut self.series else { return true };
        let batch = match admitted::batch(pieces.iter().flat_map(|p| p.admitted())) {
            Ok(None) => return true,
            Ok(batch) => batch,
            Err(error) => {
                tracing::error!(table = SERIES, %error, "admitted series cannot be written; replaying");
                return false;
            }
        };
        let rows = Rows { batch, ..Rows::default() };
        let mut delay = RETRY_FIRST;
        while let Err(error) = table.append(&rows).await {
            tracing::error!(table = SERIES, %error, retry_in = ?delay, "commit failed");
            self.metrics.commits.with_label_values(&[SERIES, "failed"]).inc();
            self.attempts.failed(SERIES, error.to_string());
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(RETRY_LONGEST);
        }
        self.metrics.commits.with_label_values(&[SERIES, "committed"]).inc();
        self.attempts.succeeded(SERIES);
        true
    }

    /// Notes what was counted late before its rows: if only this is committed, the same events are counted and noted
    /// again, and whoever looks at these times finds nothing new.
    async fn commit_late(&mut self, pieces: &[Arc<WorkerPiece>]) {
        let late: Vec<&LateEvents> = pieces.iter().flat_map(|piece| piece.late()).collect();
        let Some(table) = self.late.as_mut().filter(|_| !late.is_empty()) else { return };
        let mut delay = RETRY_FIRST;
        while let Err(error) = table.append(&late, self.clock.now_us()).await {
            tracing::error!(table = LATE_EVENTS, %error, retry_in = ?delay, "commit failed");
            self.metrics.commits.with_label_values(&[LATE_EVENTS, "failed"]).inc();
            self.attempts.failed(LATE_EVENTS, error.to_string());
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(RETRY_LONGEST);
        }
        self.metrics.commits.with_label_values(&[LATE_EVENTS, "committed"]).inc();
        self.attempts.succeeded(LATE_EVENTS);
    }
}

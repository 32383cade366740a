//! Maintenance of one table.

use super::event_ids::{self, EVENT_IDS};
use super::{Done, MaintenanceError, MaintenanceMetrics, MaintenanceSettings};
use crate::clock::Clock;
use std::collections::BTreeMap;
use std::time::Duration;
use tidewatch_engine::life_cycle::{FileInfo, Life, Output, Task, next_task, outputs, tiers_of};
use tidewatch_engine::rollup::{DefinitionChange, RollupSchema, Tier, WINDOW_START};
use tidewatch_engine::time::{DAY_US, HOUR_US};
use tidewatch_storage::{DataFile, Part, ReplaceOutcome, Replacement, Table};
use tracing::Instrument;

/// Name under which a keyed table records which keys it has dropped.
const KEYS: &str = "keys";

/// At most so often the folder of a table is looked through for files that nobody needs.
const VACUUM_SPACING: Duration = Duration::from_secs(1800);

const LOG_BUCKETS: i64 = 8;
const LOG_BUCKET_US: i64 = 30 * DAY_US;
const IDS_BUCKET_US: i64 = 6 * HOUR_US;

/// Conflicts in a row before a table is left to whoever else maintains it, until the next pass.
const CONFLICTS_MAX: usize = 5;

/// Tasks of one table before its log and its folder are looked after, and other tables have their turn. A table may get
/// files faster than they are merged.
pub(super) const TASKS_IN_A_ROW: usize = 8;

/// A table and what is remembered of it between passes.
#[derive(Debug)]
pub(super) struct TableKeeper {
    table: Table,
    /// The definition of today.
    defined: Option<RollupSchema>,
    /// Its rollup with the retention of today; `None` for rows that do not merge.
    schema: Option<RollupSchema>,
    /// The column that tells how old rows are.
    time_column: Option<&'static str>,
    /// How long rows that do not merge are kept.
    log_retention: Option<Duration>,
    /// Finest first; empty without windows.
    tiers: Vec<Tier>,
    /// When files were last deleted, on the monotonic clock.
    vacuumed: Option<Duration>,
}

impl TableKeeper {
    /// `defined` is today's definition; it counts when the table keeps the same numbers, or one of both more
    /// measures. `log` is for tables that are no rollup: their time column, and how long their rows are kept.
    pub(super) fn new(
        table: Table,
        defined: Option<&RollupSchema>,
        log: (Option<&'static str>, Option<Duration>),
    ) -> Self {
        let time_column = match table.rollup() {
            Some(rollup) => rollup.pane_us.map(|_| WINDOW_START),
            None => log.0,
        };
        let mut keeper = Self {
            table,
            defined: defined.cloned(),
            schema: None,
            time_column,
            log_retention: log.1,
            tiers: Vec::new(),
            vacuumed: None,
        };
        keeper.follow_definition();
        keeper
    }

    /// Others may have added measures: rows that are merged must keep them.
    fn follow_definition(&mut self) {
        let kept_like = |stored: &RollupSchema, defined: &RollupSchema| {
            let changes = [DefinitionChange::between(stored, defined), DefinitionChange::between(defined, stored)];
            changes.iter().any(|change| !matches!(change, DefinitionChange::Other(_)))
        };
        self.schema = self.table.rollup().map(|stored| match &self.defined {
            Some(defined) if kept_like(stored, defined) => {
                RollupSchema { tiers: defined.tiers.clone(), retain_us: defined.retain_us, ..stored.clone() }
            }
            _ => stored.clone(),
        });
        self.tiers = self.schema.as_ref().map(tiers_of).unwrap_or_default();
    }

    /// Does some of what there is to do; true when more is left.
    pub(super) async fn maintain(
        &mut self,
        settings: &MaintenanceSettings,
        metrics: &MaintenanceMetrics,
        clock: &dyn Clock,
        progress: &mut impl FnMut(&Done),
    ) -> Result<bool, MaintenanceError> {
        self.table.refresh().await?;
        self.follow_definition();
        let (mut tasks, mut conflicts) = (0, 0);
        let mut files = self.table.files(self.time_column)?;
        while tasks < TASKS_IN_A_ROW && conflicts < CONFLICTS_MAX {
            let infos: Vec<FileInfo> = files.iter().map(|f| self.info(f)).collect();
            let life = self.life().await?;
            let Some(task) = next_task(&life, &infos, clock.now_us(), &settings.limits) else { break };
            let started = clock.monotonic();
            let (table, kind, count) = (self.table.name().to_owned(), task.kind(), task.files().len());
            let span =
                tracing::info_span!(target: "otel", "maintenance.task", table, kind_of_task = kind, files = count);
            let outcome = self.carry_out(&life, &task, &files).instrument(span).await;
            let seconds = (clock.monotonic() - started).as_secs_f64();
            metrics.seconds.with_label_values(&[task.kind()]).observe(seconds);
            let name = match &outcome {
                Ok(ReplaceOutcome::Committed { .. }) => "done",
                Ok(ReplaceOutcome::Conflict) => "conflict",
                Err(_) => "failed",
            };
            metrics.tasks.with_label_values(&[task.kind(), name]).inc();
            match outcome? {
                ReplaceOutcome::Committed { version } => {
                    (tasks, conflicts) = (tasks + 1, 0);
                    tracing::debug!(
                        table = self.table.name(),
                        version,
                        kind = task.kind(),
                        files = task.files().len(),
                        "maintained"
                    );
                    progress(&self.done(task.kind(), self.tier_of(&task), task.files().len()));
                }
                // The newest version is loaded: its files are another listing.
                ReplaceOutcome::Conflict => conflicts += 1,
            }
            self.follow_definition();
            files = self.table.files(self.time_column)?;
            tokio::task::yield_now().await;
        }
        self.measure(files, metrics);
        self.keep_up(settings, metrics, clock, progress).await?;
        Ok(tasks == TASKS_IN_A_ROW)
    }

    /// Checkpoint, old log entries, files that nobody needs.
    async fn keep_up(
        &mut self,
        settings: &MaintenanceSettings,
        metrics: &MaintenanceMetrics,
        clock: &dyn Clock,
        progress: &mut impl FnMut(&Done),
    ) -> Result<(), MaintenanceError> {
        let count = |kind, done: bool| {
            metrics.tasks.with_label_values(&[kind, if done { "done" } else { "failed" }]).inc();
        };
        let checkpoint =
            self.table.checkpoint(settings.checkpoint_commits, settings.log_retention, clock.now_us()).await;
        if !matches!(checkpoint, Ok(false)) {
            count("checkpoint", checkpoint.is_ok());
        }
        if checkpoint? {
            progress(&self.done("checkpoint", String::new(), 1));
        }
        // Deleting lists the whole folder: once in a while is enough.
        let now = clock.monotonic();
        if self.vacuumed.is_some_and(|last| now - last < settings.file_grace.max(VACUUM_SPACING)) {
            return Ok(());
        }
        if self.table.name() == EVENT_IDS {
            let forgotten = event_ids::forget(&mut self.table, settings.event_ids_retention).await;
            if !matches!(forgotten, Ok(0)) {
                count("expire", forgotten.is_ok());
            }
            let files = forgotten?;
            if files > 0 {
                progress(&self.done("expire", String::new(), files));
            }
        }
        let vacuumed = self.table.vacuum(settings.file_grace).await;
        count("vacuum", vacuumed.is_ok());
        let deleted = vacuumed?;
        self.vacuumed = Some(now);
        metrics.vacuumed.with_label_values(&[self.table.name()]).inc_by(deleted as u64);
        if deleted > 0 {
            progress(&self.done("vacuum", String::new(), deleted));
        }
        Ok(())
    }

    async fn carry_out(
        &mut self,
        life: &Life,
        task: &Task,
        files: &[DataFile],
    ) -> Result<ReplaceOutcome, MaintenanceError> {
        let remove: Vec<String> = task.files().iter().map(|&f| files[f].path.clone()).collect();
        let mut batches = Vec::new();
        if !matches!(task, Task::Expire { .. }) {
            let schema = self.schema.as_ref().map_or_else(|| self.table.schema(), RollupSchema::arrow_schema);
            for path in &remove {
                match self.table.read(path, schema.clone()).await {
                    Ok(rows) => batches.extend(rows),
                    Err(error) => {
                        // Replaced and deleted by somebody else, perhaps: then it is a conflict like any other.
                        self.table.refresh().await?;
                        let live = self.table.files(None)?;
                        return match live.iter().any(|f| &f.path == path) {
                            true => Err(error.into()),
                            false => Ok(ReplaceOutcome::Conflict),
                        };
                    }
                }
            }
        }
        let outputs = self.outputs(life, task, batches).await?;
        let part =
            |o: Output| Part { tier: o.tier.map(|t| self.tiers[t].name()), rolled_up: o.rolled_up, batch: o.batch };
        let replacement = Replacement {
            remove,
            add: outputs.into_iter().map(part).collect(),
            retained: self.retained_by(task),
            changes_data: changes_data(life, task),
        };
        Ok(self.table.replace(&replacement).await?)
    }

    /// Merging is work for the processor: it must not hold up those who share the runtime.
    async fn outputs(
        &self,
        life: &Life,
        task: &Task,
        batches: Vec<arrow::record_batch::RecordBatch>,
    ) -> Result<Vec<Output>, MaintenanceError> {
        let (life, task, schema, column) = (life.clone(), task.clone(), self.schema.clone(), self.time_column);
        let merged = tokio::task::spawn_blocking(move || outputs(&life, &task, schema.as_ref(), column, &batches));
        let fail = |source| MaintenanceError::Merge { table: self.table.name().to_owned(), source };
        match merged.await {
            Ok(result) => result.map_err(fail),
            Err(error) => Err(fail(arrow::error::ArrowError::ComputeError(error.to_string()).into())),
        }
    }

    /// The boundary that a task moves, by the name it is recorded under.
    fn retained_by(&self, task: &Task) -> Option<(String, i64)> {
        match task {
            Task::Expire { tier: Some(tier), boundary: Some(boundary), .. } => {
                Some((self.tiers[*tier].name(), *boundary))
            }
            Task::Merge { is_whole: true, drop_before: Some(before), .. } => Some((KEYS.to_owned(), *before)),
            _ => None,
        }
    }

    async fn life(&mut self) -> Result<Life, MaintenanceError> {
        Ok(match &self.schema {
            Some(schema) if schema.pane_us.is_some() => {
                let mut boundaries = Vec::new();
                for tier in &self.tiers {
                    boundaries.push(self.table.retained(&tier.name()).await?);
                }
                Life::Windows { tiers: self.tiers.clone(), boundaries }
            }
            Some(schema) => {
                let retain_us = schema.retain_us;
                Life::Keys { retain_us, dropped_before: self.table.retained(KEYS).await? }
            }
            None => Life::Log { retain_us: self.log_retention.map(us), bucket_us: self.log_bucket_us() },
        })
    }

    /// Rows that do not merge are joined within stretches of their time that are a small part of the time
    /// they are kept, so that whole files grow too old.
    fn log_bucket_us(&self) -> i64 {
        match (self.table.name(), self.log_retention) {
            (EVENT_IDS, _) => IDS_BUCKET_US,
            (_, Some(kept)) => (us(kept) / LOG_BUCKETS).clamp(1, LOG_BUCKET_US),
            (_, None) => LOG_BUCKET_US,
        }
    }

    fn info(&self, file: &DataFile) -> FileInfo {
        let name = file.tier.as_deref();
        let tier = name.and_then(|name| self.tiers.iter().position(|t| t.name() == name));
        FileInfo { tier, rolled_up: file.rolled_up, times: file.times, rows: file.rows, bytes: file.bytes }
    }

    fn tier_of(&self, task: &Task) -> String {
        let tier = match task {
            Task::Roll { tier, .. } => Some(*tier),
            Task::Merge { tier, .. } | Task::Expire { tier, .. } => *tier,
        };
        tier.map(|t| self.tiers[t].name()).unwrap_or_default()
    }

    fn done(&self, kind: &'static str, tier: String, files: usize) -> Done {
        Done { table: self.table.name().to_owned(), kind, tier, files }
    }

    /// Files and bytes per tier.
    fn measure(&self, files: Vec<DataFile>, metrics: &MaintenanceMetrics) {
        let mut sums: BTreeMap<String, (i64, i64)> = self.tiers.iter().map(|t| (t.name(), (0, 0))).collect();
        for file in files {
            let sum = sums.entry(file.tier.unwrap_or_default()).or_default();
            *sum = (sum.0 + 1, sum.1 + i64::try_from(file.bytes).unwrap_or(i64::MAX));
        }
        for (tier, (files, bytes)) in sums {
            let labels = [self.table.name(), tier.as_str()];
            metrics.files.with_label_values(&labels).set(files);
            metrics.bytes.with_label_values(&labels).set(bytes);
        }
    }
}

fn us(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Do readers see other numbers afterwards? Rolling and merging keep every event.
fn changes_data(life: &Life, task: &Task) -> bool {
    match (life, task) {
        (_, Task::Expire { .. }) => true,
        (Life::Windows { .. }, _) => false,
        (_, Task::Merge { drop_before, .. }) => drop_before.is_some(),
        (_, Task::Roll { .. }) => false,
    }
}

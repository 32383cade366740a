//! One Delta table: create it, append to it with offsets, read it.

mod evolve;
mod fill;
mod records;

use crate::transaction::{Ledger, Recorded, begins_id, offset_id};
use crate::{StorageError, Store};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties, TransactionError};
use deltalake::kernel::{Action, StructType, Transaction};
use deltalake::operations::create::CreateBuilder;
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::writer::{DeltaWriter, RecordBatchWriter};
use deltalake::{DeltaTable, DeltaTableError};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidewatch_engine::backfill::Scope;
use tidewatch_engine::commit::{AppendDecision, BEFORE_FIRST, OffsetRange, TopicPartition, decide_append};
use tidewatch_engine::rollup::RollupSchema;

/// Table property that holds the rollup's schema as JSON.
const ROLLUP_PROPERTY: &str = "tidewatch.rollup";

/// How many commits are looked through for positions before the log is asked partition by partition.
const SCAN_BACK_MAX: usize = 50;

/// A table as of some version. Clones share nothing that changes.
#[derive(Debug, Clone)]
pub struct Table {
    name: String,
    delta: DeltaTable,
    rollup: Option<RollupSchema>,
    /// The definition that its writer follows, once opened for that; may lack measures of `rollup`.
    defined: Option<RollupSchema>,
    schema: SchemaRef,
    /// Whose positions are meant by those below.
    ledger: Ledger,
    /// Last offset and watermark per partition, as far as asked for, at the loaded version.
    positions: BTreeMap<TopicPartition, i64>,
    watermarks: BTreeMap<TopicPartition, Option<i64>>,
    positions_version: u64,
    /// Every commit was looked through: what is not known was never recorded.
    is_scanned: bool,
}

/// What one append brings.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// The rows; `None` when the offsets brought none for this table.
    pub batch: Option<RecordBatch>,
    /// The offsets that they cover.
    pub ranges: BTreeMap<TopicPartition, OffsetRange>,
    /// Watermark of each partition after them, microseconds since the epoch.
    pub watermarks: BTreeMap<TopicPartition, i64>,
}

/// How an append ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendOutcome {
    /// Published as this version.
    Committed {
        /// Version of the table.
        version: u64,
    },
    /// The table had all of it already.
    AlreadyCommitted,
    /// The rows do not continue what the table has; their events must be replayed from its position.
    MustReplay {
        /// The first partition that does not fit.
        partition: TopicPartition,
        /// Where the table stands.
        position: i64,
        /// What was to be appended.
        range: OffsetRange,
    },
    /// The table has a measure that the writer does not know, and that others have counted up to here:
    /// rows without it would be missing from it, and nothing could say so.
    Outdated {
        /// The measure.
        measure: String,
    },
}

impl Table {
    pub(crate) fn from_delta(name: &str, delta: DeltaTable) -> Result<Self, StorageError> {
        let (rollup, schema) = read_definition(name, &delta)?;
        let snapshot = delta.snapshot().map_err(StorageError::delta(name))?;
        let positions_version = snapshot.version();
        Ok(Self {
            name: name.to_owned(),
            delta,
            rollup,
            defined: None,
            schema,
            ledger: Ledger::Live,
            positions: BTreeMap::new(),
            watermarks: BTreeMap::new(),
            positions_version,
            is_scanned: false,
        })
    }

    /// Opens the table of a rollup, creating it when there is none, and adding columns when the definition
    /// has more measures than the table.
    ///
    /// Errors: [`StorageError::DefinitionChanged`] when it exists with another definition.
    pub async fn open_rollup(store: &Store, rollup: &RollupSchema) -> Result<Self, StorageError> {
        Self::open_rollup_at(store, rollup, &BTreeMap::new()).await
    }

    /// The same; a table that is created begins after these positions, and its creation records that.
    pub async fn open_rollup_at(
        store: &Store,
        rollup: &RollupSchema,
        begins: &BTreeMap<TopicPartition, i64>,
    ) -> Result<Self, StorageError> {
        let property = serde_json::to_string(rollup).map_err(|e| StorageError::Property {
            table: rollup.name.clone(),
            property: ROLLUP_PROPERTY,
            reason: e.to_string(),
        })?;
        // Statistics on the key columns prune files; on sketches they would only weigh on the log.
        let indexed = 1 + rollup.dimensions.len();
        let properties = [(ROLLUP_PROPERTY, property), ("delta.dataSkippingNumIndexedCols", indexed.to_string())];
        let starts = begins.iter().flat_map(|(p, &position)| {
            [offset_id(p), begins_id(&Scope::Rollup, p)].map(|id| Action::Txn(Transaction::new(id, position)))
        });
        let table = Self::create(store, &rollup.name, &rollup.arrow_schema(), &properties, starts.collect()).await?;
        table.follow_definition(rollup).await
    }

    /// Opens a table of another kind, creating it when there is none.
    pub async fn open_or_create(
        store: &Store,
        name: &str,
        schema: &Schema,
        properties: &[(&str, String)],
    ) -> Result<Self, StorageError> {
        Self::create(store, name, schema, properties, Vec::new()).await
    }

    async fn create(
        store: &Store,
        name: &str,
        schema: &Schema,
        properties: &[(&str, String)],
        actions: Vec<Action>,
    ) -> Result<Self, StorageError> {
        if let Some(table) = store.table(name).await? {
            return Ok(table);
        }
        let fail = StorageError::delta(name);
        let columns: StructType = schema.try_into_kernel().map_err(|e| fail(DeltaTableError::from(e)))?;
        let created = CreateBuilder::new()
            .with_log_store(store.log_store(name)?)
            .with_table_name(name)
            .with_columns(columns.fields().cloned())
            .with_save_mode(SaveMode::Ignore)
            .with_actions(actions)
            // Retried over a table that another worker has made meanwhile, it would set its positions back.
            .with_commit_properties(CommitProperties::default().with_max_retries(0))
            .with_configuration(properties.iter().map(|(k, v)| ((*k).to_owned(), Some(v.clone()))))
            .with_raise_if_key_not_exists(false)
            .await;
        match created {
            Ok(delta) => Self::from_delta(name, delta),
            // Another worker was faster: its table is as good.
            Err(error) => match store.table(name).await? {
                Some(table) => Ok(table),
                None => Err(fail(error)),
            },
        }
    }

    /// Table name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Schema of the rollup it stores; `None` for other tables, such as the dead letters.
    pub fn rollup(&self) -> Option<&RollupSchema> {
        self.rollup.as_ref()
    }

    /// Arrow schema of its columns.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The loaded version.
    pub fn version(&self) -> u64 {
        self.delta.version().unwrap_or_default()
    }

    /// Number of live files.
    pub fn file_count(&self) -> usize {
        self.delta.get_file_uris().map_or(0, Iterator::count)
    }

    /// Loads newer versions, if there are any.
    pub async fn refresh(&mut self) -> Result<(), StorageError> {
        self.delta.update_state().await.map_err(StorageError::delta(&self.name))?;
        self.follow_schema()?;
        self.follow_positions().await
    }

    /// Others may have added columns.
    fn follow_schema(&mut self) -> Result<(), StorageError> {
        (self.rollup, self.schema) = read_definition(&self.name, &self.delta)?;
        Ok(())
    }

    /// Positions are looked up anew when they are asked for.
    fn forget_positions(&mut self) {
        self.positions.clear();
        self.watermarks.clear();
        self.is_scanned = false;
        self.positions_version = self.version();
    }

    /// Brings the known positions up to the loaded version by reading the commits in between.
    async fn follow_positions(&mut self) -> Result<(), StorageError> {
        let log = self.delta.log_store();
        while self.positions_version < self.version() {
            let next = self.positions_version + 1;
            let entry = log.read_commit_entry(next).await.map_err(StorageError::delta(&self.name))?;
            let Some(bytes) = entry else {
                // Cleaned away behind a checkpoint.
                self.forget_positions();
                return Ok(());
            };
            for (partition, recorded) in transactions(&bytes, |id| self.ledger.parse(id)) {
                match partition {
                    Recorded::Offset(p) => {
                        self.positions.insert(p, recorded);
                    }
                    Recorded::Watermark(p) => {
                        self.watermarks.insert(p, Some(recorded));
                    }
                    Recorded::Begins(..) | Recorded::Filled(..) => {}
                };
            }
            self.positions_version = next;
        }
        Ok(())
    }

    /// Last offset that the loaded version covers, per partition; [`BEFORE_FIRST`] when none.
    pub async fn positions(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, i64>, StorageError> {
        // A refresh may have failed between loading a version and following it: positions older than the
        // loaded version would let rows be committed twice.
        self.follow_positions().await?;
        if partitions.iter().any(|p| !self.positions.contains_key(p)) {
            self.scan_back(partitions).await?;
        }
        for partition in partitions {
            if !self.positions.contains_key(partition) {
                let position = match self.ledger.position_ids(partition).into_iter().next() {
                    Some(id) => self.recorded(id).await?.unwrap_or(BEFORE_FIRST),
                    None => BEFORE_FIRST,
                };
                self.positions.insert(partition.clone(), position);
            }
        }
        Ok(partitions.iter().map(|p| (p.clone(), self.positions[p])).collect())
    }

    /// Looks for positions in the newest commits, all partitions at once: partitions that are alive are
    /// found in the last few, and asking the log for one partition reads it as a whole.
    async fn scan_back(&mut self, wanted: &[TopicPartition]) -> Result<(), StorageError> {
        if self.is_scanned {
            return Ok(());
        }
        let log = self.delta.log_store();
        let mut version = self.positions_version;
        for _ in 0..SCAN_BACK_MAX {
            let entry = log.read_commit_entry(version).await.map_err(StorageError::delta(&self.name))?;
            let Some(bytes) = entry else { return Ok(()) };
            for (partition, recorded) in transactions(&bytes, |id| self.ledger.parse(id)) {
                match partition {
                    Recorded::Offset(p) => {
                        self.positions.entry(p).or_insert(recorded);
                    }
                    Recorded::Watermark(p) => {
                        self.watermarks.entry(p).or_insert(Some(recorded));
                    }
                    Recorded::Begins(..) | Recorded::Filled(..) => {}
                };
            }
            self.is_scanned = version == 0;
            if self.is_scanned || wanted.iter().all(|p| self.positions.contains_key(p)) {
                return Ok(());
            }
            version -= 1;
        }
        Ok(())
    }

    /// Positions that are known without asking the log, at the loaded version.
    pub fn known_positions(&self) -> &BTreeMap<TopicPartition, i64> {
        &self.positions
    }

    /// Watermark that the loaded version records for a partition.
    pub async fn watermark(&mut self, partition: &TopicPartition) -> Result<Option<i64>, StorageError> {
        if let Some(&watermark) = self.watermarks.get(partition) {
            return Ok(watermark);
        }
        let watermark = match self.ledger.watermark_id(partition) {
            Some(id) => self.recorded(id).await?,
            None => None,
        };
        self.watermarks.insert(partition.clone(), watermark);
        Ok(watermark)
    }

    async fn recorded(&self, app_id: String) -> Result<Option<i64>, StorageError> {
        if self.is_scanned {
            return Ok(None);
        }
        let fail = StorageError::delta(&self.name);
        let state = self.delta.snapshot().map_err(&fail)?;
        state.transaction_version(self.delta.log_store().as_ref(), app_id).await.map_err(fail)
    }

    /// A scan of the loaded version for DataFusion.
    pub async fn provider(&self) -> Result<Arc<dyn TableProvider>, StorageError> {
        self.delta
            .table_provider()
            .await
            .map_err(|source| StorageError::Scan { table: self.name.clone(), source: Box::new(source) })
    }

    /// Appends rows and the offsets they cover in one atomic commit, if they continue what is there.
    ///
    /// Safe to repeat after an error: an attempt that succeeded unheard is found.
    pub async fn append(&mut self, rows: &Rows) -> Result<AppendOutcome, StorageError> {
        let partitions: Vec<_> = rows.ranges.keys().cloned().collect();
        loop {
            let positions = self.positions(&partitions).await?;
            match decide_append(&positions, &rows.ranges) {
                AppendDecision::AlreadyCommitted => return Ok(AppendOutcome::AlreadyCommitted),
                AppendDecision::MustReplay { partition, position, range } => {
                    return Ok(AppendOutcome::MustReplay { partition, position, range });
                }
                AppendDecision::Append => {}
            }
            let moved = match self.moved_beginnings(&rows.ranges).await? {
                Ok(moved) => moved,
                Err(measure) => return Ok(AppendOutcome::Outdated { measure }),
            };
            match self.commit(rows, moved).await {
                Ok(version) => {
                    self.refresh().await?;
                    return Ok(AppendOutcome::Committed { version });
                }
                // Somebody committed one of our partitions meanwhile, or added columns: look again and decide anew.
                Err(error) if is_conflict(&error) => self.refresh().await?,
                Err(error) => {
                    // The commit may have happened all the same; the next attempt must see it.
                    let updated = self.delta.update_state().await;
                    self.forget_positions();
                    updated.map_err(StorageError::delta(&self.name))?;
                    self.follow_schema()?;
                    return Err(StorageError::delta(&self.name)(error));
                }
            }
        }
    }

    async fn commit(&self, rows: &Rows, moved: Vec<Transaction>) -> Result<u64, DeltaTableError> {
        let mut actions: Vec<Action> = Vec::new();
        if let Some(batch) = rows.batch.as_ref().filter(|b| b.num_rows() > 0) {
            let mut writer = RecordBatchWriter::for_table(&self.delta)?.with_writer_properties(writer_properties());
            writer.write(self.fitted(batch)?).await?;
            actions.extend(writer.flush().await?.into_iter().map(Action::Add));
        }
        let ids = |p| self.ledger.position_ids(p).into_iter();
        let offsets = rows.ranges.iter().flat_map(|(p, range)| ids(p).map(|id| Transaction::new(id, range.to)));
        let watermarks = rows.watermarks.iter();
        let watermarks = watermarks.filter_map(|(p, &w)| Some(Transaction::new(self.ledger.watermark_id(p)?, w)));
        let properties =
            CommitProperties::default().with_application_transactions(offsets.chain(watermarks).chain(moved).collect());
        let operation = DeltaOperation::Write { mode: SaveMode::Append, partition_by: None, predicate: None };
        let snapshot = self.delta.snapshot()?;
        let finalized = CommitBuilder::from(properties)
            .with_actions(actions)
            .build(Some(snapshot), self.delta.log_store(), operation)
            .await?;
        Ok(finalized.version())
    }
}

fn writer_properties() -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_created_by(concat!("tidewatch ", env!("CARGO_PKG_VERSION")).to_owned())
        .build()
}

fn read_definition(name: &str, delta: &DeltaTable) -> Result<(Option<RollupSchema>, SchemaRef), StorageError> {
    let snapshot = delta.snapshot().map_err(StorageError::delta(name))?;
    let property = snapshot.metadata().configuration().get(ROLLUP_PROPERTY);
    let rollup = property.map(|text| {
        serde_json::from_str::<RollupSchema>(text).map_err(|e| StorageError::Property {
            table: name.to_owned(),
            property: ROLLUP_PROPERTY,
            reason: e.to_string(),
        })
    });
    Ok((rollup.transpose()?, snapshot.snapshot().arrow_schema()))
}

fn is_conflict(error: &DeltaTableError) -> bool {
    use deltalake::kernel::transaction::CommitConflictError as Conflict;
    matches!(
        error,
        DeltaTableError::Transaction {
            source: TransactionError::CommitConflict(Conflict::ConcurrentTransaction | Conflict::MetadataChanged)
        }
    )
}

/// Our application transactions in the text of a commit, as far as `parse` knows their names.
fn transactions(commit: &[u8], parse: impl Fn(&str) -> Option<Recorded>) -> Vec<(Recorded, i64)> {
    let lines = commit.split(|&b| b == b'\n');
    lines
        .filter_map(|line| {
            let action: serde_json::Value = serde_json::from_slice(line).ok()?;
            let txn = action.get("txn")?;
            Some((parse(txn.get("appId")?.as_str()?)?, txn.get("version")?.as_i64()?))
        })
        .collect()
}

#[cfg(test)]
mod tests;

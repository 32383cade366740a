//! One Delta table: create it, read it. Its parts: [`append`] (rows and their offsets), [`evolve`] (more
//! measures), [`fill`] (backfills), [`provider`] (its rows, for queries), [`replace`] (maintenance), [`files`] (what it consists of), [`commits`] (how it came to that), [`recorded`]
//! (positions, watermarks, boundaries), [`records`] (everything about offsets), [`refresh`] (what others have committed), [`upkeep`] (checkpoints, old
//! log entries, files that nobody needs).

mod append;
mod commits;
mod evolve;
mod files;
mod fill;
mod provider;
mod recorded;
mod records;
mod refresh;
mod replace;
mod upkeep;
mod write;

pub use append::{AppendOutcome, Rows};
pub use commits::Commit;
pub use files::DataFile;
pub use provider::{FilesExec, is_decidable};
pub use replace::{Part, ReplaceOutcome, Replacement};

use crate::cache::FileCache;
use crate::transaction::{Ledger, Recorded};
use crate::{StorageError, Store};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::kernel::transaction::CommitProperties;
use deltalake::kernel::{Action, StructType};
use deltalake::operations::create::CreateBuilder;
use deltalake::protocol::SaveMode;
use deltalake::{DeltaTable, DeltaTableError};
use provider::TableFiles;
use recorded::Known;
use std::sync::{Arc, Mutex, PoisonError};
use tidewatch_engine::backfill::{Scope, Start};
use tidewatch_engine::rollup::RollupSchema;

/// Table property that holds the rollup's schema as JSON.
const ROLLUP_PROPERTY: &str = "tidewatch.rollup";

/// Partition column of a table of windows: the name of the width of its rows (`10s`, `1m`, …).
pub const TIER: &str = "tier";

/// Partition column of a table of windows: are these rows also part of the next wider tier?
pub const ROLLED_UP: &str = "rolled_up";

/// Version and what its files hold.
type KnownFiles = (u64, Arc<TableFiles>);

/// A table as of some version. Clones share nothing that changes but what they remember of files.
#[derive(Debug, Clone)]
pub struct Table {
    name: String,
    delta: DeltaTable,
    rollup: Option<RollupSchema>,
    /// The definition that its writer follows, once opened for that; may lack measures of `rollup`.
    defined: Option<RollupSchema>,
    /// How far events may lie beyond a watermark of its writer, microseconds.
    disorder_us: i64,
    schema: SchemaRef,
    /// Whose positions are meant by those that are known.
    ledger: Ledger,
    known: Known,
    cache: Arc<FileCache>,
    /// What its files hold, by version; clones share it.
    files: Arc<Mutex<Option<KnownFiles>>>,
}

impl Table {
    pub(crate) fn from_delta(store: &Store, name: &str, delta: DeltaTable) -> Result<Self, StorageError> {
        let (rollup, schema) = read_definition(name, &delta)?;
        let known = Known::at(delta.version().unwrap_or_default());
        let (name, ledger) = (name.to_owned(), Ledger::Live);
        let (cache, files) = (store.cache(), Arc::default());
        Ok(Self { name, delta, rollup, defined: None, disorder_us: 0, schema, ledger, known, cache, files })
    }

    /// Opens the table of a rollup, creating it when there is none, and adding columns when the definition
    /// has more measures than the table.
    ///
    /// A stored definition that only keeps its rows for another time is as good: what is kept is decided
    /// by whoever maintains the table.
    ///
    /// Errors: [`StorageError::DefinitionChanged`] when it exists with another definition.
    pub async fn open_rollup(store: &Store, rollup: &RollupSchema) -> Result<Self, StorageError> {
        Self::open_rollup_at(store, rollup, &Start::default()).await
    }

    /// The same; a table that is created begins at `start`, and its creation records that.
    pub async fn open_rollup_at(store: &Store, rollup: &RollupSchema, start: &Start) -> Result<Self, StorageError> {
        let property = serde_json::to_string(rollup).map_err(|e| StorageError::Property {
            table: rollup.name.clone(),
            property: ROLLUP_PROPERTY,
            reason: e.to_string(),
        })?;
        // Statistics on the key columns prune files; on sketches they would only weigh on the log.
        let indexed = rollup.key_fields().len();
        let properties = [(ROLLUP_PROPERTY, property), ("delta.dataSkippingNumIndexedCols", indexed.to_string())];
        let mut schema = rollup.arrow_schema();
        let mut partitions = Vec::new();
        if rollup.pane_us.is_some() {
            let tier = [Field::new(TIER, DataType::Utf8, false), Field::new(ROLLED_UP, DataType::Boolean, false)];
            let fields = schema.fields().iter().map(|f| f.as_ref().clone()).chain(tier);
            schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
            partitions = vec![TIER, ROLLED_UP];
        }
        let begins = start.positions.iter().flat_map(|(p, &position)| {
            [Recorded::Offset(p.clone()), Recorded::Begins(Scope::Rollup, p.clone())].map(|r| r.at(position))
        });
        let time = start.event_time_us().filter(|_| !start.positions.is_empty()).map(|t| Recorded::BeginsTime.at(t));
        let actions = begins.chain(time).map(Action::Txn).collect();
        let mut table = Self::open_partitioned(store, &rollup.name, &schema, &partitions, &properties, actions).await?;
        table.disorder_us = start.disorder_us;
        table.follow_definition(rollup).await
    }

    /// Opens a table of another kind, creating it when there is none.
    pub async fn open_or_create(
        store: &Store,
        name: &str,
        schema: &Schema,
        properties: &[(&str, String)],
    ) -> Result<Self, StorageError> {
        Self::open_partitioned(store, name, schema, &[], properties, Vec::new()).await
    }

    async fn open_partitioned(
        store: &Store,
        name: &str,
        schema: &Schema,
        partitions: &[&str],
        properties: &[(&str, String)],
        actions: Vec<Action>,
    ) -> Result<Self, StorageError> {
        if let Some(table) = store.table(name).await? {
            return Ok(table);
        }
        let fail = StorageError::delta(name);
        let columns: StructType = schema.try_into_kernel().map_err(|e| fail(DeltaTableError::from(e)))?;
        // Checkpoints carry every removed file for so long: a week of them, the default, is a hundred thousand.
        let removed = format!("interval {} seconds", store.removed_files_kept().as_secs());
        let properties = properties.iter().map(|(k, v)| ((*k).to_owned(), Some(v.clone())));
        let properties = properties.chain([("delta.deletedFileRetentionDuration".to_owned(), Some(removed))]);
        let created = CreateBuilder::new()
            .with_log_store(store.log_store(name)?)
            .with_table_name(name)
            .with_columns(columns.fields().cloned())
            .with_partition_columns(partitions.iter().copied())
            .with_save_mode(SaveMode::Ignore)
            .with_actions(actions)
            // Retried over a table that another worker has made meanwhile, it would set its positions back.
            .with_commit_properties(CommitProperties::default().with_max_retries(0))
            .with_configuration(properties)
            .with_raise_if_key_not_exists(false)
            .await;
        match created {
            Ok(delta) => Self::from_delta(store, name, delta),
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

    /// Arrow schema of its columns, partition columns included.
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

    /// A scan of the loaded version for DataFusion.
    pub fn provider(&self) -> Result<Arc<dyn TableProvider>, StorageError> {
        let version = self.version();
        let mut known = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, files)) = known.as_ref().filter(|(of, _)| *of == version) {
            return Ok(Arc::clone(files) as _);
        }
        let files = Arc::new(self.table_files()?);
        *known = Some((version, Arc::clone(&files)));
        Ok(files)
    }

    /// Are its rows divided by width?
    fn has_tiers(&self) -> bool {
        self.schema.index_of(TIER).is_ok() && self.rollup.as_ref().is_some_and(|r| r.pane_us.is_some())
    }
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

#[cfg(test)]
mod tests;

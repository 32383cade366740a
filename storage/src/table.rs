//! One Delta table: create it, read it. Its parts: [`append`] (rows and their offsets), [`replace`]
//! (maintenance), [`files`] (what it consists of), [`recorded`] (positions, watermarks, boundaries),
//! [`upkeep`] (checkpoints, old log entries, files that nobody needs).

mod append;
mod files;
mod recorded;
mod replace;
mod upkeep;
mod write;

pub use append::{AppendOutcome, Rows};
pub use files::DataFile;
pub use replace::{Part, ReplaceOutcome, Replacement};

use crate::{StorageError, Store};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use deltalake::kernel::StructType;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::operations::create::CreateBuilder;
use deltalake::protocol::SaveMode;
use deltalake::{DeltaTable, DeltaTableError};
use recorded::Known;
use std::sync::Arc;
use tidewatch_engine::rollup::RollupSchema;

/// Table property that holds the rollup's schema as JSON.
const ROLLUP_PROPERTY: &str = "tidewatch.rollup";

/// Partition column of a table of windows: the name of the width of its rows (`10s`, `1m`, …).
pub const TIER: &str = "tier";

/// Partition column of a table of windows: are these rows also part of the next wider tier?
pub const ROLLED_UP: &str = "rolled_up";

/// A table as of some version. Clones share nothing that changes.
#[derive(Debug, Clone)]
pub struct Table {
    name: String,
    delta: DeltaTable,
    rollup: Option<RollupSchema>,
    schema: SchemaRef,
    known: Known,
}

impl Table {
    pub(crate) fn from_delta(name: &str, delta: DeltaTable) -> Result<Self, StorageError> {
        let fail = StorageError::delta(name);
        let snapshot = delta.snapshot().map_err(&fail)?;
        let schema: SchemaRef = snapshot.snapshot().arrow_schema();
        let rollup = match snapshot.metadata().configuration().get(ROLLUP_PROPERTY) {
            None => None,
            Some(text) => Some(serde_json::from_str::<RollupSchema>(text).map_err(|e| StorageError::Property {
                table: name.to_owned(),
                property: ROLLUP_PROPERTY,
                reason: e.to_string(),
            })?),
        };
        let known = Known::at(snapshot.version());
        Ok(Self { name: name.to_owned(), delta, rollup, schema, known })
    }

    /// Opens the table of a rollup, creating it when there is none.
    ///
    /// A stored definition that only keeps its rows for another time is as good: what is kept is decided
    /// by whoever maintains the table.
    ///
    /// Errors: [`StorageError::DefinitionChanged`] when it exists with another definition.
    pub async fn open_rollup(store: &Store, rollup: &RollupSchema) -> Result<Self, StorageError> {
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
        let table = Self::open_partitioned(store, &rollup.name, &schema, &partitions, &properties).await?;
        table.check_definition(rollup)?;
        Ok(table)
    }

    /// Does it hold what this definition counts?
    ///
    /// Errors: [`StorageError::DefinitionChanged`] when it holds something else.
    pub fn check_definition(&self, rollup: &RollupSchema) -> Result<(), StorageError> {
        match &self.rollup {
            Some(stored) if stored.counts_like(rollup) => Ok(()),
            stored => Err(StorageError::DefinitionChanged {
                table: rollup.name.clone(),
                stored: stored.as_ref().map_or("not a rollup".to_owned(), |s| s.definition.replace('\n', "; ")),
                defined: rollup.definition.replace('\n', "; "),
            }),
        }
    }

    /// Opens a table of another kind, creating it when there is none.
    pub async fn open_or_create(
        store: &Store,
        name: &str,
        schema: &Schema,
        properties: &[(&str, String)],
    ) -> Result<Self, StorageError> {
        Self::open_partitioned(store, name, schema, &[], properties).await
    }

    async fn open_partitioned(
        store: &Store,
        name: &str,
        schema: &Schema,
        partitions: &[&str],
        properties: &[(&str, String)],
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
            .with_configuration(properties)
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

    /// Loads newer versions, if there are any.
    pub async fn refresh(&mut self) -> Result<(), StorageError> {
        if let Err(error) = self.delta.update_state().await {
            // What the loaded version was built from may be cleaned away by now: begin anew.
            tracing::debug!(table = self.name, %error, "loading the table anew");
            self.delta.load().await.map_err(StorageError::delta(&self.name))?;
        }
        self.follow().await
    }

    /// A scan of the loaded version for DataFusion.
    pub async fn provider(&self) -> Result<Arc<dyn TableProvider>, StorageError> {
        self.delta
            .table_provider()
            .await
            .map_err(|source| StorageError::Scan { table: self.name.clone(), source: Box::new(source) })
    }

    /// Are its rows divided by width?
    fn has_tiers(&self) -> bool {
        self.schema.index_of(TIER).is_ok() && self.rollup.as_ref().is_some_and(|r| r.pane_us.is_some())
    }
}

#[cfg(test)]
mod tests;

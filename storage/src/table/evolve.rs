//! Widening: a definition with more measures adds their columns to its table, and writers that still
//! follow the narrower one go on beside it.
//!
//! Rows that are there hold null in a new column, which every merge takes for nothing. Where the new
//! measures begin is recorded in the commit that adds them, so what they lack is known and can be filled.
//! A writer that does not know a measure moves its beginning along in the commit of its rows.

use super::{ROLLUP_PROPERTY, Table};
use crate::StorageError;
use crate::transaction::{Ledger, begins_id};
use arrow::array::new_null_array;
use arrow::datatypes::{Field, Schema};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use deltalake::DeltaTableError;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties, TransactionError};
use deltalake::kernel::{Action, MetadataExt, StructField, StructType, Transaction};
use deltalake::protocol::DeltaOperation;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidewatch_engine::backfill::Scope;
use tidewatch_engine::commit::{BEFORE_FIRST, OffsetRange, TopicPartition};
use tidewatch_engine::rollup::{DefinitionChange, Measure, RollupSchema};

impl Table {
    /// Makes the table one of `defined`, adding columns if it has more measures.
    pub(super) async fn follow_definition(mut self, defined: &RollupSchema) -> Result<Self, StorageError> {
        loop {
            let change = self.rollup.as_ref().map(|stored| DefinitionChange::between(stored, defined));
            match change {
                Some(DefinitionChange::Same) => {
                    self.defined = Some(defined.clone());
                    return Ok(self);
                }
                Some(DefinitionChange::Widened { schema, added }) => {
                    if let Err(error) = self.widen(&schema, &added).await
                        && !is_overtaken(&error)
                    {
                        return Err(StorageError::delta(&self.name)(error));
                    }
                    // Whoever was faster may have widened it, too: look again.
                    self.refresh().await?;
                }
                other => {
                    let reason = match other {
                        Some(DefinitionChange::Other(reason)) => reason,
                        _ => "it is not the table of a rollup".to_owned(),
                    };
                    let text = |schema: &RollupSchema| schema.definition.replace('\n', "; ");
                    return Err(StorageError::DefinitionChanged {
                        table: self.name.clone(),
                        reason,
                        stored: self.rollup.as_ref().map_or_else(String::new, text),
                        defined: text(defined),
                    });
                }
            }
        }
    }

    async fn widen(&self, schema: &RollupSchema, added: &[Measure]) -> Result<(), DeltaTableError> {
        let nullable = added.iter().flat_map(Measure::state_fields).map(|f| f.with_nullable(true));
        let fields: StructType = (&Schema::new(nullable.collect::<Vec<Field>>())).try_into_kernel()?;
        let snapshot = self.delta.snapshot()?;
        let old = snapshot.metadata().parse_schema()?;
        let columns: Vec<StructField> = old.fields().chain(fields.fields()).cloned().collect();
        let property = serde_json::to_string(schema)?;
        let metadata = snapshot.metadata().clone().with_schema(&StructType::try_new(columns)?)?;
        let metadata = metadata.add_config_key(ROLLUP_PROPERTY.to_owned(), property)?;
        let records = self.records().await.map_err(|e| DeltaTableError::Generic(e.to_string()))?;
        let begins = added.iter().flat_map(|measure| {
            let scope = Scope::Measure(measure.name.clone());
            let offsets = records.offsets.iter().filter(|(_, offset)| **offset > BEFORE_FIRST);
            offsets.map(move |(p, &offset)| Transaction::new(begins_id(&scope, p), offset))
        });
        // Any commit in between may have moved an offset: then nothing is made of it, and all is read anew.
        let properties =
            CommitProperties::default().with_max_retries(0).with_application_transactions(begins.collect());
        let operation = DeltaOperation::AddColumn { fields: fields.fields().cloned().collect() };
        CommitBuilder::from(properties)
            .with_actions(vec![Action::Metadata(metadata)])
            .build(Some(snapshot), self.delta.log_store(), operation)
            .await?;
        let names: Vec<&str> = added.iter().map(|m| m.name.as_str()).collect();
        tracing::info!(
            table = self.name,
            measures = names.join(", "),
            "measures added; they begin at the present positions"
        );
        Ok(())
    }

    /// Where the measures that this writer does not know begin after its rows.
    ///
    /// The error names a measure that others have counted already where the rows would go: it can be
    /// neither left out nor begin later.
    pub(super) async fn moved_beginnings(
        &self,
        ranges: &BTreeMap<TopicPartition, OffsetRange>,
    ) -> Result<Result<Vec<Transaction>, String>, StorageError> {
        let (Some(stored), Some(defined), Ledger::Live) = (&self.rollup, &self.defined, &self.ledger) else {
            return Ok(Ok(Vec::new()));
        };
        let is_unknown = |m: &&Measure| defined.measures.iter().all(|d| d.name != m.name);
        let unknown: Vec<&Measure> = stored.measures.iter().filter(is_unknown).collect();
        if unknown.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        let records = self.records().await?;
        let mut moved = Vec::new();
        for measure in unknown {
            let scope = Scope::Measure(measure.name.clone());
            for (partition, range) in ranges {
                let begins = records.begins.get(&scope).and_then(|b| b.get(partition)).copied();
                if begins.unwrap_or(BEFORE_FIRST) != range.from {
                    return Ok(Err(measure.name.clone()));
                }
                moved.push(Transaction::new(begins_id(&scope, partition), range.to));
            }
        }
        Ok(Ok(moved))
    }

    /// Rows with the columns of the table, in its order: measures that the writer does not know are null.
    pub(super) fn fitted(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let Some(rollup) = &self.rollup else { return Ok(batch.clone()) };
        let wanted = rollup.arrow_schema();
        let is_nullable = |name: &str| self.schema.field_with_name(name).is_ok_and(Field::is_nullable);
        let (mut fields, mut columns) = (Vec::new(), Vec::new());
        for field in wanted.fields() {
            let column = batch.column_by_name(field.name()).cloned();
            fields.push(field.as_ref().clone().with_nullable(field.is_nullable() || is_nullable(field.name())));
            columns.push(column.unwrap_or_else(|| new_null_array(field.data_type(), batch.num_rows())));
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
    }
}

/// Did another commit come first?
fn is_overtaken(error: &DeltaTableError) -> bool {
    matches!(error, DeltaTableError::Transaction { source: TransactionError::MaxCommitAttempts(_) })
}

//! Widening: a definition with more measures adds their columns to its table, and writers that still
//! follow the narrower one go on beside it.
//!
//! Rows that are there hold null in a new column, which every merge takes for nothing. Where the new
//! measures begin is recorded in the commit that adds them, so what they lack is known and can be filled.
//! A writer that does not know a measure moves its beginning along in the commit of its rows.

use super::append::without_hooks;
use super::replace::is_overtaken;
use super::{ROLLUP_PROPERTY, Rows, Table};
use crate::StorageError;
use crate::transaction::{Ledger, Recorded};
use arrow::array::new_null_array;
use arrow::datatypes::{Field, Schema};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use deltalake::DeltaTableError;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::kernel::transaction::CommitBuilder;
use deltalake::kernel::{Action, MetadataExt, StructField, StructType};
use deltalake::protocol::DeltaOperation;
use std::sync::Arc;
use tidewatch_engine::backfill::{Scope, event_time_bound_us};
use tidewatch_engine::commit::BEFORE_FIRST;
use tidewatch_engine::rollup::{DefinitionChange, Measure, RollupSchema};

impl Table {
    /// Does it hold what this definition counts, or would it once columns are added?
    ///
    /// Errors: [`StorageError::DefinitionChanged`] when it holds something else.
    pub fn check_definition(&self, defined: &RollupSchema) -> Result<(), StorageError> {
        match self.rollup.as_ref().map(|stored| DefinitionChange::between(stored, defined)) {
            Some(DefinitionChange::Same | DefinitionChange::Widened { .. }) => Ok(()),
            Some(DefinitionChange::Other(reason)) => Err(self.changed(defined, reason)),
            None => Err(self.changed(defined, "it is not the table of a rollup".to_owned())),
        }
    }

    /// The error that names the difference between what is stored and what is defined.
    pub(super) fn changed(&self, defined: &RollupSchema, reason: String) -> StorageError {
        let text = |schema: &RollupSchema| schema.definition.replace('\n', "; ");
        StorageError::DefinitionChanged {
            table: self.name.clone(),
            reason,
            stored: self.rollup.as_ref().map_or_else(String::new, text),
            defined: text(defined),
        }
    }

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
                Some(DefinitionChange::Other(reason)) => return Err(self.changed(defined, reason)),
                None => return Err(self.changed(defined, "it is not the table of a rollup".to_owned())),
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
        let offsets: Vec<_> = records.offsets.iter().filter(|(_, offset)| **offset > BEFORE_FIRST).collect();
        let mut begins = Vec::new();
        for measure in added {
            let scope = Scope::Measure(measure.name.clone());
            begins.extend(offsets.iter().map(|(p, o)| Recorded::Begins(scope.clone(), (*p).clone()).at(**o)));
        }
        let newest = records.watermarks.values().copied().max().filter(|_| !offsets.is_empty());
        let bound = newest.map(|watermark| records.begins_time_with(event_time_bound_us(watermark, self.disorder_us)));
        begins.extend(bound.map(|bound| Recorded::BeginsTime.at(bound)));
        // Any commit in between may have moved an offset: then nothing is made of it, and all is read anew.
        let properties = without_hooks().with_max_retries(0).with_application_transactions(begins);
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
        &mut self,
        rows: &Rows,
    ) -> Result<Result<Vec<(Recorded, i64)>, String>, StorageError> {
        let (Some(stored), Some(defined), Ledger::Live) = (&self.rollup, &self.defined, &self.ledger) else {
            return Ok(Ok(Vec::new()));
        };
        let is_unknown = |m: &&Measure| defined.measures.iter().all(|d| d.name != m.name);
        let unknown: Vec<String> = stored.measures.iter().filter(is_unknown).map(|m| m.name.clone()).collect();
        if unknown.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        let disorder_us = self.disorder_us;
        let records = self.known_records().await?;
        let newest = rows.watermarks.values().copied().max();
        let bound = newest.map(|watermark| records.begins_time_with(event_time_bound_us(watermark, disorder_us)));
        let mut moved: Vec<_> = bound.map(|bound| (Recorded::BeginsTime, bound)).into_iter().collect();
        for measure in unknown {
            let scope = Scope::Measure(measure);
            for (partition, range) in &rows.ranges {
                let begins = records.begins.get(&scope).and_then(|b| b.get(partition)).copied();
                let Scope::Measure(name) = &scope else { continue };
                if begins.unwrap_or(BEFORE_FIRST) != range.from {
                    return Ok(Err(name.clone()));
                }
                moved.push((Recorded::Begins(scope.clone(), partition.clone()), range.to));
            }
        }
        Ok(Ok(moved))
    }

    /// Rows with all columns of the rollup: measures that the writer does not know are null.
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

    /// The same columns in the order of the table, where those that were added come last.
    pub(super) fn ordered(&self, batch: RecordBatch) -> Result<RecordBatch, ArrowError> {
        if self.rollup.is_none() {
            return Ok(batch);
        }
        let order = self.schema.fields().iter().map(|f| batch.schema().index_of(f.name()));
        batch.project(&order.collect::<Result<Vec<_>, _>>()?)
    }
}

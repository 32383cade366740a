//! Everything that a table records about offsets: the log is read back to its newest checkpoint, and
//! the checkpoint for the rest. For the rare moments when names of partitions are not known yet.

use super::Table;
use crate::StorageError;
use crate::transaction::{self, Recorded};
use arrow::array::{Array, AsArray, StructArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use deltalake::DeltaTableError;
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::BTreeMap;
use tidewatch_engine::backfill::Records;

impl Table {
    /// Everything that the loaded version records about offsets.
    pub async fn records(&self) -> Result<Records, StorageError> {
        let mut found: BTreeMap<Recorded, i64> = BTreeMap::new();
        let log = self.delta.log_store();
        let (checkpoint, files) = self.newest_checkpoint().await?;
        let mut version = Some(self.version());
        while let Some(current) = version.filter(|&v| checkpoint.is_none_or(|c| v > c)) {
            let entry = log.read_commit_entry(current).await.map_err(StorageError::delta(&self.name))?;
            let Some(bytes) = entry else {
                let text = format!("neither version {current} of the log nor a checkpoint of it exists");
                return Err(StorageError::delta(&self.name)(DeltaTableError::Generic(text)));
            };
            for (recorded, value) in super::recorded::transactions(&bytes) {
                found.entry(recorded).or_insert(value);
            }
            version = current.checked_sub(1);
        }
        for path in files {
            self.read_checkpoint(&path, &mut found).await?;
        }
        let mut records = Records::default();
        for (recorded, value) in found {
            transaction::add(&mut records, recorded, value);
        }
        Ok(records)
    }

    /// Version and files (one, or several parts) of the newest checkpoint that is not newer than the
    /// loaded version.
    async fn newest_checkpoint(&self) -> Result<(Option<u64>, Vec<Path>), StorageError> {
        let (mut newest, mut files) = (None, Vec::new());
        let store = self.delta.object_store();
        let mut listing = store.list(Some(&Path::from("_delta_log")));
        while let Some(object) = listing.try_next().await? {
            let Some((number, rest)) = object.location.filename().and_then(|name| name.split_once('.')) else {
                continue;
            };
            let is_checkpoint = rest.starts_with("checkpoint.") && rest.ends_with("parquet");
            let version = number.parse::<u64>().ok().filter(|&v| is_checkpoint && v <= self.version());
            match version {
                Some(version) if newest == Some(version) => files.push(object.location),
                Some(version) if newest < Some(version) => (newest, files) = (Some(version), vec![object.location]),
                _ => {}
            }
        }
        Ok((newest, files))
    }

    async fn read_checkpoint(&self, path: &Path, found: &mut BTreeMap<Recorded, i64>) -> Result<(), StorageError> {
        let bytes = self.delta.object_store().get(path).await?.bytes().await?;
        let fail = |error: String| {
            StorageError::delta(&self.name)(DeltaTableError::Generic(format!("checkpoint {path}: {error}")))
        };
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|e| fail(e.to_string()))?;
        let schema = builder.parquet_schema();
        let mask = ProjectionMask::columns(schema, ["txn"]);
        let reader = builder.with_projection(mask).build().map_err(|e| fail(e.to_string()))?;
        for batch in reader {
            let batch = batch.map_err(|e| fail(e.to_string()))?;
            let Some(txn) = batch.column_by_name("txn").and_then(|c| c.as_struct_opt()) else { continue };
            read_transactions(txn, found).map_err(|e| fail(e.to_string()))?;
        }
        Ok(())
    }
}

fn read_transactions(txn: &StructArray, found: &mut BTreeMap<Recorded, i64>) -> Result<(), arrow::error::ArrowError> {
    let (Some(names), Some(versions)) = (txn.column_by_name("appId"), txn.column_by_name("version")) else {
        return Ok(());
    };
    let (names, versions) = (cast(names, &DataType::Utf8)?, cast(versions, &DataType::Int64)?);
    let (names, versions) = (names.as_string::<i32>(), versions.as_primitive::<Int64Type>());
    for row in (0..txn.len()).filter(|&row| txn.is_valid(row) && names.is_valid(row) && versions.is_valid(row)) {
        if let Some(recorded) = transaction::parse(names.value(row)) {
            found.entry(recorded).or_insert(versions.value(row));
        }
    }
    Ok(())
}

//! Writing rows to Parquet files that no commit refers to yet.

use super::{Part, ROLLED_UP, TIER, Table};
use arrow::array::{ArrayRef, BooleanArray, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use deltalake::DeltaTableError;
use deltalake::kernel::Add;
use deltalake::writer::{DeltaWriter, RecordBatchWriter};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use std::sync::Arc;

/// A row group is what readers divide among processors, skip, and keep in memory.
const ROW_GROUP_ROWS: usize = if cfg!(test) { 1000 } else { 128 * 1024 };

impl Table {
    /// Writes each part that has rows to a file of its own.
    pub(super) async fn write(&self, parts: &[Part]) -> Result<Vec<Add>, DeltaTableError> {
        let mut adds = Vec::new();
        let mut writer = RecordBatchWriter::for_table(&self.delta)?.with_writer_properties(writer_properties());
        for part in parts.iter().filter(|p| p.batch.num_rows() > 0) {
            let batch = self.fitted(&part.batch)?;
            let batch = match &part.tier {
                Some(tier) if self.has_tiers() => with_partition_columns(&batch, tier, part.rolled_up)?,
                _ => batch,
            };
            writer.write(self.ordered(batch)?).await?;
            adds.extend(writer.flush().await?);
        }
        Ok(adds)
    }
}

fn with_partition_columns(batch: &RecordBatch, tier: &str, rolled_up: bool) -> Result<RecordBatch, DeltaTableError> {
    let rows = batch.num_rows();
    let constants: [(Field, ArrayRef); 2] = [
        (Field::new(TIER, DataType::Utf8, false), Arc::new(StringArray::from(vec![tier; rows]))),
        (Field::new(ROLLED_UP, DataType::Boolean, false), Arc::new(BooleanArray::from(vec![rolled_up; rows]))),
    ];
    let mut fields: Vec<_> = batch.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    let mut columns = batch.columns().to_vec();
    for (field, column) in constants {
        fields.push(field);
        columns.push(column);
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

fn writer_properties() -> WriterProperties {
    WriterProperties::builder()
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_created_by(concat!("tidewatch ", env!("CARGO_PKG_VERSION")).to_owned())
        .build()
}

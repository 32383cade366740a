//! The rows of one row group that a query asks for.
//!
//! First the columns that decide which rows these are, then, if there are any, the others. Columns of tables of windows
//! are decoded whole and kept, so that the next look at a dashboard decodes nothing; large ones, and those of which few
//! rows are asked for, are read as far as they are needed.

use super::filter::{Condition, chosen};
use super::listed::ListedFile;
use super::reader::FileBytes;
use crate::cache::{ColumnKey, FileCache};
use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatchOptions, new_null_array};
use arrow::compute::{cast, filter};
use arrow::datatypes::{Field, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::common::{DataFusionError, Result, internal_datafusion_err};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStore;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, RowSelection};
use parquet::arrow::async_reader::{ParquetRecordBatchStream, ParquetRecordBatchStreamBuilder};
use std::sync::Arc;

/// A column of a row group that is larger in memory is never decoded whole.
const WHOLE_BYTES_MAX: i64 = 16 << 20;
/// When only one of so many rows is asked for, the others are skipped rather than decoded and kept.
const ROWS_PER_CHOSEN_MAX: usize = 50;

/// A row group of a file.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub file: Arc<ListedFile>,
    pub row_group: usize,
}

/// What is read of every piece.
#[derive(Debug)]
pub(super) struct Reading {
    pub store: Arc<dyn ObjectStore>,
    pub cache: Arc<FileCache>,
    /// Texts that are read as dictionaries.
    pub dictionaries: Arc<[String]>,
    /// Are columns kept? Those of windows are asked for again and again.
    pub keeps: bool,
    /// What is handed out: the first columns of `read`.
    pub schema: SchemaRef,
    /// All columns that are read, those that only conditions are about at the end.
    pub read: SchemaRef,
    /// Of each column that is read, its place among those that divide files.
    pub divides: Vec<Option<usize>>,
    pub conditions: Vec<Condition>,
}

/// A column of a piece that is to be decoded, with its place in the file.
struct Wanted {
    at: usize,
    in_file: usize,
}

impl Reading {
    /// The rows of a piece in batches of at most `batch_rows`.
    pub async fn rows(
        self: Arc<Self>,
        piece: Piece,
        batch_rows: usize,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let footer = piece.file.footer(&self.store, &self.cache, &self.dictionaries).await?;
        let rows = usize::try_from(footer.metadata().row_group(piece.row_group).num_rows()).unwrap_or(0);
        let mut known: Vec<Option<ArrayRef>> = vec![None; self.read.fields().len()];
        let mut decisive: Vec<usize> = self.conditions.iter().flat_map(|c| c.columns.iter().copied()).collect();
        decisive.sort_unstable();
        decisive.dedup();
        let (wanted, _) = self.look_up(&piece, &footer, &decisive, rows, &mut known)?;
        self.decode(&piece, &footer, &wanted, rows, &mut known).await?;
        let chosen = chosen(&self.conditions, &known, rows)?;
        let count = chosen.as_ref().map_or(rows, BooleanArray::true_count);
        if count == 0 {
            return Ok(stream::empty().boxed());
        }
        let others: Vec<usize> = (0..self.schema.fields().len()).filter(|&at| known[at].is_none()).collect();
        let (wanted, is_whole) = self.look_up(&piece, &footer, &others, rows, &mut known)?;
        let is_few = count.saturating_mul(ROWS_PER_CHOSEN_MAX) < rows;
        let (whole, streamed): (Vec<_>, Vec<_>) =
            wanted.into_iter().zip(is_whole).partition(|(_, is_whole)| *is_whole && !is_few && self.keeps);
        let [whole, streamed] = [whole, streamed].map(|w| w.into_iter().map(|(w, _)| w).collect::<Vec<_>>());
        self.decode(&piece, &footer, &whole, rows, &mut known).await?;
        known.truncate(self.schema.fields().len());
        if let Some(chosen) = &chosen {
            for column in known.iter_mut().flatten() {
                *column = filter(column, chosen)?;
            }
        }
        if streamed.is_empty() {
            let columns = known.into_iter().flatten().collect();
            let options = RecordBatchOptions::new().with_row_count(Some(count));
            let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
            let step = batch_rows.max(1);
            let slices = (0..count).step_by(step).map(move |from| Ok(batch.slice(from, step.min(count - from))));
            return Ok(stream::iter(slices).boxed());
        }
        let selection = chosen.map(|chosen| RowSelection::from_filters(&[chosen]));
        let decoded = self.decoder(&piece, &footer, &streamed, selection, batch_rows)?;
        let mut from = 0;
        let together = decoded.map_err(DataFusionError::from).and_then(move |batch| {
            let joined = self.joined(&known, &streamed, from, &batch);
            from += batch.num_rows();
            std::future::ready(joined)
        });
        Ok(together.boxed())
    }

    /// Fills in what needs no decoding; what does, and whether it may be decoded whole, is returned.
    fn look_up(
        &self,
        piece: &Piece,
        footer: &ArrowReaderMetadata,
        columns: &[usize],
        rows: usize,
        known: &mut [Option<ArrayRef>],
    ) -> Result<(Vec<Wanted>, Vec<bool>)> {
        let (mut wanted, mut is_whole) = (Vec::new(), Vec::new());
        for &at in columns {
            let field = self.read.field(at);
            if let Some(place) = self.divides[at] {
                let value = piece.file.partition.get(place).ok_or_else(|| internal_datafusion_err!("no {field}"))?;
                known[at] = Some(cast(&value.to_array_of_size(rows)?, field.data_type())?);
                continue;
            }
            // Measures that were added after the file was written are null in it.
            let Ok(in_file) = footer.schema().index_of(field.name()) else {
                known[at] = Some(new_null_array(field.data_type(), rows));
                continue;
            };
            known[at] = self.keeps.then(|| self.cache.column(&self.key(piece, field))).flatten();
            if known[at].is_none() {
                // Columns of tables are flat: each is one of the file's.
                let chunk = footer.metadata().row_group(piece.row_group).columns().get(in_file);
                is_whole.push(chunk.is_some_and(|chunk| chunk.uncompressed_size() <= WHOLE_BYTES_MAX));
                wanted.push(Wanted { at, in_file });
            }
        }
        Ok((wanted, is_whole))
    }

    fn key(&self, piece: &Piece, field: &Field) -> ColumnKey {
        ColumnKey {
            file: Arc::clone(&piece.file.key),
            row_group: piece.row_group,
            column: field.name().as_str().into(),
        }
    }

    /// Decodes columns whole.
    async fn decode(
        &self,
        piece: &Piece,
        footer: &ArrowReaderMetadata,
        wanted: &[Wanted],
        rows: usize,
        known: &mut [Option<ArrayRef>],
    ) -> Result<()> {
        if wanted.is_empty() {
            return Ok(());
        }
        let batches: Vec<RecordBatch> = self.decoder(piece, footer, wanted, None, rows.max(1))?.try_collect().await?;
        for wanted in wanted {
            let field = self.read.field(wanted.at);
            let parts = batches.iter().map(|batch| column(batch, field)).collect::<Result<Vec<_>>>()?;
            let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
            let whole = match parts.as_slice() {
                [] => new_null_array(field.data_type(), 0),
                parts => arrow::compute::concat(parts)?,
            };
            if self.keeps && whole.get_array_memory_size() as i64 <= WHOLE_BYTES_MAX {
                self.cache.keep_column(self.key(piece, field), &whole);
            }
            known[wanted.at] = Some(whole);
        }
        Ok(())
    }

    fn decoder(
        &self,
        piece: &Piece,
        footer: &ArrowReaderMetadata,
        wanted: &[Wanted],
        selection: Option<RowSelection>,
        batch_rows: usize,
    ) -> Result<ParquetRecordBatchStream<FileBytes>> {
        let roots = wanted.iter().map(|wanted| wanted.in_file);
        let mask = ProjectionMask::roots(footer.parquet_schema(), roots);
        let reader = piece.file.reader(&self.store);
        let builder = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, footer.clone())
            .with_row_groups(vec![piece.row_group])
            .with_projection(mask)
            .with_batch_size(batch_rows);
        let builder = match selection {
            Some(selection) => builder.with_row_selection(selection),
            None => builder,
        };
        Ok(builder.build()?)
    }

    /// A batch of streamed columns with the rows of the others that belong to it.
    fn joined(
        &self,
        known: &[Option<ArrayRef>],
        streamed: &[Wanted],
        from: usize,
        batch: &RecordBatch,
    ) -> Result<RecordBatch> {
        let columns = known.iter().enumerate().map(|(at, known)| match known {
            Some(known) => Ok(known.slice(from, batch.num_rows())),
            None if streamed.iter().any(|wanted| wanted.at == at) => column(batch, self.read.field(at)),
            None => Err(internal_datafusion_err!("column {at} was not read")),
        });
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns.collect::<Result<Vec<_>>>()?)?)
    }
}

/// A column of a decoded batch in the table's type.
fn column(batch: &RecordBatch, field: &Field) -> Result<ArrayRef> {
    let column = batch
        .column_by_name(field.name())
        .ok_or_else(|| internal_datafusion_err!("{} was not decoded", field.name()))?;
    match column.data_type() == field.data_type() {
        true => Ok(Arc::clone(column)),
        false => Ok(cast(column, field.data_type())?),
    }
}

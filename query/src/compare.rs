//! Do two stores hold the same numbers? Compared window by window, by digests of rows that do not depend on
//! the order of files, commits or events.

use crate::session;
use crate::snapshot::Snapshot;
use crate::table::{COMPUTED, merged_table};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, SortField};
use arrow::util::display::array_value_to_string;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::execute_stream;
use futures::StreamExt;
use std::collections::BTreeMap;
use thiserror::Error;
use tidewatch_engine::life_cycle::tiers_of;
use tidewatch_engine::rollup::{RollupSchema, Tier, WINDOW_START};
use tidewatch_engine::time::format_rfc3339;
use xxhash_rust::xxh3::xxh3_128;

/// Differing windows of a table that are shown row by row.
const WINDOWS_SHOWN: usize = 3;
/// Rows of such a window that are shown from either side.
const ROWS_SHOWN: usize = 5;

/// Why a table could not be compared.
#[derive(Debug, Error)]
pub enum CompareError {
    /// A table cannot be read.
    #[error(transparent)]
    Read(#[from] DataFusionError),
    /// Rows cannot be laid out.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}

/// What became of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Windows that were compared; 1 for a table without windows.
    pub windows: usize,
    /// Rows in either store, whichever has more.
    pub rows: u64,
    /// Windows that differ, oldest first.
    pub different: Vec<Difference>,
}

/// A window that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Start of the window, microseconds since the epoch; `None` for a table without windows.
    pub window_us: Option<i64>,
    /// Rows that only the first store has, as far as shown: the first ones of the first windows.
    pub only_stored: Vec<String>,
    /// Rows that only the second one has.
    pub only_replayed: Vec<String>,
}

impl Difference {
    /// The window for a person.
    pub fn window(&self) -> String {
        self.window_us.map_or("all".to_owned(), format_rfc3339)
    }
}

/// Order-independent digest of the rows of one window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Digest {
    rows: u64,
    sum: u128,
}

/// Compares a table of two snapshots, within `memory_bytes_max` for each side.
pub async fn compare(
    name: &str,
    stored: &Snapshot,
    replayed: &Snapshot,
    memory_bytes_max: usize,
) -> Result<Comparison, CompareError> {
    let left = digests(name, stored, memory_bytes_max).await?;
    let right = digests(name, replayed, memory_bytes_max).await?;
    let rows = |side: &BTreeMap<_, Digest>| side.values().map(|d| d.rows).sum::<u64>();
    let windows: std::collections::BTreeSet<Option<i64>> = left.keys().chain(right.keys()).copied().collect();
    let mut comparison =
        Comparison { windows: windows.len(), rows: rows(&left).max(rows(&right)), different: Vec::new() };
    for window_us in windows.into_iter().filter(|w| left.get(w) != right.get(w)) {
        let (mut only_stored, mut only_replayed) = (Vec::new(), Vec::new());
        if comparison.different.len() < WINDOWS_SHOWN {
            let (a, b) = (
                lines(name, stored, window_us, memory_bytes_max).await?,
                lines(name, replayed, window_us, memory_bytes_max).await?,
            );
            only_stored = a.iter().filter(|l| !b.contains(l)).take(ROWS_SHOWN).cloned().collect();
            only_replayed = b.iter().filter(|l| !a.contains(l)).take(ROWS_SHOWN).cloned().collect();
        }
        comparison.different.push(Difference { window_us, only_stored, only_replayed });
    }
    Ok(comparison)
}

/// Cuts the tiers of a replay where those of the store are cut: a window whose narrow rows were kept long enough is there
/// in a wider one only, and is compared so.
pub fn cut_alike(stored: &Snapshot, replayed: &mut Snapshot) {
    for (name, table) in &mut replayed.tables {
        let (Some(other), Some(rollup)) = (stored.tables.get(name), &table.rollup) else { continue };
        let widths = other.rollup.as_ref().map(tiers_of).unwrap_or_default();
        let cuts: BTreeMap<i64, Option<i64>> =
            widths.iter().map(|t| t.pane_us).zip(other.boundaries.iter().copied()).collect();
        let cut = |(tier, own): (Tier, &Option<i64>)| cuts.get(&tier.pane_us).copied().unwrap_or(*own);
        table.boundaries = tiers_of(rollup).into_iter().zip(&table.boundaries).map(cut).collect();
    }
}

/// Calls `each` with every batch of a table's merged rows and the starts of their windows.
async fn scan(
    name: &str,
    snapshot: &Snapshot,
    memory_bytes_max: usize,
    mut each: impl FnMut(&RecordBatch, &dyn Fn(usize) -> Option<i64>) -> Result<(), CompareError>,
) -> Result<(), CompareError> {
    let Some(table) = snapshot.tables.get(name) else { return Ok(()) };
    let context = session::context(&session::Memory::only(memory_bytes_max))?;
    context.register_table(name, merged_table(name, table)?)?;
    let frame = context.table(name).await?;
    let task = session::task(frame.task_ctx());
    let mut stream = execute_stream(frame.create_physical_plan().await?, task)?;
    while let Some(batch) = stream.next().await {
        // How far a store has come is not what is compared.
        let batch = stored_columns(&batch?, table.rollup.as_ref())?;
        let windows = batch.column_by_name(WINDOW_START).cloned();
        let windows = windows.as_ref().and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
        each(&batch, &|row| windows.map(|w| w.value(row)))?;
    }
    Ok(())
}

/// The key, then the measures by name: where measures were added, their order is that of their coming.
fn stored_columns(batch: &RecordBatch, rollup: Option<&RollupSchema>) -> Result<RecordBatch, ArrowError> {
    let fields = batch.schema_ref().fields();
    let keys = rollup.map_or(0, |r| r.key_fields().len());
    let mut stored: Vec<usize> =
        (0..fields.len()).filter(|&i| !COMPUTED.contains(&fields[i].name().as_str())).collect();
    if rollup.is_some() {
        stored[keys..].sort_by_key(|&i| fields[i].name());
    }
    batch.project(&stored)
}

async fn digests(
    name: &str,
    snapshot: &Snapshot,
    memory_bytes_max: usize,
) -> Result<BTreeMap<Option<i64>, Digest>, CompareError> {
    let mut digests: BTreeMap<Option<i64>, Digest> = BTreeMap::new();
    let mut converter: Option<RowConverter> = None;
    scan(name, snapshot, memory_bytes_max, |batch, window_of| {
        let converter = match &mut converter {
            Some(converter) => converter,
            None => {
                let fields = batch.columns().iter().map(|c| SortField::new(c.data_type().clone())).collect();
                converter.insert(RowConverter::new(fields)?)
            }
        };
        let rows = converter.convert_columns(batch.columns())?;
        for (index, row) in rows.iter().enumerate() {
            let digest = digests.entry(window_of(index)).or_default();
            digest.rows += 1;
            digest.sum = digest.sum.wrapping_add(xxh3_128(row.as_ref()));
        }
        Ok(())
    })
    .await?;
    Ok(digests)
}

/// The rows of one window as text.
async fn lines(
    name: &str,
    snapshot: &Snapshot,
    window_us: Option<i64>,
    memory_bytes_max: usize,
) -> Result<Vec<String>, CompareError> {
    let mut lines = Vec::new();
    scan(name, snapshot, memory_bytes_max, |batch, window_of| {
        for row in (0..batch.num_rows()).filter(|&row| window_of(row) == window_us) {
            let names = batch.schema_ref().fields().iter().map(|f| f.name());
            let cells = names.zip(batch.columns()).filter(|(name, _)| *name != WINDOW_START);
            let cells = cells.map(|(name, column)| Ok(format!("{name}={}", cell(column, row)?)));
            lines.push(cells.collect::<Result<Vec<_>, ArrowError>>()?.join(" "));
        }
        Ok(())
    })
    .await?;
    lines.sort();
    Ok(lines)
}

fn cell(column: &ArrayRef, row: usize) -> Result<String, ArrowError> {
    match column.as_binary_opt::<i32>() {
        // Sketches are long; what matters is whether they are equal.
        Some(bytes) if bytes.is_valid(row) => Ok(format!("#{:08x}", xxh3_128(bytes.value(row)) as u32)),
        _ if column.is_null(row) => Ok("NULL".to_owned()),
        _ => array_value_to_string(column, row),
    }
}

#[cfg(test)]
mod tests;

//! What was read of data files: their footers, and columns of their row groups as they are in memory.
//!
//! Files never change, and their names are used once, so nothing in here grows old. What was not asked for in a while
//! makes room for what is.

use arrow::array::{Array, ArrayRef};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::fmt;
use std::sync::Arc;

/// Memory for footers.
const FOOTERS_BYTES_MAX: u64 = 64 << 20;
/// Memory for columns: a month of hours of some thousand series, or the panes that dashboards of a day ask for.
const COLUMNS_BYTES_MAX: u64 = 256 << 20;
/// Expected numbers of entries; the bounds are on their bytes.
const FOOTERS_EXPECTED: usize = 1_000;
const COLUMNS_EXPECTED: usize = 4_000;
/// What an entry takes beside its value.
const ENTRY_BYTES: u64 = 200;

/// One column of one row group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ColumnKey {
    /// Name of the table and path below it.
    pub file: Arc<str>,
    pub row_group: usize,
    pub column: Arc<str>,
}

/// See the module page.
pub(crate) struct FileCache {
    footers: Cache<Arc<str>, ArrowReaderMetadata, FooterBytes>,
    columns: Cache<ColumnKey, ArrayRef, ColumnBytes>,
}

impl fmt::Debug for FileCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileCache").field("columns", &self.columns.len()).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone)]
struct FooterBytes;

impl Weighter<Arc<str>, ArrowReaderMetadata> for FooterBytes {
    fn weight(&self, _file: &Arc<str>, footer: &ArrowReaderMetadata) -> u64 {
        footer.metadata().memory_size() as u64 + ENTRY_BYTES
    }
}

#[derive(Debug, Clone)]
struct ColumnBytes;

impl Weighter<ColumnKey, ArrayRef> for ColumnBytes {
    fn weight(&self, _key: &ColumnKey, column: &ArrayRef) -> u64 {
        column.get_array_memory_size() as u64 + ENTRY_BYTES
    }
}

impl FileCache {
    pub fn new() -> Self {
        Self {
            footers: Cache::with_weighter(FOOTERS_EXPECTED, FOOTERS_BYTES_MAX, FooterBytes),
            columns: Cache::with_weighter(COLUMNS_EXPECTED, COLUMNS_BYTES_MAX, ColumnBytes),
        }
    }

    pub fn footer(&self, file: &Arc<str>) -> Option<ArrowReaderMetadata> {
        self.footers.get(file)
    }

    pub fn keep_footer(&self, file: &Arc<str>, footer: &ArrowReaderMetadata) {
        self.footers.insert(Arc::clone(file), footer.clone());
    }

    pub fn column(&self, key: &ColumnKey) -> Option<ArrayRef> {
        self.columns.get(key)
    }

    pub fn keep_column(&self, key: ColumnKey, column: &ArrayRef) {
        self.columns.insert(key, Arc::clone(column));
    }
}

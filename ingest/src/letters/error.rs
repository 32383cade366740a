//! What can go wrong with reading letters and the journal.

use datafusion::error::DataFusionError;
use thiserror::Error;
use tidewatch_storage::StorageError;

/// Letters or the journal cannot be read or written.
#[derive(Debug, Error)]
pub enum LettersError {
    /// The store does not answer, or the table is damaged.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A scan failed.
    #[error("reading the dead letters: {0}")]
    Read(#[source] Box<DataFusionError>),
    /// A column is missing or of another type.
    #[error("the dead letters are not as expected: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    /// The journal has not every number.
    #[error(
        "table redriven: expected {expected} rows after number {after}, found {found}\n  hint: the table was changed by hand; restore it, as its numbers say what is counted already"
    )]
    JournalDamaged {
        /// Number before the first row that was asked for.
        after: i64,
        /// Rows there should be.
        expected: i64,
        /// Rows there are.
        found: i64,
    },
}

impl From<DataFusionError> for LettersError {
    fn from(error: DataFusionError) -> Self {
        Self::Read(Box::new(error))
    }
}

//! What can go wrong with tables, by what the caller can do about it.

use thiserror::Error;

/// Failure of a storage operation.
#[derive(Debug, Error)]
pub enum StorageError {
    /// The location is not a path or URL of a known kind.
    #[error("storage location `{location}`: {reason}")]
    Location {
        /// What was given.
        location: String,
        /// Why it cannot be used.
        reason: String,
    },
    /// A table exists with another definition.
    #[error(
        "table {table} follows another definition: {reason}\n  stored:  {stored}\n  defined: {defined}\n  hint: measures may be added, nothing else may change; give the rollup another name and fill it with `tidewatch backfill`, or use another folder"
    )]
    DefinitionChanged {
        /// The table.
        table: String,
        /// The first difference.
        reason: String,
        /// Its definition.
        stored: String,
        /// The definition of today.
        defined: String,
    },
    /// A property of a table cannot be read.
    #[error("table {table}: property {property} is damaged: {reason}")]
    Property {
        /// The table.
        table: String,
        /// The property.
        property: &'static str,
        /// What the parser said.
        reason: String,
    },
    /// Delta Lake or the object store failed; a retry may help.
    #[error("table {table}: {source}")]
    Delta {
        /// The table.
        table: String,
        /// What it said.
        source: Box<deltalake::DeltaTableError>,
    },
    /// The object store failed; a retry may help.
    #[error("object store: {0}")]
    ObjectStore(#[from] object_store::Error),
    /// A data file cannot be read as what it should be.
    #[error("table {table}: {path}: {reason}")]
    Unreadable {
        /// The table.
        table: String,
        /// The file.
        path: String,
        /// What the reader said.
        reason: String,
    },
    /// A scan could not be set up.
    #[error("table {table}: {source}")]
    Scan {
        /// The table.
        table: String,
        /// What DataFusion said.
        source: Box<datafusion::error::DataFusionError>,
    },
}

impl StorageError {
    pub(crate) fn delta(table: &str) -> impl Fn(deltalake::DeltaTableError) -> Self + '_ {
        move |source| Self::Delta { table: table.to_owned(), source: Box::new(source) }
    }
}

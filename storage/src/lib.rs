//! The tables on disk: the only room that knows Delta Lake and object stores.
//!
//! ```text
//! rows + offset ranges ─▶ decide ─▶ Parquet file ─▶ one Delta commit (add + txn) ─▶ snapshot ─▶ scan
//! ```
//!
//! `ingest` appends here and `query` reads from here; neither knows the other. A table carries the
//! offsets of its rows as Delta application transactions, one per topic and partition, so numbers and
//! offsets change in the same atomic step (`engine/FORMAT.md` has the names and bytes).

mod backup;
mod cache;
mod error;
mod probe;
mod scan;
mod store;
mod synced;
mod table;
mod transaction;

pub use backup::{LogFiles, StoredFile};
pub use error::StorageError;
pub use probe::{ProbeError, Probed};
pub use store::Store;
pub use table::{
    AppendOutcome, Commit, DataFile, FilesExec, Part, ROLLED_UP, ReplaceOutcome, Replacement, Rows, TIER, Table,
    is_decidable,
};

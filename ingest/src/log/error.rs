//! What can go wrong with a log.

use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a log cannot be opened.
#[derive(Debug, Error)]
pub enum LogError {
    /// Another process has it.
    #[error(
        "{0}: the log is open in another process\n  hint: one process at a time; is Tidewatch running with the same push.path?"
    )]
    Locked(PathBuf),
    /// Something is missing in the middle.
    #[error(
        "{folder}: topic {topic} goes on at offset {found}, expected {expected}\n  hint: files of the log were removed or put back; restore the whole folder, or move it away to begin a new log"
    )]
    Hole {
        /// Where.
        folder: PathBuf,
        /// Which topic.
        topic: String,
        /// First offset that is missing.
        expected: i64,
        /// First offset after it that is there.
        found: i64,
    },
    /// The disk or the library says so.
    #[error("{folder}: {reason}")]
    Disk {
        /// Where.
        folder: PathBuf,
        /// Its words.
        reason: String,
    },
}

impl LogError {
    pub(super) fn of(folder: &Path, error: fjall::Error) -> Self {
        match error {
            fjall::Error::Locked => Self::Locked(folder.to_owned()),
            other => Self::Disk { folder: folder.to_owned(), reason: words(&other) },
        }
    }
}

/// Why records were not appended.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AppendError {
    /// All that is kept is still needed.
    #[error("the log is full: {kept} bytes are not in the tables yet, the limit is {bytes_max} (push.log_bytes_max)")]
    Full {
        /// Bytes kept.
        kept: u64,
        /// The bound.
        bytes_max: u64,
    },
    /// The disk does not keep up.
    #[error("{queue_max} appends are waiting for the disk already")]
    Busy {
        /// The bound.
        queue_max: usize,
    },
    /// The disk is full or failing. Records may have been written all the same.
    #[error("the log cannot be written: {0}\n  hint: make room, or mend the disk, and start Tidewatch again")]
    Failed(String),
    /// The log is being closed.
    #[error("the log is closed")]
    Closed,
    /// A bug of the caller.
    #[error("{0:?} is no name of a topic: expected 1 to 64 of a-z, 0-9, _ and -")]
    Topic(String),
}

/// Why records cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReadError {
    /// They were deleted, or never were.
    #[error("topic {topic}: offset {wanted} is not there; the log has {first} to {last}")]
    OutOfRange {
        /// Which topic.
        topic: String,
        /// The offset asked for.
        wanted: i64,
        /// First offset that exists.
        first: i64,
        /// Last offset that exists.
        last: i64,
    },
    /// A block cannot be understood.
    #[error("topic {topic}: the block that ends at offset {last} is damaged: {found}")]
    Damaged {
        /// Which topic.
        topic: String,
        /// Its last offset.
        last: i64,
        /// What is wrong with it.
        found: &'static str,
    },
    /// The disk or the library says so.
    #[error("topic {topic}: {reason}")]
    Disk {
        /// Which topic.
        topic: String,
        /// Its words.
        reason: String,
    },
}

/// What the library says, without the names of its variants where there are words.
pub(super) fn words(error: &fjall::Error) -> String {
    match error {
        fjall::Error::Io(error) => error.to_string(),
        fjall::Error::Storage(fjall::LsmError::Io(error)) => error.to_string(),
        fjall::Error::Poisoned => "an earlier write failed".to_owned(),
        other => other.to_string(),
    }
}

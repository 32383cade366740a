//! The durable outbox: what was enqueued is sent, whatever is killed when.
//!
//! A fjall database (an LSM tree with a write-ahead journal) in a folder of its own. What changes together is
//! one atomic batch; [`Outbox::enqueue`] and the results of attempts are on the disk (`fdatasync`) when the call
//! returns. One [`Worker`](crate::Worker) takes messages out.
//!
//! | to understand | read |
//! |---|---|
//! | what is stored under which key | `rows` |
//! | enqueueing and its bounds | `enqueue` |
//! | what the worker writes | `progress` |
//! | what can be asked | `read` |
//! | what is forgotten when | `sweep` |

mod enqueue;
mod progress;
mod read;
mod rows;
mod sweep;

pub use enqueue::Enqueued;
pub use progress::{Progress, Started};
pub use read::{Explanation, Phase};

use crate::message::MessageError;
use crate::metrics::NotifyMetrics;
use crate::retry::Entry;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use rows::{Counters, State};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bounds of an outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutboxSettings {
    /// Messages that may wait. More are refused.
    pub messages_max: usize,
    /// Bytes of all messages that may wait, as stored. More are refused.
    pub bytes_max: u64,
    /// Bytes of one message, as stored. A bigger one is refused.
    pub message_bytes_max: usize,
    /// How long delivered and given-up messages, their attempts and their keys are kept. The same key
    /// enqueued after that is a new message.
    #[serde(with = "humantime_serde")]
    pub retention: Duration,
    /// Most delivered and given-up messages that are kept; the oldest are forgotten first.
    pub finished_max: usize,
    /// Most bytes of given-up messages that are kept; the oldest are forgotten first.
    pub finished_bytes_max: u64,
    /// How long a reply is kept since it was last referred to.
    #[serde(with = "humantime_serde")]
    pub reply_retention: Duration,
    /// Most replies that are kept; those that were not used longest are forgotten first.
    pub replies_max: usize,
    /// Attempts of one message that are kept: the first ten and the newest.
    pub attempts_max: u32,
}

impl Default for OutboxSettings {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(86_400);
        Self {
            messages_max: 100_000,
            bytes_max: 256 << 20,
            message_bytes_max: 1 << 20,
            retention: 7 * DAY,
            finished_max: 200_000,
            finished_bytes_max: 64 << 20,
            reply_retention: 30 * DAY,
            replies_max: 100_000,
            attempts_max: 100,
        }
    }
}

/// Why the outbox did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// A bound would be passed; nothing of the batch was taken.
    #[error(
        "the outbox is full: {waiting} messages of {waiting_bytes} bytes wait, {more} of {more_bytes} bytes were to be \
         added, at most {messages_max} of {bytes_max} bytes may wait (outbox.messages_max, outbox.bytes_max): \
         see which integration does not get rid of its messages"
    )]
    Full {
        /// Messages that wait.
        waiting: usize,
        /// Their bytes.
        waiting_bytes: u64,
        /// New messages of the batch.
        more: usize,
        /// Their bytes.
        more_bytes: u64,
        /// The bound.
        messages_max: usize,
        /// The bound.
        bytes_max: u64,
    },
    /// One message is too big; nothing of the batch was taken.
    #[error("message {key}: expected at most {max} bytes (outbox.message_bytes_max), found {found}: shorten it")]
    TooBig {
        /// Its idempotency key.
        key: String,
        /// Its bytes as stored.
        found: usize,
        /// The bound.
        max: usize,
    },
    /// A message could never be sent; nothing of the batch was taken.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// The store failed. After a failed write it refuses all further ones: stop, see to the disk, start again.
    #[error("the outbox's store in {folder} failed: {source}: is the disk full or the folder in use?")]
    Store {
        /// Where it is.
        folder: PathBuf,
        /// What happened.
        source: fjall::Error,
    },
    /// The folder cannot be made.
    #[error("cannot make the outbox's folder {folder}: {source}")]
    Folder {
        /// Where it should be.
        folder: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
    /// A stored row cannot be read.
    #[error("the outbox's {table} has a row that cannot be read: {source}: was it written by a newer version?")]
    Row {
        /// Which keyspace.
        table: &'static str,
        /// What happened.
        source: serde_json::Error,
    },
    /// There is a worker already.
    #[error("this outbox has a worker already: two would send every message twice")]
    Claimed,
    /// A task that wrote was aborted, or panicked.
    #[error("a write to the outbox did not end: {0}")]
    Aborted(String),
}

/// Tables of the store; see `rows` for what is in them.
struct Tables {
    messages: Keyspace,
    states: Keyspace,
    keys: Keyspace,
    attempts: Keyspace,
    message_attempts: Keyspace,
    replies: Keyspace,
    counters: Keyspace,
}

/// What is known of the store without reading it. Changed under the lock that also orders the writes.
#[derive(Debug, Default)]
struct Books {
    counters: Counters,
    waiting: usize,
    waiting_bytes: u64,
    /// Finished messages by time: (finished_ms, seq) → bytes that are still stored.
    finished: BTreeMap<(i64, u64), u64>,
    finished_bytes: u64,
    /// Replies by last use: (used_ms, key).
    replies: BTreeSet<(i64, String)>,
    /// Their last use.
    reply_used_ms: HashMap<String, i64>,
    /// Taken in and not yet seen by the worker; bounded by `messages_max`.
    intake: Vec<Intake>,
}

impl Books {
    /// A reply was given or referred to.
    fn use_reply(&mut self, key: &str, now_ms: i64) {
        if let Some(before_ms) = self.reply_used_ms.insert(key.to_owned(), now_ms) {
            self.replies.remove(&(before_ms, key.to_owned()));
        }
        self.replies.insert((now_ms, key.to_owned()));
    }
}

/// A waiting message that the worker has not seen yet.
#[derive(Debug, Clone)]
pub(crate) struct Intake {
    pub(crate) entry: Entry,
    /// It was on its way when the last process ended: since when.
    pub(crate) in_flight_ms: Option<i64>,
}

/// The outbox of one process. Shared by those that enqueue and the worker.
pub struct Outbox {
    folder: PathBuf,
    settings: OutboxSettings,
    metrics: NotifyMetrics,
    db: Database,
    tables: Tables,
    books: Mutex<Books>,
    changed: tokio::sync::Notify,
    claimed: AtomicBool,
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("folder", &self.folder).field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Outbox {
    /// Opens or makes the outbox in a folder of its own, and reads which messages wait. Blocks.
    ///
    /// The folder is readable by its owner only: messages contain tokens.
    ///
    /// Errors: the folder cannot be made or is in use by another process; the store is broken.
    pub fn open(folder: &Path, settings: OutboxSettings, metrics: NotifyMetrics) -> Result<Self, OutboxError> {
        make_folder(folder).map_err(|source| OutboxError::Folder { folder: folder.to_owned(), source })?;
        let failed = |source| OutboxError::Store { folder: folder.to_owned(), source };
        let db = Database::builder(folder).worker_threads(1).cache_size(8 << 20).open().map_err(failed)?;
        let table = |name| db.keyspace(name, KeyspaceCreateOptions::default).map_err(failed);
        let tables = Tables {
            messages: table("messages")?,
            states: table("states")?,
            keys: table("keys")?,
            attempts: table("attempts")?,
            message_attempts: table("message_attempts")?,
            replies: table("replies")?,
            counters: table("counters")?,
        };
        let outbox = Self {
            folder: folder.to_owned(),
            settings,
            metrics,
            db,
            tables,
            books: Mutex::default(),
            changed: tokio::sync::Notify::new(),
            claimed: AtomicBool::new(false),
        };
        let books = outbox.recover()?;
        tracing::info!(folder = %folder.display(), waiting = books.waiting, finished = books.finished.len(), "outbox open");
        outbox.show(&books);
        *outbox.books() = books;
        Ok(outbox)
    }

    /// What the last process left.
    fn recover(&self) -> Result<Books, OutboxError> {
        let mut books = Books::default();
        if let Some(row) = self.read(self.tables.counters.get(rows::COUNTERS_KEY))? {
            books.counters = rows::decode("counters", &row)?;
        }
        for row in self.tables.states.iter() {
            let (key, value) = self.read(row.into_inner())?;
            let seq = rows::seq_of(&key);
            let state: State = rows::decode("states", &value)?;
            if let Some((finished_ms, kept_bytes)) = state.finished() {
                books.finished.insert((finished_ms, seq), kept_bytes);
                books.finished_bytes += kept_bytes;
            } else {
                books.waiting += 1;
                books.waiting_bytes += state.bytes;
                books.intake.push(Intake { entry: state.entry(seq), in_flight_ms: state.in_flight_ms });
            }
        }
        for row in self.tables.replies.iter() {
            let (key, value) = self.read(row.into_inner())?;
            let row: rows::ReplyRow = rows::decode("replies", &value)?;
            books.use_reply(&String::from_utf8_lossy(&key), row.used_ms);
        }
        Ok(books)
    }

    /// Bounds.
    pub fn settings(&self) -> &OutboxSettings {
        &self.settings
    }

    /// Counters and gauges.
    pub fn metrics(&self) -> &NotifyMetrics {
        &self.metrics
    }

    /// Messages that wait or are on their way.
    pub fn waiting(&self) -> usize {
        self.books().waiting
    }

    /// Returns when something was enqueued since the last call.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Reserves the outbox for one worker.
    pub(crate) fn claim(&self) -> Result<(), OutboxError> {
        if self.claimed.swap(true, Ordering::SeqCst) { Err(OutboxError::Claimed) } else { Ok(()) }
    }

    /// Gives the reservation back.
    pub(crate) fn unclaim(&self) {
        self.claimed.store(false, Ordering::SeqCst);
    }

    /// Messages the worker has not seen yet, in the order of enqueueing.
    pub(crate) fn take_intake(&self) -> Vec<Intake> {
        std::mem::take(&mut self.books().intake)
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // A panic under the lock leaves at worst counts that are too high: refusing to go on would be worse.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, books: &Books) {
        let gauge = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.metrics.outbox_messages.set(gauge(books.waiting));
        self.metrics.outbox_bytes.set(i64::try_from(books.waiting_bytes).unwrap_or(i64::MAX));
        self.metrics.outbox_finished.set(gauge(books.finished.len()));
    }

    fn read<T>(&self, result: fjall::Result<T>) -> Result<T, OutboxError> {
        result.map_err(|source| OutboxError::Store { folder: self.folder.clone(), source })
    }

    /// An atomic batch that is on the disk when it is committed.
    fn durable_batch(&self) -> fjall::OwnedWriteBatch {
        self.db.batch().durability(Some(PersistMode::SyncData))
    }

    fn commit(&self, batch: fjall::OwnedWriteBatch) -> Result<(), OutboxError> {
        self.read(batch.commit())
    }
}

#[cfg(unix)]
fn make_folder(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
fn make_folder(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)
}

#[cfg(test)]
mod tests;

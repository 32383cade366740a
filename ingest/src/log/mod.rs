//! A durable log of records on the local disk: what is pushed to us is answered once it lies here, and one
//! worker counts it from here as others count Kafka's partitions.
//!
//! ```text
//! append ─▶ queue ─▶ one writer thread: many requests, one fsync ─▶ segments ─▶ read from an offset
//!           bounded                                                 deleted once every table has them
//! ```
//!
//! A topic's offsets begin at 0 and have no gaps. Readers see what is synced and nothing else, so that no
//! table can be ahead of the log after a power failure. A log has an identity, drawn when it is made, which is
//! part of the name that tables know its partitions by: a log whose folder was deleted begins at offset 0
//! again, and is another one to them.
//!
//! | bound | at the bound |
//! |---|---|
//! | [`LogSettings::bytes_max`] | what every table has is deleted, oldest first; is there nothing such, [`AppendError::Full`] |
//! | [`LogSettings::queue_max`] | [`AppendError::Busy`] |
//!
//! On disk: a `fjall` database in the folder `db` with a keyspace per segment (see `segment.rs`), and the
//! identity in a file `identity` beside it, for those who may not open the database: one process at a time may.

mod error;
mod identity;
mod metrics;
mod read;
mod segment;
mod topic;
mod writer;

pub use error::{AppendError, LogError, ReadError};
pub use identity::{
    EVENTS_TOPIC, is_source_topic, log_partition, random_identity, source_topic, source_topic_of, stored_identity,
    topic_of,
};
pub use metrics::LogMetrics;
pub use read::LogRecord;

use crate::clock::Clock;
use bytes::Bytes;
use fjall::Database;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;
use tidewatch_engine::commit::TopicPartition;
use tokio::sync::oneshot;
use topic::Topic;

/// The folder of the database within that of the log.
const DATABASE: &str = "db";
/// Memory for blocks that were read; a log is read once, mostly from what was just written.
const CACHE_BYTES: u64 = 8 * 1024 * 1024;
/// The library's own journal, before it is written to segments; the least it allows.
const JOURNAL_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Longest name of a topic.
const TOPIC_BYTES_MAX: usize = 64;

/// Bounds of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSettings {
    /// Bytes of records kept, all topics together. What the library needs beside it (its journal, at most
    /// 64 MiB, and what is deleted but not yet removed) is not counted.
    pub bytes_max: u64,
    /// How long records are kept that every table has.
    pub retention: Duration,
    /// Appends that may wait for the disk; more are refused.
    pub queue_max: usize,
}

/// Cheap to share as an [`Arc`]; the last owner closes it.
pub struct EventLog {
    shared: Arc<Shared>,
    /// `None` only while it is dropped.
    appends: Option<SyncSender<Append>>,
    writer: Option<JoinHandle<()>>,
    queue_max: usize,
}

/// What the writer and the readers share.
struct Shared {
    database: Database,
    identity: String,
    settings: LogSettings,
    clock: Arc<dyn Clock>,
    metrics: LogMetrics,
    topics: RwLock<BTreeMap<String, Arc<Topic>>>,
    /// Why nothing can be appended any more, until the process is started again.
    failed: Mutex<Option<String>>,
    /// Rings when a topic has grown.
    bell: Mutex<()>,
    grown: Condvar,
}

/// A request to the writer.
struct Append {
    topic: String,
    time_us: i64,
    records: Vec<Bytes>,
    reply: oneshot::Sender<Result<i64, AppendError>>,
}

impl Append {
    fn bytes(&self) -> u64 {
        segment::encoded_len(&self.records)
    }
}

impl std::fmt::Debug for EventLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventLog")
            .field("identity", &self.shared.identity)
            .field("settings", &self.shared.settings)
            .finish_non_exhaustive()
    }
}

impl EventLog {
    /// Opens the log in a folder, or makes it with an `identity` ([`random_identity`]).
    ///
    /// Errors: another process has it open; the folder cannot be read or written; what lies there has a hole.
    pub fn open(
        folder: &Path,
        settings: LogSettings,
        identity: impl FnOnce() -> String,
        metrics: LogMetrics,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, LogError> {
        let fail = |error: fjall::Error| LogError::of(folder, error);
        std::fs::create_dir_all(folder).map_err(|e| fail(e.into()))?;
        let database = Database::builder(folder.join(DATABASE))
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES_MAX)
            .worker_threads(1)
            .open()
            .map_err(fail)?;
        let identity = identity::of_database(&database, identity).map_err(fail)?;
        identity::publish(folder, &identity).map_err(|e| fail(e.into()))?;
        let topics = topic::load(&database, folder)?;
        let (sender, inbox) = sync_channel(settings.queue_max.max(1));
        let shared = Arc::new(Shared {
            database,
            identity,
            settings,
            clock,
            metrics,
            topics: RwLock::new(topics),
            failed: Mutex::new(None),
            bell: Mutex::new(()),
            grown: Condvar::new(),
        });
        let writer = writer::Writer::new(Arc::clone(&shared));
        let writer = std::thread::Builder::new()
            .name("tidewatch-log".to_owned())
            .spawn(move || writer.run(&inbox))
            .map_err(|e| fail(e.into()))?;
        Ok(Arc::new(Self { shared, appends: Some(sender), writer: Some(writer), queue_max: settings.queue_max.max(1) }))
    }

    /// What tells this log from any other.
    pub fn identity(&self) -> &str {
        &self.shared.identity
    }

    /// The partition that tables know a topic by: `topic@identity`, 0.
    pub fn partition(&self, topic: &str) -> TopicPartition {
        log_partition(topic, &self.shared.identity)
    }

    /// Appends records to a topic, all or none, next to each other; returns the offset of the first once they
    /// are synced to disk. `time_us` is when they arrived, microseconds since the epoch. A topic's name is of
    /// `a-z`, `0-9`, `_`, `-` and at most 64 bytes; it is made by the first append.
    ///
    /// After an error of the disk the records may be there all the same: send them again.
    pub async fn append(&self, topic: &str, time_us: i64, records: Vec<Bytes>) -> Result<i64, AppendError> {
        if !is_topic(topic) {
            return Err(AppendError::Topic(topic.to_owned()));
        }
        self.health()?;
        if records.is_empty() {
            return Ok(self.end(topic));
        }
        let (reply, answer) = oneshot::channel();
        let append = Append { topic: topic.to_owned(), time_us, records, reply };
        let Some(appends) = &self.appends else { return Err(AppendError::Closed) };
        appends.try_send(append).map_err(|error| match error {
            TrySendError::Full(_) => {
                self.shared.metrics.refused("busy");
                AppendError::Busy { queue_max: self.queue_max }
            }
            TrySendError::Disconnected(_) => AppendError::Closed,
        })?;
        answer.await.unwrap_or(Err(AppendError::Closed))
    }

    /// First offset that is still there; equal to [`Self::end`] when there is none.
    pub fn first(&self, topic: &str) -> i64 {
        self.shared.topic(topic).map_or(0, |t| t.first())
    }

    /// Offset that the next record will have: all before it are synced.
    pub fn end(&self, topic: &str) -> i64 {
        self.shared.topic(topic).map_or(0, |t| t.end())
    }

    /// Bytes of records that are kept, all topics together.
    pub fn bytes(&self) -> u64 {
        self.shared.bytes()
    }

    /// Tells that every table has the records up to and with `offset`: they may be deleted. It never goes back.
    pub fn committed(&self, topic: &str, offset: i64) {
        if let Some(topic) = self.shared.topic(topic) {
            topic.committed(offset);
        }
    }

    /// Waits until one of the topics has a record at its offset, at most `timeout`; says whether one has.
    /// Blocks its thread.
    pub fn wait(&self, topics: &[(&str, i64)], timeout: Duration) -> bool {
        let has_any = || topics.iter().any(|(topic, from)| self.end(topic) > *from);
        let bell = self.shared.bell.lock().unwrap_or_else(PoisonError::into_inner);
        if has_any() {
            return true;
        }
        // Whoever waits for a topic is woken by others, too, and may find nothing: it comes again.
        let waited = self.shared.grown.wait_timeout(bell, timeout);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        has_any()
    }

    /// Can records be appended?
    pub fn health(&self) -> Result<(), AppendError> {
        match &*self.shared.failure() {
            Some(reason) => Err(AppendError::Failed(reason.clone())),
            None => Ok(()),
        }
    }
}

impl Drop for EventLog {
    fn drop(&mut self) {
        // The writer finishes what it was given and ends.
        self.appends = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

impl Shared {
    fn topic(&self, name: &str) -> Option<Arc<Topic>> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn all_topics(&self) -> Vec<(String, Arc<Topic>)> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.iter().map(|(name, topic)| (name.clone(), Arc::clone(topic))).collect()
    }

    fn bytes(&self) -> u64 {
        self.all_topics().iter().map(|(_, topic)| topic.bytes()).sum()
    }

    fn failure(&self) -> MutexGuard<'_, Option<String>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        drop(self.bell.lock().unwrap_or_else(PoisonError::into_inner));
        self.grown.notify_all();
    }
}

fn is_topic(name: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    !name.is_empty() && name.len() <= TOPIC_BYTES_MAX && name.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests;

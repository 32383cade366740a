//! What tells one log from another, and the names of partitions that are made of it.

use crate::source::FILE_TOPIC;
use fjall::{Database, KeyspaceCreateOptions, PersistMode};
use std::hash::{BuildHasher, RandomState};
use std::io::{Error, Write};
use std::path::Path;
use tidewatch_engine::commit::TopicPartition;

/// Topic of the events that are pushed.
pub const EVENTS_TOPIC: &str = "events";

/// Between a topic and the identity of its log. Kafka allows it in no name.
const MARK: char = '@';

/// Where the identity lies in the database.
const KEYSPACE: &str = "log";
const KEY: &str = "identity";
/// Where it lies for those who may not open the database.
const FILE: &str = "identity";

/// 64 random bits in hexadecimal: the keys that the system gives to hash maps.
pub fn random_identity() -> String {
    format!("{:016x}", RandomState::new().hash_one(MARK))
}

/// The identity of the log in a folder, whoever has it open; `None` when there is no log.
pub fn stored_identity(folder: &Path) -> Result<Option<String>, Error> {
    match std::fs::read_to_string(folder.join(FILE)) {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|t| !t.is_empty())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The topic of a partition of any log, or `None` when the partition is Kafka's, a file or the journal.
pub fn topic_of(partition: &TopicPartition) -> Option<&str> {
    if partition.topic.starts_with(FILE_TOPIC) {
        return None;
    }
    partition.topic.split_once(MARK).map(|(topic, _)| topic)
}

/// How packs name a topic of the log, whichever log it is: `topic@`.
pub fn source_topic(topic: &str) -> String {
    format!("{topic}{MARK}")
}

/// Does a pack mean a topic of the log by this name?
pub fn is_source_topic(topic: &str) -> bool {
    topic.ends_with(MARK)
}

/// The same of a partition of any log; `None` when it is none.
pub fn source_topic_of(partition: &TopicPartition) -> Option<&str> {
    let topic = topic_of(partition)?;
    partition.topic.get(..topic.len() + MARK.len_utf8())
}

/// The partition of a topic of the log with an identity: `topic@identity`, 0.
pub fn log_partition(topic: &str, identity: &str) -> TopicPartition {
    TopicPartition::new(format!("{topic}{MARK}{identity}"), 0)
}

/// The identity in the database, or a new one, which is durable when this returns.
pub(super) fn of_database(database: &Database, new: impl FnOnce() -> String) -> fjall::Result<String> {
    let keyspace = database.keyspace(KEYSPACE, KeyspaceCreateOptions::default)?;
    if let Some(stored) = keyspace.get(KEY)? {
        return Ok(String::from_utf8_lossy(&stored).into_owned());
    }
    let identity = new();
    keyspace.insert(KEY, identity.as_bytes())?;
    database.persist(PersistMode::SyncAll)?;
    Ok(identity)
}

/// Writes the identity beside the database.
pub(super) fn publish(folder: &Path, identity: &str) -> Result<(), Error> {
    if stored_identity(folder)?.as_deref() == Some(identity) {
        return Ok(());
    }
    let (path, fresh) = (folder.join(FILE), folder.join(format!("{FILE}.new")));
    let mut file = std::fs::File::create(&fresh)?;
    writeln!(file, "{identity}")?;
    file.sync_all()?;
    std::fs::rename(fresh, path)
}

//! The local log of what is pushed: where it lies, and whether there is one.

use crate::settings::Settings;
use anyhow::{Context, Result};
use prometheus::Registry;
use std::path::PathBuf;
use std::sync::Arc;
use tidewatch_engine::commit::TopicPartition;
use tidewatch_ingest::clock::Clock;
use tidewatch_ingest::log::{
    EVENTS_TOPIC, EventLog, LogError, LogMetrics, LogSettings, log_partition, random_identity, stored_identity,
};
use tidewatch_ingest::samples::LOG_TOPIC;

/// What the name of the log's folder ends in, when the settings do not name one.
const BESIDE: &str = "-push";

/// The log of this process, if it has one.
#[derive(Debug, Clone)]
pub enum LocalLog {
    On(Arc<EventLog>),
    /// Why there is none, and what to do.
    Off {
        reason: String,
        hint: String,
    },
}

impl LocalLog {
    /// Opens the log that the settings name, or makes it. Without a place for one, or when another process has the
    /// one beside the store, this process goes without.
    ///
    /// Errors: it cannot be read or written, or another process has the one that `push.path` names.
    pub fn open(settings: &Settings, registry: &Registry, clock: &Arc<dyn Clock>) -> Result<Self> {
        let metrics = LogMetrics::register(registry)?;
        let folder = match folder(settings) {
            Ok(folder) => folder,
            Err((reason, hint)) => return Ok(Self::Off { reason, hint }),
        };
        match EventLog::open(&folder, settings.log_bounds(), random_identity, metrics, Arc::clone(clock)) {
            Ok(log) => Ok(Self::On(log)),
            // Members of one group may share a local store; one of them takes what is pushed.
            Err(error @ LogError::Locked(_)) if settings.push.path.is_empty() => {
                let hint = "send events to that one, or give this one a push.path of its own".to_owned();
                tracing::warn!(folder = %folder.display(), "another process takes what is pushed");
                Ok(Self::Off { reason: first_line(&error), hint })
            }
            Err(error) => Err(error).context("push.path"),
        }
    }

    /// The log, if there is one.
    pub fn log(&self) -> Option<&Arc<EventLog>> {
        match self {
            Self::On(log) => Some(log),
            Self::Off { .. } => None,
        }
    }
}

fn first_line(error: &LogError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// Where the log lies, or why there is none and what to do.
pub fn folder(settings: &Settings) -> Result<PathBuf, (String, String)> {
    let (push, location) = (&settings.push, &settings.storage.location);
    if !push.enabled {
        return Err(("push.enabled is false".to_owned(), "set enabled = true in [push]".to_owned()));
    }
    if !push.path.is_empty() {
        return Ok(PathBuf::from(&push.path));
    }
    if location.contains("://") {
        let reason = "the tables are in an object store, and events need a local disk first".to_owned();
        return Err((reason, "set path in [push] to a folder on a disk that stays".to_owned()));
    }
    Ok(PathBuf::from(format!("{}{BESIDE}", location.trim_end_matches('/'))))
}

/// The log as a replay finds it, not opened yet.
#[derive(Debug, Clone)]
pub struct StoredLog {
    bounds: LogSettings,
    folder: PathBuf,
    identity: String,
}

impl StoredLog {
    /// The log of the settings; `None` when nothing was ever pushed.
    pub fn find(settings: &Settings) -> Result<Option<Self>> {
        let Ok(folder) = folder(settings) else { return Ok(None) };
        let identity = stored_identity(&folder).with_context(|| folder.display().to_string())?;
        Ok(identity.map(|identity| Self { bounds: settings.log_bounds(), folder, identity }))
    }

    /// What it holds: the topics, each with its partition.
    pub fn topics(&self) -> [(&'static str, TopicPartition); 2] {
        [EVENTS_TOPIC, LOG_TOPIC].map(|topic| (topic, log_partition(topic, &self.identity)))
    }

    /// The topic of a partition of this log.
    pub fn topic_of(&self, partition: &TopicPartition) -> Option<&'static str> {
        self.topics().into_iter().find(|(_, of_topic)| of_topic == partition).map(|(topic, _)| topic)
    }

    /// Opens it.
    ///
    /// Errors: a process has it open.
    pub fn open(&self, clock: &Arc<dyn Clock>) -> Result<Arc<EventLog>> {
        let metrics = LogMetrics::register(&Registry::new())?;
        let opened = EventLog::open(&self.folder, self.bounds, random_identity, metrics, Arc::clone(clock));
        opened.map_err(|error| match error {
            LogError::Locked(_) => anyhow::anyhow!(
                "{}\n  hint: pushed events can be read again only while no process takes more: stop it, and start it again afterwards",
                first_line(&error)
            ),
            other => other.into(),
        })
    }
}

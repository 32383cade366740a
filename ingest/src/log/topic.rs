//! One topic: its segments, how far it is synced, and how far every table has it.

use super::error::LogError;
use super::segment::{self, Block, Segment};
use fjall::Database;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidewatch_engine::commit::BEFORE_FIRST;

/// Changed by the writer alone, but for [`Topic::committed`].
pub(super) struct Topic(Mutex<State>);

/// What a topic holds.
pub(super) struct State {
    /// Oldest first; the last one is appended to.
    pub segments: VecDeque<Segment>,
    /// Offset of the next record.
    pub end: i64,
    /// Last offset that every table has.
    pub committed: i64,
}

impl State {
    /// First offset that is there.
    pub fn first(&self) -> i64 {
        self.segments.front().map_or(self.end, |s| s.first)
    }

    /// Last offset of a segment, by its place.
    pub fn last_of(&self, index: usize) -> i64 {
        self.segments.get(index + 1).map_or(self.end, |next| next.first) - 1
    }

    /// Has every table all of the oldest segment, and is there another one?
    pub fn is_oldest_free(&self) -> bool {
        self.segments.len() > 1 && self.last_of(0) <= self.committed
    }
}

impl Topic {
    /// A topic of one segment without records.
    pub fn new(first: Segment) -> Self {
        Self(Mutex::new(State { end: first.first, segments: VecDeque::from([first]), committed: BEFORE_FIRST }))
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn first(&self) -> i64 {
        self.state().first()
    }

    pub fn end(&self) -> i64 {
        self.state().end
    }

    pub fn bytes(&self) -> u64 {
        self.state().segments.iter().map(|s| s.bytes).sum()
    }

    pub fn committed(&self, offset: i64) {
        let mut state = self.state();
        // Nobody can have what is not there.
        state.committed = state.committed.max(offset.min(state.end - 1));
    }
}

/// The topics of a database, each checked for holes.
pub(super) fn load(database: &Database, folder: &Path) -> Result<BTreeMap<String, Arc<Topic>>, LogError> {
    let mut found: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for name in database.list_keyspace_names() {
        if let Some((topic, first)) = segment::parse_name(&name) {
            found.entry(topic.to_owned()).or_default().push(first);
        }
    }
    let mut topics = BTreeMap::new();
    for (topic, mut firsts) in found {
        firsts.sort_unstable();
        let mut state = State { segments: VecDeque::new(), end: firsts[0], committed: BEFORE_FIRST };
        for first in firsts {
            if first != state.end {
                let (folder, expected, found) = (folder.to_owned(), state.end, first);
                return Err(LogError::Hole { folder, topic, expected, found });
            }
            let (segment, end) = open(database, folder, &topic, first)?;
            state.end = end;
            state.segments.push_back(segment);
        }
        topics.insert(topic, Arc::new(Topic(Mutex::new(state))));
    }
    Ok(topics)
}

/// A segment and the offset after its last record.
fn open(database: &Database, folder: &Path, topic: &str, first: i64) -> Result<(Segment, i64), LogError> {
    let fail = |error: fjall::Error| LogError::of(folder, error);
    let damaged = |what: &str| LogError::Disk {
        folder: folder.to_owned(),
        reason: format!("a block of topic {topic} is damaged: {what}"),
    };
    let keyspace = database.keyspace(&segment::name(topic, first), segment::options).map_err(fail)?;
    let ends = [keyspace.first_key_value(), keyspace.last_key_value()];
    let [Some(oldest), Some(newest)] = ends else {
        return Ok((Segment { first, keyspace, bytes: 0, times_us: None }, first));
    };
    let (_, oldest) = oldest.into_inner().map_err(fail)?;
    let (key, newest) = newest.into_inner().map_err(fail)?;
    let (oldest, newest) = (Block::read(&oldest).map_err(damaged)?, Block::read(&newest).map_err(damaged)?);
    let last = segment::last_of(&key).ok_or_else(|| damaged("its key is not an offset"))?;
    let times_us = Some((oldest.time_us, newest.time_us));
    Ok((Segment { first, bytes: newest.segment_bytes, times_us, keyspace }, last + 1))
}
